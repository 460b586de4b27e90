"""Accuracy by group of activities as a heat map."""

import pandas as pd
from matplotlib.figure import Figure

from convttlstm.config import shown_runs
from convttlstm.reporting.accuracy import percent
from convttlstm.reporting.drawing import WIDTH, compares_with_paper, heat_map
from convttlstm.reporting.report import FigureReport, Runs, recognized
from convttlstm.results import Scale, read_table

TABLE = "tables/table1.csv"


def draw(scale: Scale, dataset: str, loaded: Runs) -> tuple[Figure, str]:
    """Return the accuracies, the paper's rows next to ours or above them."""
    table = read_table(scale.folder / TABLE, ["origin", "method", "fraction", "group", "accuracy"])
    table = table[table["reading"].isin(["", "top1"])].copy()
    where = table["origin"].map({"paper": "paper", "reproduced": "here"})
    shares = table["fraction"].astype(float).map(percent)
    table["row"] = table["method"] + ", " + where + ", " + shares
    table["value"] = table["accuracy"].astype(float)
    grid = table.pivot_table(index="row", columns="group", values="value", sort=False)
    note = "a clip counts as correct if its own activity is predicted; the paper does not say how it counts"
    order = sorted(grid.index, key=lambda row: (row.rpartition(", ")[2], ", here, " in row))
    if compares_with_paper(loaded[0].config):
        return _heat_maps([grid.loc[order]]), note
    parts = [grid.loc[[row for row in order if where in row]] for where in (", paper, ", ", here, ")]
    note += "\nThe paper's rows are of other data and have their own colours; they are not comparable"
    return _heat_maps(parts), note


def _heat_maps(parts: list[pd.DataFrame]) -> Figure:
    """Return tables of percentages under each other, each with colours from zero to its own highest."""
    figure = Figure((WIDTH, 0.19 * sum(map(len, parts)) + 0.25 * len(parts) + 0.8))
    panels = figure.subplots(len(parts), 1, squeeze=False, height_ratios=[len(part) for part in parts])[:, 0]
    for axes, part in zip(panels, parts, strict=True):
        heat_map(
            part, axes, cmap="viridis", vmin=0, vmax=float(part.max(axis=None)), annot=True, fmt=".1f",
            annot_kws={"size": 6}, linewidths=0.4, cbar=False,
        )  # fmt: skip
        axes.set(xlabel="", ylabel="")
        axes.tick_params(length=0, labelrotation=0)
        last = axes is panels[-1]
        axes.tick_params(axis="x", labelrotation=35, labelbottom=last)
    return figure


REPORT = FigureReport(
    name="activities",
    datasets=recognized,
    each=False,
    runs=shown_runs,
    reads=lambda scale, dataset: [scale.folder / TABLE],
    heading="Activity by activity",
    place=40,
    title="Accuracy by group of activities",
    caption="The percentage of clips whose activity each model predicted.",
    alternative="A heat map: a row for each model and fraction, a column for each group of activities; "
    "each cell shows the accuracy.",
    draw=draw,
    style={"axes.grid": False},
    keeps_colours=True,
)
