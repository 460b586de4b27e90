"""Estimates of how long runs take on a device, from times measured on it or on another device."""

import math
from pathlib import Path
from typing import Protocol

import pandas as pd

from convttlstm.config import Run
from convttlstm.files import UserError, shortened

REFERENCE, REFERENCE_SIZE = "conv_tt_lstm", 64
COLUMNS = ["device", "size", "training_seconds", "sequence_steps"]


class Counts(Protocol):
    """Counts of parameters and multiplications of models."""

    def parameters(self, run: Run) -> float:
        """Return the number of parameters of a run's model."""

    def parameter_ratio(self, run: Run) -> float:
        """Return the number of parameters of a run's model, relative to the paper's of that name."""

    def multiplication_ratio(self, run: Run, size: int) -> float:
        """Return the multiplications of a step, relative to the reference's on frames of `size` pixels."""


def read_times(path: Path) -> pd.DataFrame:
    """Return the times that `benchmarks.system_times` measured on a device, by model.

    Raises:
        UserError: the file is missing or lacks columns.
    """
    try:
        table = pd.read_csv(path)
        times = table.set_index("system")
        return times[COLUMNS].assign(forward_seconds=times.get("forward_seconds", float("nan")))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; measure with `python -m benchmarks.system_times`") from None
    except (KeyError, ValueError) as error:
        raise UserError(f"{path}: not a table of measured times ({shortened(error)}); name another") from None


class Clock:
    """The times of runs on a device.

    A model's time per sequence is the one measured at the nearest size, scaled by pixels and steps. For other
    settings of the model it is scaled by parameters, since at one resolution a convolution's multiplications
    are proportional to them; for other models, by multiplications.

    Args:
        times: see `read_times`.
        counts: counts of the models.
        minutes: minutes that another device takes to train Conv-TT-LSTM on 10,000 sequences of 10 → 10 frames
            of 64x64; all times are scaled accordingly.
    """

    def __init__(self, times: pd.DataFrame, counts: Counts, minutes: float | None = None) -> None:
        self.times, self.counts = times, counts
        reference = self._measured(REFERENCE, REFERENCE_SIZE)["training_seconds"]
        self.factor = minutes * 60 / 10_000 / reference if minutes else 1.0

    def training(self, run: Run) -> float:
        """Return the seconds for one training sequence, forward and backward."""
        return self._seconds(run, "training_seconds", run.dataset.context + run.dataset.horizon - 1)

    def evaluating(self, run: Run) -> float | None:
        """Return the seconds to predict the test split, None if not measured."""
        dataset, test = run.dataset, run.dataset.split("test")
        if test is None:
            return None  # videos: the number of windows is known only after preparation
        steps = dataset.context + dataset.predicted_frames - 1
        evaluated = min(test.sequences, run.evaluation.sequences or test.sequences)
        seconds = evaluated * self._seconds(run, "forward_seconds", steps)
        return None if pd.isna(seconds) else seconds

    def _seconds(self, run: Run, column: str, steps: int) -> float:
        if run.system in self.times.index:
            pixels = math.prod(run.dataset.frame_shape)
            row = self._measured(run.system, math.sqrt(pixels))
            ratio = self.counts.parameter_ratio(run) * pixels / row["size"] ** 2
        else:
            row = self._measured(REFERENCE, REFERENCE_SIZE)
            ratio = self.counts.multiplication_ratio(run, int(row["size"]))
        return float(self.factor * row[column] * ratio * steps / row["sequence_steps"])

    def _measured(self, system: str, size: float) -> pd.Series:
        rows = self.times.loc[[system]]
        row: pd.Series = rows.iloc[int((rows["size"] - size).abs().argmin())]
        return row
