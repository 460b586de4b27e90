"""Tables 1 and 3, early activity recognition, as CSV, Markdown and LaTeX."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from pydantic import BaseModel, ConfigDict

from convttlstm.config import Run, Settings, read_run, shown_runs
from convttlstm.evaluation.intervals import wilson
from convttlstm.files import UserError, write_text
from convttlstm.reporting.markup import LATEX_HEAD, Row, Table, to_latex, to_markdown
from convttlstm.reporting.results import (
    EvaluatedBy,
    Interval,
    Provenance,
    beside,
    read_checked,
    read_csv,
    read_table,
    what_it_proves,
)
from convttlstm.reporting.table2 import interval_cells, short_commit, table2_caption, whose

READINGS = {"top1": "very activity", "group": "any of the group"}
TABLE1_NOTE = (
    "Percent of a group's clips. The paper does not say when a clip counts as right: when its very activity "
    "was named, or any activity of its group; both stand here. Brackets hold Wilson's 95 % "
    "intervals over clips; for the paper's cells from numbers of clips that its percentages fit [I]."
)
TABLE3_NOTE = (
    "Percent of test clips whose activity was named, first or among the first five. Brackets hold Wilson's "
    "95 % intervals over clips. The calibration error is the mean distance of confidence "
    "and accuracy, in points."
)


class GroupShare(BaseModel):
    """How many clips of a group were named right, in both readings."""

    model_config = ConfigDict(frozen=True)

    clips: int
    top1: Interval
    group: Interval


class FractionMetrics(BaseModel):
    """Accuracies, shares of 1, at one fraction of the frames."""

    model_config = ConfigDict(frozen=True)

    top1: Interval
    top5: Interval
    group: Interval
    calibration_error: float
    groups: dict[str, GroupShare]


class RecognitionMetrics(BaseModel):
    """metrics.json of a recogniser."""

    model_config = ConfigDict(frozen=True)

    run: str
    clips: int
    skipped: int
    classes: int
    parameters: int
    evaluated_by: EvaluatedBy
    fractions: dict[float, FractionMetrics]


@dataclass(frozen=True)
class Recognition:
    """One evaluated recogniser."""

    folder: Path
    config: Run
    metrics: RecognitionMetrics
    predictions: pd.DataFrame
    history: pd.DataFrame
    provenance: Provenance

    @property
    def name(self) -> str:
        """Title, settings that the run's name states, and seed if it is not 0."""
        name = self.config.name
        return ", ".join([self.config.title, *name.parts, *([f"seed{name.seed}"] if name.seed else [])])

    @property
    def caveat(self) -> str:
        """What sets the run apart: clips that were left out, or ""."""
        return f"{self.metrics.skipped:,} clips unreadable" if self.metrics.skipped else ""


def load_recognitions(results: Path, settings: Settings) -> list[Recognition]:
    """Return the runs of all experiments in which activities are recognised.

    Raises:
        UserError: a file is missing, damaged, or belongs to another run.
    """
    recognised = [name for name in settings.experiments if settings.datasets[name].recognition]
    folder = results / "runs"
    return [
        load_recognition(folder / name / run) for name in recognised for run in shown_runs(settings, name)
    ]


def load_recognition(folder: Path) -> Recognition:
    """Return what a recogniser's folder holds.

    Raises:
        UserError: a file is missing, damaged, or belongs to another run.
    """
    config = read_run(folder)
    metrics = read_checked(folder / "metrics.json", RecognitionMetrics)
    if metrics.run != config.id:
        raise UserError(f"{folder}: metrics.json is of {metrics.run!r}; evaluate the run again")
    predictions = read_csv(folder / "predictions.csv", ["clip", "fraction", "label", "named", "confidence"])
    history = read_csv(folder / "history.csv", ["epoch", "train_loss", "validation_loss"])
    provenance = read_checked(folder / "provenance.json", Provenance)
    return Recognition(folder, config, metrics, predictions, history, provenance)


