"""The paper's metric protocol against the standard one: does the order of the models change?"""

from dataclasses import dataclass
from itertools import combinations
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from convttlstm.config import shown_runs
from convttlstm.metrics import METRICS
from convttlstm.reporting.drawing import COLUMN, SMALL, Look, Series, ink, say, series_of
from convttlstm.reporting.report import FigureReport, Runs, predicted
from convttlstm.reporting.runs import STARRED
from convttlstm.results import Scale, across_seeds

TITLES = {
    "ssim": "SSIM, data range 2 | data range 1",
    "lpips": "LPIPS x 1000, inputs in [0, 1] | in [-1, 1]",
}


@dataclass(frozen=True)
class Standing:
    """A model's values and ranks (1 is the best) under the paper's protocol and under the standard one."""

    look: Look
    paper: float
    standard: float
    paper_rank: int
    standard_rank: int


def draw(scale: Scale, dataset: str, loaded: Runs) -> tuple[Figure, str]:
    """Return each model's rank under both protocols, by metric and horizon."""
    note = "from the best (top) to the worst, by the mean over seeds and sequences. Close means may change "
    note += "places by chance: Table 2 has intervals"
    note += f"\n{STARRED}" if any(result.caveat for result in loaded) else ""
    return draw_protocols(series_of(loaded)), note


def standings(drawn: list[Series], horizon: int, metric: str) -> list[Standing]:
    """Return the models from the best to the worst under the paper's protocol, in the tables' units.

    Args:
        drawn: the models; those without the metric are left out.
        horizon: predicted frames.
        metric: "ssim" or "lpips".
    """
    facts = METRICS[f"{metric}_paper"]
    found = list[tuple[Look, float, float]]()
    for series in drawn:
        paper, standard = (across_seeds(series.runs, horizon, f"{metric}_{p}") for p in ("paper", "standard"))
        if paper and standard:
            found.append((series.look, paper.mean * facts.scale, standard.mean * facts.scale))
    by_paper = sorted((paper for _, paper, _ in found), reverse=not facts.lower)
    by_standard = sorted((standard for _, _, standard in found), reverse=not facts.lower)
    ranked = [
        Standing(look, paper, standard, by_paper.index(paper) + 1, by_standard.index(standard) + 1)
        for look, paper, standard in found
    ]
    return sorted(ranked, key=lambda standing: standing.paper_rank)


def swapped(ranked: list[Standing]) -> list[tuple[Standing, Standing]]:
    """Return the pairs of models whose order differs between the protocols."""
    return [
        (one, other)
        for one, other in combinations(ranked, 2)
        if (one.paper_rank - other.paper_rank) * (one.standard_rank - other.standard_rank) < 0
    ]


def draw_protocols(drawn: list[Series]) -> Figure:
    """Return a panel for each metric and horizon, a line from rank to rank for each model."""
    dataset = drawn[0].runs[0].config.dataset
    panels = [(metric, horizon) for metric in TITLES for horizon in dataset.test_horizons]
    figure = Figure(figsize=(COLUMN, 0.6 + len(panels) * (0.5 + 0.125 * len(drawn))))
    for axes, (metric, horizon) in zip(figure.subplots(len(panels), 1), panels, strict=True):
        ranked = standings(drawn, horizon, metric)
        pairs = swapped(ranked)
        total = len(ranked) * (len(ranked) - 1) // 2
        said = f"{len(pairs)} of {total} pairs change places" if pairs else "the order stays"
        axes.set_title(f"{dataset.context} → {horizon}: {TITLES[metric]}\n{said}", loc="left")
        axes.set_axis_off()
        if ranked:
            _draw_ranks(axes, ranked, {id(standing) for pair in pairs for standing in pair}, metric)
        else:
            say(axes, "LPIPS was not computed")
    return figure


def _draw_ranks(axes: Axes, ranked: list[Standing], moved: set[int], metric: str) -> None:
    """Draw the lines of one panel; those that cross others are thick."""
    digits = 3 if metric == "ssim" else 1
    # Equal values share a rank, but not a place.
    right = sorted(ranked, key=lambda standing: (standing.standard_rank, standing.paper_rank))
    for left_place, standing in enumerate(ranked):
        look, right_place = standing.look, right.index(standing)
        width = 1.8 if id(standing) in moved else 0.8
        axes.plot([0, 1], [left_place, right_place], color=look.colour, ls=look.dash, lw=width)
        axes.plot([0, 1], [left_place, right_place], look.marker, color=look.colour, ms=3)
        text: dict[str, Any] = {"va": "center", "fontsize": SMALL, "color": ink(look.colour)}
        axes.text(-0.05, left_place, f"{standing.paper:.{digits}f}", ha="right", **text)
        axes.text(1.05, right_place, f"{standing.standard:.{digits}f}  {look.name}", ha="left", **text)
    axes.set(xlim=(-0.05, 1.05), ylim=(len(ranked) - 0.5, -0.5))


REPORT = FigureReport(
    name="protocols",
    datasets=predicted,
    runs=shown_runs,
    heading="By run and by frame",
    place=61,
    folded=True,
    title="Both metric protocols",
    caption="The models in the order of SSIM and of LPIPS under the paper's protocol, left, and under the "
    "standard one, right. Where lines cross, models change places.",
    alternative="Lines from each model's place under one protocol to its place under the other; Table 2 has "
    "both.",
    draw=draw,
)
