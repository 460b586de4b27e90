"""Every run of every model as a dot, with the mean and its interval."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from matplotlib import ticker
from matplotlib.figure import Figure

from convttlstm.config import Run, evaluated_runs, run_id
from convttlstm.files import UserError
from convttlstm.metrics import METRICS, Metric
from convttlstm.reporting.drawing import (
    COLUMN,
    SMALL,
    Series,
    compares_with_paper,
    ink,
    series_of,
    wrapped,
)
from convttlstm.reporting.report import FigureReport, Runs, predicted
from convttlstm.reporting.runs import STARRED
from convttlstm.results import Interval, Scale, across_seeds

LETTERS = 24  # in a line of a name


@dataclass(frozen=True)
class Dots:
    """A model's values in one panel, in the tables' units; `printed` are the paper's, if they compare."""

    seeds: list[float]
    mean: Interval
    printed: list[float]


def draw(scale: Scale, dataset: str, loaded: Runs) -> tuple[Figure, str]:
    """Return each run of Table 2's and Table 4's models, by metric and horizon, in the paper's protocol.

    The paper's numbers are added where they compare: at its scale, with its data.

    Raises:
        UserError: no run is trained.
    """
    trained = [result for result in loaded if result.config.trained]
    if not trained:
        raise UserError(f"{scale.folder}: no run of {dataset} is trained; there are no seeds to draw")
    run, drawn = trained[0].config, series_of(trained)
    printed = paper_values(scale, drawn, dataset) if compares_with_paper(run) else {}
    note = "dots: single runs, bar: their mean, line: its 95 % interval"
    note += "; hollow: the paper" if printed else "; the paper's numbers are of another scale and left out"
    note += ". Paper protocol; MSE and LPIPS x 1000"
    note += f"\n{STARRED}" if any(result.caveat for result in trained) else ""
    return draw_seeds(drawn, printed), note


def paper_values(scale: Scale, drawn: list[Series], dataset: str) -> dict[tuple[str, int, str], list[float]]:
    """Return the paper's numbers by the first run of a model, horizon and metric, in the tables' units.

    A model may be in Table 2 and in Table 4, which print different numbers.
    """
    run = drawn[0].runs[0].config
    tables = (scale.printed(number, ["dataset"]) for number in (2, 4))
    table2, table4 = (table[table["dataset"] == dataset] for table in tables)
    experiment = scale.settings.experiments[dataset]
    rows = {}
    for series in drawn:
        first = series.runs[0].config
        mine = [row for _, row in table2[table2["method"] == first.paper_row].iterrows()]
        # Settings that differ from the catalogue's are an ablation, and no row of Table 2.
        rows[first.id] = mine if not series.runs[0].variant else []
    for ablation in experiment.ablations:
        name = run_id(scale.settings, ablation.system, ablation.hyper(), experiment.seeds[0])
        own = (table4["filters"] == ablation.filters) & (table4["order"] == ablation.row)
        rows.setdefault(name, []).extend(row for _, row in table4[own].iterrows())
    found: dict[tuple[str, int, str], list[float]] = {}
    for name, printed in rows.items():
        for horizon in run.dataset.test_horizons:
            for metric in metrics_of(run):
                cells = [row.get(f"{METRICS[metric].printed}_{horizon}", "") for row in printed]
                found[name, horizon, metric] = list(dict.fromkeys(float(cell) for cell in cells if cell))
    return found


def dots_of(series: Series, horizon: int, metric: str, printed: list[float]) -> Dots | None:
    """Return a model's values in a panel, None if one of its runs lacks the metric."""
    mean, scale = across_seeds(series.runs, horizon, metric), METRICS[metric].scale
    if mean is None:
        return None
    seeds = [run.metrics.horizons[horizon][metric].mean * scale for run in series.runs]
    scaled = Interval(mean=mean.mean * scale, low=mean.low * scale, high=mean.high * scale)
    return Dots(seeds, scaled, printed)


def metrics_of(run: Run) -> list[str]:
    """Return the data set's metrics in Table 2: MSE where the paper prints it, else PSNR; SSIM, LPIPS."""
    return [run.dataset.main_metric, "ssim_paper", "lpips_paper"]


def _short_title(metric: Metric) -> str:
    """Return a title for three panels in a column's width."""
    return metric.arrow.replace(" ", f" ({metric.unit}) ", 1) if metric.unit else metric.arrow


def draw_seeds(drawn: list[Series], printed: Mapping[tuple[str, int, str], list[float]]) -> Figure:
    """Return a row of panels for each horizon, a panel for each metric, a line for each model.

    Args:
        drawn: the models.
        printed: see `paper_values`.
    """
    run = drawn[0].runs[0].config
    horizons, metrics = run.dataset.test_horizons, metrics_of(run)
    names = [wrapped(series.look.name, LETTERS) for series in drawn]
    line_height = 0.2 if any("\n" in name for name in names) else 0.15
    figure = Figure(figsize=(COLUMN, 0.6 + len(horizons) * (0.55 + line_height * len(drawn))))
    panels = figure.subplots(len(horizons), len(metrics), sharey=True, squeeze=False)
    for line, horizon in zip(panels, horizons, strict=True):
        for axes, metric in zip(line, metrics, strict=True):
            for place, series in enumerate(drawn):
                first = series.runs[0].config.id
                dots = dots_of(series, horizon, metric, printed.get((first, horizon, metric), []))
                if dots:
                    colour = ink(series.look.colour)
                    axes.hlines(place, dots.mean.low, dots.mean.high, color=colour, lw=1)
                    axes.plot(dots.mean.mean, place, "|", ms=7, mew=1.4, color=colour)
                    heights = place + np.linspace(-0.22, 0.22, len(dots.seeds) + 2)[1:-1]
                    axes.plot(dots.seeds, heights, "o", ms=2.4, mew=0, color=series.look.colour)
                    for value in dots.printed:
                        axes.plot(value, place, "D", ms=4, mfc="none", color=colour)
            axes.xaxis.set_major_locator(ticker.MaxNLocator(2))
            axes.tick_params(axis="y", length=0)
            axes.set_title(_short_title(METRICS[metric]), loc="left")
        line[0].annotate(
            f"{run.dataset.context} → {horizon}",
            (0, 1),
            xycoords="axes fraction",
            xytext=(-4, 5),
            textcoords="offset points",
            ha="right",
            fontweight="bold",
        )
        line[0].set_yticks(range(len(drawn)), names, fontsize=SMALL)
        line[0].set_ylim(len(drawn) - 0.5, -0.5)
    return figure


REPORT = FigureReport(
    name="seeds",
    datasets=predicted,
    runs=evaluated_runs,
    reads=lambda scale, dataset: [scale.paper / "table2.csv", scale.paper / "table4.csv"],
    heading="By run and by frame",
    place=60,
    title="Every run",
    caption="Each trained run of Tables 2 and 4 and of the grid's winners as a dot, with the mean and its "
    "95 % interval over seeds and test sequences.",
    alternative="Dots and intervals, one line for each model, in panels for each metric and horizon.",
    draw=draw,
)
