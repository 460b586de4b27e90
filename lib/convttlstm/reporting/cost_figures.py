"""What a higher order costs, and whether fewer multiplications mean less time (Sections 3.1 and 5)."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib import style, ticker
from matplotlib.figure import Figure

from convttlstm.reporting.drawing import COLOURS, COLUMN, GREY, SMALL, STYLE, Look, label_ends, save, wrapped
from convttlstm.reporting.results import read_csv
from convttlstm.reporting.runtime import DATASETS, PAPER, PAPER_SCALE, Measure

# The models of orders.csv in its order: ours, then the two that the tensor train stands for.
ORDER_LOOKS = [
    Look(COLOURS["conv_tt_lstm"], "-", "Conv-TT-LSTM", "o"),
    Look(GREY, "--", "Eq. 7, equal", "^"),
    Look("black", "-.", "Eq. 7, growing", "s"),
]
ORDERS_NOTE = (
    "Table 2's model, S = 5, C = 8, M = N; one step on a 64x64 frame. Counts, not times: the same at every "
    "scale. Conv-TT-LSTM by Algorithm 2; Eq. 7 with all kernels S wide, or K(i) i(S - 1) + 1 wide"
)


def write_orders(results: Path, output: Path) -> None:
    """Draw multiplications and parameters against the order N.

    Args:
        results: folder of a scale, which holds orders.csv.
        output: path without suffix; .svg and .pdf are written.

    Raises:
        UserError: orders.csv is missing or damaged.
    """
    counts = read_csv(results / "orders.csv", ["model", "order", "parameters", "multiplications"])
    columns = {
        "multiplications": ("multiplications (billions)", 1e9),
        "parameters": ("parameters (millions)", 1e6),
    }
    with style.context(["default", STYLE]):
        figure = Figure(figsize=(COLUMN, 4))
        panels = figure.subplots(2, 1, sharex=True)
        for axes, (column, (title, unit)) in zip(panels, columns.items(), strict=True):
            ends = []
            for (_, rows), look in zip(counts.groupby("model", sort=False), ORDER_LOOKS, strict=True):
                values = rows[column].to_numpy() / unit
                axes.plot(rows["order"], values, color=look.colour, ls=look.dash, marker=look.marker, ms=3)
                ends.append((float(rows["order"].iloc[-1]), float(values[-1]), look))
            axes.set_yscale("log")
            axes.yaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
            axes.yaxis.set_major_formatter(ticker.FormatStrFormatter("%g"))
            axes.yaxis.set_minor_locator(ticker.NullLocator())
            axes.set_title(title, loc="left")
            label_ends(axes, ends)
        panels[-1].set_xlabel("order N")
        panels[-1].xaxis.set_major_locator(ticker.MaxNLocator(integer=True))
        save(figure, wrapped(ORDERS_NOTE), output)


def draw_runtime(measures: Sequence[Measure], note: str, output: Path) -> None:
    """Draw each measure's ratio as a dot, the paper's hollow, on one logarithmic axis.

    Args:
        measures: see `runtime.measures_of`.
        note: what stands beneath.
        output: path without suffix; .svg and .pdf are written.
    """
    devices = list(dict.fromkeys(measure.where for measure in measures if measure.where))
    with style.context(["default", STYLE]):
        figure = runtime_figure(measures, devices)
        named = [f"[{i}] {device}" for i, device in enumerate(devices, start=1)]
        legend = "hollow: the paper, solid: here; circles: counts, squares: times. Ratios compare across "
        legend += "devices and scales, minutes do not"
        save(figure, wrapped("\n".join([note, legend, *named])), output)


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
