"""The style of all figures: colours, labels at lines, repeatable files."""

import contextlib
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure

from convttlstm.config import Run
from convttlstm.files import atomic_path, with_suffix
from convttlstm.reporting.cells import unbroken
from convttlstm.reporting.runs import short_names
from convttlstm.results import Result, seed_by_seed

COLUMN = 3.25  # inches, a column of a two-column page: charts
WIDTH = 5.5  # inches, the text width of a NeurIPS paper: pictures, which are unreadable when narrower
SMALL = 6  # points, the smallest text; nothing is scaled down in print
GREY = "#666666"
STYLE: dict[Any, Any] = {
    "font.size": 7,
    "axes.titlesize": 7,
    "axes.labelsize": 7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": GREY,
    "axes.linewidth": 0.6,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "xtick.labelcolor": "black",
    "ytick.labelcolor": "black",
    "xtick.labelsize": 6.5,
    "ytick.labelsize": 6.5,
    "axes.grid": True,
    "grid.color": "#e6e6e6",
    "grid.linewidth": 0.5,
    "axes.axisbelow": True,
    "lines.linewidth": 1.1,
    "figure.constrained_layout.use": True,
    "savefig.dpi": 200,
    "text.parse_math": False,  # a $ in a title is a $
    "svg.fonttype": "path",
    "svg.hashsalt": "convttlstm",
    "pdf.fonttype": 42,  # TrueType, which journals ask for
}

# Okabe and Ito's hues, which colour-blind readers can distinguish, each with its own luminance: in grey, no
# two are alike.
COLOURS = {
    "black": "#000000",
    "mcnet": "#332500",
    "vpn": "#472B79",
    "conv_lstm": "#005383",
    "predrnn_pp": "#006D4E",
    "e3d_lstm": "#9C5B7F",
    "conv_tt_lstm": "#D25C00",
    "conv_lstm_ttd": "#489AC7",
    "copy_last": "#A4A4A4",
    "conv_lstm_shi": "#F5AA00",
}
SPARE_COLOURS = ["#8C2D04", "#1B7837", "#4D4D9B", "#B2579B"]
# By model, so that it looks the same in all figures.
DASHES: dict[str, Any] = {
    "black": ":",
    "mcnet": (0, (1, 2)),
    "vpn": (0, (6, 1)),
    "conv_lstm": "--",
    "predrnn_pp": "-.",
    "e3d_lstm": (0, (3, 1, 1, 1, 1, 1)),
    "conv_tt_lstm": "-",
    "conv_lstm_ttd": (0, (8, 2)),
    "copy_last": (0, (1, 1)),
    "conv_lstm_shi": (0, (5, 1, 1, 1)),
}
MARKERS = dict(zip(COLOURS, "XPvsD<o^*p", strict=True))
SPARE_DASHES = ["-", "--", ":", "-."]
SPARE_MARKERS = "dh>8"


@dataclass(frozen=True)
class Look:
    """How a model is drawn: with a colour, a dash and a marker of its own."""

    colour: str
    dash: Any
    name: str
    marker: str = "o"


@dataclass(frozen=True)
class Series:
    """Runs that differ in the seed only, at least one, and how they are drawn."""

    runs: list[Result]
    look: Look


def series_of(results: list[Result]) -> list[Series]:
    """Return the runs grouped by model; names include settings only where they must, and no seeds."""
    groups = seed_by_seed(results)
    spare = [s for s in dict.fromkeys(runs[0].config.system for runs in groups) if s not in COLOURS]
    found = list[Series]()
    for runs, name in zip(groups, short_names([runs[0] for runs in groups]), strict=True):
        system = runs[0].config.system
        variants = sum(series.runs[0].config.system == system for series in found)
        colour, dash, marker = _own_look(system, spare)
        # Variants of a model share only its colour.
        dash = dash if not variants else SPARE_DASHES[variants % len(SPARE_DASHES)]
        marker = marker if not variants else SPARE_MARKERS[(variants - 1) % len(SPARE_MARKERS)]
        found.append(Series(runs, Look(colour, dash, name, marker)))
    return found


