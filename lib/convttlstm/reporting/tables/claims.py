"""The paper's claims, and the verdict on each."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from math import isnan

import pandas as pd

from convttlstm.claims.catalogue import load_claims
from convttlstm.claims.effects import ORDER, effect_of
from convttlstm.claims.evidence import Evidence
from convttlstm.claims.measured import EvidenceFinder
from convttlstm.claims.paper import Paper, printed_groups
from convttlstm.claims.requirements import REFERENCE_MINUTES, Requirements
from convttlstm.claims.verdicts import SHOWN, Assessment, decide
from convttlstm.config import evaluated_runs, settings_of_scale
from convttlstm.files import listed
from convttlstm.markup import Document, Row, Table
from convttlstm.reporting.cells import capital
from convttlstm.reporting.report import Runs, TableReport
from convttlstm.results import Scale, source_label

COLUMNS = ["claim", "group", "topic", "place", "statement", "paper", "paper_holds", "paper_note", "verdict"]
COLUMNS += ["why", "measured", "seeds", "sequences", "dataset", "horizon", "runs", "needs"]
# The size of the effect, for the replication plot; see `convttlstm.claims.effects.Effect`.
COLUMNS += ["effect_of", "effect", "effect_low", "effect_high", "effect_paper", "effect_others"]
HOLDS = {True: "yes", False: "no", None: ""}
SEPARATOR = "\n"  # between the comparisons in a cell of the CSV
# The basis of a verdict, in the order in which reports show them.
GROUPS = {
    "training": "From training at this scale",
    "asked": "Asked here, not in the paper",
    "counting": "By counting, at the paper's sizes",
    "timing": "By measured time, on the devices named",
    "undecidable": "Not decidable by a program",
    "lacking": "Not tested at this scale",
}
# Word and shape; page.css adds a colour, which some readers do not see.
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
ASKED = "asked here"
COSTS = ("complexity", "training time")  # topics that training for quality does not test
# Of questions that the paper does not ask, nothing can be reproduced.
ANSWERS = {"reproduced": "holds", "contradicted": "fails"}
RULE = (
    "A claim is reproduced if all its comparisons lie on the claimed side with their whole 95 % "
    "intervals, over seeds and test sequences, and reach beyond a stated margin. It is contradicted if one "
    "lies on the other side and reaches beyond the margin, with Holm's correction for their number. 'No "
    "difference' means that each difference that is not as claimed is smaller than the margin, with "
    "intervals corrected by Bonferroni's method. All other cases are undecided. Intervals assume that seeds "
    "and groups of sequences (videos, clips) are independent random samples, and means close to normal. They "
    "do not cover other training sets. A single seed of a trained model decides nothing. Counts hold at "
    "every scale. "
    "Times hold for the device named and say nothing about the authors' hardware. Differences are the first "
    "model's value minus the second's; less is better in MSE and LPIPS, more in PSNR, SSIM and accuracy."
)
HOURS = (
    "Hours are for three seeds of each model, on the paper's number of samples, by a device that trains "
    f"Conv-TT-LSTM on 10,000 sequences of Moving-MNIST-2 in {REFERENCE_MINUTES:.1f} minutes, as the authors' "
    "optimized code did on theirs."
)


def rows(scale: Scale, dataset: str, loaded: Runs) -> pd.DataFrame:
    """Return the verdict on each of the paper's claims."""
    paper_settings = settings_of_scale("paper")
    catalogue = load_claims(scale.paper / "claims.yaml", paper_settings, printed_groups(scale.paper))
    printed = Paper(scale.paper, catalogue)
    finder = EvidenceFinder(scale, catalogue, printed)
    requirements = Requirements(catalogue, finder.costs.counts, scale.measured("system_times"))
    claims = catalogue.claims.claims
    cells = [_cells(decide(claim, printed, finder, requirements)) for claim in claims]
    return pd.DataFrame(cells, columns=COLUMNS).fillna("")


def document(scale: Scale, dataset: str, table: pd.DataFrame) -> Document:
    """Return a table for each group of verdicts."""
    tables = claim_tables(table)
    lead = f"**{opening(table, label_of(scale))}**\n\n{others(table)}\n\n{RULE} {HOURS}"
    printed = [_brief(one) for one in tables]
    return Document(tables, "The paper's claims", lead, claim_notes(table), printed=printed)


def label_of(scale: Scale) -> str:
    """Return a scale's label; see `source_label`."""
    first = next(iter(scale.settings.experiments))
    return source_label(scale.result(first, evaluated_runs(scale.settings, first)[0]).config)


