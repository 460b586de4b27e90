"""Cells and notes shared by several tables."""

from collections.abc import Callable, Mapping
from math import isnan

import pandas as pd

from convttlstm.config import Evaluation
from convttlstm.markup import BEST, SECOND
from convttlstm.metrics import Metric
from convttlstm.results import Interval, Result

NOT_COMPUTED = "not computed"
OPTIMIZED = "with the authors' optimized code"  # whose numbers the paper does not print

UNITS = "MSE and LPIPS are multiplied by 1000. Brackets hold 95 % intervals over the test sequences"
UNITS_OF_ONE, UNITS_OF_SEVERAL = f"{UNITS}.", f"{UNITS}, and over seeds where there are several."
PAPER_PROTOCOL = (
    "SSIM with data range 2 and LPIPS on inputs left in [0, 1], as the paper's code computes them."
)


def counted_frames(evaluation: Evaluation) -> str:
    """Return a sentence on the predicted frames that count in no mean, "" if all count."""
    first = evaluation.first_frame
    return f" Means begin with predicted frame {first}." if first > 1 else ""


def mean_of(runs: list[Result]) -> dict[str, str]:
    """Return the cells that say which runs a row is the mean of."""
    return {"seeds": str(len(runs)), "runs": " ".join(run.config.id for run in runs)}


def interval_cells(column: str, interval: Interval | None, scale: float) -> dict[str, str]:
    """Return the cells of a mean and its interval."""
    if interval is None:
        return {column: NOT_COMPUTED}
    bounds = {"_low": interval.low, "_high": interval.high}
    cells = {column + end: f"{bound * scale:.6g}" for end, bound in bounds.items() if not isnan(bound)}
    return {column: f"{interval.mean * scale:.6g}"} | cells


def metric_cells(metric: Metric, interval: Interval | None, horizon: int | None = None) -> dict[str, str]:
    """Return the cells of a metric's mean and its interval, in the column of a horizon if one is given."""
    column = metric.column if horizon is None else f"{metric.column}_{horizon}"
    return interval_cells(column, interval, metric.scale)


def sequences_in_words(sequences: Mapping[int, int]) -> str:
    """Return the number of evaluated sequences, by horizon where they differ."""
    if len(set(sequences.values())) == 1:
        return f"{next(iter(sequences.values())):,}"
    return ", ".join(f"{count:,} at {horizon} frames" for horizon, count in sequences.items())


def short_commit(commit: str | None, uncommitted_changes: bool | None) -> str:
    """Return the first digits of a commit, marked where the sources differed from it."""
    if not commit:
        return "not recorded"
    return commit[:10] + (" with uncommitted changes" if uncommitted_changes else "")


def comparison(table: pd.DataFrame) -> str:
    """Return the label of the reproduced rows, and whether they compare with the paper's."""
    label = table[table["origin"] == "reproduced"].iloc[0]["label"]
    return f"{capital(label)}. {papers_rows(table)}".strip()


def papers_rows(table: pd.DataFrame) -> str:
    """Return whether the paper's rows compare with the reproduced ones, "" if there are none."""
    reproduced = table["origin"] == "reproduced"
    if reproduced.all():
        return ""
    if table[reproduced].iloc[0]["scale"] == "paper":
        return "The paper's rows are at the same scale."
    return "The paper's rows are at the paper's scale, so they are not comparable."


def metric_cell(row: pd.Series, column: str) -> str:
    """Return a metric as it is shown, with its interval if it was reproduced."""
    mean = row[column]
    if row["origin"] == "paper" or mean == NOT_COMPUTED:
        return mean or "-"
    digits = 3 if column.startswith("ssim") else 1 if float(mean) >= 100 else 2
    ends = [row.get(f"{column}_{end}", "") for end in ("low", "high")]
    mean, *ends = (f"{float(value):.{digits}f}" for value in (mean, *ends) if value)
    return f"{mean} [{', '.join(ends)}]" if ends else mean


def signed_cell(row: pd.Series, column: str) -> str:
    """Return a difference as it is shown, with sign and interval; "" where there is none."""
    if not row.get(column, ""):
        return ""
    ends = [row.get(column + end, "") for end in ("_low", "_high")]
    mean, *ends = (f"{float(value):+.2f}" for value in (row[column], *ends) if value)
    return f"{mean} [{', '.join(ends)}]" if ends else mean


def marks_of(table: pd.DataFrame, columns: list[tuple[str, bool]], first: int) -> list[dict[int, str]]:
    """Return for each row the cells that are best or second best in their column, by position.

    The paper's rows and ours are ranked apart.

    Args:
        table: one of the tables' CSV files, read as text.
        columns: names, and whether lower is better, of neighbouring columns.
        first: position of the first of them in the table.
    """
    marks: list[dict[int, str]] = [{} for _ in range(len(table))]
    for position, (column, lower) in enumerate(columns, start=first):
        values = pd.to_numeric(table[column], errors="coerce")
        for _, group in values.groupby((table["origin"] == "reproduced").to_numpy()):
            ranks = group.rank(method="dense", ascending=lower)
            for place, rank in zip(table.index.get_indexer(group.index), ranks, strict=True):
                if group.count() > 1 and rank in (1, 2):
                    marks[place][position] = BEST if rank == 1 else SECOND
    return marks


def row_source(row: pd.Series) -> str:
    """Return where a row comes from, with its seeds and caveats."""
    if not is_ours(row):
        return "authors' code" if row.get("where") == OPTIMIZED else "paper"
    seeds = f"{row['seeds']} seeds" if row.get("seeds", "1") != "1" else ""
    return ", ".join(part for part in ("here", seeds, row["caveat"]) if part)


def runs_of(row: pd.Series) -> list[str]:
    """Return the ids of the runs that a row shows, none for the paper's."""
    return str(row["runs"]).split()


def is_ours(row: pd.Series) -> bool:
    """Return whether a row was reproduced."""
    return bool(row["origin"] == "reproduced")


def paper_notes(table: pd.DataFrame, name: Callable[[pd.Series], str]) -> list[str]:
    """Return the reservations about the paper's rows in a table's CSV, each after its row's `name`."""
    noted = table[(table["origin"] == "paper") & (table["note"] != "")]
    return [f"{name(row)}: {row['note']}" for _, row in noted.iterrows()]


def sentences(*notes: str) -> str:
    """Return notes, of which each line is a sentence, as text; empty ones are left out."""
    lines = [line for note in notes for line in note.splitlines() if line]
    return " ".join(capital(line) if line.endswith((".", "?")) else f"{capital(line)}." for line in lines)


def capital(text: str) -> str:
    """Return a text with a capital first letter."""
    return text[:1].upper() + text[1:]


def unbroken(name: str) -> str:
    """Return a name that no line break divides inside "M = 5" or before an arrow."""
    for text in (" = ", " ↑", " ↓"):
        name = name.replace(text, text.replace(" ", "\N{NO-BREAK SPACE}"))
    return name
