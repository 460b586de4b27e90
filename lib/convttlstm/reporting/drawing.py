"""One look for all figures: style, colours, names beside lines, files that come out alike."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from convttlstm.files import atomic_path
from convttlstm.reporting.results import Result, beside, short_names

WIDTH = 5.5  # inches, the text width of a NeurIPS paper
GREY = "#666666"
STYLE: dict[Any, Any] = {
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": GREY,
    "axes.linewidth": 0.6,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "xtick.labelcolor": "black",
    "ytick.labelcolor": "black",
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "axes.grid": True,
    "grid.color": "#e6e6e6",
    "grid.linewidth": 0.5,
    "axes.axisbelow": True,
    "lines.linewidth": 1.4,
    "figure.constrained_layout.use": True,
    "savefig.dpi": 200,
    "svg.fonttype": "path",
    "svg.hashsalt": "convttlstm",
}

# Okabe and Ito's palette, which colour-blind readers tell apart.
COLOURS = {
    "black": "#000000",
    "copy_last": "#999999",
    "conv_lstm": "#0072B2",
    "conv_tt_lstm": "#D55E00",
    "conv_lstm_ttd": "#56B4E9",
    "conv_lstm_shi": "#E69F00",
    "predrnn_pp": "#009E73",
    "e3d_lstm": "#CC79A7",
    "vpn": "#5D3A9B",
    "mcnet": "#7A5C00",
}
SPARE_COLOURS = ["#8C2D04", "#1B7837", "#4D4D9B", "#B2579B"]
DASHES = ["-", "--", ":", "-."]


@dataclass(frozen=True)
class Look:
    """How one run is drawn: a colour for its system, a dash for its seed or settings."""

    colour: str
    dash: str
    name: str


def looks(results: list[Result]) -> list[Look]:
    """Return the look of each run; names tell seeds and settings only where they must."""
    systems = list(dict.fromkeys(result.config.system for result in results))
    spare = [system for system in systems if system not in COLOURS]
    colours = COLOURS | {system: SPARE_COLOURS[i % len(SPARE_COLOURS)] for i, system in enumerate(spare)}
    found = []
    for result, name in zip(results, short_names(results), strict=True):
        system = result.config.system
        alike = [other for other in results if other.config.system == system]
        dash = DASHES[alike.index(result) % len(DASHES)]
        found.append(Look(colours[system], dash, name))
    return found


def label_ends(axes: Axes, ends: list[tuple[float, float, Look]]) -> None:
    """Write each line's name at its end, moved up or down where names would touch."""
    low, high = axes.get_ylim()
    gap = (high - low) * 9 / (axes.bbox.height / axes.figure.dpi * 72)
    order = sorted(range(len(ends)), key=lambda i: ends[i][1])
    heights = spread([ends[i][1] for i in order], gap)
    for i, height in zip(order, heights, strict=True):
        x, _, look = ends[i]
        axes.annotate(
            look.name,
            (x, height),
            xytext=(5, 0),
            textcoords="offset points",
            va="center",
            fontsize=7,
            color=look.colour,
            annotation_clip=False,
        )


def spread(heights: Sequence[float], gap: float) -> list[float]:
    """Return ascending `heights` moved as little as needed (least squares) to be `gap` apart."""
    groups: list[list[float]] = []  # each group stands in steps of one gap around its mean
    for i, height in enumerate(heights):
        groups.append([height - i * gap])
        while len(groups) > 1 and np.mean(groups[-2]) > np.mean(groups[-1]):
            groups[-2:] = [groups[-2] + groups[-1]]
    level = [float(np.mean(group)) for group in groups for _ in group]
    return [base + i * gap for i, base in enumerate(level)]


def say(axes: Axes, text: str) -> None:
    """Write `text` in the middle of an empty panel."""
    axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", color=GREY)


def save(figure: Figure, footnote: str, output: Path) -> None:
    """Write the figure to `output`.svg and .png with a footnote inside the picture."""
    # As the figure's lowest label, so that the layout leaves room for it.
    figure.supxlabel(footnote, fontsize=6.5, color=GREY, x=0.99, ha="right")
    FigureCanvasAgg(figure)
    for suffix, metadata in (
        (".svg", {"Date": None, "Creator": None}),
        (".png", {"Software": None}),
    ):
        with atomic_path(beside(output, suffix)) as temporary:
            figure.savefig(temporary, format=suffix[1:], metadata=metadata)
