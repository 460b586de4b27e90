"""Results of a recognizer, read from its folder and checked."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from pydantic import BaseModel, ConfigDict

from convttlstm.config import Run
from convttlstm.results.files import read_checked, read_csv
from convttlstm.results.predictions import Interval, Provenance, RunMetrics, read_evaluated


class GroupShare(BaseModel):
    """Accuracies of one group, in both readings."""

    model_config = ConfigDict(frozen=True)

    clips: int
    top1: Interval
    group: Interval


class FractionMetrics(BaseModel):
    """Accuracies, between 0 and 1, at one fraction of the frames."""

    model_config = ConfigDict(frozen=True)

    top1: Interval
    top5: Interval
    group: Interval
    calibration_error: float
    groups: dict[str, GroupShare]


class RecognitionMetrics(RunMetrics):
    """metrics.json of a recognizer."""

    clips: int
    skipped: int
    classes: int
    fractions: dict[float, FractionMetrics]


@dataclass(frozen=True)
class Recognition:
    """One evaluated recognizer."""

    folder: Path
    config: Run
    metrics: RecognitionMetrics
    predictions: pd.DataFrame
    history: pd.DataFrame
    provenance: Provenance

    @property
    def name(self) -> str:
        """Title, settings in the run's name, and seed if it is not 0."""
        name = self.config.name
        return ", ".join([self.config.title, *name.parts, *([f"seed{name.seed}"] if name.seed else [])])

    @property
    def caveat(self) -> str:
        """How the run differs: the number of clips left out, or ""."""
        return f"{self.metrics.skipped:,} clips unreadable" if self.metrics.skipped else ""


def load_recognition(results: Path, dataset: str, run: str) -> Recognition:
    """Return the results in `results`/runs/`dataset`/`run`.

    Raises:
        UserError: a file is missing, damaged, or belongs to another run.
    """
    folder = results / "runs" / dataset / run
    config, metrics = read_evaluated(folder, RecognitionMetrics)
    predictions = read_csv(
        folder / "predictions.csv", ["clip", "fraction", "label", "predicted", "confidence"]
    )
    history = read_csv(folder / "history.csv", ["epoch", "train_loss", "validation_loss"])
    provenance = read_checked(folder / "provenance.json", Provenance)
    return Recognition(folder, config, metrics, predictions, history, provenance)
