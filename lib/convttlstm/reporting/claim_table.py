"""The table of the paper's claims and their verdicts, as CSV, Markdown and LaTeX."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd

from convttlstm.config import Settings, evaluated_runs, read_run
from convttlstm.files import write_text
from convttlstm.reporting.claims import load_claims
from convttlstm.reporting.evidence import Evidence
from convttlstm.reporting.markup import LATEX_HEAD, Row, Table, to_latex, to_markdown
from convttlstm.reporting.measured import Scale
from convttlstm.reporting.printed import Paper, printed_groups
from convttlstm.reporting.requirements import REFERENCE_MINUTES, Requirements
from convttlstm.reporting.results import beside, what_it_proves
from convttlstm.reporting.verdicts import SHOWN, VERDICTS, Judgement, judge

HOLDS = {True: "yes", False: "no", None: ""}
RULE = (
    "A claim is reproduced if every one of its comparisons lies on the claimed side with its whole 95 % "
    "interval (paired bootstrap over shared test sequences and trainings), contradicted if one lies wholly "
    "on the other, undecided if zero lies in one. Counts are of the paper's sizes and hold at every scale; "
    "timings in benchmarks/results hold for the machine that they name. Differences are the first system's "
    "figure less the second's; less is better in MSE and LPIPS, more in PSNR, SSIM and accuracy."
)
HOURS = (
    "Hours are for one training of each system, on the paper's number of samples, by a device that trains "
    f"Conv-TT-LSTM on 10,000 sequences of Moving-MNIST-2 in {REFERENCE_MINUTES:.1f} minutes, as the authors' "
    "optimized code did on theirs."
)


def write_claims(
    results: Path,
    settings: Settings,
    paper_settings: Settings,
    measured: Sequence[Path],
    paper: Path,
    output: Path,
) -> None:
    """Write what became of each of the paper's claims at a scale.

    Args:
        results: folder of the scale, such as results/laptop, with complexity.csv.
        settings: of the scale.
        paper_settings: of the paper's scale, whose names the claims use.
        measured: CSV files of benchmarks/results; there may be none.
        paper: folder of the paper's own numbers and of claims.yaml.
        output: path without suffix; .csv, .md and .tex are written.

    Raises:
        UserError: a file that is read is missing or damaged, or claims.yaml names something unknown.
    """
    catalogue = load_claims(paper / "claims.yaml", paper_settings, printed_groups(paper))
    figures, scale = Paper(paper, catalogue), Scale(results, settings, catalogue, measured)
    requirements = Requirements(catalogue, scale.counts, measured)
    judged = [judge(claim, figures, scale, requirements) for claim in catalogue.claims.claims]
    table = pd.DataFrame([_cells(judgement) for judgement in judged])
    first = next(iter(settings.experiments))
    label = what_it_proves(read_run(results / "runs" / first / evaluated_runs(settings, first)[0]))
    write_text(beside(output, ".csv"), table.to_csv(index=False))
    tables = claim_tables(table, label)
    said = f"**{_capital(label)}.** {_capital(summary(table, label))}."
    head = f"# The paper's claims\n\n{said}\n\n{RULE} {HOURS}\n"
    notes = "\n".join(f"- {note}" for note in claim_notes(table))
    listed = f"## Reservations about the paper's figures\n\n{notes}\n"
    write_text(beside(output, ".md"), "\n".join([head, *map(to_markdown, tables), listed]))
    write_text(beside(output, ".tex"), "\n".join([LATEX_HEAD, *(to_latex(_brief(one)) for one in tables)]))


def _cells(judgement: Judgement) -> dict[str, str]:
    claim, figures, evidence = judgement.claim, judgement.figures, judgement.evidence
    compared = [part for part in evidence if part.runs]
    return {
        "claim": claim.id,
        "topic": claim.topic,
        "place": claim.place,
        "statement": claim.statement,
        "paper": figures.text,
        "paper_holds": HOLDS[figures.holds],
        "paper_note": figures.note,
        "verdict": judgement.verdict,
        "why": judgement.why,
        "measured": _measured(evidence),
        "seeds": str(min(part.seeds for part in compared)) if compared else "",
        "sequences": _distinct(str(part.sequences) for part in compared if part.sequences),
        "dataset": _distinct(part.dataset for part in evidence),
        "horizon": _distinct(horizon for part in compared for horizon in part.horizon.split()),
        "runs": _distinct(run for part in compared for run in part.runs),
        "needs": judgement.needs,
    }


def _measured(evidence: Sequence[Evidence]) -> str:
    """Return all that was measured, what speaks against the claim first, then what does not tell."""
    several = len({part.dataset for part in evidence if part.text}) > 1
    ordered = sorted(evidence, key=lambda part: (part.high >= 0, part.low > 0))
    return "; ".join(
        f"{part.text}{part.where}" + (f" ({part.dataset})" if several else "")
        for part in ordered
        if part.text
    )


def _brief(table: Table) -> Table:
    """Return the columns that fit a printed page: verdict, claim, place, and whether the paper agrees."""
    kept = (0, 1, 2, 4)
    rows = [replace(row, cells=[row.cells[i] for i in kept]) for row in table.rows]
    header, align = [table.header[i] for i in kept], "".join(table.align[i] for i in kept)
    return replace(table, header=header, align=align, rows=rows)


def _few(text: str) -> str:
    """Return the first comparisons of a cell, and how many there are besides."""
    parts = text.split("; ")
    if len(parts) <= SHOWN + 1:
        return text
    return "; ".join(parts[:SHOWN]) + f"; and {len(parts) - SHOWN} more"


def _distinct(texts: Iterable[str]) -> str:
    return " ".join(dict.fromkeys(text for text in texts if text))


def summary(table: pd.DataFrame, label: str) -> str:
    """Return how many claims came to which verdict, and how many the paper's own figures contradict."""
    counts = ", ".join(f"{(table['verdict'] == verdict).sum()} {verdict}" for verdict in VERDICTS)
    against = (table["paper_holds"] == "no").sum()
    where = label.partition(":")[0]
    return f"of {len(table)} claims {counts}, at {where}; the paper's own figures contradict {against}"


def claim_tables(table: pd.DataFrame, label: str) -> list[Table]:
    """Return a table for each topic, from claims.csv read as text."""
    names = (
        "Verdict",
        "Claim",
        "Place",
        "The paper's figures",
        "They agree",
        "Measured here",
        "Why, and what it needs",
    )
    header = [("", name) for name in names]
    tables = []
    for topic in dict.fromkeys(table["topic"]):
        own = table[table["topic"] == topic]
        rows = [Row(_line(row), ours=True) for _, row in own.iterrows()]
        title = f"Claims: {topic}"
        note = f"{_capital(label)}. {_capital(summary(own, label))}."
        tables.append(Table(title, note, header, "lwwwlww", rows))
    return tables


def _line(row: pd.Series) -> list[str]:
    needs = f" It would take {row['needs']}." if row["needs"] else ""
    cells = [row["verdict"], row["statement"], row["place"], _few(row["paper"]), row["paper_holds"]]
    return [cell or "-" for cell in (*cells, _few(row["measured"]), row["why"] + needs)]


def claim_notes(table: pd.DataFrame) -> list[str]:
    """Return the reservations about the paper's figures, from claims.csv read as text."""
    noted = table[table["paper_note"] != ""]
    return [f"{row['claim']}: {row['paper_note']}" for _, row in noted.iterrows()]


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]
