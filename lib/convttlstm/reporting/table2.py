"""Table 2 as CSV, Markdown and LaTeX.

The CSV holds everything that is known of a row. The other forms, and the page, show its cells.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import isnan
from pathlib import Path

import pandas as pd

from convttlstm.files import write_text
from convttlstm.reporting.markup import LATEX_HEAD, Row, Table, latex, latex_code, to_latex, to_markdown
from convttlstm.reporting.results import (
    Interval,
    Result,
    across_seeds,
    beside,
    load_results,
    read_table,
    seed_by_seed,
    what_it_proves,
)

NOT_COMPUTED = "not computed"
OPTIMIZED = "with the authors' optimized code"  # whose figures the paper does not print
# What the tables multiply a metric by; the CSV's columns say so in their names.
SCALES = {
    "mse": ("mse_x1e3", 1e3),
    "psnr": ("psnr", 1),
    "ssim_paper": ("ssim_paper", 1),
    "ssim_standard": ("ssim_standard", 1),
    "lpips_paper": ("lpips_paper_x1e3", 1e3),
    "lpips_standard": ("lpips_standard_x1e3", 1e3),
}
# The paper's figures are under its own protocol only.
IN_PAPER = {"mse": "mse", "psnr": "psnr", "ssim_paper": "ssim", "lpips_paper": "lpips"}
PAPER_COLUMNS = ["dataset", "method", "reference", "source", "parameters_millions", "note"]

UNITS = "MSE and LPIPS are multiplied by 1000. Brackets hold 95 % intervals over the test sequences"
UNITS_OF_ONE, UNITS_OF_SEVERAL = f"{UNITS}.", f"{UNITS}, and over trainings where there are several."
PAPER_PROTOCOL = (
    "SSIM with data range 2 and LPIPS on inputs left in [0, 1], as the paper's code computes them."
)
STANDARD_PROTOCOL = (
    "SSIM with data range 1 and LPIPS on inputs in [-1, 1]. The paper has no figures under this "
    "protocol; MSE and PSNR are the same under both."
)


def write_table2(results: Path, dataset: str, runs: list[str], paper: Path, output: Path) -> None:
    """Write Table 2 with the paper's rows above the reproduced ones.

    Args:
        results: folder of a scale, such as results/demo.
        dataset: name of the data set.
        runs: ids of evaluated runs, one row each.
        paper: data/paper/table2.csv.
        output: path without suffix; .csv, .md and .tex are written.

    Raises:
        UserError: a file that is read is missing or damaged.
    """
    loaded = load_results(results, dataset, runs)
    published = read_table(paper, PAPER_COLUMNS)
    published = published[published["dataset"] == dataset]
    horizons = loaded[0].config.dataset.test_horizons
    context = loaded[0].config.dataset.context
    rows = [_paper_row(row, context, horizons) for _, row in published.iterrows()]
    rows += [row for runs in seed_by_seed(loaded) for row in _reproduced_rows(runs, horizons)]
    table = pd.DataFrame(rows).fillna("")
    title = f"Table 2, {loaded[0].config.dataset.title}"
    write_text(beside(output, ".csv"), table.to_csv(index=False))
    write_text(beside(output, ".md"), _table2_markdown(title, table))
    write_text(beside(output, ".tex"), _table2_latex(title, table))


def _paper_row(row: pd.Series, context: int, horizons: list[int]) -> dict[str, str]:
    cells = {"origin": "paper", "scale": "paper", "method": row["method"], "context": str(context)}
    for horizon in horizons:
        for metric, (column, _) in SCALES.items():
            printed = row.get(f"{IN_PAPER.get(metric)}_{horizon}", "")
            cells[f"{column}_{horizon}"] = printed
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
        for metric, (column, scale) in SCALES.items():
            mean |= interval_cells(f"{column}_{horizon}", across_seeds(runs, horizon, metric), scale)
    minutes = [run.provenance.minutes_per_10000_samples for run in runs if run.provenance]
    mean["minutes_per_10000_samples"] = f"{sum(minutes) / len(minutes):.4g}"
    return [mean, *(row | {"part_of": name} for row in rows)]


def mean_of(runs: list[Result]) -> dict[str, str]:
    """Return the cells that say which runs a row is the mean of."""
    return {"seeds": str(len(runs)), "runs": " ".join(run.config.id for run in runs)}


def _reproduced_row(result: Result, horizons: list[int]) -> dict[str, str]:
    metrics, provenance, evaluated = result.metrics, result.provenance, result.metrics.evaluated_by
    made = provenance or evaluated
    cells = {
        "origin": "reproduced",
        "scale": result.config.scale,
        "label": what_it_proves(result.config),
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
        for metric, (column, scale) in SCALES.items():
            interval = metrics.horizons[horizon].get(metric)
            cells |= interval_cells(f"{column}_{horizon}", interval, scale)
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


def interval_cells(column: str, interval: Interval | None, scale: float) -> dict[str, str]:
    """Return the cells of a mean and its interval."""
    if interval is None:
        return {column: NOT_COMPUTED}
    bounds = {"_low": interval.low, "_high": interval.high}
    cells = {column + end: f"{bound * scale:.6g}" for end, bound in bounds.items() if not isnan(bound)}
    return {column: f"{interval.mean * scale:.6g}"} | cells


def sequences_in_words(sequences: Mapping[int, int]) -> str:
    """Return how many sequences were judged, told apart by horizon where they differ."""
    if len(set(sequences.values())) == 1:
        return f"{next(iter(sequences.values())):,}"
    return ", ".join(f"{count:,} at {horizon} frames" for horizon, count in sequences.items())


def short_commit(commit: str | None, uncommitted_changes: bool | None) -> str:
    """Return the first digits of a commit, marked where the sources differed from it."""
    if not commit:
        return "not recorded"
    return commit[:10] + (" with uncommitted changes" if uncommitted_changes else "")


def table2_caption(table: pd.DataFrame) -> str:
    """Return what the reproduced rows prove, and how far they compare with the paper's."""
    ours = table[table["origin"] == "reproduced"].iloc[0]
    if (table["origin"] == "reproduced").all():
        return f"{ours['label'][0].upper()}{ours['label'][1:]}."
    compare = (
        "The paper's rows are at the same scale."
        if ours["scale"] == "paper"
        else "The paper's rows are at the paper's scale: the two do not compare."
    )
    return f"{ours['label'][0].upper()}{ours['label'][1:]}. {compare}"


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
    errors = {"psnr": "PSNR ↑", "mse_x1e3": "MSE ↓"}
    # The paper gives the MSE of Moving-MNIST-2 and the PSNR of KTH.
    in_paper = table.drop(reproduced.index)[[f"mse_x1e3_{horizon}" for horizon in horizons]]
    lead, other = reversed(errors) if (in_paper != "").any(axis=None) else errors
    paper = {lead: errors[lead], "ssim_paper": "SSIM ↑", "lpips_paper_x1e3": "LPIPS ↓"}
    standard = {other: errors[other], "ssim_standard": "SSIM ↑", "lpips_standard_x1e3": "LPIPS ↓"}
    tables = [
        _metric_table("Paper protocol", f"{PAPER_PROTOCOL} {units}", table, paper, horizons),
        _metric_table("Standard protocol", f"{STANDARD_PROTOCOL} {units}", reproduced, standard, horizons),
    ]
    if several.any():
        note = f"The single trainings of the means above, under the paper's protocol. {UNITS_OF_ONE}"
        tables.append(_metric_table("Seed by seed", note, each, paper, horizons))
    return [*tables, _cost_table(table)]


