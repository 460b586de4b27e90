"""The table of the paper's claims and their verdicts, as CSV, Markdown and LaTeX."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd

from convttlstm.config import Settings, evaluated_runs, read_run
from convttlstm.files import listed, write_text
from convttlstm.reporting.claims import load_claims
from convttlstm.reporting.evidence import Evidence
from convttlstm.reporting.markup import LATEX_HEAD, Row, Table, to_latex, to_markdown
from convttlstm.reporting.measured import Scale
from convttlstm.reporting.printed import Paper, printed_groups
from convttlstm.reporting.requirements import REFERENCE_MINUTES, Requirements
from convttlstm.reporting.results import beside, what_it_proves
from convttlstm.reporting.verdicts import SHOWN, Judgement, decide

HOLDS = {True: "yes", False: "no", None: ""}
SEPARATOR = "\n"  # between the comparisons in a cell of the CSV
# How a verdict came about, in the order in which reports show them.
GROUPS = {
    "training": "From training at this scale",
    "counting": "By counting, at the paper's sizes",
    "timing": "By measured time, on the devices named",
    "undecidable": "Not decidable by a program",
    "lacking": "Not tested, as runs are lacking",
}
RULE = (
    "A claim is reproduced if all its comparisons lie on the claimed side with their whole 95 % "
    "intervals, over seeds and test sequences; contradicted if one lies on the other side after Holm's "
    "correction for their number; there is no difference if what is not as claimed is smaller than a "
    "stated margin, with intervals corrected likewise; else it is undecided. Intervals take seeds and "
    "groups of sequences (videos, clips) as independent random samples of all others, and values as close "
    "to normal; a single seed of a trained model decides nothing. Counts hold at every scale. Times hold "
    "for the device named and say nothing about the authors' hardware. Differences are the first model's "
    "value less the second's; less is better in MSE and LPIPS, more in PSNR, SSIM and accuracy."
)
HOURS = (
    "Hours are for three seeds of each model, on the paper's number of samples, by a device that trains "
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
    """Write the verdict on each of the paper's claims at a scale.

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
    printed = Paper(paper, catalogue)
    scale = Scale(results, settings, catalogue, printed, measured)
    requirements = Requirements(catalogue, scale.counts, measured)
    decided = [decide(claim, printed, scale, requirements) for claim in catalogue.claims.claims]
    table = pd.DataFrame([_cells(judgement) for judgement in decided])
    first = next(iter(settings.experiments))
    label = what_it_proves(read_run(results / "runs" / first / evaluated_runs(settings, first)[0]))
    write_text(beside(output, ".csv"), table.to_csv(index=False))
    tables = claim_tables(table)
    head = f"# The paper's claims\n\n**{opening(table, label)}**\n\n{others(table)}\n\n{RULE} {HOURS}\n"
    notes = "\n".join(f"- {note}" for note in claim_notes(table))
    listed = f"## Reservations about the paper's figures\n\n{notes}\n"
    write_text(beside(output, ".md"), "\n".join([head, *map(to_markdown, tables), listed]))
    write_text(beside(output, ".tex"), "\n".join([LATEX_HEAD, *(to_latex(_brief(one)) for one in tables)]))


def _cells(judgement: Judgement) -> dict[str, str]:
    claim, figures, evidence = judgement.claim, judgement.figures, judgement.evidence
    compared = [part for part in evidence if part.runs]
    return {
        "claim": claim.id,
        "group": "lacking" if judgement.verdict == "not tested" else claim.basis,
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
    """Return all that was measured: first what speaks against the claim, then what does not decide."""
    measured = [part for part in evidence if part.text]
    several = len({part.dataset for part in measured}) > 1
    order = ("contradicted", "undecided", "no difference", "reproduced", "not tested")
    return SEPARATOR.join(
        f"{part.text}{part.where}" + (f" ({part.dataset})" if several else "")
        for part in sorted(measured, key=lambda part: order.index(part.found))
    )


def _brief(table: Table) -> Table:
    """Return the columns that fit a printed page: verdict, claim, place, and whether the paper agrees."""
    kept = (0, 1, 2, 4)
    rows = [replace(row, cells=[row.cells[i] for i in kept]) for row in table.rows]
    header, align = [table.header[i] for i in kept], "".join(table.align[i] for i in kept)
    return replace(table, header=header, align=align, rows=rows)


def _few(text: str) -> str:
    """Return the first comparisons of a cell, and the number of the others."""
    parts = text.split(SEPARATOR)
    kept = parts if len(parts) <= SHOWN + 1 else [*parts[:SHOWN], f"and {len(parts) - SHOWN} more"]
    return "; ".join(kept)


def _distinct(texts: Iterable[str]) -> str:
    return " ".join(dict.fromkeys(text for text in texts if text))


def opening(table: pd.DataFrame, label: str) -> str:
    """Return in words what training at a scale shows, from claims.csv read as text.

    Args:
        table: claims.csv.
        label: what the scale is; see `what_it_proves`.
    """
    scale = label.partition(":")[0]
    tested = table[table["group"] == "training"]
    if tested.empty:
        return f"Training at {scale} shows nothing about the paper's claims."
    lacking = int((table["group"] == "lacking").sum())
    verbs = {
        "reproduced": "reproduces",
        "contradicted": "contradicts",
        "no difference": "finds no difference in",
        "undecided": "leaves undecided",
    }
    parts = []
    for verdict, verb in verbs.items():
        names = [name.replace("-", " ") for name in tested[tested["verdict"] == verdict]["claim"]]
        parts.append(f"{verb} {len(names)} ({', '.join(names)})" if names else f"{verb} none")
    said = f"Training at {scale} tests {len(tested)} of {len(tested) + lacking} claims: it {listed(parts)}."
    return said if scale == "paper scale" else f"{said} Other scales may come out differently."


def others(table: pd.DataFrame) -> str:
    """Return in words what does not rest on training, and what the paper's own figures contradict."""
    held = {name: table[table["group"] == name]["verdict"] for name in GROUPS}
    counted, timed, against = held["counting"], held["timing"], (table["paper_holds"] == "no").sum()
    parts = [
        f"By counting, {_held(counted)}.",
        f"By measured time, on the devices named and not the authors', {_held(timed)}.",
        f"No program can decide {len(held['undecidable'])}.",
        f"The paper's own figures contradict {against} of its {len(table)} claims.",
    ]
    return " ".join(parts)


def _held(verdicts: pd.Series) -> str:
    counts = {word: int((verdicts == word).sum()) for word in ("holds", "fails", "undecided")}
    words = {
        "holds": ("claim holds", "claims hold"),
        "fails": ("fails", "fail"),
        "undecided": ("is undecided",) * 2,
    }
    said = [f"{n} {words[word][n != 1]}" for word, n in counts.items() if n or word != "undecided"]
    return listed(said)


def claim_tables(table: pd.DataFrame) -> list[Table]:
    """Return a table for each group of verdicts, from claims.csv read as text."""
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
    for group, title in GROUPS.items():
        rows = [Row(_line(row), ours=True) for _, row in table[table["group"] == group].iterrows()]
        if rows:
            tables.append(Table(title, "", header, "lwwwlww", rows))
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
