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
    GREY,
    SMALL,
    WIDTH,
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
    """A point of Figure 2; `millions` of parameters is 0 for models without weights.

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

    A model has one bubble, at the mean over its seeds, with whiskers for the intervals. Naive predictions lie
    far off and are left out. The paper's points are added at the paper's scale only.
    """
    run, trained = loaded[0].config, [result for result in loaded if result.config.trained]
    published = scale.printed(2, ["dataset", "method", "parameters_millions"])
    drawn = series_of(trained or loaded)
    bubbles = bubbles_of(drawn, published[published["dataset"] == dataset])
    note = ["Paper protocol. Bubbles: parameters; whiskers: 95 % intervals"]
    note += ["Naive predictions are in Table 2"] if len(trained) < len(loaded) else []
    if compares_with_paper(run):
        note.append("Hollow: the paper; solid: here")
    else:
        bubbles = [bubble for bubble in bubbles if bubble.ours]
        note.append("The paper's points, of another scale, are in Table 2")
    note += [STARRED] if any(result.caveat for result in loaded) else []
    return draw_figure2(bubbles, run), "\n".join(note)


def bubbles_of(drawn: list[Series], published: pd.DataFrame) -> list[Bubble]:
    """Return the paper's points, then one of each of our models, at every horizon.

    Printed rows without SSIM, LPIPS or parameters have no place, nor have runs without LPIPS.

    Args:
        drawn: our models.
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
                # Rows of the paper without a model here.
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


def draw_figure2(bubbles: list[Bubble], run: Run) -> Figure:
    """Return two panels next to each other, one for each horizon.

    Args:
        bubbles: of all horizons.
        run: any of them, for the horizons.
    """
    horizons = run.dataset.test_horizons
    figure = Figure(figsize=(WIDTH, 2.9))
    panels = figure.subplots(1, len(horizons), squeeze=False)[0]
    largest = {b.ours: max(c.millions for c in bubbles if c.ours == b.ours) for b in bubbles}
    placed = [
        [(bubble, _diameter(bubble, largest[bubble.ours])) for bubble in bubbles if bubble.horizon == horizon]
        for horizon in horizons
    ]
    for axes, horizon, shown in zip(panels, horizons, placed, strict=True):
        axes.set_title(f"{run.dataset.context} → {horizon} frames", loc="left")
        axes.set_xlabel("SSIM ↑")
        _draw_bubbles(axes, shown)
    panels[0].set_ylabel("LPIPS x 1000 ↓")
    # Only now is the layout final, from which the places of names are measured.
    figure.draw_without_rendering()
    for axes, shown in zip(panels, placed, strict=True):
        _label_bubbles(axes, shown)
    return figure


def _diameter(bubble: Bubble, largest: float) -> float:
    """Return a bubble's diameter in points; that of models without weights is small."""
    return 15 * (bubble.millions / largest) ** 0.5 if bubble.millions else 4


def _draw_bubbles(axes: Axes, bubbles: list[tuple[Bubble, float]]) -> None:
    if not bubbles:
        say(axes, "LPIPS was not computed")
        return
    # Small ones above large ones.
    for bubble, diameter in sorted(bubbles, key=lambda pair: -pair[1]):
        colour, ssim, lpips = bubble.look.colour, bubble.ssim, bubble.lpips
        axes.plot(
            ssim.mean,
            lpips.mean,
            "o" if bubble.millions else "x",
            markersize=diameter,
            markeredgecolor=colour,
            markerfacecolor=to_rgba(colour, 0.3) if bubble.ours else "none",
        )
        if bubble.ours:
            axes.hlines(lpips.mean, ssim.low, ssim.high, color=colour, lw=0.6)
            axes.vlines(ssim.mean, lpips.low, lpips.high, color=colour, lw=0.6)
    axes.set_xlim(_limits([bubble.ssim for bubble, _ in bubbles], highest=1))
    axes.set_ylim(_limits([bubble.lpips for bubble, _ in bubbles], lowest=0))


def _limits(intervals: list[Interval], lowest: float = -1, highest: float = np.inf) -> tuple[float, float]:
    """Return the ends of an axis that fits the data, with room for names, and shows no impossible value."""
    ends = [end for i in intervals for end in (i.low, i.mean, i.high) if np.isfinite(end)]
    low, high = max(min(ends), lowest), min(max(ends), highest)
    room = 0.2 * (high - low) or 0.1 * abs(high) or 1.0
    return max(low - room, min(low, lowest)), min(high + room, max(high, highest))


STEPS = 36  # points on a line that leads to a name


@dataclass(frozen=True)
class _Places:
    """Places for a bubble's name, in pixels.

    Attributes:
        boxes: (places, 4), left, bottom, right and top.
        leads: (places, STEPS, 2), points of the lines that lead there, NaN where none is needed.
        far: (places,), distances from the bubble.
    """

    boxes: np.ndarray
    leads: np.ndarray
    far: np.ndarray


