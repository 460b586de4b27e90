"""All configurations of a search: what each costs and its validation loss, as a table and as heat maps."""

from pathlib import Path

import pandas as pd
from pydantic import BaseModel, ConfigDict

from convttlstm.config import Settings
from convttlstm.files import write_text
from convttlstm.reporting.costs import billions
from convttlstm.reporting.markup import LATEX_HEAD, Row, Table, to_latex, to_markdown
from convttlstm.reporting.results import beside, read_checked

SYMBOLS = ("S", "N", "C", "M")


class Winner(BaseModel):
    """The best run for a role, and how far it is ahead of the next; None if there is no other."""

    model_config = ConfigDict(frozen=True)

    run: str
    margin: float | None


class Candidate(BaseModel):
    """A run that competed; `rung` is the round of successive halving that it came to."""

    model_config = ConfigDict(frozen=True)

    role: str
    run: str
    settings: dict[str, int]
    parameters: int
    multiplications: int
    validation_loss: float
    epoch: int
    epochs: int
    rung: int | None = None


class Selection(BaseModel):
    """selection/<dataset>.json."""

    model_config = ConfigDict(frozen=True)

    criterion: str
    winners: dict[str, Winner]
    ranking: list[Candidate]


def write_grid(results: Path, settings: Settings, dataset: str, output: Path) -> None:
    """Write tables/grid_<dataset> and figures/grid_<dataset>.

    Args:
        results: folder of a scale, which holds the selection.
        settings: of the scale.
        dataset: the data set's name.
        output: folder of tables/ and figures/.

    Raises:
        UserError: the selection is missing or damaged.
    """
    # Imported here, so that the page, which shows the table, needs no matplotlib.
    from convttlstm.reporting.heat_maps import draw_grid

    selection = read_selection(results, dataset)
    stem = output / "tables" / f"grid_{dataset}"
    shown = grid_table(selection, settings.datasets[dataset].title, settings.label)
    write_text(beside(stem, ".csv"), grid_points(selection).to_csv(index=False))
    write_text(beside(stem, ".md"), to_markdown(shown).removeprefix("#"))
    write_text(beside(stem, ".tex"), f"{LATEX_HEAD}\n{to_latex(shown)}")
    draw_grid(grid_points(selection), settings.label, output / "figures" / f"grid_{dataset}")


def read_selection(results: Path, dataset: str) -> Selection:
    """Return what was selected; see `convttlstm select`.

    Raises:
        UserError: the file is missing or damaged.
    """
    return read_checked(results / "selection" / f"{dataset}.json", Selection)


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
    won = f"Won: {'; '.join(leads)}." if leads else "There was nothing to choose."
    note = f"{label[0].upper()}{label[1:]}. By {selection.criterion}; the test split plays no part. "
    note += f"Multiplications are of one step on one frame. {won}"
    return Table(f"Configurations tried on {title}", note, [("", n) for n in names], "l" + "r" * 9, rows)


def grid_points(selection: Selection) -> pd.DataFrame:
    """Return a line for each configuration, in the order of their rank."""
    winners = {winner.run for winner in selection.winners.values()}
    rows = [
        {"role": point.role, "run": point.run}
        | {symbol: point.settings.get(symbol, "") for symbol in SYMBOLS}
        | point.model_dump(include={"parameters", "multiplications", "validation_loss", "epoch", "epochs"})
        | {"won": point.run in winners}
        for point in selection.ranking
    ]
    return pd.DataFrame(rows)
