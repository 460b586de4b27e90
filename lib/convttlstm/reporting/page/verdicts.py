"""The page's first section: the verdict on each of the paper's claims, by its basis."""

from collections.abc import Collection
from typing import Any

import pandas as pd

from convttlstm.files import UserError
from convttlstm.reporting.answers import answers, in_words
from convttlstm.reporting.tables.claims import GROUPS, HOURS, RULE, SEPARATOR, SHAPES


def verdicts(claims: pd.DataFrame, label: str, known: Collection[str]) -> dict[str, Any]:
    """Return the variables of verdicts.html: answers, and every claim with its verdict.

    Args:
        claims: tables/claims.csv read as text, with COLUMNS.
        label: of the scale; see `source_label`.
        known: folders below runs/ of the runs whose provenance is on the page.

    Raises:
        UserError: a verdict is none of SHAPES, or a group none of GROUPS.
    """
    for column, words in (("verdict", SHAPES), ("group", GROUPS)):
        if unknown := sorted(set(claims[column]) - set(words)):
            raise UserError(
                f"tables/claims.csv: unknown {column} {unknown[0]!r}; delete the file and run Snakemake again"
            )
    return {
        "shapes": SHAPES,
        "separator": SEPARATOR,
        "rule": f"{RULE} {HOURS}",
        "answers": answers(claims, label),
        "groups": [
            _group(name, claims[claims["group"] == name], known)
            for name in GROUPS
            if name in set(claims["group"])
        ],
    }


def _group(name: str, claims: pd.DataFrame, known: Collection[str]) -> dict[str, Any]:
    counts = claims["verdict"].value_counts()
    rows = claims.to_dict("records")
    return {
        "id": name,
        "title": GROUPS[name],
        "counts": {verdict: int(counts[verdict]) for verdict in SHAPES if verdict in counts},
        "against": int((claims["paper_holds"] == "no").sum()),
        "rows": [row | _basis(row, known) for row in rows],
    }


def _basis(row: dict[str, Any], known: Collection[str]) -> dict[str, Any]:
    """Return the numbers of seeds and sequences behind a verdict, and the runs to link to."""
    parts = []
    for name, one in (("seeds", "seed"), ("sequences", "sequence")):
        if counts := sorted(map(int, row[name].split())):
            parts.append(in_words(counts, one))
    return {"basis": ", ".join(parts), "runs": [run for run in row["runs"].split() if run in known]}