def _own_look(system: str, spare: list[str]) -> tuple[str, Any, str]:
    if system in COLOURS:
        return COLOURS[system], DASHES[system], MARKERS[system]
    i = spare.index(system)
    return (
        SPARE_COLOURS[i % len(SPARE_COLOURS)],
        SPARE_DASHES[i % len(SPARE_DASHES)],
        SPARE_MARKERS[i % len(SPARE_MARKERS)],
    )


def luminance(colour: str) -> float:
    """Return a colour's relative luminance as WCAG 2 defines it, 0 for black to 1 for white."""
    channels = np.array(to_rgb(colour))
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def ink(colour: str) -> str:
    """Return the colour, darkened until text in it stands out from white (a contrast of 4.5)."""
    while 1.05 / (luminance(colour) + 0.05) < 4.5:
        red, green, blue = to_rgb(colour)
        colour = to_hex((0.97 * red, 0.97 * green, 0.97 * blue))
    return colour


def label_ends(axes: Axes, ends: list[tuple[float, float, Look]]) -> None:
    """Write each line's name at its end, moved up or down where names would touch."""
    figure = axes.get_figure(root=True)
    assert figure is not None
    figure.draw_without_rendering()  # the layout decides how far names must stand apart
    to_points = axes.transData + figure.dpi_scale_trans.inverted()
    tops = [float(to_points.transform((x, y))[1]) * 72 for x, y, _ in ends]
    order = sorted(range(len(ends)), key=lambda i: tops[i])
    heights = spread([tops[i] for i in order], 8)
    highest = axes.get_window_extent().y1 / figure.dpi * 72 - 2
    for i in reversed(range(len(heights))):  # or names would reach into the panel's title
        heights[i] = min(heights[i], highest)
        highest = heights[i] - 8
    for i, height in zip(order, heights, strict=True):
        x, y, look = ends[i]
        axes.annotate(
            look.name,
            (x, y),
            xytext=(8, height - tops[i]),
            textcoords="offset points",
            va="center",
            fontsize=6.5,
            color=ink(look.colour),
            annotation_clip=False,
            arrowprops={
                "arrowstyle": "-",
                "relpos": (0, 0.5),
                "color": look.colour,
                "lw": 0.5,
                "shrinkA": 0,
                "shrinkB": 1,
            },
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


def wrapped(name: str, letters: int) -> str:
    """Wrap a name after this many letters at most; see `unbroken`."""
    return textwrap.fill(unbroken(name), letters)


def heat_map(values: pd.DataFrame, axes: Axes, **options: Any) -> None:
    """Draw a table as coloured squares; see `seaborn.heatmap`."""
    import seaborn  # takes a second

    seaborn.heatmap(values, ax=axes, **options)


def compares_with_paper(run: Run) -> bool:
    """Return whether the run's numbers and the paper's may share an axis: the same scale and data."""
    return run.scale == "paper" and not run.dataset.stand_in


def styled(settings: Mapping[str, Any]) -> contextlib.AbstractContextManager[None]:
    """Return a context in which figures have STYLE and further settings."""
    return style.context(["default", STYLE, {**settings}])


# No dates, no versions: the same figure makes the same file.
METADATA: dict[str, dict[str, None]] = {
    ".svg": {"Date": None, "Creator": None},
    ".pdf": {"CreationDate": None, "Creator": None, "Producer": None},
    ".png": {"Software": None},
}


def save(figure: Figure, mark: str, output: Path, suffixes: Sequence[str] = (".svg", ".pdf")) -> None:
    """Write the figure as `output` plus each suffix, with the label `mark`, if any, at its bottom."""
    if mark:  # as the figure's lowest label, so that the layout leaves room for it
        figure.supxlabel(mark, fontsize=SMALL, color=GREY, x=0.99, ha="right")
    FigureCanvasAgg(figure)
    for suffix in suffixes:
        with atomic_path(with_suffix(output, suffix)) as temporary:
            figure.savefig(temporary, format=suffix[1:], metadata=METADATA[suffix])
