"""Table 2: the metrics of predicted frames.

The CSV holds everything that is known of a row. The other forms, and the page, show its cells.
"""

from dataclasses import replace

import pandas as pd

from convttlstm.config import shown_runs
from convttlstm.markup import Document, Origin, Row, Table
from convttlstm.metrics import METRICS, Metric
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
    runs_of,
    sequences_in_words,
    short_commit,
    whose,
)
from convttlstm.reporting.report import Runs, TableReport, predicted
from convttlstm.results import Result, Scale, across_seeds, seed_by_seed, source_label

PAPER_COLUMNS = ["dataset", "method", "reference", "source", "parameters_millions", "note"]
STANDARD_PROTOCOL = (
    "SSIM with data range 1 and LPIPS on inputs in [-1, 1]. The paper has no figures under this "
    "protocol; MSE and PSNR are the same under both."
)


def rows(scale: Scale, dataset: str, loaded: Runs) -> pd.DataFrame:
    """Return the paper's rows above the reproduced ones."""
    published = scale.printed(2, PAPER_COLUMNS)
    horizons, context = loaded[0].config.dataset.test_horizons, loaded[0].config.dataset.context
    found = [
        _paper_row(row, context, horizons) for _, row in published[published["dataset"] == dataset].iterrows()
    ]
    found += [row for runs in seed_by_seed(loaded) for row in _reproduced_rows(runs, horizons)]
    return pd.DataFrame(found).fillna("")


def document(scale: Scale, dataset: str, table: pd.DataFrame) -> Document:
    """Return the tables to read."""
    title = f"Table 2, {scale.settings.datasets[dataset].title}"
    caption = comparison(table) + counted_frames(scale.settings.evaluation)
    tables = table2_tables(table)
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
    """Return a row for each run, beneath that of their mean if there are several."""
    rows = [_reproduced_row(run, horizons) for run in runs]
    if len(runs) == 1:
        return rows
    name = runs[0].variant_title
    mean = rows[0] | {"method": name, "run": "", "seed": "", **mean_of(runs)}
    for horizon in horizons:
        for key, metric in METRICS.items():
            mean |= metric_cells(metric, across_seeds(runs, horizon, key), horizon)
    minutes = [run.provenance.minutes_per_10000_samples for run in runs if run.provenance]
    mean["minutes_per_10000_samples"] = f"{sum(minutes) / len(minutes):.4g}"
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


def table2_tables(table: pd.DataFrame) -> list[Table]:
    """Return the tables to read that table2's CSV, read as text, gives."""
    horizons = [
        int(column.removeprefix("psnr_"))
        for column in table.columns
        if column.removeprefix("psnr_").isdigit()
    ]
    several = table["part_of"] != ""
    units = UNITS_OF_SEVERAL if several.any() else UNITS_OF_ONE
    each, table = table[several], table[~several]
    reproduced = table[table["origin"] == "reproduced"]
    # The paper gives the MSE of Moving-MNIST-2 and the PSNR of KTH.
    in_paper = table.drop(reproduced.index)[[f"mse_x1e3_{horizon}" for horizon in horizons]]
    lead, other = ("mse", "psnr") if (in_paper != "").any(axis=None) else ("psnr", "mse")
    paper = [METRICS[key] for key in (lead, "ssim_paper", "lpips_paper")]
    standard = [METRICS[key] for key in (other, "ssim_standard", "lpips_standard")]
    tables = [
        _metric_table("Paper protocol", f"{PAPER_PROTOCOL} {units}", table, paper, horizons),
        _metric_table("Standard protocol", f"{STANDARD_PROTOCOL} {units}", reproduced, standard, horizons),
    ]
    if several.any():
        note = f"The single trainings of the means above, under the paper's protocol. {UNITS_OF_ONE}"
        tables.append(_metric_table("Seed by seed", note, each, paper, horizons))
    return [*tables, _cost_table(table)]


def _metric_table(
    title: str, note: str, table: pd.DataFrame, metrics: list[Metric], horizons: list[int]
) -> Table:
    header = [("", "Method"), ("", "From")]
    context = table["context"].iloc[0]
    header += [(f"{context} → {horizon}", metric.arrow) for horizon in horizons for metric in metrics]
    rows = []
    for _, row in table.iterrows():
        cells = [metric_cell(row, f"{m.column}_{horizon}") for horizon in horizons for m in metrics]
        rows.append(Row([_method(row), whose(row), *cells], is_ours(row), runs_of(row)))
    return Table(title, note, header, "ll" + "r" * (len(header) - 2), rows)


def _cost_table(table: pd.DataFrame) -> Table:
    header = [
        ("", name) for name in ("Method", "From", "Parameters", "Samples", "Minutes", "Device", "Made by")
    ]
    rows = []
    for _, row in table.iterrows():
        millions = row["parameters_millions"]
        count = f"{round(float(millions) * 1e6):,}" if is_ours(row) else f"{millions}M"
        minutes = row["minutes_per_10000_samples"]
        device = row["device"] if is_ours(row) else "the authors'" if minutes else ""
        samples = f"{int(row['samples']):,}" if row["samples"] else ""
        source = row["source"]
        if row["recipe"] not in ("", "paper"):
            source += f", {row['recipe']} recipe"
        cells = [count if millions else "", samples, minutes, device, source]
        cells = [_method(row), whose(row), *(cell or "-" for cell in cells)]
        rows.append(Row(cells, is_ours(row), runs_of(row)))
    note = (
        "Samples seen in training, and minutes of training for 10,000 of them (the paper's epoch) on the "
        "device named. The recipe is the paper's where no other is named."
    )
    return Table("Size and time", note, header, "llrrrll", rows)


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
    reads=lambda scale, dataset: [scale.paper / "table2.csv"],
    heading="Table 2",
    place=10,
    title="Table 2",
    caption="Shaded rows were reproduced here, the others are the paper's.",
    rows=rows,
    document=document,
    columns=["origin", "method"],
)
