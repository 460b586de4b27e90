"""The paper's claims and what became of them, as the page's first section."""

import html
from collections.abc import Collection
from importlib import resources
from string import Template

import pandas as pd

from convttlstm.files import UserError
from convttlstm.reporting.markup import origin_link

# Word, shape and, in page.css, colour: no verdict is told by its colour alone.
SHAPES = {"reproduced": "✓", "contradicted": "✗", "undecided": "≈", "not assessed": "○"}
FLAG = '<span aria-hidden="true">⚑</span> The paper\'s own figures contradict it.'
COLUMNS = ["claim", "topic", "place", "statement", "paper", "paper_holds", "paper_note", "verdict", "why"]
COLUMNS += ["measured", "seeds", "sequences", "dataset", "horizon", "runs", "needs"]


def verdicts(claims: pd.DataFrame, known: Collection[str]) -> str:
    """Return the counts of verdicts by topic, and beneath them every claim.

    Args:
        claims: tables/claims.csv read as text, with COLUMNS.
        known: folders, below runs/, of the runs whose origin the page shows.

    Raises:
        UserError: a verdict is none of SHAPES.
    """
    if unknown := sorted(set(claims["verdict"]) - set(SHAPES)):
        raise UserError(f"tables/claims.csv: no verdict is called {unknown[0]!r}; make it anew")
    topics = list(dict.fromkeys(claims["topic"]))
    fields = {
        "summary": _in_words(claims),
        "heads": "".join(f'<th scope="col">{_badge(verdict)}</th>' for verdict in SHAPES),
        "counts": "\n".join(_counts(topic, claims) for topic in topics),
        "topics": "\n".join(_topic(topic, claims, known) for topic in topics),
    }
    template = Template(resources.files(__package__).joinpath("verdicts.html").read_text())
    return template.substitute(fields)


def _in_words(claims: pd.DataFrame) -> str:
    counted = claims["verdict"].value_counts()
    parts = [f"{counted[verdict]} {verdict}" for verdict in SHAPES if verdict in counted]
    said = f"Of {len(claims)} claims: {', '.join(parts)}."
    against = int((claims["paper_holds"] == "no").sum())
    return said + (f" The paper's own figures contradict {against} of them." if against else "")


def _badge(verdict: str, count: int | None = None) -> str:
    kind, text = verdict.replace(" ", "-"), verdict if count is None else f"{count} {verdict}"
    return f'<span class="verdict {kind}"><span aria-hidden="true">{SHAPES[verdict]}</span> {text}</span>'


def _topic_id(topic: str) -> str:
    return "claims-" + "".join(letter if letter.isalnum() else "-" for letter in topic.lower())


def _counts(topic: str, claims: pd.DataFrame) -> str:
    own = claims[claims["topic"] == topic]["verdict"]
    cells = "".join(f"<td>{int((own == verdict).sum()) or '·'}</td>" for verdict in SHAPES)
    link = f'<a href="#{_topic_id(topic)}">{html.escape(_capital(topic))}</a>'
    return f'<tr><th scope="row">{link}</th>{cells}</tr>'


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _topic(topic: str, claims: pd.DataFrame, known: Collection[str]) -> str:
    """Return a topic's claims: first those that were judged, then, folded up, the others."""
    own = claims[claims["topic"] == topic]
    judged = own["verdict"] != "not assessed"
    parts = [f'<h3 id="{_topic_id(topic)}">{html.escape(_capital(topic))}</h3>']
    if judged.any():
        parts.append(_claims(own[judged], known))
    if not judged.all():
        against = int((own[~judged]["paper_holds"] == "no").sum())
        more = f", of which the paper's own figures contradict {against}" if against else ""
        summary = f"<summary>{_badge('not assessed', int((~judged).sum()))}{more}</summary>"
        parts.append(f"<details>{summary}{_claims(own[~judged], known)}</details>")
    return "\n".join(parts)


def _claims(claims: pd.DataFrame, known: Collection[str]) -> str:
    items = [_claim(row, known) for _, row in claims.iterrows()]
    return "\n".join(['<ul class="claims">', *items, "</ul>"])


def _claim(row: pd.Series, known: Collection[str]) -> str:
    place = f"<small>{html.escape(row['place'])}</small>"
    lines = [
        f'<p class="statement">{html.escape(row["statement"])} {place}</p>',
        f"<p>{html.escape(_capital(row['why'])).rstrip('.')}.{_basis(row, known)}</p>",
        _listed("Measured here", row["measured"]),
        _listed("The paper", row["paper"]),
    ]
    note = html.escape(row["paper_note"])
    if row["paper_holds"] == "no":
        lines.append(f'<p class="flag">{FLAG} {note}</p>')
    elif note:
        lines.append(f'<p class="why">{note}</p>')
    if row["needs"]:
        lines.append(f'<p class="why">To judge it takes {html.escape(row["needs"])}.</p>')
    opening = f'<li id="claim-{html.escape(row["claim"])}">{_badge(row["verdict"])}<div>'
    return f"{opening}{''.join(lines)}</div></li>"


def _listed(name: str, figures: str) -> str:
    """Return figures that claims.csv parts by semicolons: one stands open, several unfold."""
    first, *more = figures.split("; ")
    if not more:
        return f'<p class="figures">{name}: {html.escape(first)}</p>' if first else ""
    items = "".join(f"<li>{html.escape(figure)}</li>" for figure in (first, *more))
    summary = f"<summary>{name}: {1 + len(more)} comparisons</summary>"
    return f'<details class="figures">{summary}<ul>{items}</ul></details>'


def _basis(row: pd.Series, known: Collection[str]) -> str:
    """Return what the verdict rests on, with a link to where its runs come from."""
    parts = []
    for name, one in (("seeds", "seed"), ("sequences", "sequence")):
        if count := " or ".join(row[name].split()):
            parts.append(f"{html.escape(count)} {one if count == '1' else name}")
    runs = [run for run in row["runs"].split() if run in known]
    if runs:
        parts.append(origin_link(f"{len(runs)} runs" if len(runs) > 1 else "one run", runs))
    return f" ({', '.join(parts)})" if parts else ""
