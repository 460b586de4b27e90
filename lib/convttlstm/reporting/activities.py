"""Pictures of early activity recognition: Figure 4, accuracy by activity, confusion matrices."""

import textwrap
from pathlib import Path
from zipfile import BadZipFile
from zlib import error as ZlibError

import numpy as np
import pandas as pd
import seaborn
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure

from convttlstm.config import Settings
from convttlstm.files import UserError
from convttlstm.reporting.drawing import GREY, STYLE, WIDTH, save
from convttlstm.reporting.figures import compares_with_paper, footnote
from convttlstm.reporting.recognition import Recognition, load_recognitions
from convttlstm.reporting.results import read_table

SHOWN = 4  # frames of each kind in Figure 4
SEEN, PREDICTED = "#0072B2", "#D55E00"  # borders, as in the animations


def write_figure4(results: Path, settings: Settings, output: Path) -> None:
    """Draw what the last recogniser of the table saw, predicted and named.

    At each fraction it is the clip that was named right, and the one that was named wrong, with the
    greatest confidence: a rule chooses, not a hand.

    Args:
        results: folder of a scale, such as results/demo.
        settings: of the scale.
        output: path without suffix; .svg and .pdf are written.

    Raises:
        UserError: a run or its examples.npz is missing or damaged.
    """
    loaded = load_recognitions(results, settings)
    title = loaded[-1].config.title
    rows = [
        (result, fraction, right)
        for result in loaded
        if result.config.title == title
        for fraction in result.metrics.fractions
        for right in ("right", "wrong")
        if f"{fraction}_{right}_clip" in _examples(result)
    ]
    with style.context(["default", STYLE, {"axes.grid": False}]):
        figure = Figure((WIDTH, 0.95 * len(rows) + 0.5))
        strips = figure.subfigures(len(rows), 1, squeeze=False)[:, 0]
        for strip, (result, fraction, right) in zip(strips, rows, strict=True):
            _draw_example(strip, result, fraction, right)
        note = (
            f"{title}: of all test clips the surest right and the surest wrong answer. Blue: frames that "
            "were seen; orange: predicted frames. In brackets: the confidence."
        )
        save(figure, footnote(loaded[-1].config, note, WIDTH), output)


def _examples(result: Recognition) -> dict[str, np.ndarray]:
    path = result.folder / "examples.npz"
    try:
        with np.load(path) as file:
            return dict(file)
    except (OSError, ValueError, BadZipFile, ZlibError, EOFError) as error:
        raise UserError(f"{path}: cannot be read ({error}); evaluate the run again") from None


def _draw_example(strip: SubFigure, result: Recognition, fraction: float, right: str) -> None:
    examples, key = _examples(result), f"{fraction}_{right}"
    truth, prediction = examples[f"{key}_truth"], examples[f"{key}_prediction"]
    seen = truth[: len(truth) - len(prediction)]
    frames = [seen[i] for i in _spread(len(seen))] + [prediction[i] for i in _spread(len(prediction))]
    for i, (panel, frame) in enumerate(zip(strip.subplots(1, 2 * SHOWN), frames, strict=True)):
        panel.imshow(frame.transpose(1, 2, 0), interpolation="nearest")
        panel.set(xticks=[], yticks=[])
        for spine in panel.spines.values():
            spine.set(visible=True, color=SEEN if i < SHOWN else PREDICTED, linewidth=1)
    predictions = result.predictions
    clip = int(examples[f"{key}_clip"].item())
    row = predictions[(predictions["clip"] == clip) & (predictions["fraction"] == fraction)].iloc[0]
    names = [category.template for category in result.config.dataset.activities()]
    said = f"First {fraction:.0%}: {'✓' if right == 'right' else '✗'} “{names[row['named']]}”"
    said += f" ({row['confidence']:.0%})" + (
        "" if right == "right" else f", in truth “{names[row['label']]}”"
    )
    strip.suptitle(textwrap.shorten(said.replace("%", " %"), 140), x=0.01, ha="left", fontsize=6.5)


def _spread(count: int) -> list[int]:
    return [int(i) for i in np.linspace(0, count - 1, SHOWN).round()]


