"""Values per test sequence or clip, and differences of two models on the same ones."""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from convttlstm.claims.evidence import Missing
from convttlstm.evaluation.intervals import Estimate, difference, gap_difference
from convttlstm.metrics import METRICS
from convttlstm.results import Recognition, Result

CORRECT = {"top1": ("label", "predicted"), "group": ("group", "predicted_group")}
DifferenceOf = Callable[[np.ndarray, np.ndarray, np.ndarray], Estimate]


def paired(
    values: Sequence[pd.Series], first: int, groups: pd.Series, estimate: DifferenceOf = difference
) -> tuple[Estimate, int]:
    """Return the difference between two models' values, and the number of sequences that all runs share.

    Args:
        values: each run's values, by sequence; first the runs of the first model, then those of the second.
        first: the number of runs of the first model.
        groups: each sequence's group; see `convttlstm.evaluation.intervals`.
        estimate: computes the estimate from (seeds, sequences) of both models and the groups.

    Raises:
        Missing: they share no sequence.
    """
    shared = pd.concat([*values, groups], axis=1, join="inner")
    if shared.empty:
        raise Missing("the two were evaluated on different sequences")
    numbers = shared.iloc[:, :-1].to_numpy(float).T
    return estimate(numbers[:first], numbers[first:], shared.iloc[:, -1].to_numpy()), len(shared)


def paired_gap(
    values: tuple[Sequence[pd.Series], Sequence[pd.Series]], first: int, groups: tuple[pd.Series, pd.Series]
) -> tuple[Estimate, list[int]]:
    """Return how much more two models differ on one set of sequences than on another, and the sets' sizes.

    Args:
        values: of both sets, each run's values as for `paired`.
        first: the number of runs of the first model.
        groups: each sequence's group, of both sets.

    Raises:
        Missing: in a set they share no sequence.
    """
    shared = [
        pd.concat([*own, group], axis=1, join="inner") for own, group in zip(values, groups, strict=True)
    ]
    if any(table.empty for table in shared):
        raise Missing("the two were evaluated on different sequences")
    one, other = (table.iloc[:, :-1].to_numpy(float).T for table in shared)
    of_groups = shared[0].iloc[:, -1].to_numpy(), shared[1].iloc[:, -1].to_numpy()
    estimate = gap_difference((one[:first], other[:first]), (one[first:], other[first:]), of_groups)
    return estimate, [len(table) for table in shared]


def sequence_values(run: Result, horizon: int, metric: str) -> pd.Series:
    """Return a metric for each test sequence, by the sequence's number."""
    if metric not in run.metrics.horizons.get(horizon, {}):
        raise Missing(f"{run.config.title} has no {METRICS[metric].symbol} at {horizon} frames")
    return run.values(horizon, metric)


def late_values(run: Result, horizon: int, after: int | None, metric: str) -> pd.Series:
    """Return each sequence's mean over its frames, or over those after `after`.

    A metric at a horizon is a mean over its frames, so two horizons give the mean of the frames between.
    """
    whole = sequence_values(run, horizon, metric)
    if after is None:
        return whole
    earlier = run.config.evaluation.first_frame - 1  # frames that neither mean includes
    early = sequence_values(run, after, metric)
    return ((horizon - earlier) * whole - (after - earlier) * early) / (horizon - after)


def in_frames(first: int, last: int) -> str:
    """Return the predicted frames that a mean is over, such as " in frames 4 to 10"."""
    return f" in frames {first} to {last}" if first > 1 else f" at {last} frames"


def answers(run: Recognition, fraction: float, reading: str, groups: list[str]) -> pd.Series:
    """Return 1 for each clip that was recognized and 0 for others, by name; of `groups`, if not empty."""
    own = run.predictions[run.predictions["fraction"] == fraction]
    own = own[own["group"].isin(groups)] if groups else own
    truth, predicted = CORRECT[reading]
    return pd.Series((own[truth] == own[predicted]).to_numpy(float), index=own["clip"].to_numpy())
