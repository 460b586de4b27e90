"""Values of single test sequences and clips, and differences of two models that saw the same ones."""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from convttlstm.claims.evidence import Missing
from convttlstm.evaluation.intervals import Estimate, difference
from convttlstm.metrics import METRICS
from convttlstm.results import Recognition, Result

CORRECT = {"top1": ("label", "named"), "group": ("group", "named_group")}
DifferenceOf = Callable[[np.ndarray, np.ndarray, np.ndarray], Estimate]


def paired(
    values: Sequence[pd.Series], first: int, groups: pd.Series, estimate: DifferenceOf = difference
) -> tuple[Estimate, int]:
    """Return the difference of the first runs' values and the others', and the number of shared sequences.

    Args:
        values: of each run, by sequence.
        first: how many of them are of the first model.
        groups: of each sequence; see `convttlstm.evaluation.intervals`.
        estimate: makes the estimate from (seeds, sequences) of both models and the groups.

    Raises:
        Missing: they have no sequence in common.
    """
    shared = pd.concat([*values, groups], axis=1, join="inner")
    if shared.empty:
        raise Missing("the two were evaluated on different sequences")
    numbers = shared.iloc[:, :-1].to_numpy(float).T
    return estimate(numbers[:first], numbers[first:], shared.iloc[:, -1].to_numpy()), len(shared)


def sequence_values(run: Result, horizon: int, metric: str) -> pd.Series:
    """Return a metric of each test sequence, by the sequence's number."""
    if metric not in run.metrics.horizons.get(horizon, {}):
        raise Missing(f"{run.config.title} has no {METRICS[metric].symbol} at {horizon} frames")
    return run.values(horizon, metric)


def late_values(run: Result, horizon: int, after: int | None, metric: str) -> pd.Series:
    """Return each sequence's mean over its frames, or over those after `after`.

    A horizon's metric is a mean over its frames, so those of two horizons give that of the frames between.
    """
    whole = sequence_values(run, horizon, metric)
    if after is None:
        return whole
    earlier = run.config.evaluation.first_frame - 1  # frames that count in neither mean
    early = sequence_values(run, after, metric)
    return ((horizon - earlier) * whole - (after - earlier) * early) / (horizon - after)


def answers(run: Recognition, fraction: float, reading: str, groups: list[str]) -> pd.Series:
    """Return 1 for each recognised clip and 0 for the others, by name; without `groups`, of all clips."""
    own = run.predictions[run.predictions["fraction"] == fraction]
    own = own[own["group"].isin(groups)] if groups else own
    truth, predicted = CORRECT[reading]
    return pd.Series((own[truth] == own[predicted]).to_numpy(float), index=own["clip"].to_numpy())
