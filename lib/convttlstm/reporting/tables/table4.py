"""Table 4: the ablations."""

from dataclasses import replace

import pandas as pd

from convttlstm.config import ablation_runs, run_id
from convttlstm.config.experiment import Ablation
from convttlstm.markup import Document, Row, Table
from convttlstm.metrics import METRICS
from convttlstm.reporting.cells import (
    PAPER_PROTOCOL,
    UNITS_OF_ONE,
    UNITS_OF_SEVERAL,
    comparison,
    counted_frames,
    is_ours,
    mean_of,
    metric_cell,
    metric_cells,
    paper_notes,
    row_source,
    runs_of,
    short_commit,
)
from convttlstm.reporting.report import Runs, TableReport, ablated
from convttlstm.results import Result, Scale, across_seeds, source_label

SHOWN = [METRICS[key] for key in ("mse", "ssim_paper", "lpips_paper")]
PAPER_COLUMNS = ["dataset", "filters", "order", "source", "mse_30", "ssim_30", "lpips_30", "note"]
PAPERS_HORIZON = 30
PLAIN, SINGLE_PIXEL = "plain ConvLSTM", "every kernel 1x1"  # readings in config/


def rows(scale: Scale, dataset: str, loaded: Runs) -> pd.DataFrame:
    """Return each of the paper's rows, followed by the runs that reproduce it."""
    settings, experiment = scale.settings, scale.settings.experiments[dataset]
    by_id = {result.config.id: result for result in loaded}
    published = scale.printed(4, PAPER_COLUMNS)
    published = published[published["dataset"] == dataset]
    found: list[dict[str, str]] = []
    for ablation in experiment.ablations:
        answering = [
            by_id[run_id(settings, ablation.system, ablation.hyper(), seed)] for seed in experiment.seeds
        ]
        horizon = max(answering[0].config.dataset.test_horizons)
        key = ablation.filters, ablation.row
        if key not in [(row["filters"], row["order"]) for row in found]:
            own = published[(published["filters"] == key[0]) & (published["order"] == key[1])]
            found += [_paper_row(row) for _, row in own.iterrows()]
        found.append(_reproduced_row(ablation, answering, horizon))
    return pd.DataFrame(found).fillna("")


def document(scale: Scale, dataset: str, table: pd.DataFrame) -> Document:
    """Return the table to read."""
    notes = paper_notes(table, lambda row: f"{row['filters']}, {row['order']}")
    own = table4_table(table)
    readings = _readings(table, scale.settings.experiments[dataset].ablations)
    note = f"{own.note} {readings}{counted_frames(scale.settings.evaluation)}"
    return Document([replace(own, note=note)], notes=notes)


def _readings(table: pd.DataFrame, ablations: list[Ablation]) -> str:
    """Return how the paper's rows are read here."""
    readings = " ".join(ablation.reading or "" for ablation in ablations)
    text = 'With "1x1" the factors G(i) of the train are 1x1, and W and P(i) stay 5x5.'
    if PLAIN in readings:
        text += " Of the plain ConvLSTM the kernel K on the hidden state is 1x1."
        text += ' "Single order" may mean the tensor train with one factor or the plain ConvLSTM.'
    if SINGLE_PIXEL in readings:
        text += " With S = 1 every kernel is 1x1."
    printed = table[table["origin"] == "paper"]
    known = set(zip(printed["filters"], printed["order"], strict=True))
    if any((ablation.filters, ablation.row) not in known for ablation in ablations):
        text += " Rows that the paper does not have are variants that Sections 3.1 and 5 argue against."
    return text


def _paper_row(row: pd.Series) -> dict[str, str]:
    cells = {"origin": "paper", "scale": "paper", "filters": row["filters"], "order": row["order"]}
    cells |= {"method": "", "horizon": str(PAPERS_HORIZON), "source": row["source"], "note": row["note"]}
    for metric in SHOWN:
        cells[metric.column] = row[f"{metric.printed}_{PAPERS_HORIZON}"]
    return cells


def _reproduced_row(ablation: Ablation, runs: list[Result], horizon: int) -> dict[str, str]:
    result = runs[0]
    made = result.provenance or result.metrics.evaluated_by
    cells = {
        "origin": "reproduced",
        "scale": result.config.scale,
        "label": source_label(result.config),
        "filters": ablation.filters,
        "order": ablation.row,
        "method": result.variant_title,
        **mean_of(runs),
        "caveat": result.caveat,
        "parameters": str(result.metrics.parameters),
        "context": str(result.config.dataset.context),
        "horizon": str(horizon),
        "source": "reproduced here",
        "commit": short_commit(made.commit, made.uncommitted_changes),
    }
    for metric in SHOWN:
        cells |= metric_cells(metric, across_seeds(runs, horizon, metric.key))
    return cells


def table4_table(table: pd.DataFrame) -> Table:
    """Return the table to read that table4's CSV, read as text, gives."""
    header = [("", name) for name in ("Filters", "Order", "Read as", "From", "Parameters")]
    ours = table[table["origin"] == "reproduced"]
    horizon = ours["horizon"].iloc[0]
    papers = "" if horizon == str(PAPERS_HORIZON) else f" (the paper's {PAPERS_HORIZON})"
    group = f"{ours['context'].iloc[0]} → {horizon}{papers}"
    header += [(group, metric.arrow) for metric in SHOWN]
    rows = []
    for _, row in table.iterrows():
        reproduced = is_ours(row)
        count = f"{int(row['parameters']):,}" if reproduced else "-"
        cells = [row["filters"], row["order"], row["method"] or "-", row_source(row), count]
        cells += [metric_cell(row, metric.column) for metric in SHOWN]
        rows.append(Row(cells, reproduced, runs_of(row)))
    units = UNITS_OF_SEVERAL if set(ours["seeds"]) != {"1"} else UNITS_OF_ONE
    note = f"{comparison(table)} {PAPER_PROTOCOL} {units}"
    return Table("Table 4, ablations", note, header, "llllrrrr", rows)


REPORT = TableReport(
    name="table4",
    datasets=ablated,
    runs=ablation_runs,
    reads=lambda scale, dataset: [scale.paper / "table4.csv"],
    heading="Table 4",
    place=20,
    title="Table 4",
    caption="Each of the paper's rows, followed by the runs that reproduce it.",
    rows=rows,
    document=document,
    columns=["origin", "filters", "order"],
)
