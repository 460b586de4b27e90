"""Sentences on each data set, for the page."""

from collections.abc import Sequence

import pandas as pd

from convttlstm.config import Run
from convttlstm.files import listed
from convttlstm.reporting.accuracy import percent
from convttlstm.reporting.cells import counted_frames, metric_cell, sequences_in_words
from convttlstm.results import Recognition, Result


def headline(results: list[Result]) -> str:
    """Return which fully trained models beat the naive predictions.

    A model beats another prediction where its 95 % interval of MSE lies wholly below the other's.
    """
    trained, trivial = _parted(results)
    if not trained or not trivial:
        return "Nothing is compared: it takes a trained model and a naive prediction."
    names = " and ".join(result.config.title.lower() for result in trivial)
    horizons = results[0].config.dataset.test_horizons
    at = f"At {' and '.join(map(str, horizons))} frames"
    failed = [r for r in trained if not all(_beats(r, other, h) for other in trivial for h in horizons)]
    models, fail = (list(dict.fromkeys(r.variant_title for r in runs)) for runs in (trained, failed))
    seeds = "" if len(models) == len(trained) else ", of all its seeds,"
    if len(fail) == len(models):
        return f"{at} no fully trained model's MSE interval{seeds} lies below those of {names}."
    but = f", except {listed(fail)}" if fail else ""
    return f"{at} each fully trained model's MSE interval{seeds} lies below those of {names}{but}."


def standouts(table2: pd.DataFrame, run: Run) -> list[str]:
    """Return for each horizon Table 2's trained model with the lowest MSE, and the naive predictions' MSE.

    Args:
        table2: Table 2's CSV, read as text; rows of single seeds of a model with several are left out.
        run: of the table's data set.
    """
    rows = table2[(table2["origin"] == "reproduced") & (table2["part_of"] == "")]
    rows = rows[~rows["caveat"].str.contains("updates only")]
    lines = []
    for horizon in run.dataset.test_horizons:
        column = f"mse_x1e3_{horizon}"
        measured = pd.to_numeric(rows[column], errors="coerce").notna()
        own = rows[measured].sort_values(column, key=lambda cells: cells.astype(float))
        said = {row["method"]: f"{row['method']}: {metric_cell(row, column)}" for _, row in own.iterrows()}
        trained = own[own["seed"].ne("") | own["seeds"].ne("1")]["method"]
        parts = [f"Table 2's trained model with the lowest MSE is {said[name]}" for name in trained[:1]]
        parts += [text for method, text in said.items() if method not in set(trained)]
        lines.append(f"MSE x 1000, {run.dataset.context} → {horizon} frames: {'; '.join(parts)}.")
    return lines


def _parted(results: list[Result]) -> tuple[list[Result], list[Result]]:
    trained = [result for result in results if result.config.trained]
    return trained, [result for result in results if not result.config.trained]


def _beats(result: Result, other: Result, horizon: int) -> bool:
    ours, theirs = (r.metrics.horizons[horizon]["mse"] for r in (result, other))
    return ours.high < theirs.low


def scale_facts(run: Run, result: Result) -> str:
    """Return the scale's sizes, and how far its results count as evidence."""
    training = run.training
    size, test_size = (f"{h} x {w}" for h, w in (run.dataset.frame_shape, run.dataset.test_shape))
    resized = f", resized to {test_size} for evaluation" if test_size != size else ""
    facts = (
        f"Frames of {size} pixels{resized}; {training.epochs} epochs of "
        f"{training.samples_per_epoch:,} samples; test sequences: "
        f"{sequences_in_words(result.metrics.sequences)}.{counted_frames(run.evaluation)}"
    )
    if run.scale == "paper" and not run.dataset.stand_in:
        return facts
    if run.decides_claims and not run.dataset.stand_in:
        return f"{facts} Comparisons here are evidence for this scale; whether they hold at others is open."
    return (
        f"{facts} It shows that the pipeline works from data to table: the same rules and code run at the "
        "paper's scale. Its numbers neither confirm nor refute the paper's."
    )


def recognition_headline(loaded: Sequence[Recognition]) -> str:
    """Return which recognizers are better than chance, with the whole 95 % interval of each run."""
    chances = sorted({1 / result.metrics.classes for result in loaded})
    level = f"chance, {' or '.join(f'{100 * chance:.1f} %' for chance in chances)}"
    above = {
        (result.config.title, fraction, result.name): found.top1.low > 1 / result.metrics.classes
        for result in loaded
        for fraction, found in result.metrics.fractions.items()
    }
    failed = dict.fromkeys(
        f"{title} at {percent(f)} of the frames" for (title, f, _), is_ in above.items() if not is_
    )
    if not failed:
        return f"All recognizers are above {level}, with their whole 95 % intervals."
    others = " All others are." if any(above.values()) else ""
    return f"Not above {level}: {listed(list(failed))}.{others}"