def write_table1(results: Path, settings: Settings, paper: Path, output: Path) -> None:
    """Write Table 1, accuracy by group of activities.

    Args:
        results: folder of a scale, such as results/demo.
        settings: of the scale.
        paper: data/paper/table1.csv.
        output: path without suffix; .csv, .md and .tex are written.

    Raises:
        UserError: a file that is read is missing or damaged.
    """
    rows = [_paper_group(row) for _, row in read_table(paper, ["method", "group", "accuracy"]).iterrows()]
    for result in load_recognitions(results, settings):
        for fraction, found in result.metrics.fractions.items():
            for group, share in found.groups.items():
                for reading in READINGS:
                    cells = _origin(result) | {"fraction": str(fraction), "group": group, "reading": reading}
                    cells["clips"] = str(share.clips)
                    rows.append(cells | interval_cells("accuracy", getattr(share, reading), 100))
    _write(pd.DataFrame(rows).fillna(""), table1_tables, output)


def _paper_group(row: pd.Series) -> dict[str, str]:
    clips, accuracy = int(row["clips"]), float(row["accuracy"]) / 100
    low, high = wilson(round(accuracy * clips) / clips, clips)
    cells = {"origin": "paper", "scale": "paper", "method": row["method"], "fraction": row["fraction"]}
    cells |= {"group": row["group"], "clips": row["clips"], "accuracy": row["accuracy"], "note": row["note"]}
    return cells | {"accuracy_low": f"{100 * low:.6g}", "accuracy_high": f"{100 * high:.6g}"}


def _origin(result: Recognition) -> dict[str, str]:
    made = result.provenance
    return {
        "origin": "reproduced",
        "scale": result.config.scale,
        "label": what_it_proves(result.config),
        "method": result.name,
        "run": result.config.id,
        "dataset": result.config.dataset_name,
        "caveat": result.caveat,
        "commit": short_commit(made.commit, made.uncommitted_changes),
    }


def write_table3(results: Path, settings: Settings, paper: Path, output: Path) -> None:
    """Write Table 3, accuracy over all activities; see `write_table1`.

    Raises:
        UserError: a file that is read is missing or damaged.
    """
    rows: list[dict[str, str]] = []
    for _, row in read_table(paper, ["method", "reference", "fraction", "accuracy", "note"]).iterrows():
        cells = {"origin": "paper", "scale": "paper", "method": f"{row['method']} {row['reference']}".strip()}
        rows.append(cells | {"fraction": row["fraction"], "top1": row["accuracy"], "note": row["note"]})
    for result in load_recognitions(results, settings):
        metrics = result.metrics
        for fraction, found in metrics.fractions.items():
            cells = _origin(result) | {"fraction": str(fraction), "parameters": str(metrics.parameters)}
            cells |= {"clips": str(metrics.clips), "classes": str(metrics.classes)}
            cells |= interval_cells("top1", found.top1, 100) | interval_cells("top5", found.top5, 100)
            rows.append(cells | {"calibration_error": f"{100 * found.calibration_error:.6g}"})
    _write(pd.DataFrame(rows).fillna(""), table3_tables, output)


def _write(table: pd.DataFrame, tables_of: Callable[[pd.DataFrame], list[Table]], output: Path) -> None:
    write_text(beside(output, ".csv"), table.to_csv(index=False))
    tables, notes = tables_of(table), recognition_notes(table)
    markdown = "\n".join(map(to_markdown, tables)).replace("## ", "# ", 1)
    listed = "\n".join(f"- {note}" for note in notes)
    write_text(beside(output, ".md"), f"{markdown}\n## Notes on the paper's rows\n\n{listed}\n")
    write_text(beside(output, ".tex"), "\n".join([LATEX_HEAD, *map(to_latex, tables)]))


def recognition_notes(table: pd.DataFrame) -> list[str]:
    """Return the reservations about the paper's rows in table1's or table3's CSV."""
    noted = table[(table["origin"] == "paper") & (table["note"] != "")]
    return [
        f"{row['method']}, {_percent(row['fraction'])}{_of_group(row)}: {row['note']}"
        for _, row in noted.iterrows()
    ]


def _of_group(row: pd.Series) -> str:
    return f", {row['group']}" if row.get("group") else ""


