"""Table 1: early activity recognition by group of activities."""

import pandas as pd

from convttlstm.config import shown_runs
from convttlstm.evaluation.intervals import wilson
from convttlstm.markup import Document, Row, Table
from convttlstm.reporting.accuracy import notes_of, origin_cells, percent, runs_of, share
from convttlstm.reporting.cells import comparison, interval_cells, row_source
from convttlstm.reporting.report import Runs, TableReport, recognized
from convttlstm.results import Scale

READINGS = {"top1": "its activity", "group": "any of its group"}
NOTE = (
    "Percent of a group's clips. The paper does not say when a clip counts as correct: when its own activity "
    "is predicted, or any activity of its group; both are listed. Brackets: Wilson's 95 % intervals over "
    "clips; for the paper's cells from numbers of clips inferred from its percentages [I]."
)


def rows(scale: Scale, dataset: str, loaded: Runs) -> pd.DataFrame:
    """Return the paper's rows, then ours in both readings of a correct answer."""
    printed = scale.printed(1, ["method", "group", "accuracy"])
    found = [_paper_group(row) for _, row in printed.iterrows()]
    for result in loaded:
        for fraction, metrics in result.metrics.fractions.items():
            for group, counted in metrics.groups.items():
                for reading in READINGS:
                    cells = origin_cells(result) | {"fraction": str(fraction), "group": group}
                    cells |= {"reading": reading, "clips": str(counted.clips)}
                    found.append(cells | interval_cells("accuracy", getattr(counted, reading), 100))
    return pd.DataFrame(found).fillna("")


def _paper_group(row: pd.Series) -> dict[str, str]:
    clips, accuracy = int(row["clips"]), float(row["accuracy"]) / 100
    low, high = wilson(round(accuracy * clips) / clips, clips)
    cells = {"origin": "paper", "scale": "paper", "method": row["method"], "fraction": row["fraction"]}
    cells |= {"group": row["group"], "clips": row["clips"], "accuracy": row["accuracy"], "note": row["note"]}
    return cells | {"accuracy_low": f"{100 * low:.6g}", "accuracy_high": f"{100 * high:.6g}"}


def document(scale: Scale, dataset: str, table: pd.DataFrame) -> Document:
    """Return a table for each fraction."""
    groups = list(dict.fromkeys(table["group"]))
    header = [("", name) for name in ("Method", "From", "Correct if predicted", *groups)]
    tables = []
    for fraction in dict.fromkeys(table["fraction"]):
        rows = []
        own = table[table["fraction"] == fraction]
        for (origin, method, _, reading), cells in own.groupby(
            ["origin", "method", "run", "reading"], sort=False
        ):
            by_group = {row["group"]: share(row) for _, row in cells.iterrows()}
            lead = [method, row_source(cells.iloc[0]), READINGS.get(reading, "not said")]
            shares = [by_group.get(group, "-") for group in groups]
            rows.append(Row([*lead, *shares], origin == "reproduced", runs_of(cells)))
        title = f"Table 1, first {percent(fraction)} of the frames"
        note = f"{comparison(table)} {NOTE}"
        tables.append(Table(title, note, header, "lll" + "r" * len(groups), rows))
    return Document(tables, notes=notes_of(table))


REPORT = TableReport(
    name="table1",
    datasets=recognized,
    each=False,
    runs=shown_runs,
    reads=lambda scale, dataset: [scale.paper / "table1.csv"],
    heading="Table 1",
    place=20,
    folded=True,
    title="Table 1",
    rows=rows,
    document=document,
    columns=["origin", "method", "group"],
)
