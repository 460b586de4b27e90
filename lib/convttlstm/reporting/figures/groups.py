"""PSNR, SSIM and LPIPS by the action that a sequence shows."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from convttlstm.config import Settings, first_runs
from convttlstm.evaluation.intervals import mean
from convttlstm.files import UserError
from convttlstm.metrics import METRICS
from convttlstm.reporting.cells import metric_cells
from convttlstm.reporting.drawing import COLUMN, SMALL, STYLE, series_of
from convttlstm.reporting.report import FigureReport, Runs, predicted
from convttlstm.reporting.runs import STARRED
from convttlstm.reporting.strips import per_sequence
from convttlstm.results import GROUP, Interval, Result, Scale

LABEL = "action"
SHOWN = ("psnr", "ssim_paper", "lpips_paper")


@dataclass(frozen=True)
class Group:
    """The `n` sequences of a run that bear the same label, in raw units."""

    n: int
    metrics: dict[str, Interval]


def draw(scale: Scale, dataset: str, loaded: Runs) -> tuple[Figure, str]:
    """Return the means over the sequences of each action at the longest horizon, with 95 % intervals."""
    longest = max(loaded[0].config.dataset.test_horizons)
    note = f"over {longest} predicted frames; intervals that are wider than a panel are cut"
    note += f"\n{STARRED}" if any(result.caveat for result in loaded) else ""
    groups = [by_label(result, LABEL) for result in loaded]
    return draw_groups(loaded, groups, LABEL), note


def rows(loaded: Runs) -> pd.DataFrame:
    """Return the same numbers, in Table 2's units and columns."""
    found = []
    for result in loaded:
        longest = max(result.config.dataset.test_horizons)
        for value, group in by_label(result, LABEL).items():
            cells = {"run": result.config.id, LABEL: value, "horizon": longest, "n": group.n}
            for key in SHOWN:
                cells |= metric_cells(METRICS[key], group.metrics.get(key))
            found.append(cells)
    return pd.DataFrame(found).fillna("")


def by_label(result: Result, label: str) -> dict[str, Group]:
    """Return the means of a run's sequences at the longest horizon by the value of their label.

    Args:
        result: the run.
        label: a label column of its per_sequence.csv.

    Raises:
        UserError: per_sequence.csv is missing or damaged, or has no such column.
    """
    table = per_sequence(result)
    labels = [column for column in table if column not in ("horizon", "sequence", *METRICS)]
    if label not in labels:
        raise UserError(
            f"{result.folder / 'per_sequence.csv'}: sequences have no label {label!r}; "
            f"they have {', '.join(labels) or 'none'}"
        )
    metrics = [metric for metric in SHOWN if metric in table]
    found = {}
    for value, part in table.groupby(label):
        groups = part[GROUP if GROUP in part else "sequence"].to_numpy()
        values = {metric: part[metric].to_numpy(float) for metric in metrics}
        found[str(value)] = Group(
            len(part), {metric: Interval.of(mean(own[None], groups)) for metric, own in values.items()}
        )
    return found


def draw_groups(loaded: list[Result], groups: list[dict[str, Group]], label: str) -> Figure:
    """Return one panel a metric, with the runs' markers next to each other above each label.

    Args:
        loaded: the runs, of different models or settings.
        groups: each run's sequences by label.
        label: name of the label, such as "action".
    """
    values = sorted({value for of_run in groups for value in of_run})
    present = {metric for of_run in groups for group in of_run.values() for metric in group.metrics}
    shown = [metric for metric in SHOWN if metric in present]
    figure = Figure(figsize=(COLUMN, 1.2 + 1.5 * len(shown)))
    panels = figure.subplots(len(shown), 1, sharex=True)
    dodge = 0.8 * ((np.arange(len(loaded)) + 0.5) / len(loaded) - 0.5)
    for axes, metric in zip(panels, shown, strict=True):
        scale, means = METRICS[metric].scale, list[float]()
        for i, (series, of_run) in enumerate(zip(series_of(loaded), groups, strict=True)):
            look = series.look
            found = {values.index(v): g.metrics[metric] for v, g in of_run.items() if metric in g.metrics}
            x = np.array(list(found)) + dodge[i]
            means += [interval.mean * scale for interval in found.values()]
            mean, low, high = np.array([[m.mean, m.low, m.high] for m in found.values()]).reshape(-1, 3).T
            axes.vlines(x, low * scale, high * scale, color=look.colour, linewidth=0.8)
            axes.plot(x, mean * scale, look.marker, color=look.colour, markersize=2.8, label=look.name)
        axes.set_ylim(_limits(means))
        axes.set_title(METRICS[metric].title, loc="left")
        axes.grid(visible=False, axis="x")
        for boundary in range(1, len(values)):
            axes.axvline(boundary - 0.5, color=STYLE["grid.color"], linewidth=0.8)
    panels[-1].set_xticks(range(len(values)), values, rotation=30, ha="right", rotation_mode="anchor")
    panels[-1].set(xlabel=label, xlim=(-0.5, len(values) - 0.5))
    handles, names = panels[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside upper left", ncols=2, fontsize=SMALL, frameon=False)
    return figure


def _limits(means: list[float]) -> tuple[float, float]:
    """Return the ends of an axis for means; intervals of few sequences may be many times as wide."""
    room = (max(means) - min(means)) / 2 or abs(max(means)) / 10 or 1.0
    return min(means) - room, max(means) + room


def labelled(settings: Settings) -> list[str]:
    """Return the data sets whose sequences show one of several actions."""
    return [name for name in predicted(settings) if settings.datasets[name].grouped]


REPORT = FigureReport(
    name="groups",
    datasets=labelled,
    runs=first_runs,
    heading="By run and by frame",
    place=71,
    folded=True,
    title="By action",
    caption="Means over the test sequences of each action, with 95 % intervals, of each model's "
    "first seed; the paper has no such numbers.",
    alternative="Points with intervals for each action and model, in panels for PSNR, SSIM and LPIPS.",
    draw=draw,
    rows=rows,
)