def _cells(assessment: Assessment) -> dict[str, str]:
    claim, printed, evidence = assessment.claim, assessment.printed, assessment.evidence
    compared = [part for part in evidence if part.runs]
    verdict: str = assessment.verdict
    if claim.topic == ASKED:
        verdict = ANSWERS.get(verdict, verdict)
    return {
        "claim": claim.id,
        "group": _group(assessment),
        "topic": claim.topic,
        "place": claim.place,
        "statement": claim.statement,
        "paper": printed.text,
        "paper_holds": HOLDS[printed.holds],
        "paper_note": printed.note,
        "verdict": verdict,
        "why": assessment.why,
        "measured": _measured(evidence),
        "seeds": str(min(part.seeds for part in compared)) if compared else "",
        "sequences": _distinct(str(part.sequences) for part in compared if part.sequences),
        "dataset": _distinct(part.dataset for part in evidence),
        "horizon": _distinct(horizon for part in compared for horizon in part.horizon.split()),
        "runs": _distinct(run for part in compared for run in part.runs),
        "needs": assessment.needs,
        **(_effect_cells(assessment) if verdict != "not tested" else {}),
    }


def _effect_cells(assessment: Assessment) -> dict[str, str]:
    effect = effect_of(assessment.claim, assessment.evidence)
    if effect is None:
        return {}
    numbers = {"effect": effect.value, "effect_low": effect.low, "effect_high": effect.high}
    numbers |= {"effect_paper": effect.paper} if effect.paper is not None else {}
    cells = {name: f"{value:.6g}" for name, value in numbers.items() if not isnan(value)}
    others = " ".join(f"{value:.6g}" for value in effect.others)
    return {"effect_of": effect.of} | cells | {"effect_others": others}


def _group(assessment: Assessment) -> str:
    if assessment.verdict == "not tested":
        return "lacking"
    return "asked" if assessment.claim.topic == ASKED else assessment.claim.basis


def _measured(evidence: Sequence[Evidence]) -> str:
    """Return all measured values: first those against the claim, then those that decide nothing."""
    measured = [part for part in evidence if part.text]
    several = len({part.dataset for part in measured}) > 1
    return SEPARATOR.join(
        f"{part.text}{part.where}" + (part.on_dataset if several else "")
        for part in sorted(measured, key=lambda part: ORDER.index(part.found))
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
    """Return in words the verdicts from training at a scale, from claims.csv read as text.

    Args:
        table: claims.csv.
        label: of the scale; see `source_label`.
    """
    scale = label.partition(":")[0]
    tested, asked = (table[table["group"] == group] for group in ("training", "asked"))
    if tested.empty and asked.empty:
        return f"Training at {scale} shows nothing about the paper's claims."
    lacking = int(((table["group"] == "lacking") & ~table["topic"].isin([ASKED, *COSTS])).sum())
    papers = f"{len(tested) or 'none'} of the paper's {len(tested) + lacking} claims about quality"
    verdicts = ("reproduced", "contradicted", "no difference", "undecided")
    parts = [f"Training at {scale} tests {papers}.", *_outcomes(tested, verdicts)]
    if len(asked):
        own = [ANSWERS.get(verdict, verdict) for verdict in verdicts]
        parts += [f"It also tests {len(asked)} of our own.", *_outcomes(asked, own)]
    return " ".join(parts if scale == "paper scale" else [*parts, "Other scales may come out differently."])


def _outcomes(tested: pd.DataFrame, verdicts: Iterable[str]) -> Iterator[str]:
    """Yield for each verdict how many claims have it, and which if they are few."""
    if tested.empty:
        return
    for verdict in verdicts:
        named = [text.rstrip(".") for text in tested[tested["verdict"] == verdict]["statement"]]
        known = f" ({'; '.join(named)})" if 1 <= len(named) <= SHOWN else ""
        yield capital(f"{verdict}: {len(named) or 'none'}{known}.")


def others(table: pd.DataFrame) -> str:
    """Return in words the verdicts without training, and how many the paper's own numbers contradict."""
    against, papers = (table["paper_holds"] == "no").sum(), int((table["topic"] != ASKED).sum())
    undecidable = (table["group"] == "undecidable").sum()
    return (
        f"{counted_and_timed(table)} No program can decide {undecidable}. The paper's own numbers contradict "
        f"{against} of its {papers} claims."
    )


def counted_and_timed(table: pd.DataFrame) -> str:
    """Return in words which claims hold by counting and by measured time."""
    counted, timed = (table[table["group"] == name]["verdict"] for name in ("counting", "timing"))
    return (
        f"By counting, {_held(counted)}. By measured time, on the devices named and not the authors', "
        f"{_held(timed)}."
    )


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
        "The paper's numbers",
        "They agree",
        "Measured here",
        "Why, and what a test needs",
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
    """Return the reservations about the paper's numbers, from claims.csv read as text."""
    noted = table[table["paper_note"] != ""]
    return [f"{row['claim']}: {row['paper_note']}" for _, row in noted.iterrows()]


REPORT = TableReport(
    name="claims",
    each=False,
    runs=evaluated_runs,
    reads=lambda scale, dataset: [
        scale.folder / "complexity.csv",
        scale.paper / "claims.yaml",
        *(scale.paper / f"table{number}.csv" for number in (1, 2, 3, 4)),
        *scale.measured("system_times", "train_step", "algorithms", "receptive_fields", "scaling"),
    ],
    title="Which claims hold",
    rows=rows,
    document=document,
    columns=COLUMNS,
)
