"""Figure 2, loss curves and per-frame curves, each as SVG and PNG."""

import textwrap
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib import style, ticker
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

from convttlstm.config import Run
from convttlstm.files import UserError
from convttlstm.reporting.drawing import (
    GREY,
    STYLE,
    WIDTH,
    Look,
    label_ends,
    looks,
    save,
    say,
)
from convttlstm.reporting.results import (
    STARRED,
    Result,
    load_results,
    read_table,
    what_it_proves,
    without_short,
)


def write_loss_curves(results: Path, dataset: str, runs: list[str], output: Path) -> None:
    """Draw training and validation loss by epoch, and beneath the sampling ratio.

    Only runs with the paper's loss share an axis; those cut short would be dots at its left.

    Args:
        results: folder of a scale, such as results/demo.
        dataset: name of the data set.
        runs: ids of runs; those without weights are left out.
        output: path without suffix; .svg and .png are written.

    Raises:
        UserError: a run cannot be read, or none of them is trained.
    """
    loaded, note = without_short(load_results(results, dataset, runs))
    loaded = [result for result in loaded if result.config.training.recipe == "paper"]
    with style.context(["default", STYLE]):
        figure = Figure(figsize=(WIDTH, 3.6))
        losses, ratios = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
        ends: list[tuple[float, float, Look]] = []
        for result, look in zip(loaded, looks(loaded), strict=True):
            if result.history is None:
                continue
            epochs, history = result.history["epoch"], result.history
            losses.plot(epochs, history["train_loss"], look.dash, color=look.colour, alpha=0.45)
            losses.plot(epochs, history["validation_loss"], look.dash, color=look.colour)
            best = history["validation_loss"].idxmin()
            losses.plot(epochs[best], history["validation_loss"][best], "o", ms=4, color=look.colour)
            # Thinner lines above wider ones keep equal ratios visible.
            ratios.plot(
                epochs,
                history["sampling_ratio"],
                color=look.colour,
                lw=max(1, 3.5 - 1.2 * len(ends)),
            )
            ends.append((epochs.iloc[-1], history["validation_loss"].iloc[-1], look))
        if not ends:
            raise UserError(f"{results}: none of {', '.join(runs)} is trained; no loss to draw")
        losses.set_ylabel("loss")
        losses.set_title(
            "strong: validation, dot: the weights that are evaluated; faint: training", loc="left"
        )
        ratios.set(xlabel="epoch", ylabel="sampling ratio", ylim=(-0.05, 1.05))
        ratios.xaxis.set_major_locator(ticker.MaxNLocator(integer=True))
        label_ends(losses, ends)
        save(figure, footnote(loaded[0].config, note), output)


def write_per_frame(results: Path, dataset: str, runs: list[str], output: Path) -> None:
    """Draw MSE, SSIM and LPIPS of each predicted frame under the paper's protocol.

    Args:
        results: folder of a scale, such as results/demo.
        dataset: name of the data set.
        runs: ids of evaluated runs; those cut short are left out.
        output: path without suffix; .svg and .png are written.

    Raises:
        UserError: a run cannot be read.
    """
    loaded, note = without_short(load_results(results, dataset, runs))
    trained_to = loaded[0].config.dataset.horizon
    metrics = {
        "mse": ("MSE (x 1000), lower is better", 1e3),
        "ssim_paper": ("SSIM (paper protocol), higher is better", 1),
        "lpips_paper": ("LPIPS (paper protocol, x 1000), lower is better", 1e3),
    }
    with style.context(["default", STYLE]):
        figure = Figure(figsize=(WIDTH, 6))
        panels = figure.subplots(3, 1, sharex=True)
        for axes, (metric, (title, scale)) in zip(panels, metrics.items(), strict=True):
            ends = []
            for result, look in zip(loaded, looks(loaded), strict=True):
                if metric in result.per_frame:
                    frames, values = result.per_frame["frame"], result.per_frame[metric] * scale
                    axes.plot(frames, values, look.dash, color=look.colour)
                    ends.append((frames.iloc[-1], values.iloc[-1], look))
            axes.set_title(title, loc="left")
            axes.axvline(trained_to + 0.5, color=GREY, lw=0.8, ls=":")
            if ends:
                label_ends(axes, ends)
            else:
                say(axes, "LPIPS was not computed")
        panels[0].annotate(
            f"training ends at frame {trained_to}",
            (trained_to + 0.5, 0.03),
            xycoords=("data", "axes fraction"),
            xytext=(3, 0),
            textcoords="offset points",
            color=GREY,
            fontsize=7,
        )
        panels[-1].set_xlabel("predicted frame")
        panels[-1].xaxis.set_major_locator(ticker.MaxNLocator(steps=[1, 2, 5, 10], integer=True))
        panels[-1].set_xlim(0.5)
        save(figure, footnote(loaded[0].config, note), output)


