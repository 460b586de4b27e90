"""The page's first section: the verdict on each of the paper's claims, by how it came about."""

from collections.abc import Collection
from typing import Any

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from convttlstm.files import UserError
from convttlstm.reporting.claim_table import GROUPS, RULE, SEPARATOR, opening, others
from convttlstm.reporting.markup import origin_link

# Word, shape and, in page.css, colour: colour alone says nothing to some readers.
SHAPES = {
    "reproduced": "✓",
    "contradicted": "✗",
    "no difference": "=",
    "undecided": "≈",
    "holds": "✓",
    "fails": "✗",
    "not decidable": "-",
    "not tested": "○",
}
OPEN = {"training", "counting", "timing"}  # the others are folded
COLUMNS = ["claim", "group", "topic", "place", "statement", "paper", "paper_holds", "paper_note", "verdict"]
COLUMNS += ["why", "measured", "seeds", "sequences", "dataset", "horizon", "runs", "needs"]


def verdicts(claims: pd.DataFrame, label: str, known: Collection[str]) -> str:
    """Return what training at the scale shows, in words, and every claim with its verdict.

    Args:
        claims: tables/claims.csv read as text, with COLUMNS.
        label: what the scale is; see `what_it_proves`.
        known: folders, below runs/, of the runs that the page says more about.

    Raises:
        UserError: a verdict is none of SHAPES, or a group none of GROUPS.
    """
    for column, words in (("verdict", SHAPES), ("group", GROUPS)):
        if unknown := sorted(set(claims[column]) - set(words)):
            raise UserError(
                f"tables/claims.csv: unknown {column} {unknown[0]!r}; delete the file and make it again"
            )
    environment = Environment(
        loader=PackageLoader(__package__, "."), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    return environment.get_template("verdicts.html").render(
        shapes=SHAPES,
        separator=SEPARATOR,
        rule=RULE,
        opening=opening(claims, label),
        others=others(claims),
        groups=[
            _group(name, claims[claims["group"] == name], known)
            for name in GROUPS
            if name in set(claims["group"])
        ],
    )


def _group(name: str, claims: pd.DataFrame, known: Collection[str]) -> dict[str, Any]:
    counts = claims["verdict"].value_counts()
    rows = claims.to_dict("records")
    return {
        "id": name,
        "title": GROUPS[name],
        "open": name in OPEN,
        "counts": {verdict: int(counts[verdict]) for verdict in SHAPES if verdict in counts},
        "against": int((claims["paper_holds"] == "no").sum()),
        "rows": [row | {"basis": _basis(row, known)} for row in rows],
    }


def _basis(row: dict[str, Any], known: Collection[str]) -> Markup:
    """Return the numbers of seeds and sequences behind a verdict, with a link to the runs."""
    parts = []
    for name, one in (("seeds", "seed"), ("sequences", "sequence")):
        if count := " or ".join(row[name].split()):
            parts.append(Markup("{} {}").format(count, one if count == "1" else name))
    if runs := [run for run in row["runs"].split() if run in known]:
        parts.append(Markup(origin_link(f"{len(runs)} runs" if len(runs) > 1 else "one run", runs)))
    return Markup(" ({})").format(Markup(", ").join(parts)) if parts else Markup("")
