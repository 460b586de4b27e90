"""The validation losses of a grid as heat maps."""

from pathlib import Path

import pandas as pd
import seaborn
from matplotlib import style
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from convttlstm.reporting.costs import billions
from convttlstm.reporting.drawing import STYLE, WIDTH, save, say


def draw_grid(points: pd.DataFrame, label: str, output: Path) -> None:
    """Draw the validation losses over S, N, C and M, of the first role whose grid varies N and C.

    Args:
        points: see `grid_points`.
        label: of the scale.
        output: path without suffix; .svg and .pdf are written.
    """
    varied = points.groupby("role")[["N", "C"]].nunique().gt(1).all(axis=1)
    with style.context(["default", STYLE, {"axes.grid": False}]):
        if not varied.any():
            figure = Figure((WIDTH, 1))
            axes = figure.subplots()
            axes.set_axis_off()
            say(axes, "no grid over N and C at this scale")
        else:
            figure = _heat_maps(points[points["role"] == varied.idxmax()])
        save(
            figure,
            f"{label}; lowest validation loss (the best one framed), parameters, multiplications of a step",
            output,
        )


def _heat_maps(points: pd.DataFrame) -> Figure:
    """Return a panel for each S and M, with N downwards and C to the right."""
    rows, columns = (sorted(points[symbol].unique()) for symbol in ("S", "M"))
    figure = Figure((WIDTH, 2.1 * len(rows) + 0.6))
    points = points.assign(words=points.apply(_words, axis=1))
    panels = figure.subplots(len(rows), len(columns), squeeze=False)
    low, high = points["validation_loss"].agg(["min", "max"])
    best = points[points["won"]].iloc[0]
    index, header = (sorted(points[symbol].unique()) for symbol in ("N", "C"))
    for kernel, line in zip(rows, panels, strict=True):
        for steps, axes in zip(columns, line, strict=True):
            own = points[(points["S"] == kernel) & (points["M"] == steps)]
            losses, words = (
                own.pivot(index="N", columns="C", values=values).reindex(index, columns=header)
                for values in ("validation_loss", "words")
            )
            seaborn.heatmap(
                losses, ax=axes, cmap="viridis_r", vmin=low, vmax=high,
                annot=words, fmt="", annot_kws={"size": 5.5}, linewidths=0.4, cbar=False,
            )  # fmt: skip
            axes.set(xlabel="C", ylabel="N", title=f"S = {kernel}, M = {steps}")
            axes.tick_params(length=0, labelrotation=0)
            if (best["S"], best["M"]) == (kernel, steps):
                corner = header.index(best["C"]), index.index(best["N"])
                axes.add_patch(
                    Rectangle(corner, 1, 1, fill=False, edgecolor="black", linewidth=1.5, clip_on=False)
                )
    return figure


def _words(point: pd.Series) -> str:
    millions = f"{point['parameters'] / 1e6:.2f} M"
    return f"{point['validation_loss']:.4f}\n{millions}\n{billions(point['multiplications'])}"
