"""Table 2: the metrics of predicted frames.

The CSV has all columns; Markdown, LaTeX and the page show some of them.
"""

import contextlib
import math
from collections.abc import Callable
from dataclasses import replace

import pandas as pd

from convttlstm.claims.evidence import Missing
from convttlstm.claims.paired import paired
from convttlstm.config import shown_runs
from convttlstm.files import listed
from convttlstm.markup import Document, Origin, Row, Table
from convttlstm.metrics import METRICS, Metric
from convttlstm.reporting.cells import (
    PAPER_PROTOCOL,
    UNITS_OF_ONE,
    UNITS_OF_SEVERAL,
    comparison,
    counted_frames,
    interval_cells,
    is_ours,
    marks_of,
    mean_of,
    metric_cell,
    metric_cells,
    paper_notes,
    row_source,
    runs_of,
    sequences_in_words,
    short_commit,
    signed_cell,
)
from convttlstm.reporting.quantities import billions
from convttlstm.reporting.report import Runs, TableReport, predicted
from convttlstm.results import (
    GROUP,
    Interval,
    Result,
    Scale,
    across_seeds,
    read_table,
    seed_by_seed,
    source_label,
)

BASELINE = "conv_lstm"
# Multiplications of a convolution grow as the pixels do.
COUNTED_SIZE = 64
COUNTED = f"multiplications_{COUNTED_SIZE}"
PAPER_COLUMNS = ["dataset", "method", "reference", "source", "parameters_millions", "note"]
COSTS = (
    "The best of each group is bold, the second best underlined or in italics. FLOPs: the paper's are not a "
    "count of operations; ours are the multiplications of one step on frames of this scale. Minutes are for "
    "10,000 samples of training (the paper's epoch), of the fastest seed, on different devices."
)
STANDARD_PROTOCOL = (
    "SSIM with data range 1 and LPIPS on inputs in [-1, 1]. The paper has no numbers under this "
    "protocol; MSE and PSNR are the same under both."
)


def rows(scale: Scale, dataset: str, loaded: Runs) -> pd.DataFrame:
    """Return the paper's rows above the reproduced ones."""
    published = scale.printed(2, PAPER_COLUMNS)
    horizons, context = loaded[0].config.dataset.test_horizons, loaded[0].config.dataset.context
    found = [
        _paper_row(row, context, horizons) for _, row in published[published["dataset"] == dataset].iterrows()
    ]
    baseline = [run for run in loaded if run.config.system == BASELINE and not run.variant]
    costs = _multiplications(scale)
    for runs in seed_by_seed(loaded):
        rows = _reproduced_rows(runs, horizons)
        pixels = math.prod(runs[0].config.dataset.frame_shape)
        counted = {"multiplications": costs(runs[0], pixels)}
        found += [
            rows[0] | counted | _differences(runs, baseline, horizons),
            *(r | counted for r in rows[1:]),
        ]
    return pd.DataFrame(found).fillna("")


def _multiplications(scale: Scale) -> Callable[[Result, int], str]:
    """Return a function for the multiplications of one step of a run's model on frames of so many pixels."""
    table = read_table(scale.folder / "complexity.csv", ["scale", "system", COUNTED])
    counts = table[table["scale"] == scale.name].set_index("system")[COUNTED]

    def count(result: Result, pixels: int) -> str:
        counted = counts.get(" ".join([result.config.system, *result.config.name.parts]), "")
        return f"{int(counted) * pixels // COUNTED_SIZE**2}" if counted else ""

    return count


def _differences(runs: list[Result], baseline: list[Result], horizons: list[int]) -> dict[str, str]:
    """Return the cells of the mean's differences to the baseline's, on the same test sequences."""
    cells: dict[str, str] = {}
    alike = baseline and runs[0].config.short == baseline[0].config.short
    if not alike or (runs[0].config.system == BASELINE and not runs[0].variant):
        return cells
    for horizon in horizons:
        for key, metric in METRICS.items():
            if all(key in run.metrics.horizons[horizon] for run in [*runs, *baseline]):
                values = [run.values(horizon, key) for run in [*runs, *baseline]]
                column = f"{metric.column}_{horizon}_to_baseline"
                with contextlib.suppress(Missing):  # no sequence in common
                    estimate, _ = paired(values, len(runs), runs[0].groups(horizon, GROUP))
                    cells |= interval_cells(column, Interval.of(estimate), metric.scale)
    return cells


