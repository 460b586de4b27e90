"""The cost of a higher order (Section 3.1)."""

from matplotlib import ticker
from matplotlib.figure import Figure

from convttlstm.reporting.drawing import COLOURS, COLUMN, GREY, Look, label_ends
from convttlstm.reporting.report import FigureReport, Runs
from convttlstm.results import Scale, read_csv

# The models of orders.csv in its order: ours, then the two that the tensor train stands for.
LOOKS = [
    Look(COLOURS["conv_tt_lstm"], "-", "Conv-TT-LSTM", "o"),
    Look(GREY, "--", "Eq. 7, equal", "^"),
    Look("black", "-.", "Eq. 7, growing", "s"),
]
NOTE = (
    "Table 2's model, S = 5, C = 8, M = N; one step on a 64x64 frame. Counts, not times: the same at every "
    "scale. Eq. 7 has kernels that are all S wide, or K(i) i(S - 1) + 1 wide."
)


def draw(scale: Scale, dataset: str, loaded: Runs) -> tuple[Figure, str]:
    """Return multiplications and parameters against the order N."""
    counts = read_csv(scale.folder / "orders.csv", ["model", "order", "parameters", "multiplications"])
    columns = {
        "multiplications": ("multiplications (billions)", 1e9),
        "parameters": ("parameters (millions)", 1e6),
    }
    figure = Figure(figsize=(COLUMN, 4))
    panels = figure.subplots(2, 1, sharex=True)
    for axes, (column, (title, unit)) in zip(panels, columns.items(), strict=True):
        ends = []
        for (_, rows), look in zip(counts.groupby("model", sort=False), LOOKS, strict=True):
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
    return figure, NOTE


REPORT = FigureReport(
    name="orders",
    each=False,
    reads=lambda scale, dataset: [scale.folder / "orders.csv"],
    heading="Cost of a higher order",
    place=30,
    folded=True,
    title="Cost by order",
    caption="Counted multiplications and parameters against the order N at Table 2's size: Conv-TT-LSTM by "
    "Algorithm 2, and Eq. 7 with equal and with growing kernels.",
    alternative="Three lines in two panels: one grows little, one evenly, one ever faster.",
    draw=draw,
)