def footnote(run: Run, note: str) -> str:
    """Return what stands beneath a figure: what its scale proves, and a note, wrapped."""
    wrapped = [part for line in note.splitlines() for part in textwrap.wrap(line, 110)]
    return "\n".join([what_it_proves(run), *wrapped])


@dataclass(frozen=True)
class Bubble:
    """A point of Figure 2; `millions` of parameters is 0 for systems without weights."""

    horizon: int
    name: str
    ssim: float
    lpips: float
    millions: float
    colour: str
    ours: bool


def write_figure2(results: Path, dataset: str, runs: list[str], paper: Path, output: Path) -> None:
    """Draw SSIM against LPIPS under the paper's protocol, the bubble's area being the parameters.

    At the paper's scale both kinds of points share their axes. At any other they do not compare, so
    the paper's have a row of panels of their own.

    Args:
        results: folder of a scale, such as results/demo.
        dataset: name of the data set.
        runs: ids of evaluated runs.
        paper: data/paper/table2.csv.
        output: path without suffix; .svg and .png are written.

    Raises:
        UserError: a file that is read is missing or damaged.
    """
    loaded = load_results(results, dataset, runs)
    run = loaded[0].config
    horizons = run.dataset.test_horizons
    published = read_table(paper, ["dataset", "method", "parameters_millions"])
    published = published[published["dataset"] == dataset]
    bubbles = [*_paper_bubbles(published, loaded), *_our_bubbles(loaded)]
    if run.scale == "paper":
        rows = [("hollow: the paper, solid: here", {False, True})]
    else:
        rows = [("the paper, its own scale", {False}), (f"reproduced, {run.label}", {True})]
    with style.context(["default", STYLE]):
        figure = Figure(figsize=(WIDTH, 3.6 if len(rows) == 1 else 6.4))
        panels = figure.subplots(len(rows), len(horizons), squeeze=False)
        for axes_row, (title, kinds) in zip(panels, rows, strict=True):
            shown = [bubble for bubble in bubbles if bubble.ours in kinds]
            largest = max((bubble.millions for bubble in shown), default=0)
            for axes, horizon in zip(axes_row, horizons, strict=True):
                axes.set_title(f"{run.dataset.context} → {horizon}, {title}", loc="left")
                _draw_bubbles(figure, axes, [b for b in shown if b.horizon == horizon], largest)
        for axes in panels[-1]:
            axes.set_xlabel("SSIM, higher is better")
        for axes in panels[:, 0]:
            axes.set_ylabel("LPIPS (x 1000), lower is better")
        note = "paper protocol; bubbles, comparable within a row: parameters; crosses: none"
        note += f"\n{STARRED}" if any(result.caveat for result in loaded) else ""
        save(figure, footnote(run, note), output)


def _paper_bubbles(published: pd.DataFrame, loaded: list[Result]) -> list[Bubble]:
    """Return the printed points; rows without SSIM, LPIPS or parameters have no place."""
    colours = {r.config.paper_row: look.colour for r, look in zip(loaded, looks(loaded), strict=True)}
    bubbles = []
    for horizon in loaded[0].config.dataset.test_horizons:
        for _, row in published.iterrows():
            cells = [row.get(f"ssim_{horizon}"), row.get(f"lpips_{horizon}")]
            cells.append(row["parameters_millions"])
            if all(cells):
                ssim, lpips, millions = map(float, cells)
                colour = colours.get(row["method"], GREY)
                name = row["method"].removesuffix(" (Ours)")  # the paper's authors'
                bubbles.append(Bubble(horizon, name, ssim, lpips, millions, colour, ours=False))
    return bubbles


