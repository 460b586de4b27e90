"""Table 4, the ablations, as CSV, Markdown and LaTeX."""

from pathlib import Path

import pandas as pd

from convttlstm.config import Settings, run_id
from convttlstm.config.catalogue import Ablation
from convttlstm.files import write_text
from convttlstm.reporting.markup import LATEX_HEAD, Row, Table, latex, to_latex, to_markdown
from convttlstm.reporting.results import (
    Result,
    across_seeds,
    beside,
    load_results,
    read_table,
    what_it_proves,
)
from convttlstm.reporting.table2 import (
    PAPER_PROTOCOL,
    SCALES,
    UNITS_OF_ONE,
    UNITS_OF_SEVERAL,
    interval_cells,
    mean_of,
    metric_cell,
    runs_of,
    short_commit,
    table2_caption,
    whose,
)

METRICS = {"mse": "MSE ↓", "ssim_paper": "SSIM ↑", "lpips_paper": "LPIPS ↓"}
PAPER_COLUMNS = ["dataset", "filters", "order", "source", "mse_30", "ssim_30", "lpips_30", "note"]
READINGS = (
    'With "1x1" the factors G(i) of the train are 1x1 (of the plain ConvLSTM its kernel K on the hidden '
    "state), and W and P(i) stay 5x5; where every kernel is 1x1, the row says so. "
    '"Single order" may mean the tensor train with one factor or the plain ConvLSTM: both are trained. '
    "Rows without a figure of the paper's are what Sections 3.1 and 5 argue against."
)


def write_table4(
    settings: Settings, results: Path, dataset: str, runs: list[str], paper: Path, output: Path
) -> None:
    """Write Table 4, each of the paper's rows above the runs that answer to it.

    Args:
        settings: of the scale; its `ablations` say which system answers to which row.
        results: folder of a scale, such as results/demo.
        dataset: name of the data set.
        runs: ids of the ablations' evaluated runs.
        paper: data/paper/table4.csv.
        output: path without suffix; .csv, .md and .tex are written.

    Raises:
        UserError: a file that is read is missing or damaged.
    """
    experiment = settings.experiments[dataset]
    loaded = {result.config.id: result for result in load_results(results, dataset, runs)}
    published = read_table(paper, PAPER_COLUMNS)
    published = published[published["dataset"] == dataset]
    rows: list[dict[str, str]] = []
    for ablation in experiment.ablations:
        answering = [
            loaded[run_id(settings, ablation.system, ablation.hyper(), seed)] for seed in experiment.seeds
        ]
        horizon = max(answering[0].config.dataset.test_horizons)
        key = ablation.filters, ablation.row
        found = published[(published["filters"] == key[0]) & (published["order"] == key[1])]
        if key not in [(row["filters"], row["order"]) for row in rows]:
            rows += [_paper_row(row, horizon) for _, row in found.iterrows()]
        rows.append(_reproduced_row(ablation, answering, horizon))
    table = pd.DataFrame(rows).fillna("")
    write_text(beside(output, ".csv"), table.to_csv(index=False))
    shown, notes = table4_table(table), table4_notes(table)
    markdown = to_markdown(shown).replace("## ", "# ", 1)
    listed = "\n".join(f"- {note}" for note in notes)
    write_text(beside(output, ".md"), f"{markdown}\n## Notes on the paper's rows\n\n{listed}\n")
    items = "\n".join(rf"\item {latex(note)}" for note in notes)
    lines = [
        LATEX_HEAD,
        to_latex(shown),
        r"\begin{itemize}\footnotesize\raggedright",
        items,
        r"\end{itemize}",
    ]
    write_text(beside(output, ".tex"), "\n".join([*lines, ""]))


def _paper_row(row: pd.Series, horizon: int) -> dict[str, str]:
    cells = {"origin": "paper", "scale": "paper", "filters": row["filters"], "order": row["order"]}
    cells |= {"method": "", "horizon": str(horizon), "source": row["source"], "note": row["note"]}
    for metric, printed in zip(METRICS, ("mse", "ssim", "lpips"), strict=True):
        cells[SCALES[metric][0]] = row.get(f"{printed}_{horizon}", "")
    return cells


def _reproduced_row(ablation: Ablation, runs: list[Result], horizon: int) -> dict[str, str]:
    result = runs[0]
    made = result.provenance or result.metrics.evaluated_by
    cells = {
        "origin": "reproduced",
        "scale": result.config.scale,
        "label": what_it_proves(result.config),
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
    for metric in METRICS:
        column, scale = SCALES[metric]
        cells |= interval_cells(column, across_seeds(runs, horizon, metric), scale)
    return cells


def table4_table(table: pd.DataFrame) -> Table:
    """Return the table to read that table4's CSV, read as text, gives."""
    header = [("", name) for name in ("Filters", "Order", "Read as", "From", "Parameters")]
    ours = table[table["origin"] == "reproduced"]
    group = f"{ours['context'].iloc[0]} → {ours['horizon'].iloc[0]}"
    header += [(group, name) for name in METRICS.values()]
    rows = []
    for _, row in table.iterrows():
        reproduced = bool(row["origin"] == "reproduced")
        count = f"{int(row['parameters']):,}" if reproduced else "-"
        cells = [row["filters"], row["order"], row["method"] or "-", whose(row), count]
        cells += [metric_cell(row, SCALES[metric][0]) for metric in METRICS]
        rows.append(Row(cells, reproduced, runs_of(row)))
    units = UNITS_OF_SEVERAL if set(ours["seeds"]) != {"1"} else UNITS_OF_ONE
    note = f"{table2_caption(table)} {READINGS} {PAPER_PROTOCOL} {units}"
    return Table("Table 4, ablations", note, header, "llllrrrr", rows)


def table4_notes(table: pd.DataFrame) -> list[str]:
    """Return the reservations about the paper's rows in table4's CSV."""
    noted = table[(table["origin"] == "paper") & (table["note"] != "")]
    return [f"{row['filters']}, {row['order']}: {row['note']}" for _, row in noted.iterrows()]
