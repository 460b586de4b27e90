"""Verdicts on the paper's claims at a scale, with reasons.

A claim holds if all its comparisons do. docs/statistics.md explains the rules and their error rates.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from convttlstm.claims.catalogue import Claim, TimeClaim
from convttlstm.claims.evidence import LACKS, Evidence, Verdict
from convttlstm.claims.measured import EvidenceFinder
from convttlstm.claims.paper import Paper, PrintedValues
from convttlstm.claims.requirements import Requirements
from convttlstm.evaluation.intervals import TAIL, below_zero
from convttlstm.files import listed

SHOWN = 3  # comparisons that a reason names


@dataclass(frozen=True)
class Assessment:
    """A claim, the paper's values for it, this scale's evidence, and the verdict with its reason."""

    claim: Claim
    printed: PrintedValues
    evidence: tuple[Evidence, ...]
    verdict: Verdict
    why: str
    needs: str


def decide(claim: Claim, paper: Paper, finder: EvidenceFinder, requirements: Requirements) -> Assessment:
    """Return the verdict on one claim.

    Raises:
        UserError: a file is missing or damaged.
    """
    evidence = tuple(found for comparison in claim.comparisons for found in finder.evidence(comparison))
    verdict = verdict_of(claim, evidence)
    needs = requirements.of(claim) if verdict in ("not tested", "not decidable") else ""
    return Assessment(
        claim, paper.printed_values(claim), evidence, verdict, _why(claim, verdict, evidence), needs
    )


def verdict_of(claim: Claim, evidence: Sequence[Evidence]) -> Verdict:
    """Return the verdict on a claim, the first of these that applies.

    - not decidable: no program can decide it.
    - contradicted: a comparison shows the opposite, after Holm's correction for their number.
    - not tested: a comparison could not be made.
    - undecided: an interval contains both zero and leads beyond the margin.
    - no difference: each comparison supports the claim or is smaller than the margin, some are the latter,
      with intervals corrected for the number of comparisons (Bonferroni).
    - reproduced: all support the claim. No correction is needed, since all of them must.

    Claims about counts and times hold or fail instead. A claim that something exists holds once one device
    shows it; otherwise it is undecided.
    """
    if claim.basis == "undecidable":
        return "not decidable"
    found = [part.found for part in evidence]
    if claim.basis != "training":
        return _exact_verdict(claim, found)
    if contradicting(evidence):
        return "contradicted"
    if "not tested" in found:
        return "not tested"
    if {"undecided", "contradicted"} & {*found}:
        return "undecided"
    small = [part for part in evidence if part.found == "no difference"]
    if not small:
        return "reproduced"
    return "no difference" if all(part.is_small(TAIL / len(evidence)) for part in small) else "undecided"


def contradicting(evidence: Sequence[Evidence]) -> list[Evidence]:
    """Return the comparisons that show the opposite after Holm's correction, by more than the margin."""
    made = [part for part in evidence if part.lead and not part.refused]
    below = below_zero([part.lead for part in made if part.lead])
    return [part for i, part in enumerate(made) if i in below and part.found == "contradicted"]


def exists(claim: Claim) -> bool:
    """Return whether a claim says that something exists: one device can show it, none can refute it."""
    return any(isinstance(comparison, TimeClaim) and comparison.exists for comparison in claim.comparisons)


def _exact_verdict(claim: Claim, found: Sequence[Verdict]) -> Verdict:
    if exists(claim):
        return (
            "holds" if "reproduced" in found else "undecided" if {*found} - {"not tested"} else "not tested"
        )
    if "contradicted" in found:
        return "fails"
    if "not tested" in found:
        return "not tested"
    return "undecided" if "undecided" in found else "holds"


def _why(claim: Claim, verdict: Verdict, evidence: tuple[Evidence, ...]) -> str:
    if verdict == "not decidable":
        return f"{claim.undecidable[0].upper()}{claim.undecidable[1:].rstrip('.')}."
    if verdict == "not tested":
        return _sentence(_reasons([part for part in evidence if part.found == "not tested"]))
    said = _outcome(claim, verdict, evidence)
    return _sentence(said + (f"; a proxy: {claim.proxy}" if claim.proxy else ""))


def _outcome(claim: Claim, verdict: Verdict, evidence: tuple[Evidence, ...]) -> str:
    training = claim.basis == "training"
    whole = " with the whole interval" if training else ""
    if verdict in ("reproduced", "holds"):
        count = len(_with(evidence, "reproduced"))
        if exists(claim):
            tried = len([part for part in evidence if not part.refused])
            return (
                f"{count} of {tried} measurements {'shows' if count == 1 else 'show'} it, and one is enough"
            )
        each = "the comparison is" if count == 1 else f"each of {count} comparisons is"
        return f"{each} as claimed{whole}"
    if verdict in ("contradicted", "fails"):
        parts = contradicting(evidence) if training else _with(evidence, "contradicted")
        made = [part for part in evidence if not part.refused]
        said = f"{_number(parts, made)} the other way{whole}"
        corrected = f", corrected for {len(made)} comparisons" if training and len(made) > 1 else ""
        return f"{said}{corrected}: {_labels(parts)}"
    if verdict == "no difference":
        parts = _with(evidence, "no difference")
        return f"{_number(parts, evidence)} within the margin with the whole interval: {_labels(parts)}"
    if exists(claim):
        return "no device measured here shows it, which refutes nothing"
    parts = [part for part in evidence if part.found in ("undecided", "contradicted")]
    # Else differences are within the margin, but not with intervals corrected for their number.
    parts = parts or [p for p in _with(evidence, "no difference") if not p.is_small(TAIL / len(evidence))]
    reason = "the intervals are too wide" if training else "the timings are too close"
    return f"{_number(parts, evidence)} undecided, as {reason}: {_labels(parts)}"


def _with(evidence: Sequence[Evidence], verdict: Verdict) -> list[Evidence]:
    return [part for part in evidence if part.found == verdict]


def _number(parts: Sequence[Evidence], evidence: Sequence[Evidence]) -> str:
    if len(evidence) == 1:
        return "the comparison is"
    return f"{len(parts)} of {len(evidence)} comparisons {'is' if len(parts) == 1 else 'are'}"


def _reasons(parts: list[Evidence]) -> str:
    """Return why comparisons were excluded; all that the scale lacks is joined into one reason."""
    reasons = dict.fromkeys(part.refused for part in parts)
    lacks = [reason.removeprefix(LACKS) for reason in reasons if reason.startswith(LACKS)]
    said = [LACKS + listed(lacks)] if lacks else []
    return "; ".join(said + [reason for reason in reasons if not reason.startswith(LACKS)])


def _labels(parts: Sequence[Evidence]) -> str:
    several = len({part.dataset for part in parts}) > 1
    labels = [f"{part.what}{part.where}" + (part.on_dataset if several else "") for part in parts]
    return "; ".join(labels[:SHOWN]) + (f"; and {len(labels) - SHOWN} more" if len(labels) > SHOWN else "")


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."