def document(scale: Scale, dataset: str, table: pd.DataFrame) -> Document:
    """Return the tables to read."""
    title = f"Table 2, {scale.settings.datasets[dataset].title}"
    caption = comparison(table) + counted_frames(scale.settings.evaluation)
    tables = table2_tables(table, scale.settings.datasets[dataset].main_metric)
    printed = [
        replace(part, title=f"{title}: {part.title.lower()}", note=f"{caption} {part.note}")
        for part in tables
    ]
    return Document(tables, title, f"**{caption}**", paper_notes(table, _method), origins(table), printed)


def _paper_row(row: pd.Series, context: int, horizons: list[int]) -> dict[str, str]:
    cells = {"origin": "paper", "scale": "paper", "method": row["method"], "context": str(context)}
    for horizon in horizons:
        for metric in METRICS.values():
            cells[f"{metric.column}_{horizon}"] = row.get(f"{metric.printed}_{horizon}", "")
    return cells | {
        "parameters_millions": row["parameters_millions"],
        "paper_flops_billions": row.get("flops_billions", ""),
        "minutes_per_10000_samples": row.get("minutes_per_epoch", ""),
        "reference": row["reference"],
        "source": row["source"],
        "where": row.get("where", ""),
        "note": row["note"],
    }


def _reproduced_rows(runs: list[Result], horizons: list[int]) -> list[dict[str, str]]:
    """Return a row for each run, after the row of their mean if there are several."""
    rows = [_reproduced_row(run, horizons) for run in runs]
    if len(runs) == 1:
        return rows
    name = runs[0].variant_title
    mean = rows[0] | {"method": name, "run": "", "seed": "", **mean_of(runs)}
    for horizon in horizons:
        for key, metric in METRICS.items():
            mean |= metric_cells(metric, across_seeds(runs, horizon, key), horizon)
    minutes = [run.provenance.minutes_per_10000_samples for run in runs if run.provenance]
    mean["minutes_per_10000_samples"] = f"{min(minutes):.4g}" if minutes else ""
    # What differs between seeds is in their own rows.
    mean |= dict.fromkeys(["commit", "command", "evaluation_commit", "evaluation_command"], "")
    for column in ("device", "evaluation_device"):
        mean[column] = listed(list(dict.fromkeys(row[column] for row in rows if row.get(column))))
    return [mean, *(row | {"part_of": name} for row in rows)]


def _reproduced_row(result: Result, horizons: list[int]) -> dict[str, str]:
    metrics, provenance, evaluated = result.metrics, result.provenance, result.metrics.evaluated_by
    made = provenance or evaluated
    cells = {
        "origin": "reproduced",
        "scale": result.config.scale,
        "label": source_label(result.config),
        "method": result.name,
        "run": result.config.id,
        "paper_row": result.config.paper_row or "",
        "seed": str(result.config.seed) if result.config.trained else "",
        **mean_of([result]),
        "part_of": "",
        "commit": short_commit(made.commit, made.uncommitted_changes),
        "sequences": sequences_in_words(metrics.sequences),
        "caveat": result.caveat,
        "recipe": result.config.training.recipe if result.config.trained else "",
        "samples": str(result.config.training.samples) if result.config.trained else "",
        "context": str(result.config.dataset.context),
    }
    for horizon in horizons:
        for key, metric in METRICS.items():
            cells |= metric_cells(metric, metrics.horizons[horizon].get(key), horizon)
    cells |= {
        "parameters_millions": f"{metrics.parameters / 1e6:.6f}",
        "source": "reproduced here",
        "reference": "",
        "note": "",
        "evaluation_command": evaluated.command,
        "evaluation_commit": short_commit(evaluated.commit, evaluated.uncommitted_changes),
        "evaluation_device": evaluated.device,
    }
    if provenance:
        cells |= {
            "minutes_per_10000_samples": f"{provenance.minutes_per_10000_samples:.4g}",
            "device": provenance.device,
            "command": provenance.command,
        }
    return cells


def table2_tables(table: pd.DataFrame, lead: str) -> list[Table]:
    """Return the tables to read.

    Args:
        table: table2's CSV, read as text.
        lead: "mse" or "psnr", the one of the two that is shown first.
    """
    horizons = [
        int(column.removeprefix("psnr_"))
        for column in table.columns
        if column.removeprefix("psnr_").isdigit()
    ]
    several = table["part_of"] != ""
    units = UNITS_OF_SEVERAL if several.any() else UNITS_OF_ONE
    each, table = table[several], table[~several]
    reproduced = table[table["origin"] == "reproduced"]
    other = "psnr" if lead == "mse" else "mse"
    paper = [METRICS[key] for key in (lead, "ssim_paper", "lpips_paper")]
    standard = [METRICS[key] for key in (other, "ssim_standard", "lpips_standard")]
    note = f"{PAPER_PROTOCOL} {units} {COSTS}"
    tables = [
        _with_costs(_metric_table("Paper protocol", note, table, paper, horizons), table, paper[0], horizons),
        _metric_table("Standard protocol", f"{STANDARD_PROTOCOL} {units}", reproduced, standard, horizons),
    ]
    if several.any():
        note = f"The single runs of the means above, under the paper's protocol. {UNITS_OF_ONE}"
        single = _metric_table("Seed by seed", note, each, paper, horizons)
        rows = [replace(row, marks={}) for row in single.rows]  # no seed is the best of its model
        tables.append(replace(single, rows=rows))
    return [*tables, _training_table(reproduced)]