def _our_bubbles(loaded: list[Result]) -> list[Bubble]:
    bubbles = []
    for result, look in zip(loaded, looks(loaded), strict=True):
        for horizon in result.config.dataset.test_horizons:
            means = {name: i.mean for name, i in result.metrics.horizons[horizon].items()}
            if "lpips_paper" in means:
                ssim, lpips = means["ssim_paper"], means["lpips_paper"] * 1e3
                millions = result.metrics.parameters / 1e6
                bubbles.append(Bubble(horizon, look.name, ssim, lpips, millions, look.colour, ours=True))
    return bubbles


def _draw_bubbles(figure: Figure, axes: Axes, bubbles: list[Bubble], largest: float) -> None:
    if not bubbles:
        say(axes, "LPIPS was not computed")
        return
    axes.margins(0.2)
    radii = []
    for bubble in bubbles:
        diameter = 22 * (bubble.millions / largest) ** 0.5 if bubble.millions else 5
        axes.plot(
            bubble.ssim,
            bubble.lpips,
            "o" if bubble.millions else "x",
            markersize=diameter,
            markeredgecolor=bubble.colour,
            markerfacecolor=bubble.colour if bubble.ours else "none",
            alpha=0.8,
        )
        radii.append(diameter / 2)
    figure.draw_without_rendering()  # fixes each panel's place, from which labels are measured
    _label_bubbles(axes, bubbles, [radius * figure.dpi / 72 for radius in radii])


def _label_bubbles(axes: Axes, bubbles: list[Bubble], radii: list[float]) -> None:
    """Write each bubble's name where it covers least, as near as possible; radii are in pixels."""
    centres = [axes.transData.transform((bubble.ssim, bubble.lpips)) for bubble in bubbles]
    taken = [Bbox([c - r, c + r]) for c, r in zip(centres, radii, strict=True)]
    for bubble, centre, radius in zip(bubbles, centres, radii, strict=True):
        size = f"\n{_parameters(bubble.millions)}" if bubble.millions else ""
        label = axes.text(
            0,
            0,
            bubble.name + size,
            transform=None,  # placed in pixels while places are tried
            ha="center",
            va="center",
            fontsize=7,
            color=bubble.colour,
            fontweight="bold" if bubble.ours else "normal",
            in_layout=False,  # or the panels would shrink after the labels are placed
        )
        extent = np.array(label.get_window_extent().size) / 2
        tried = []
        for distance in (3, 12, 25, 40, 55, 70):
            for angle in np.arange(16) * np.pi / 8:
                way = np.array([np.cos(angle), np.sin(angle)])
                # Far enough that the text's box begins `distance` beyond the bubble's rim.
                middle = centre + way * (radius + distance) + np.sign(way.round(6)) * extent
                box = Bbox([middle - extent, middle + extent])
                tried.append((_covered(box, taken, axes.bbox) + distance, distance, middle, box))
        _, distance, middle, box = min(tried, key=lambda attempt: attempt[0])
        taken.append(box)
        place = axes.transAxes.inverted().transform(middle)
        label.set(transform=axes.transAxes, position=place)
        if distance > 3:
            edge = np.clip(centre, box.min, box.max)
            rim = centre + (edge - centre) * radius / np.linalg.norm(edge - centre)
            line = axes.transAxes.inverted().transform([rim, edge])
            axes.plot(*line.T, transform=axes.transAxes, color=bubble.colour, linewidth=0.5)


def _covered(box: Bbox, taken: list[Bbox], panel: Bbox) -> float:
    """Return how much of a label lies on what is there or outside its panel, in square pixels."""
    overlaps = [Bbox.intersection(box, other) for other in taken]
    inside = Bbox.intersection(box, panel)
    outside = box.width * box.height - (inside.width * inside.height if inside else 0)
    return float(outside + sum(o.width * o.height for o in overlaps if o))


def _parameters(millions: float) -> str:
    return f"{millions:.2f}M" if millions >= 1 else f"{millions * 1e3:.1f}k"