def _label_bubbles(axes: Axes, bubbles: list[tuple[Bubble, float]]) -> None:
    """Write each bubble's name near it, on no other name or bubble; places improve until none does."""
    figure = axes.get_figure(root=True)
    assert figure is not None
    if not bubbles:
        return
    scale = figure.dpi / 72
    centres = [axes.transData.transform((bubble.ssim.mean, bubble.lpips.mean)) for bubble, _ in bubbles]
    radii = [diameter / 2 * scale for _, diameter in bubbles]
    boxes = [Bbox([c - r, c + r]) for c, r in zip(centres, radii, strict=True)]
    circles = np.array([box.extents for box in boxes])
    whiskers = np.array([box.extents for bubble, _ in bubbles for box in _whiskers(axes, bubble)])
    texts = [
        axes.text(
            0,
            0,
            bubble.look.name + (f": {_parameters(bubble.millions)}" if bubble.millions else ""),
            transform=None,  # placed in pixels while places are tried
            ha="center",
            va="center",
            fontsize=SMALL,
            color=ink(bubble.look.colour),
            bbox={"facecolor": "white", "alpha": 0.75, "linewidth": 0, "pad": 0.5},  # over whiskers
            in_layout=False,  # or the panels would shrink after the labels are placed
        )
        for bubble, _ in bubbles
    ]
    tried = [
        _places(centre, radius, np.array(text.get_window_extent().size) / 2 + scale, scale)
        for centre, radius, text in zip(centres, radii, texts, strict=True)
    ]
    fixed = [
        places.far
        + _covered(places.boxes, whiskers)
        + 10 * _covered(places.boxes, circles)
        + 30 * _outside(places, axes)
        for places in tried
    ]
    for i, places in enumerate(tried):  # lines to names cross no other bubble
        obstacles = np.delete(circles, i, axis=0)
        fixed[i] += 20 * _inside(places.leads.reshape(-1, 2), obstacles).reshape(-1, STEPS).sum(axis=1)
    orders = [np.roll(np.arange(len(bubbles)), turn) for turn in range(len(bubbles))]
    _, chosen = min((_choose(tried, fixed, order) for order in orders), key=lambda found: found[0])
    to_axes = axes.transAxes.inverted()
    for i, at in chosen.items():
        box, lead = tried[i].boxes[at].reshape(2, 2), tried[i].leads[at]
        texts[i].set(transform=axes.transAxes, position=to_axes.transform(box.mean(axis=0)))
        if np.isfinite(lead).all():
            colour = bubbles[i][0].look.colour
            axes.plot(*to_axes.transform(lead[[0, -1]]).T, transform=axes.transAxes, color=colour, lw=0.5)


def _choose(tried: list[_Places], fixed: list[np.ndarray], order: np.ndarray) -> tuple[float, dict[int, int]]:
    """Return a place for each name, chosen in an order and improved in turn, after their total cost."""
    chosen: dict[int, int] = {}
    total = np.inf
    for _ in range(5):
        before, total = total, 0.0
        for i in order:
            places, cost = tried[i], fixed[i].copy()
            others = [(tried[k].boxes[at], tried[k].leads[at]) for k, at in chosen.items() if k != i]
            if others:
                their_boxes, their_leads = (np.array(part) for part in zip(*others, strict=True))
                cost += 10 * _covered(places.boxes, their_boxes)
                cost += 50 * _inside(places.leads.reshape(-1, 2), their_boxes).reshape(-1, STEPS).sum(axis=1)
                cost += 50 * _inside(their_leads.reshape(-1, 2), places.boxes, each_box=True)
            chosen[int(i)] = int(np.argmin(cost))
            total += float(cost.min())
        if total == before:
            break
    return total, chosen


def _places(centre: np.ndarray, radius: float, extent: np.ndarray, scale: float) -> _Places:
    """Return places around a bubble for a text of half the size `extent`, all in pixels."""
    boxes, leads, far = [], [], []
    for points in (1, 4, 8, 14, 22, 32, 44, 58, 74):
        for angle in np.arange(24) * np.pi / 12:
            way = np.array([np.cos(angle), np.sin(angle)]).round(6)
            middle = centre + way * (radius + points * scale + extent)
            box = np.concatenate([middle - extent, middle + extent])
            edge = np.clip(centre, box[:2], box[2:])
            rim = centre + (edge - centre) * radius / max(float(np.linalg.norm(edge - centre)), 1e-9)
            boxes.append(box)
            leads.append(np.linspace(rim, edge, STEPS) if points > 4 else np.full((STEPS, 2), np.nan))
            far.append(points * scale)
    return _Places(np.array(boxes), np.array(leads), np.array(far))


def _covered(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return how much of each box the others cover, and more for each that it touches."""
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    areas = (high - low).clip(0).prod(axis=2)
    return np.asarray((areas + 20 * (areas > 0)).sum(axis=1))


def _outside(places: _Places, axes: Axes) -> np.ndarray:
    """Return how much of each box lies outside the panel."""
    panel = np.array([axes.bbox.extents])
    sizes = (places.boxes[:, 2:] - places.boxes[:, :2]).prod(axis=1)
    return np.asarray(sizes + 20 - _covered(places.boxes, panel))


def _inside(points: np.ndarray, boxes: np.ndarray, each_box: bool = False) -> np.ndarray:
    """Return in how many boxes each point lies, or for each box how many points lie in it."""
    above = points[:, None, :] > boxes[None, :, :2]
    below = points[:, None, :] < boxes[None, :, 2:]
    return np.asarray((above & below).all(axis=2).sum(axis=0 if each_box else 1))


def _whiskers(axes: Axes, bubble: Bubble) -> list[Bbox]:
    """Return the places of a bubble's two whiskers, in pixels, a little wider than they are drawn."""
    ssim, lpips = bubble.ssim, bubble.lpips
    ends = [
        [(ssim.low, lpips.mean), (ssim.high, lpips.mean)],
        [(ssim.mean, lpips.low), (ssim.mean, lpips.high)],
    ]
    return [Bbox(axes.transData.transform(whisker)).padded(2) for whisker in ends]


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
    caption="Better is to the right and down.",
    alternative="Bubbles, one for each model, in a panel for each horizon; Table 2 has the numbers.",
    draw=draw,
)
