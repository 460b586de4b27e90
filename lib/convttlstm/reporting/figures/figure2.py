"""Figure 2: SSIM against LPIPS."""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

from convttlstm.config import Run, table_runs
from convttlstm.reporting.drawing import (
    COLUMN,
    GREY,
    SMALL,
    Look,
    Series,
    compares_with_paper,
    ink,
    say,
    series_of,
)
from convttlstm.reporting.report import FigureReport, Runs, predicted
from convttlstm.reporting.runs import STARRED
from convttlstm.results import Interval, Scale, across_seeds


@dataclass(frozen=True)
class Bubble:
    """A point of Figure 2; `millions` of parameters is 0 for systems without weights.

    SSIM and LPIPS (x 1000) are means with their intervals; the paper's are points.
    """

    horizon: int
    look: Look
    ssim: Interval
    lpips: Interval
    millions: float
    ours: bool


def draw(scale: Scale, dataset: str, loaded: Runs) -> tuple[Figure, str]:
    """Return SSIM against LPIPS under the paper's protocol, the bubble's area being the parameters.

    A system has one bubble, at the mean over its trainings, with whiskers for the intervals. At the paper's
    scale both kinds of points share their axes. At any other they do not compare, so the paper's have panels
    of their own.
    """
    run = loaded[0].config
    published = scale.printed(2, ["dataset", "method", "parameters_millions"])
    bubbles = bubbles_of(series_of(loaded), published[published["dataset"] == dataset])
    if compares_with_paper(run):
        kinds = [("hollow: the paper, solid: here", {False, True})]
    else:
        kinds = [("the paper, its own scale", {False}), ("reproduced, at this scale", {True})]
    note = "paper protocol; bubbles, comparable within a kind: parameters; no bubble: none; whiskers: 95 % "
    note += "intervals"
    note += f"\n{STARRED}" if any(result.caveat for result in loaded) else ""
    return draw_figure2(bubbles, kinds, run), note


def bubbles_of(drawn: list[Series], published: pd.DataFrame) -> list[Bubble]:
    """Return the paper's points, then one of each of our systems, at every horizon.

    Printed rows without SSIM, LPIPS or parameters have no place, nor have runs without LPIPS.

    Args:
        drawn: our systems.
        published: the data set's rows of data/paper/table2.csv, as text.
    """
    looks = {series.runs[0].config.paper_row: series.look for series in drawn}
    bubbles = []
    for horizon in drawn[0].runs[0].config.dataset.test_horizons:
        for _, row in published.iterrows():
            cells = [row.get(f"ssim_{horizon}"), row.get(f"lpips_{horizon}"), row["parameters_millions"]]
            if all(cells):
                printed_ssim, printed_lpips, millions = map(float, cells)
                ours = looks.get(row["method"], Look(GREY, "-", ""))
                # The paper's authors', where the catalogue has no such row.
                look = replace(ours, name=row["method"].removesuffix(" (Ours)"))
                bubbles.append(
                    Bubble(horizon, look, _point(printed_ssim), _point(printed_lpips), millions, False)
                )
        for series in drawn:
            ssim, lpips = (across_seeds(series.runs, horizon, f"{m}_paper") for m in ("ssim", "lpips"))
            if ssim and lpips:
                thousandfold = Interval(**{end: 1e3 * value for end, value in lpips})
                millions = series.runs[0].metrics.parameters / 1e6
                bubbles.append(Bubble(horizon, series.look, ssim, thousandfold, millions, ours=True))
    return bubbles


def _point(value: float) -> Interval:
    return Interval(mean=value, low=value, high=value)


def draw_figure2(bubbles: list[Bubble], kinds: list[tuple[str, set[bool]]], run: Run) -> Figure:
    """Return panels under each other: each horizon, and in it each kind of points.

    Args:
        bubbles: of all horizons.
        kinds: titles, and whether our points, the paper's, or both are meant.
        run: any of them, for the horizons.
    """
    panels = [(horizon, *kind) for horizon in run.dataset.test_horizons for kind in kinds]
    figure = Figure(figsize=(COLUMN, 0.5 + 1.9 * len(panels)))
    for axes, (horizon, title, shown) in zip(figure.subplots(len(panels), 1), panels, strict=True):
        axes.set_title(f"{run.dataset.context} → {horizon}, {title}", loc="left")
        axes.set_ylabel("LPIPS (x 1000)")
        _draw_bubbles(axes, *_shown(bubbles, horizon, shown))
    axes.set_xlabel("SSIM; better is to the right and down")
    # Only now is the layout final, from which the places of names are measured.
    figure.draw_without_rendering()
    for axes, (horizon, _, shown) in zip(figure.axes, panels, strict=True):
        _label_bubbles(axes, *_shown(bubbles, horizon, shown))
    return figure


def _shown(bubbles: list[Bubble], horizon: int, kinds: set[bool]) -> tuple[list[Bubble], float]:
    """Return a panel's bubbles, and the millions of parameters that the largest of its kind stands for."""
    of_kind = [bubble for bubble in bubbles if bubble.ours in kinds]
    largest = max((bubble.millions for bubble in of_kind), default=0)
    return [bubble for bubble in of_kind if bubble.horizon == horizon], largest


