"""What one evaluated recogniser left in its folder, read and checked."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from pydantic import BaseModel, ConfigDict

from convttlstm.config import Run
from convttlstm.results.files import read_checked, read_csv
from convttlstm.results.predictions import Interval, Provenance, RunMetrics, read_evaluated


class GroupShare(BaseModel):
    """How many clips of a group were named right, in both readings."""

    model_config = ConfigDict(frozen=True)

    clips: int
    top1: Interval
    group: Interval


class FractionMetrics(BaseModel):
    """Accuracies, shares of 1, at one fraction of the frames."""

    model_config = ConfigDict(frozen=True)

    top1: Interval
    top5: Interval
    group: Interval
    calibration_error: float
    groups: dict[str, GroupShare]


class RecognitionMetrics(RunMetrics):
    """metrics.json of a model that recognises activities."""

    clips: int
    skipped: int
    classes: int
    fractions: dict[float, FractionMetrics]


@dataclass(frozen=True)
class Recognition:
    """One evaluated recogniser."""

    folder: Path
    config: Run
    metrics: RecognitionMetrics
    predictions: pd.DataFrame
    history: pd.DataFrame
    provenance: Provenance

    @property
    def name(self) -> str:
        """Title, settings that the run's name states, and seed if it is not 0."""
        name = self.config.name
        return ", ".join([self.config.title, *name.parts, *([f"seed{name.seed}"] if name.seed else [])])

    @property
    def caveat(self) -> str:
        """What sets the run apart: clips that were left out, or ""."""
        return f"{self.metrics.skipped:,} clips unreadable" if self.metrics.skipped else ""


def load_recognition(results: Path, dataset: str, run: str) -> Recognition:
    """Return what `results`/runs/`dataset`/`run` holds.

    Raises:
        UserError: a file is missing, damaged, or belongs to another run.
    """
    folder = results / "runs" / dataset / run
    config, metrics = read_evaluated(folder, RecognitionMetrics)
    predictions = read_csv(folder / "predictions.csv", ["clip", "fraction", "label", "named", "confidence"])
    history = read_csv(folder / "history.csv", ["epoch", "train_loss", "validation_loss"])
    provenance = read_checked(folder / "provenance.json", Provenance)
    return Recognition(folder, config, metrics, predictions, history, provenance)
