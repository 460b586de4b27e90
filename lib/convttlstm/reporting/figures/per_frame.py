"""MSE, SSIM and LPIPS of each predicted frame."""

import numpy as np
from matplotlib import ticker
from matplotlib.figure import Figure

from convttlstm.config import table_runs
from convttlstm.metrics import METRICS, Metric
from convttlstm.reporting.drawing import (
    COLUMN,
    GREY,
    Look,
    Series,
    label_ends,
    say,
    series_of,
)
from convttlstm.reporting.report import FigureReport, Runs, predicted
from convttlstm.reporting.runs import without_short
from convttlstm.results import Scale

SHOWN = [METRICS[key] for key in ("mse", "ssim_paper", "lpips_paper")]


def draw(scale: Scale, dataset: str, loaded: Runs) -> tuple[Figure, str]:
    """Return the curves under the paper's protocol."""
    full, note = without_short(loaded)
    return draw_runs(full, note, relative=False)


def draw_runs(full: Runs, note: str, *, relative: bool) -> tuple[Figure, str]:
    """Return the curves of runs, and lines for the caption before `note`; see `draw_per_frame`."""
    drawn = series_of(full)
    if any(len(series.runs) > 1 for series in drawn):
        note = f"lines: mean over a model's seeds, bands: from the lowest to the highest seed\n{note}"
    run = full[0].config
    counted = run.evaluation.first_frame, max(run.dataset.test_horizons)
    last = max(int(series.runs[0].per_frame["frame"].max()) for series in drawn)
    if counted != (1, last):
        note = f"frames on grey count in no table\n{note}"
    return draw_per_frame(drawn, run.dataset.horizon, counted, relative=relative), note


def draw_per_frame(
    drawn: list[Series], trained_to: int, counted: tuple[int, int], *, relative: bool = False
) -> Figure:
    """Return a panel for each metric: by predicted frame the mean over a model's seeds, and their range.

    Args:
        drawn: the models.
        trained_to: the last frame that training predicts.
        counted: first and last frame that count in means; the others are shaded.
        relative: subtract the first model's mean.
    """
    figure = Figure(figsize=(COLUMN, 5.2))
    panels = figure.subplots(3, 1, sharex=True)
    for axes, metric in zip(panels, SHOWN, strict=True):
        ends = list[tuple[float, float, Look]]()
        for series in drawn:
            if all(metric.key in run.per_frame for run in series.runs):
                frames, look = series.runs[0].per_frame["frame"].to_numpy(), series.look
                values = _values(series, metric)
                if relative:
                    values = values - _values(drawn[0], metric).mean(axis=0)
                axes.fill_between(
                    frames, values.min(axis=0), values.max(axis=0), color=look.colour, alpha=0.25, lw=0
                )
                mean = values.mean(axis=0)
                every = (len(ends) % 5, 5)  # so that markers of lines that meet do not hide each other
                axes.plot(
                    frames, mean, color=look.colour, ls=look.dash, marker=look.marker, ms=2.5, markevery=every
                )
                ends.append((float(frames[-1]), float(mean[-1]), look))
        axes.set_title(metric.title, loc="left")
        shown = drawn[0].runs[0].per_frame["frame"]
        for start, end in ((shown.min(), counted[0]), (counted[1] + 1, shown.max() + 1)):
            if start < end:
                axes.axvspan(start - 0.5, end - 0.5, color="#f0f0f0", lw=0, zorder=0)
        axes.axvline(trained_to + 0.5, color=GREY, lw=0.8, ls=":")
        if not ends:
            say(axes, "LPIPS was not computed")
        else:
            label_ends(axes, ends)
    panels[-1].set_xlabel("predicted frame")
    panels[-1].xaxis.set_major_locator(ticker.MaxNLocator(steps=[1, 2, 5, 10], integer=True))
    panels[-1].set_xlim(0.5)
    return figure


def _values(series: Series, metric: Metric) -> np.ndarray:
    """Return the metric by seed and predicted frame, in the tables' units."""
    return np.stack([run.per_frame[metric.key].to_numpy() * metric.scale for run in series.runs])


REPORT = FigureReport(
    name="per_frame",
    datasets=predicted,
    runs=table_runs,
    heading="By run and by frame",
    place=70,
    title="Curves by frame",
    caption="Means over the test sequences of each predicted frame. Training predicts no further than the "
    "dotted line.",
    alternative="Lines that show how each model's predictions get worse from frame to frame.",
    draw=draw,
)