def _diameter(bubble: Bubble, largest: float) -> float:
    """Return a bubble's diameter in points; that of systems without weights is small."""
    return 15 * (bubble.millions / largest) ** 0.5 if bubble.millions else 4


def _draw_bubbles(axes: Axes, bubbles: list[Bubble], largest: float) -> None:
    if not bubbles:
        say(axes, "LPIPS was not computed")
        return
    axes.margins(0.25)
    # Small ones above large ones.
    for bubble in sorted(bubbles, key=lambda bubble: -bubble.millions):
        colour, ssim, lpips = bubble.look.colour, bubble.ssim, bubble.lpips
        axes.plot(
            ssim.mean,
            lpips.mean,
            "o" if bubble.millions else "x",
            markersize=_diameter(bubble, largest),
            markeredgecolor=colour,
            markerfacecolor=to_rgba(colour, 0.3) if bubble.ours else "none",
        )
        if bubble.ours:
            axes.hlines(lpips.mean, ssim.low, ssim.high, color=colour, lw=0.6)
            axes.vlines(ssim.mean, lpips.low, lpips.high, color=colour, lw=0.6)


def _label_bubbles(axes: Axes, bubbles: list[Bubble], largest: float) -> None:
    """Write each bubble's name where it covers least, as near as possible."""
    dpi = axes.figure.dpi
    radii = [_diameter(bubble, largest) / 2 * dpi / 72 for bubble in bubbles]  # in pixels
    centres = [axes.transData.transform((bubble.ssim.mean, bubble.lpips.mean)) for bubble in bubbles]
    taken = [Bbox([c - r, c + r]) for c, r in zip(centres, radii, strict=True)]
    taken += [box for bubble in bubbles for box in _whiskers(axes, bubble)]
    for bubble, centre, radius in zip(bubbles, centres, radii, strict=True):
        size = f" {_parameters(bubble.millions)}" if bubble.millions else ""
        label = axes.text(
            0,
            0,
            bubble.look.name + size,
            transform=None,  # placed in pixels while places are tried
            ha="center",
            va="center",
            fontsize=SMALL,
            color=ink(bubble.look.colour),
            in_layout=False,  # or the panels would shrink after the labels are placed
        )
        extent = np.array(label.get_window_extent().size) / 2
        tried = []
        for points in (2, 6, 12, 20, 30, 42, 55):
            distance = points * dpi / 72
            for angle in np.arange(16) * np.pi / 8:
                way = np.array([np.cos(angle), np.sin(angle)])
                # Far enough that the text's box begins `distance` beyond the bubble's rim.
                middle = centre + way * (radius + distance) + np.sign(way.round(6)) * extent
                box = Bbox([middle - extent, middle + extent])
                tried.append((_covered(box, taken, axes.bbox) + distance, points, middle, box))
        _, points, middle, box = min(tried, key=lambda attempt: attempt[0])
        taken.append(box)
        place = axes.transAxes.inverted().transform(middle)
        label.set(transform=axes.transAxes, position=place)
        if points > 2:
            edge = np.clip(centre, box.min, box.max)
            rim = centre + (edge - centre) * radius / np.linalg.norm(edge - centre)
            line = axes.transAxes.inverted().transform([rim, edge])
            axes.plot(*line.T, transform=axes.transAxes, color=bubble.look.colour, linewidth=0.5)


def _whiskers(axes: Axes, bubble: Bubble) -> list[Bbox]:
    """Return the places of a bubble's two whiskers, in pixels, a little wider than they are drawn."""
    ssim, lpips = bubble.ssim, bubble.lpips
    ends = [
        [(ssim.low, lpips.mean), (ssim.high, lpips.mean)],
        [(ssim.mean, lpips.low), (ssim.mean, lpips.high)],
    ]
    return [Bbox(axes.transData.transform(whisker)).padded(2) for whisker in ends]


def _covered(box: Bbox, taken: list[Bbox], panel: Bbox) -> float:
    """Return how much of a label lies on what is there or outside its panel, in square pixels."""
    overlaps = [Bbox.intersection(box, other) for other in taken]
    inside = Bbox.intersection(box, panel)
    outside = box.width * box.height - (inside.width * inside.height if inside else 0)
    return float(outside + sum(o.width * o.height for o in overlaps if o))


def _parameters(millions: float) -> str:
    return f"{millions:.2f}M" if millions >= 1 else f"{millions * 1e3:.1f}k"


REPORT = FigureReport(
    name="figure2",
    datasets=predicted,
    runs=table_runs,
    reads=lambda scale, dataset: [scale.paper / "table2.csv"],
    heading="Figure 2",
    place=50,
    title="SSIM against LPIPS",
    caption="Under the paper's protocol; bubbles grow with the parameters. Better is to the right and down.",
    alternative="Bubbles, one for each system, in a panel for each horizon; Table 2 has their figures.",
    draw=draw,
)
