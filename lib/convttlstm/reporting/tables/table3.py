"""Table 3: early activity recognition over all activities."""

import pandas as pd

from convttlstm.config import shown_runs
from convttlstm.markup import Document, Row, Table
from convttlstm.reporting.accuracy import notes_of, origin_cells, percent, runs_of, share
from convttlstm.reporting.cells import comparison, interval_cells, row_source
from convttlstm.reporting.report import Runs, TableReport, recognized
from convttlstm.results import Scale

NOTE = (
    "Percent of test clips whose activity was predicted, first (top 1) or among the first five (top 5). "
    "Brackets: Wilson's 95 % intervals over clips. The calibration error is the mean distance between "
    "confidence and accuracy, in points."
)


def rows(scale: Scale, dataset: str, loaded: Runs) -> pd.DataFrame:
    """Return the paper's rows, then ours."""
    found: list[dict[str, str]] = []
    for _, row in scale.printed(3, ["method", "reference", "fraction", "accuracy", "note"]).iterrows():
        cells = {"origin": "paper", "scale": "paper", "method": f"{row['method']} {row['reference']}".strip()}
        found.append(cells | {"fraction": row["fraction"], "top1": row["accuracy"], "note": row["note"]})
    for result in loaded:
        metrics = result.metrics
        for fraction, shares in metrics.fractions.items():
            cells = origin_cells(result) | {"fraction": str(fraction), "parameters": str(metrics.parameters)}
            cells |= {"clips": str(metrics.clips), "classes": str(metrics.classes)}
            cells |= interval_cells("top1", shares.top1, 100) | interval_cells("top5", shares.top5, 100)
            found.append(cells | {"calibration_error": f"{100 * shares.calibration_error:.6g}"})
    return pd.DataFrame(found).fillna("")


def document(scale: Scale, dataset: str, table: pd.DataFrame) -> Document:
    """Return the table."""
    fractions = list(dict.fromkeys(table["fraction"]))
    names = {"top1": "Top 1 ↑", "top5": "Top 5 ↑", "calibration_error": "Calibration error ↓"}
    header = [("", "Method"), ("", "From"), ("", "Parameters")]
    header += [(f"First {percent(f)}", name) for f in fractions for name in names.values()]
    rows = []
    for (origin, method, _), cells in table.groupby(["origin", "method", "run"], sort=False):
        first = cells.iloc[0]
        count = f"{int(first['parameters']):,}" if first["parameters"] else "-"
        line = [method, row_source(first), count]
        for fraction in fractions:
            found = cells[cells["fraction"] == fraction]
            if found.empty:
                line += ["-"] * len(names)
                continue
            row = found.iloc[0]
            line += [share(row, "top1"), share(row, "top5")]
            line.append(f"{float(row['calibration_error']):.1f}" if row["calibration_error"] else "-")
        rows.append(Row(line, origin == "reproduced", runs_of(cells)))
    ours = table[table["origin"] == "reproduced"].iloc[0]
    by_chance = 100 / int(ours["classes"])
    chance = f"{ours['clips']} clips of {ours['classes']} activities here, so chance is {by_chance:.1f} %."
    note = f"{comparison(table)} {chance} {NOTE}"
    align = "ll" + "r" * (len(header) - 2)
    return Document(
        [Table("Table 3, early activity recognition", note, header, align, rows)], notes=notes_of(table)
    )


REPORT = TableReport(
    name="table3",
    datasets=recognized,
    each=False,
    runs=shown_runs,
    reads=lambda scale, dataset: [scale.paper / "table3.csv"],
    heading="Table 3",
    place=10,
    title="Table 3",
    caption="Shaded rows are reproduced here, the others are the paper's.",
    rows=rows,
    document=document,
    columns=["origin", "method", "top1"],
)