def write_activities(results: Path, settings: Settings, output: Path) -> None:
    """Draw accuracy by group of activities as a heat map, the paper's rows beside ours or above them.

    Args:
        results: folder of a scale, with its tables/table1.csv written.
        settings: of the scale.
        output: path without suffix; .svg and .pdf are written.

    Raises:
        UserError: the table or a run is missing or damaged.
    """
    table = read_table(
        results / "tables" / "table1.csv", ["origin", "method", "fraction", "group", "accuracy"]
    )
    table = table[table["reading"].isin(["", "top1"])].copy()
    where = table["origin"].map({"paper": "paper", "reproduced": "here"})
    shares = table["fraction"].astype(float).map("{:.0%}".format)
    table["row"] = table["method"] + ", " + where + ", " + shares
    table["value"] = table["accuracy"].astype(float)
    grid = table.pivot_table(index="row", columns="group", values="value", sort=False)
    run = load_recognitions(results, settings)[0].config
    # Beside each other where they compare, else the paper's above a line.
    beside = compares_with_paper(run)
    grid = grid.loc[
        sorted(
            grid.index,
            key=lambda row: (not beside and ", here, " in row, row.rpartition(", ")[2], ", here, " in row),
        )
    ]
    with style.context(["default", STYLE, {"axes.grid": False}]):
        figure = Figure((WIDTH, 0.19 * len(grid) + 1.1))
        axes = figure.subplots()
        seaborn.heatmap(
            grid, ax=axes, cmap="viridis", vmin=0, vmax=100, annot=True, fmt=".0f", annot_kws={"size": 6},
            linewidths=0.4, cbar_kws={"label": "percent right"},
        )  # fmt: skip
        axes.set(xlabel="", ylabel="")
        axes.tick_params(length=0, labelrotation=0)
        axes.tick_params(axis="x", labelrotation=35)
        note = "Clips whose very activity was named; the paper does not say whether it counts those."
        if not beside:
            axes.axhline(sum(", paper, " in row for row in grid.index), color="black", linewidth=1.2)
            note += " Its rows, above the line, are of other data and do not compare."
        save(figure, footnote(run, note, WIDTH), output)


def write_confusion(results: Path, settings: Settings, output: Path) -> None:
    """Draw what was named for each activity, at each system's largest fraction.

    Args:
        results: folder of a scale, such as results/demo.
        settings: of the scale.
        output: path without suffix; .svg and .pdf are written.

    Raises:
        UserError: a run is missing or damaged.
    """
    loaded = load_recognitions(results, settings)
    largest = {result.config.title: result for result in loaded}  # later data sets see more
    with style.context(["default", STYLE, {"axes.grid": False}]):
        figure = Figure((WIDTH, 3.2))
        panels = figure.subplots(1, len(largest), squeeze=False)[0]
        for i, (panel, result) in enumerate(zip(panels, largest.values(), strict=True)):
            _draw_confusion(panel, result, named=i == 0)
        note = (
            "Rows: the truth, columns: what was named, each row's share of clips from white to dark; "
            "activities in the order of their list, named by group."
        )
        save(figure, footnote(loaded[0].config, note, WIDTH), output)


def _draw_confusion(axes: Axes, result: Recognition, named: bool) -> None:
    groups = [category.group for category in result.config.dataset.activities()]
    fraction = max(result.metrics.fractions)
    own = result.predictions[result.predictions["fraction"] == fraction]
    counts = pd.crosstab(own["label"], own["named"]).reindex(range(len(groups)), columns=range(len(groups)))
    shares = counts.fillna(0).div(counts.sum(axis=1), axis=0)
    seaborn.heatmap(shares, ax=axes, cmap="Blues", vmin=0, vmax=1, cbar=False, square=True)
    starts = [i for i, group in enumerate(groups) if i == 0 or group != groups[i - 1]]
    middles = [(start + end) / 2 for start, end in zip(starts, [*starts[1:], len(groups)], strict=True)]
    for start in starts[1:]:
        axes.axhline(start, color=GREY, linewidth=0.3)
        axes.axvline(start, color=GREY, linewidth=0.3)
    labels = [groups[start] for start in starts]
    axes.set_xticks(middles, labels, rotation=90, fontsize=6)
    axes.set_yticks(middles, labels if named else [""] * len(labels), rotation=0, fontsize=6)
    axes.tick_params(length=0)
    axes.set(xlabel="", ylabel="", title=f"{result.config.title}, first {fraction:.0%}".replace("%", " %"))