def table1_tables(table: pd.DataFrame) -> list[Table]:
    """Return a table for each fraction, from table1's CSV read as text."""
    groups = list(dict.fromkeys(table["group"]))
    header = [("", name) for name in ("Method", "From", "Counted as right", *groups)]
    tables = []
    for fraction in dict.fromkeys(table["fraction"]):
        rows = []
        own = table[table["fraction"] == fraction]
        for (origin, method, _, reading), cells in own.groupby(
            ["origin", "method", "run", "reading"], sort=False
        ):
            by_group = {row["group"]: _share(row) for _, row in cells.iterrows()}
            lead = [method, whose(cells.iloc[0]), READINGS.get(reading, "not said")]
            shares = [by_group.get(group, "-") for group in groups]
            rows.append(Row([*lead, *shares], origin == "reproduced", _runs_of(cells)))
        title = f"Table 1, first {_percent(fraction)} of the frames"
        note = f"{table2_caption(table)} {TABLE1_NOTE}"
        tables.append(Table(title, note, header, "lll" + "r" * len(groups), rows))
    return tables


def table3_tables(table: pd.DataFrame) -> list[Table]:
    """Return the table, from table3's CSV read as text."""
    fractions = list(dict.fromkeys(table["fraction"]))
    names = {"top1": "Top 1 ↑", "top5": "Top 5 ↑", "calibration_error": "Calibration error ↓"}
    header = [("", "Method"), ("", "From"), ("", "Parameters")]
    header += [(f"First {_percent(f)}", name) for f in fractions for name in names.values()]
    rows = []
    for (origin, method, _), cells in table.groupby(["origin", "method", "run"], sort=False):
        first = cells.iloc[0]
        count = f"{int(first['parameters']):,}" if first["parameters"] else "-"
        line = [method, whose(first), count]
        for fraction in fractions:
            found = cells[cells["fraction"] == fraction]
            if found.empty:
                line += ["-"] * len(names)
                continue
            row = found.iloc[0]
            line += [_share(row, "top1"), _share(row, "top5")]
            line.append(f"{float(row['calibration_error']):.1f}" if row["calibration_error"] else "-")
        rows.append(Row(line, origin == "reproduced", _runs_of(cells)))
    ours = table[table["origin"] == "reproduced"].iloc[0]
    percent = 100 / int(ours["classes"])
    chance = f"{ours['clips']} clips of {ours['classes']} activities here, so chance is {percent:.1f} %."
    note = f"{table2_caption(table)} {chance} {TABLE3_NOTE}"
    return [Table("Table 3, early activity recognition", note, header, "ll" + "r" * (len(header) - 2), rows)]


def _runs_of(cells: pd.DataFrame) -> list[str]:
    """Return the folders, below runs/, of the runs that a row shows: one for each data set."""
    ours = cells[cells["run"] != ""]
    return list(dict.fromkeys(ours["dataset"] + "/" + ours["run"]))


def _share(row: pd.Series, column: str = "accuracy") -> str:
    mean, low, high = (row.get(name, "") for name in (column, f"{column}_low", f"{column}_high"))
    if not mean:
        return "-"
    if row["origin"] == "reproduced":
        mean = f"{float(mean):.1f}"
    return f"{mean} [{float(low):.1f}, {float(high):.1f}]" if low else mean


def _percent(fraction: str | float) -> str:
    return f"{float(fraction):.0%}".replace("%", " %")


def recognition_headline(loaded: Sequence[Recognition]) -> str:
    """Return which of the runs name activities better than chance: the whole 95 % interval lies above it."""
    parts = []
    for result in loaded:
        for fraction, found in result.metrics.fractions.items():
            chance = 1 / result.metrics.classes
            said = "above chance" if found.top1.low > chance else "not above chance"
            shown = f"{100 * found.top1.mean:.1f} [{100 * found.top1.low:.1f}, {100 * found.top1.high:.1f}] %"
            parts.append(f"{result.config.title} at {_percent(fraction)}: {shown}, {said}")
    return "; ".join(parts) + f". Chance is {100 / loaded[0].metrics.classes:.1f} %."
