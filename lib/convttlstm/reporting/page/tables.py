"""Tables as macros.html shows them: From and, on narrow screens, other text is below a row's name."""

from itertools import groupby
from typing import Any

from convttlstm.markup import Row, Table
from convttlstm.reporting.cells import capital, unbroken

FROM = "From"
IMPLIED = {"", "-", "paper", "here"}


def shown(table: Table, dataset: str, heading: str) -> dict[str, Any]:
    """Return a table's columns and rows.

    Args:
        table: the table.
        dataset: its data set, which runs without one belong to.
        heading: the heading above it, which its title does not repeat.
    """
    kept = [i for i, (_, name) in enumerate(table.header) if name != FROM]
    groups = [(name, len(list(members))) for name, members in groupby(kept, lambda i: table.header[i][0])]
    # Where rows of the paper and of ours take turns, each says which it is.
    mixed = len(table.bodies()) == 1 and len({row.ours for row in table.rows}) == 2
    bodies = [
        (title, [_row(table, row, dataset, kept, mixed=mixed) for row in rows])
        for title, rows in table.bodies()
    ]
    return {
        "title": capital(table.title.removeprefix(f"{heading}, ")),
        "note": table.note,
        "groups": groups if any(name for name, _ in groups) else [],
        "columns": [{"name": unbroken(table.header[i][1]), "align": table.align[i]} for i in kept],
        "bodies": bodies,
    }


def _row(table: Table, row: Row, dataset: str, kept: list[int], *, mixed: bool) -> dict[str, Any]:
    sources = [row.cells[i] for i, (_, name) in enumerate(table.header) if name == FROM]
    if not mixed:
        sources = [source.removeprefix("here, ") for source in sources if source not in IMPLIED]
    return {
        "ours": row.ours,
        "name": unbroken(row.cells[0]),
        "source": ", ".join(sources),
        "texts": [row.cells[i] for i in kept[1:] if table.align[i] != "r" and row.cells[i] != "-"],
        "runs": [run if "/" in run else f"{dataset}/{run}" for run in row.runs],
        "cells": [_cell(row.cells[i], table.align[i], row.marks.get(i, "")) for i in kept[1:]],
    }


def _cell(text: str, align: str, mark: str) -> dict[str, str]:
    """Return a cell; the interval of a number is apart."""
    mean, bracket, bounds = text.partition(" [") if align == "r" else (text, "", "")
    return {"text": mean, "interval": f"[{bounds}" if bracket else "", "align": align, "mark": mark}