def _metric_table(
    title: str, note: str, table: pd.DataFrame, columns: dict[str, str], horizons: list[int]
) -> Table:
    header = [("", "Method"), ("", "From")]
    context = table["context"].iloc[0]
    header += [(f"{context} → {horizon}", name) for horizon in horizons for name in columns.values()]
    rows = []
    for _, row in table.iterrows():
        cells = [metric_cell(row, f"{c}_{horizon}") for horizon in horizons for c in columns]
        rows.append(Row([_method(row), whose(row), *cells], _is_ours(row), runs_of(row)))
    return Table(title, note, header, "ll" + "r" * (len(header) - 2), rows)


def metric_cell(row: pd.Series, column: str) -> str:
    """Return a metric as it is shown, with its interval if it was reproduced."""
    mean = row[column]
    if row["origin"] == "paper" or mean == NOT_COMPUTED:
        return mean or "-"
    digits = 3 if column.startswith("ssim") else 1 if float(mean) >= 100 else 2
    ends = [row.get(f"{column}_{end}", "") for end in ("low", "high")]
    mean, *ends = (f"{float(value):.{digits}f}" for value in (mean, *ends) if value)
    return f"{mean} [{', '.join(ends)}]" if ends else mean


def _cost_table(table: pd.DataFrame) -> Table:
    header = [
        ("", name) for name in ("Method", "From", "Parameters", "Samples", "Minutes", "Device", "Made by")
    ]
    rows = []
    for _, row in table.iterrows():
        millions = row["parameters_millions"]
        count = f"{round(float(millions) * 1e6):,}" if _is_ours(row) else f"{millions}M"
        minutes = row["minutes_per_10000_samples"]
        device = row["device"] if _is_ours(row) else "the authors'" if minutes else ""
        samples = f"{int(row['samples']):,}" if row["samples"] else ""
        source = row["source"]
        if row["recipe"] not in ("", "paper"):
            source += f", {row['recipe']} recipe"
        cells = [count if millions else "", samples, minutes, device, source]
        cells = [_method(row), whose(row), *(cell or "-" for cell in cells)]
        rows.append(Row(cells, _is_ours(row), runs_of(row)))
    note = (
        "Samples seen in training, and minutes of training for 10,000 of them (the paper's epoch) on the "
        "device named. The recipe is the paper's where no other is named."
    )
    return Table("Size and time", note, header, "llrrrll", rows)


