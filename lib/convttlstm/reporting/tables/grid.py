"""All configurations of a search: what each costs, and its validation loss."""

import pandas as pd

from convttlstm.markup import Document, Row, Table
from convttlstm.reporting.cells import capital
from convttlstm.reporting.quantities import billions
from convttlstm.reporting.report import Runs, TableReport, searched
from convttlstm.results import Scale, Selection, read_selection

SYMBOLS = ("S", "N", "C", "M")


def rows(scale: Scale, dataset: str, loaded: Runs) -> pd.DataFrame:
    """Return a line for each configuration, in the order of their rank."""
    return grid_points(read_selection(scale.folder, dataset))


def document(scale: Scale, dataset: str, table: pd.DataFrame) -> Document:
    """Return the table to read."""
    selection = read_selection(scale.folder, dataset)
    return Document([grid_table(selection, scale.settings.datasets[dataset].title, scale.settings.label)])


def grid_points(selection: Selection) -> pd.DataFrame:
    """Return a line for each configuration, in the order of their rank."""
    winners = {winner.run for winner in selection.winners.values()}
    rows = [
        {"role": point.role, "run": point.run}
        | {symbol: point.settings.get(symbol, "") for symbol in SYMBOLS}
        | {"parameters": point.parameters, "multiplications": point.multiplications or ""}
        | point.model_dump(include={"validation_loss", "epoch", "epochs"})
        | {"won": point.run in winners}
        for point in selection.ranking
    ]
    return pd.DataFrame(rows)


def grid_table(selection: Selection, title: str, label: str) -> Table:
    """Return the configurations in the order of their rank, the winners shaded."""
    names = ["Run", *SYMBOLS, "Parameters", "Multiplications", "Validation loss", "Best epoch", "Epochs"]
    winners = {winner.run for winner in selection.winners.values()}
    rows = []
    for point in selection.ranking:
        cells = [point.run, *(str(point.settings.get(symbol, "-")) for symbol in SYMBOLS)]
        cells += [f"{point.parameters:,}", billions(point.multiplications), f"{point.validation_loss:.5f}"]
        rows.append(Row([*cells, str(point.epoch), str(point.epochs)], point.run in winners))
    leads = [
        f"{winner.run}, {winner.margin:.5f} ahead of the next"
        for winner in selection.winners.values()
        if winner.margin is not None
    ]
    alone = [winner.run for winner in selection.winners.values() if winner.margin is None]
    leads += [f"{run}, alone in the last round" for run in alone]
    chosen = len(selection.ranking) > len(selection.winners)
    won = f"Won: {'; '.join(leads)}." if chosen else "There was nothing to choose."
    note = f"{capital(label)}. By {selection.criterion}; the test split plays no part. "
    note += f"Multiplications are of one step on one frame. {won}"
    return Table(
        f"Configurations tried on {title}",
        note,
        header=[("", name) for name in names],
        align="l" + "r" * 9,
        rows=rows,
        parts=("Other configurations", "Winners"),
    )


REPORT = TableReport(
    name="grid",
    datasets=searched,
    reads=lambda scale, dataset: [scale.folder / "selection" / f"{dataset}.json"],
    heading="Training",
    place=81,
    folded=True,
    title="Configurations tried",
    rows=rows,
    document=document,
)
