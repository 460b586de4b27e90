"""Ratios of multiplications and of times (Section 5)."""

from collections.abc import Sequence

from matplotlib import ticker
from matplotlib.figure import Figure

from convttlstm.planning.costs import DATASETS, PAPER, PAPER_SCALE, Measure, answer, measures_from
from convttlstm.reporting.drawing import COLOURS, COLUMN, GREY, SMALL
from convttlstm.reporting.report import FigureReport, Runs, predicted
from convttlstm.results import Scale, read_table

TABLE = "tables/runtime.csv"


def draw(scale: Scale, dataset: str, loaded: Runs) -> tuple[Figure, str]:
    """Return each measure's ratio as a dot, the paper's hollow, on one logarithmic axis."""
    measures = measures_from(read_table(scale.folder / TABLE, ["dataset", "models", "device"]))
    own = dict.fromkeys(measure.models for measure in measures if measure.models != PAPER_SCALE)
    devices = list(dict.fromkeys(measure.where for measure in measures if measure.where))
    lines = [answer(measures), *own]
    listed = "; ".join(f"[{i}] {device}" for i, device in enumerate(devices, start=1))
    return runtime_figure(measures, devices), "\n".join([*lines, f"devices: {listed}" if listed else ""])


def runtime_figure(measures: Sequence[Measure], devices: list[str]) -> Figure:
    """Return the figure, with a block of rows for each data set; devices are numbered from 1."""
    figure = Figure(figsize=(COLUMN, 0.9 + 0.165 * (len(measures) + len({m.dataset for m in measures}))))
    axes = figure.subplots()
    y, places, names = 0, [], []
    for i, measure in enumerate(measures):
        if i == 0 or measure.dataset != measures[i - 1].dataset:
            places.append(y)
            names.append(DATASETS[measure.dataset])
            y += 1
        colour = COLOURS["conv_tt_lstm"] if measure.is_time else COLOURS["conv_lstm"]
        face = "none" if measure.source == PAPER else colour
        marker = "s" if measure.is_time else "o"
        axes.plot(measure.ratio, y, marker, ms=4, markeredgecolor=colour, markerfacecolor=face)
        place = axes.get_yaxis_transform()
        axes.text(1.02, y, f"{measure.ratio:.2f}", transform=place, va="center", fontsize=SMALL)
        small = "" if measure.models == PAPER_SCALE else ", this scale"
        device = f" [{devices.index(measure.where) + 1}]" if measure.where else ""
        places.append(y)
        names.append(f"{measure.what}{small}{device}")
        y += 1
    axes.set_yticks(places, names, fontsize=SMALL)
    for tick, name in zip(axes.get_yticklabels(), names, strict=True):
        tick.set_fontweight("bold" if name in DATASETS.values() else "normal")
    axes.tick_params(axis="y", length=0)
    axes.set(xscale="log", ylim=(y - 0.4, -0.6), xlabel="Conv-TT-LSTM / ConvLSTM")
    largest = max(2.2, 1.1 * max(max(m.ratio, 1 / m.ratio) for m in measures))
    axes.set_xlim(1 / largest, largest)
    ticks = [tick for tick in (0.2, 0.5, 0.7, 1, 1.5, 2, 5) if 1 / largest <= tick <= largest]
    axes.xaxis.set_major_locator(ticker.FixedLocator(ticks))
    axes.xaxis.set_major_formatter(ticker.FormatStrFormatter("%g"))
    axes.xaxis.set_minor_locator(ticker.NullLocator())
    axes.axvline(1, color=GREY, lw=0.8)
    axes.set_title("left of 1: Conv-TT-LSTM needs less", loc="right")
    return figure


REPORT = FigureReport(
    name="ratios",
    datasets=predicted,
    each=False,
    reads=lambda scale, dataset: [scale.folder / TABLE],
    heading="Does it take less time? (Section 5)",
    place=21,
    title="Ratios of multiplications and times",
    caption="Conv-TT-LSTM's ratio to ConvLSTM in counts (circles) and times (squares), the paper's hollow, "
    "ours solid. Ratios depend on device and precision.",
    alternative="Marks on a scale of ratios, one for each count and time; the table has the numbers.",
    draw=draw,
)
