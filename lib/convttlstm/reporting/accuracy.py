"""Cells shared by Tables 1 and 3, early activity recognition."""

import pandas as pd

from convttlstm.reporting.cells import paper_notes, short_commit
from convttlstm.results import Recognition, source_label


def origin_cells(result: Recognition) -> dict[str, str]:
    """Return the cells that identify a row's run."""
    made = result.provenance
    return {
        "origin": "reproduced",
        "scale": result.config.scale,
        "label": source_label(result.config),
        "method": result.name,
        "run": result.config.id,
        "dataset": result.config.dataset_name,
        "caveat": result.caveat,
        "commit": short_commit(made.commit, made.uncommitted_changes),
    }


def notes_of(table: pd.DataFrame) -> list[str]:
    """Return the reservations about the paper's rows in table1's or table3's CSV."""

    def name(row: pd.Series) -> str:
        group = f", {row['group']}" if row.get("group") else ""
        return f"{row['method']}, {percent(row['fraction'])}{group}"

    return paper_notes(table, name)


def share(row: pd.Series, column: str = "accuracy") -> str:
    """Return a percentage as it is shown, with its interval."""
    mean, low, high = (row.get(name, "") for name in (column, f"{column}_low", f"{column}_high"))
    if not mean:
        return "-"
    if row["origin"] == "reproduced":
        mean = f"{float(mean):.1f}"
    return f"{mean} [{float(low):.1f}, {float(high):.1f}]" if low else mean


def percent(fraction: str | float) -> str:
    """Return a share of 1 as a percentage."""
    return f"{float(fraction):.0%}".replace("%", " %")


def runs_of(cells: pd.DataFrame) -> list[str]:
    """Return the folders, below runs/, of the runs that a row shows: one for each data set."""
    ours = cells[cells["run"] != ""]
    return list(dict.fromkeys(ours["dataset"] + "/" + ours["run"]))
