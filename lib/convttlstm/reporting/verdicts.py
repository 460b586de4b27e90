"""Whether the paper's claims hold at a scale: one verdict each, with its reason."""

from collections import Counter
from dataclasses import dataclass

from convttlstm.files import listed
from convttlstm.reporting.claims import Claim
from convttlstm.reporting.evidence import Evidence, Verdict
from convttlstm.reporting.measured import Scale
from convttlstm.reporting.printed import Figures, Paper
from convttlstm.reporting.requirements import Requirements

VERDICTS: tuple[Verdict, ...] = ("reproduced", "contradicted", "undecided", "not assessed")
SHOWN = 3  # comparisons that a reason names
LACKS = "this scale has no "


@dataclass(frozen=True)
class Judgement:
    """A claim, what the paper's figures say of it, and what this scale's do."""

    claim: Claim
    figures: Figures
    evidence: tuple[Evidence, ...]
    verdict: Verdict
    why: str
    needs: str


def judge(claim: Claim, paper: Paper, scale: Scale, requirements: Requirements) -> Judgement:
    """Return the verdict on one claim.

    A claim is the conjunction of its comparisons: one that lies wholly on the other side contradicts it,
    whatever the rest is; else one that could not be made leaves it unassessed; else one whose interval
    holds zero leaves it undecided.

    Raises:
        UserError: a file that is read is missing or damaged.
    """
    evidence = tuple(found for comparison in claim.comparisons for found in scale.evidence(comparison))
    verdict = verdict_of(evidence)
    needs = requirements.of(claim) if verdict == "not assessed" else ""
    return Judgement(claim, paper.figures(claim), evidence, verdict, _why(claim, verdict, evidence), needs)


def verdict_of(evidence: tuple[Evidence, ...]) -> Verdict:
    """Return the verdict on a conjunction of comparisons; see `judge`."""
    found = Counter(part.found for part in evidence)
    decisive: tuple[Verdict, ...] = ("contradicted", "not assessed", "undecided", "reproduced")
    return next((verdict for verdict in decisive if found[verdict]), "not assessed")


def _why(claim: Claim, verdict: Verdict, evidence: tuple[Evidence, ...]) -> str:
    if claim.undecidable:
        return f"No program can decide it: {claim.undecidable[0].lower()}{claim.undecidable[1:].rstrip('.')}."
    parts = [part for part in evidence if part.found == verdict]
    if verdict == "not assessed":
        return _sentence(_reasons(parts))
    count = f"{len(parts)} of {len(evidence)} comparisons" if len(evidence) > 1 else "the comparison"
    one, exact = len(parts) == 1, all(part.exact for part in parts)
    whole = "" if exact else ", with its whole interval"
    if verdict == "reproduced":
        each = "the comparison is" if one else f"each of {len(parts)} comparisons is"
        said = f"{each} as claimed{whole}"
    elif verdict == "contradicted":
        said = f"{count} {'is' if one else 'are'} the other way{whole}: {_labels(parts)}"
    else:
        reason = "timings are too close" if exact else "zero lies in the interval"
        said = f"{count} {'does' if one else 'do'} not tell, as {reason}: {_labels(parts)}"
    return _sentence(said + _reservations(claim, evidence))


def _reasons(parts: list[Evidence]) -> str:
    """Return why nothing was decided; what the scale lacks is listed together."""
    reasons = dict.fromkeys(part.refused for part in parts)
    lacks = [reason.removeprefix(LACKS) for reason in reasons if reason.startswith(LACKS)]
    said = [LACKS + listed(lacks)] if lacks else []
    return "; ".join(said + [reason for reason in reasons if not reason.startswith(LACKS)])


def _reservations(claim: Claim, evidence: tuple[Evidence, ...]) -> str:
    said = f"; a proxy: {claim.proxy}" if claim.proxy else ""
    if any(part.seeds == 1 and not part.exact for part in evidence):
        said += "; one training of each, so the interval speaks of other test sequences only"
    return said


def _labels(parts: list[Evidence]) -> str:
    several = len({part.dataset for part in parts}) > 1
    labels = [f"{part.what}{part.where}" + (f" ({part.dataset})" if several else "") for part in parts]
    return "; ".join(labels[:SHOWN]) + (f"; and {len(labels) - SHOWN} more" if len(labels) > SHOWN else "")


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."
