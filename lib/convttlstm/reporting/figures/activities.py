"""Accuracy by group of activities as a heat map."""

from matplotlib.figure import Figure

from convttlstm.config import shown_runs
from convttlstm.reporting.drawing import WIDTH, compares_with_paper, heat_map
from convttlstm.reporting.report import FigureReport, Runs, recognised
from convttlstm.results import Scale, read_table

TABLE = "tables/table1.csv"


def draw(scale: Scale, dataset: str, loaded: Runs) -> tuple[Figure, str]:
    """Return the accuracies, the paper's rows beside ours or above them."""
    table = read_table(scale.folder / TABLE, ["origin", "method", "fraction", "group", "accuracy"])
    table = table[table["reading"].isin(["", "top1"])].copy()
    where = table["origin"].map({"paper": "paper", "reproduced": "here"})
    shares = table["fraction"].astype(float).map("{:.0%}".format)
    table["row"] = table["method"] + ", " + where + ", " + shares
    table["value"] = table["accuracy"].astype(float)
    grid = table.pivot_table(index="row", columns="group", values="value", sort=False)
    run = loaded[0].config
    # Beside each other where they compare, else the paper's above a line.
    beside = compares_with_paper(run)
    grid = grid.loc[
        sorted(
            grid.index,
            key=lambda row: (not beside and ", here, " in row, row.rpartition(", ")[2], ", here, " in row),
        )
    ]
    figure = Figure((WIDTH, 0.19 * len(grid) + 1.1))
    axes = figure.subplots()
    heat_map(
        grid, axes, cmap="viridis", vmin=0, vmax=100, annot=True, fmt=".0f", annot_kws={"size": 6},
        linewidths=0.4, cbar_kws={"label": "percent right"},
    )  # fmt: skip
    axes.set(xlabel="", ylabel="")
    axes.tick_params(length=0, labelrotation=0)
    axes.tick_params(axis="x", labelrotation=35)
    note = "Clips whose very activity was named; the paper does not say whether it counts those."
    if not beside:
        axes.axhline(sum(", paper, " in row for row in grid.index), color="black", linewidth=1.2)
        note += " Its rows, above the line, are of other data and do not compare."
    return figure, note


REPORT = FigureReport(
    name="activities",
    datasets=recognised,
    each=False,
    runs=shown_runs,
    reads=lambda scale, dataset: [scale.folder / TABLE],
    heading="Activity by activity",
    place=40,
    title="Accuracy by group of activities",
    caption="The paper's rows beside ours.",
    alternative="A heat map: a row for each model and fraction, a column for each group of activities; "
    "the accuracy stands in each cell.",
    draw=draw,
    style={"axes.grid": False},
)
