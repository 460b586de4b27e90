"""Table 4: the ablations."""

from dataclasses import replace

import pandas as pd

from convttlstm.config import ablation_runs, run_id
from convttlstm.config.catalogue import Ablation
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
READINGS = (
    'With "1x1" the factors G(i) of the train are 1x1 (of the plain ConvLSTM its kernel K on the hidden '
    "state), and W and P(i) stay 5x5; where every kernel is 1x1, the row says so. "
    '"Single order" may mean the tensor train with one factor or the plain ConvLSTM: both are trained. '
    "Rows without numbers of the paper's are variants that Sections 3.1 and 5 argue against."
)


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
            found += [_paper_row(row, horizon) for _, row in own.iterrows()]
        found.append(_reproduced_row(ablation, answering, horizon))
    return pd.DataFrame(found).fillna("")


def document(scale: Scale, dataset: str, table: pd.DataFrame) -> Document:
    """Return the table to read."""
    notes = paper_notes(table, lambda row: f"{row['filters']}, {row['order']}")
    own = table4_table(table)
    counted = replace(own, note=own.note + counted_frames(scale.settings.evaluation))
    return Document([counted], notes=notes)


def _paper_row(row: pd.Series, horizon: int) -> dict[str, str]:
    cells = {"origin": "paper", "scale": "paper", "filters": row["filters"], "order": row["order"]}
    cells |= {"method": "", "horizon": str(horizon), "source": row["source"], "note": row["note"]}
    for metric in SHOWN:
        cells[metric.column] = row.get(f"{metric.printed}_{horizon}", "")
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
        "method": ablation.reading or result.variant_title,
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
    group = f"{ours['context'].iloc[0]} → {ours['horizon'].iloc[0]}"
    header += [(group, metric.arrow) for metric in SHOWN]
    rows = []
    for _, row in table.iterrows():
        reproduced = is_ours(row)
        count = f"{int(row['parameters']):,}" if reproduced else "-"
        cells = [row["filters"], row["order"], row["method"] or "-", row_source(row), count]
        cells += [metric_cell(row, metric.column) for metric in SHOWN]
        rows.append(Row(cells, reproduced, runs_of(row)))
    units = UNITS_OF_SEVERAL if set(ours["seeds"]) != {"1"} else UNITS_OF_ONE
    note = f"{comparison(table)} {READINGS} {PAPER_PROTOCOL} {units}"
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
