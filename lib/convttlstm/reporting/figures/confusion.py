"""Confusion matrices of activities, at each model's largest fraction."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from convttlstm.config import shown_runs
from convttlstm.reporting.accuracy import percent
from convttlstm.reporting.drawing import GREY, WIDTH, heat_map
from convttlstm.reporting.report import FigureReport, Runs, recognized
from convttlstm.results import Recognition, Scale


def draw(scale: Scale, dataset: str, loaded: Runs) -> tuple[Figure, str]:
    """Return a confusion matrix for each model."""
    largest = {result.config.title: result for result in loaded}  # later data sets see more
    figure = Figure((WIDTH, 3.2))
    panels = figure.subplots(1, len(largest), squeeze=False)[0]
    for i, (panel, result) in enumerate(zip(panels, largest.values(), strict=True)):
        _draw_confusion(panel, result, named=i == 0)
    note = (
        "Rows: the true activity; columns: the predicted one; the darker, the larger the share of a row's "
        "clips. Activities are in the order of their list, labelled by group."
    )
    return figure, note


def _draw_confusion(axes: Axes, result: Recognition, named: bool) -> None:
    groups = [category.group for category in result.config.dataset.activities()]
    fraction = max(result.metrics.fractions)
    own = result.predictions[result.predictions["fraction"] == fraction]
    counts = pd.crosstab(own["label"], own["predicted"]).reindex(
        range(len(groups)), columns=range(len(groups))
    )
    shares = counts.fillna(0).div(counts.sum(axis=1), axis=0)
    heat_map(shares, axes, cmap="Blues", vmin=0, vmax=1, cbar=False, square=True)
    starts = [i for i, group in enumerate(groups) if i == 0 or group != groups[i - 1]]
    middles = [(start + end) / 2 for start, end in zip(starts, [*starts[1:], len(groups)], strict=True)]
    for start in starts[1:]:
        axes.axhline(start, color=GREY, linewidth=0.3)
        axes.axvline(start, color=GREY, linewidth=0.3)
    labels = [groups[start] for start in starts]
    axes.set_xticks(middles, labels, rotation=90, fontsize=6)
    axes.set_yticks(middles, labels if named else [""] * len(labels), rotation=0, fontsize=6)
    axes.tick_params(length=0)
    axes.set(xlabel="", ylabel="", title=f"{result.config.title}, first {percent(fraction)}")


REPORT = FigureReport(
    name="confusion",
    datasets=recognized,
    each=False,
    runs=shown_runs,
    heading="Activity by activity",
    place=41,
    folded=True,
    title="Confusion",
    caption="True and predicted activities of the test clips.",
    alternative="Squares, one for each pair of a true and a predicted activity, darker where more clips are.",
    draw=draw,
    style={"axes.grid": False},
    keeps_colours=True,
)
