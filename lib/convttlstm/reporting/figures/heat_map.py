"""The validation losses of a grid as heat maps."""

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from convttlstm.config import Settings
from convttlstm.reporting.drawing import WIDTH, heat_map
from convttlstm.reporting.quantities import billions
from convttlstm.reporting.report import FigureReport, Runs
from convttlstm.reporting.tables.grid import grid_points
from convttlstm.results import Scale, read_selection


def draw(scale: Scale, dataset: str, loaded: Runs) -> tuple[Figure, str]:
    """Return the validation losses over S, N, C and M, of the first role whose grid varies N and C."""
    points = grid_points(read_selection(scale.folder, dataset))
    points = points[(points[["S", "N", "C", "M"]] != "").all(axis=1)]  # other models may compete for a role
    varied = points.groupby("role")[["N", "C"]].nunique().gt(1).all(axis=1)
    points = points[points["role"] == varied.idxmax()]
    figure = _heat_maps(points)
    note = "lowest validation loss (the best one framed), parameters, multiplications of a step"
    if points["epochs"].nunique() > 1:
        note += "; points that were dropped early have fewer epochs"
    return figure, f"{note}\n{scale.settings.label}"


def _heat_maps(points: pd.DataFrame) -> Figure:
    """Return a panel for each S and M, with N downwards and C to the right."""
    rows, columns = (sorted(points[symbol].unique()) for symbol in ("S", "M"))
    figure = Figure((WIDTH, 2.1 * len(rows) + 0.6))
    points = points.assign(words=points.apply(_words, axis=1))
    panels = figure.subplots(len(rows), len(columns), squeeze=False)
    low, high = points["validation_loss"].agg(["min", "max"])
    best = {(p["S"], p["M"]): (p["C"], p["N"]) for _, p in points[points["won"]].iterrows()}
    index, header = (sorted(points[symbol].unique()) for symbol in ("N", "C"))
    for kernel, line in zip(rows, panels, strict=True):
        for steps, axes in zip(columns, line, strict=True):
            own = points[(points["S"] == kernel) & (points["M"] == steps)]
            losses, words = (
                own.pivot(index="N", columns="C", values=values).reindex(index, columns=header)
                for values in ("validation_loss", "words")
            )
            heat_map(
                losses, axes, cmap="viridis_r", vmin=low, vmax=high,
                annot=words, fmt="", annot_kws={"size": 5.5}, linewidths=0.4, cbar=False,
            )  # fmt: skip
            axes.set(xlabel="C", ylabel="N", title=f"S = {kernel}, M = {steps}")
            axes.tick_params(length=0, labelrotation=0)
            if won := best.get((kernel, steps)):
                corner = header.index(won[0]), index.index(won[1])
                axes.add_patch(
                    Rectangle(corner, 1, 1, fill=False, edgecolor="black", linewidth=1.5, clip_on=False)
                )
    return figure


def _words(point: pd.Series) -> str:
    millions = f"{point['parameters'] / 1e6:.2f} M"
    return f"{point['validation_loss']:.4f}\n{millions}\n{billions(point['multiplications'])}"


def mapped(settings: Settings) -> list[str]:
    """Return the data sets with a grid in which N and C vary."""
    return [
        name
        for name, experiment in settings.experiments.items()
        if any(len(grid.order or []) > 1 and len(grid.rank or []) > 1 for grid in experiment.grid)
    ]


REPORT = FigureReport(
    name="heat_map",
    datasets=mapped,
    reads=lambda scale, dataset: [scale.folder / "selection" / f"{dataset}.json"],
    heading="Training",
    place=82,
    folded=True,
    title="Heat map",
    caption="Validation losses over the grid.",
    alternative="Squares coloured by validation loss, one for each configuration tried; the table has the "
    "numbers.",
    draw=draw,
    style={"axes.grid": False},
    keeps_colours=True,
)