def _metric_table(
    title: str, note: str, table: pd.DataFrame, metrics: list[Metric], horizons: list[int]
) -> Table:
    header = [("", "Method"), ("", "From")]
    context = table["context"].iloc[0]
    header += [(f"{context} → {horizon}", metric.arrow) for horizon in horizons for metric in metrics]
    columns = [(f"{m.column}_{horizon}", m.lower) for horizon in horizons for m in metrics]
    marks = marks_of(table, columns, first=2)
    rows = []
    for (_, row), marked in zip(table.iterrows(), marks, strict=True):
        cells = [metric_cell(row, column) for column, _ in columns]
        rows.append(Row([_method(row), row_source(row), *cells], is_ours(row), runs_of(row), marked))
    return Table(title, note, header, "ll" + "r" * (len(header) - 2), rows)


def _with_costs(shown: Table, table: pd.DataFrame, metric: Metric, horizons: list[int]) -> Table:
    """Return a table with added columns: differences to the baseline if there are any, size and time."""
    differences = {horizon: f"{metric.column}_{horizon}_to_baseline" for horizon in horizons}
    known = {h: column for h, column in differences.items() if column in table and any(table[column])}
    header = [(f"{metric.symbol} minus the baseline's", f"→ {horizon}") for horizon in known]
    header += [("", "Params"), ("", "FLOPs"), ("", "Minutes")]
    rows = []
    for line, (_, row) in zip(shown.rows, table.iterrows(), strict=True):
        millions, minutes = row["parameters_millions"], row["minutes_per_10000_samples"]
        cells = [signed_cell(row, column) for column in known.values()]
        if is_ours(row):
            cells += [f"{round(float(millions) * 1e6):,}", billions(row["multiplications"])]
            minutes = f"{float(minutes):.1f}" if minutes else ""
        else:
            flops = row["paper_flops_billions"]
            cells += [f"{millions}M" if millions else "", f"{flops} G" if flops else ""]
        cells = [cell or "-" for cell in (*cells, minutes)]
        rows.append(replace(line, cells=[*line.cells, *cells]))
    align = shown.align + "r" * (len(known) + 3)
    return replace(shown, header=[*shown.header, *header], align=align, rows=rows)


def _training_table(table: pd.DataFrame) -> Table:
    header = [("", name) for name in ("Method", "From", "Samples", "Device", "Recipe")]
    rows = []
    for _, row in table.iterrows():
        samples = f"{int(row['samples']):,}" if row["samples"] else ""
        cells = [cell or "-" for cell in (samples, row["device"], row["recipe"])]
        rows.append(Row([_method(row), row_source(row), *cells], is_ours(row), runs_of(row)))
    note = "Samples seen in training, on which device, and by which recipe."
    return Table("Training", note, header, "llrll", rows)


def origins(table: pd.DataFrame) -> list[Origin]:
    """Return the origin of each reproduced row of table2's CSV."""
    found = []
    for _, row in table[(table["origin"] == "reproduced") & (table["run"] != "")].iterrows():
        facts = [
            row["label"],
            f"seed {row['seed']}" if row["seed"] else "no seed",
            f"commit {row['commit']}",
            f"test sequences: {row['sequences']}",
        ]
        if row["evaluation_commit"] != row["commit"]:
            facts.append(f"evaluated at commit {row['evaluation_commit']}")
        commands = [("trained by", row["command"]), ("evaluated by", row["evaluation_command"])]
        commands = [(verb, command) for verb, command in commands if command]
        found.append(Origin(row["method"], "; ".join(facts), commands))
    return found


def _method(row: pd.Series) -> str:
    return f"{row['method']} {row['reference']}".strip()


REPORT = TableReport(
    name="table2",
    datasets=predicted,
    runs=shown_runs,
    reads=lambda scale, dataset: [scale.paper / "table2.csv", scale.folder / "complexity.csv"],
    heading="Table 2",
    place=10,
    title="Table 2",
    caption="Shaded rows are reproduced here, the others are the paper's.",
    rows=rows,
    document=document,
    columns=["origin", "method"],
)
