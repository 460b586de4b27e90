"""What runs reached sequence by sequence, clip by clip, and the intervals of their differences."""

import pandas as pd

from convttlstm.evaluation.bootstrap import paired_interval
from convttlstm.reporting.evidence import Missing
from convttlstm.reporting.printed import NAMES
from convttlstm.reporting.recognition import Recognition
from convttlstm.reporting.results import Result

RIGHT = {"top1": ("label", "named"), "group": ("group", "named_group")}
Trio = tuple[float, float, float]  # mean, low and high


def paired_difference(values: list[pd.Series], first: int, resamples: int) -> tuple[Trio, int]:
    """Return the paired interval of the first trainings' values less the others', and the number of pairs."""
    shared = pd.concat(values, axis=1, join="inner").to_numpy().T
    if shared.shape[1] == 0:
        raise Missing("the two were judged on different sequences")
    return paired_interval(shared[:first], shared[first:], resamples), shared.shape[1]


def sequence_values(run: Result, horizon: int, metric: str) -> pd.Series:
    """Return a metric of each test sequence, by the sequence's number."""
    if metric not in run.metrics.horizons.get(horizon, {}):
        raise Missing(f"{run.config.title} was not judged by {NAMES[metric]} at {horizon} frames")
    return run.values(horizon, metric)


def late_values(run: Result, horizon: int, after: int | None, metric: str) -> pd.Series:
    """Return each sequence's mean over its frames, or over those after `after`.

    A horizon's metric is a mean over its frames, so those of two horizons give that of the frames between.
    """
    whole = sequence_values(run, horizon, metric)
    if after is None:
        return whole
    return (horizon * whole - after * sequence_values(run, after, metric)) / (horizon - after)


def named_right(run: Recognition, fraction: float, reading: str, groups: list[str]) -> pd.Series:
    """Return whether each clip was named right, 1 or 0, by its name; of all clips if no group is given."""
    own = run.predictions[run.predictions["fraction"] == fraction]
    own = own[own["group"].isin(groups)] if groups else own
    truth, named = RIGHT[reading]
    return pd.Series((own[truth] == own[named]).to_numpy(float), index=own["clip"].to_numpy())


def difference_in_points(ours: list[Recognition], right: list[pd.Series]) -> tuple[Trio, int]:
    """Return the difference in points with its interval, and the number of clips."""
    (points, low, high), clips = paired_difference(
        right, len(ours), ours[0].config.evaluation.bootstrap_resamples
    )
    return (100 * points, 100 * low, 100 * high), clips
