"""The size of a claim's effect, in one number that claims about different metrics share."""

from collections.abc import Sequence
from dataclasses import dataclass

from convttlstm.claims.catalogue import Claim
from convttlstm.claims.evidence import Evidence
from convttlstm.claims.verdicts import exists

# First what speaks against the claim, then what does not decide.
ORDER = ("contradicted", "undecided", "no difference", "reproduced", "not tested")


@dataclass(frozen=True)
class Effect:
    """By how much a claim holds: the comparison that decides it, with the others.

    Values are leads, positive where they are as claimed, divided by the metric's margin; or, of counts and
    times, the share by which the first model stays below the claimed bound.

    Attributes:
        of: the comparison, in words.
        value: its lead here.
        low: of the 95 % interval, NaN where there is none.
        high: of the same.
        paper: its lead in the paper, None where that prints none.
        others: the leads of all other comparisons.
    """

    of: str
    value: float
    low: float
    high: float
    paper: float | None
    others: list[float]


def effect_of(claim: Claim, evidence: Sequence[Evidence]) -> Effect | None:
    """Return a claim's effect, None if no comparison was made or one has no size.

    A claim is the conjunction of its comparisons, so the weakest decides it; of a claim that something
    exists, the strongest.
    """
    made = [part for part in evidence if part.lead and not part.refused]
    leads = [(part.lead.value / part.unit, part) for part in made if part.lead and part.unit]
    if len(leads) < len(made) or not leads:
        return None
    leads.sort(key=lambda lead: (ORDER.index(lead[1].found), lead[0]))
    value, part = leads.pop(-1 if exists(claim) else 0)
    low, high = (bound / part.unit for bound in part.interval)
    others = [other for other, _ in leads]
    return Effect(f"{part.what}{part.where}", value, low, high, part.paper, others)