def _method(row: pd.Series) -> str:
    return f"{row['method']} {row['reference']}".strip()


def whose(row: pd.Series) -> str:
    """Return where a row comes from, with what sets it apart from the others."""
    if not _is_ours(row):
        return "authors' optimized code" if row.get("where") == OPTIMIZED else "paper"
    seeds = f"{row['seeds']} seeds" if row.get("seeds", "1") != "1" else ""
    return ", ".join(part for part in ("here", seeds, row["caveat"]) if part)


def runs_of(row: pd.Series) -> list[str]:
    """Return the ids of the runs that a row shows, none for the paper's."""
    return str(row["runs"]).split()


def _is_ours(row: pd.Series) -> bool:
    return bool(row["origin"] == "reproduced")


@dataclass(frozen=True)
class Origin:
    """Where a reproduced row comes from: facts in words, and the commands that made it."""

    method: str
    facts: str
    commands: list[tuple[str, str]]


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


def paper_notes(table: pd.DataFrame) -> list[str]:
    """Return the reservations about the paper's rows in table2's CSV."""
    noted = table[(table["origin"] == "paper") & (table["note"] != "")]
    return [f"{_method(row)}: {row['note']}" for _, row in noted.iterrows()]


def _table2_markdown(title: str, table: pd.DataFrame) -> str:
    lines = [f"# {title}", "", f"**{table2_caption(table)}**", ""]
    lines += [to_markdown(part) for part in table2_tables(table)]
    lines += ["## Where the reproduced rows come from", ""]
    for origin in origins(table):
        lines.append(f"- **{origin.method}**: {origin.facts}")
        lines += [f"  - {verb} `{command}`" for verb, command in origin.commands]
    lines += ["", "## Notes on the paper's rows", ""]
    lines += [f"- {note}" for note in paper_notes(table)]
    return "\n".join(lines) + "\n"


def _table2_latex(title: str, table: pd.DataFrame) -> str:
    caption = table2_caption(table)
    parts = [
        replace(part, title=f"{title}: {part.title.lower()}", note=f"{caption} {part.note}")
        for part in table2_tables(table)
    ]
    lines = [LATEX_HEAD, *map(to_latex, parts), r"\begin{itemize}\footnotesize\raggedright"]
    for origin in origins(table):
        lines.append(rf"\item {latex(origin.method)}: {latex(origin.facts)}")
        lines += [rf"\\ {verb} {latex_code(command)}" for verb, command in origin.commands]
    lines += [rf"\item {latex(note)}" for note in paper_notes(table)]
    return "\n".join([*lines, r"\end{itemize}", ""])
