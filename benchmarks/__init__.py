"""Programs that measure what the paper argues; README.md says how to run them and what came out."""

import re
from pathlib import Path

import numpy as np
import torch
from matplotlib.axes import Axes

from convttlstm.provenance import device_name
from convttlstm.reporting.drawing import Look, spread

RESULTS = Path(__file__).parent / "results"


def result_path(folder: Path, measured: str, kind: str) -> Path:
    """Return a path without suffix that names what was measured, on what, with which torch.

    Args:
        folder: where results go.
        measured: such as "algorithms".
        kind: "cpu" or "cuda".
    """
    device = re.sub(r"[^A-Za-z0-9.]+", "_", device_name(kind)).strip("_")
    return folder / f"{measured}-{device}-torch{torch.__version__.split('+')[0]}"


def conditions(kind: str) -> str:
    """Return the device, its threads and torch's version in words."""
    threads = torch.get_num_threads()
    on = f", {threads} thread{'s' if threads > 1 else ''}" if kind == "cpu" else ""
    return f"{device_name(kind)}{on}, torch {torch.__version__}"


def label_log_ends(axes: Axes, ends: list[tuple[float, float, Look]]) -> None:
    """Write each line's name at its end (x, y), like `drawing.label_ends`, on a logarithmic axis."""
    axes.figure.draw_without_rendering()  # the layout decides how far names must stand apart
    low, high = np.log10(axes.get_ylim())
    gap = (high - low) * 9 / (axes.get_window_extent().height / axes.figure.dpi * 72)
    ordered = sorted(ends, key=lambda end: end[1])
    heights = spread([float(np.log10(end[1])) for end in ordered], gap)
    for (x, _, look), height in zip(ordered, heights, strict=True):
        axes.annotate(
            look.name,
            (x, 10**height),
            xytext=(6, 0),
            textcoords="offset points",
            va="center",
            fontsize=7,
            color=look.colour,
            annotation_clip=False,
        )
