"""Results of a run that predicts frames, read from its folder and checked."""

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, TypeVar

import numpy as np
import pandas as pd
from pydantic import BaseModel, BeforeValidator, ConfigDict

from convttlstm.config import Run, read_run
from convttlstm.evaluation.intervals import Estimate
from convttlstm.evaluation.intervals import mean as estimate_mean
from convttlstm.files import UserError, shortened
from convttlstm.results.files import check_columns, read_checked, read_csv

GROUP = "video"  # windows of one video are correlated

Bound = Annotated[float, BeforeValidator(lambda value: float("nan") if value is None else value)]


class Interval(BaseModel):
    """A mean with its 95 % interval; the bounds are NaN for a single group of sequences."""

    model_config = ConfigDict(frozen=True)

    mean: float
    low: Bound
    high: Bound

    @classmethod
    def of(cls, estimate: Estimate) -> "Interval":
        """Return an estimate with its 95 % interval."""
        low, high = estimate.interval
        return cls(mean=estimate.value, low=low, high=high)


class EvaluatedBy(BaseModel):
    """The provenance of metrics.json."""

    model_config = ConfigDict(frozen=True)

    command: str
    commit: str | None
    uncommitted_changes: bool | None
    device: str
    versions: dict[str, str]


class RunMetrics(BaseModel):
    """The entries of metrics.json that all runs have."""

    model_config = ConfigDict(frozen=True)

    run: str
    parameters: int
    evaluated_by: EvaluatedBy


class Metrics(RunMetrics):
    """metrics.json of a model that predicts frames: raw units, by horizon and then by metric."""

    sequences: dict[int, int]
    available: dict[int, int]
    lpips_weights: str | None
    horizons: dict[int, dict[str, Interval]]


AnyMetrics = TypeVar("AnyMetrics", bound=RunMetrics)


class Provenance(BaseModel):
    """provenance.json: the provenance of the weights."""

    model_config = ConfigDict(frozen=True)

    command: str
    commit: str | None
    uncommitted_changes: bool | None
    source_digest: str
    sources: dict[str, str]
    weights_sha256: str
    versions: dict[str, str]
    device: str
    devices: int
    threads: int
    driver: str | None
    deterministic: bool
    precision: str
    data: dict[str, str]
    epochs: int
    minutes_per_10000_samples: float
    interruptions: int
    finished: str = ""  # the date, which earlier versions did not record
    bit_exact: bool


@dataclass(frozen=True)
class Result:
    """One evaluated run; `history` and `provenance` are None for models without weights."""

    folder: Path
    config: Run
    metrics: Metrics
    per_frame: pd.DataFrame
    history: pd.DataFrame | None
    provenance: Provenance | None

    @property
    def variant(self) -> str:
        """The settings in the run's name, such as "N2 M5", without the seed."""
        return self.config.name.variant

    @property
    def caveat(self) -> str:
        """How the run differs from most of its scale: "20 updates only", "8 sequences only", or ""."""
        run = self.config
        parts = []
        if run.short:
            parts.append(f"{run.training.samples // run.training.batch_size:,} updates only")
        evaluated, available = self.metrics.sequences, self.metrics.available
        if fewer := [f"{count:,}" for horizon, count in evaluated.items() if count < available[horizon]]:
            parts.append(f"{' and '.join(dict.fromkeys(fewer))} sequences only")
        return ", ".join(parts)

    @property
    def variant_title(self) -> str:
        """Title and settings, such as "Conv-TT-LSTM, N = 2, M = 5"."""
        settings = [re.sub(r"^([A-Z])(\d+)$", r"\1 = \2", part) for part in self.config.name.parts]
        return ", ".join([self.config.title, *settings])

    @property
    def name(self) -> str:
        """Title, settings and seed, unique among the runs of a data set."""
        parts = [self.variant_title]
        parts += [f"seed {self.config.seed}"] if self.config.trained else []
        return ", ".join(part for part in parts if part)

    @cached_property
    def _per_sequence(self) -> pd.DataFrame:
        return read_csv(self.folder / "per_sequence.csv", ["horizon", "sequence"])

    def values(self, horizon: int, metric: str) -> pd.Series:
        """Return a metric for each test sequence, in raw units, sorted by the sequence's number.

        Raises:
            UserError: per_sequence.csv is missing, damaged, or lacks the metric.
        """
        check_columns(self._per_sequence, [metric], self.folder / "per_sequence.csv")
        try:
            return self._at(horizon)[metric].astype(float)
        except ValueError as error:
            path = self.folder / "per_sequence.csv"
            raise UserError(f"{path}: {metric}: {shortened(error)}; evaluate the run again") from None

    def groups(self, horizon: int, *labels: str) -> pd.Series:
        """Return each test sequence's group: the first of `labels` that it has, or its number.

        Raises:
            UserError: per_sequence.csv is missing or damaged.
        """
        own = self._at(horizon)
        return next((own[label] for label in labels if label in own), own.index.to_series())

    def _at(self, horizon: int) -> pd.DataFrame:
        own = self._per_sequence[self._per_sequence["horizon"] == horizon]
        return own.set_index("sequence").sort_index()

    @cached_property
    def on_training(self) -> pd.DataFrame:
        """Horizon, group and MSE of training sequences, by their numbers; empty if all are too short.

        Raises:
            UserError: training_sequences.csv is missing or damaged.
        """
        path, columns = self.folder / "training_sequences.csv", ["horizon", "sequence", "group", "mse"]
        return read_csv(path, columns, may_be_empty=True).set_index("sequence").sort_index()


def read_evaluated(folder: Path, kind: type[AnyMetrics]) -> tuple[Run, AnyMetrics]:
    """Return the settings and the metrics of the run in a folder.

    Raises:
        UserError: a file is missing, damaged, or belongs to another run.
    """
    config = read_run(folder)
    metrics = read_checked(folder / "metrics.json", kind)
    if not metrics.run == config.id == folder.name:
        raise UserError(
            f"{folder}: config.json belongs to {config.id!r} and metrics.json to {metrics.run!r}; "
            "evaluate the run again"
        )
    return config, metrics


def load_result(results: Path, dataset: str, run: str) -> Result:
    """Return the results in `results`/runs/`dataset`/`run`.

    Raises:
        UserError: a file is missing, damaged, or belongs to another run.
    """
    folder = results / "runs" / dataset / run
    config, metrics = read_evaluated(folder, Metrics)
    for horizon in config.dataset.test_horizons:
        for metric in ("mse", "psnr", "ssim_paper", "ssim_standard"):
            if metric not in metrics.horizons.get(horizon, {}):
                raise UserError(
                    f"{folder / 'metrics.json'}: no {metric} at horizon {horizon}; evaluate the run again"
                )
    history = provenance = None
    if config.trained:
        # Loss curves show the sampling ratio of the paper's recipe; other recipes may have none.
        ratio = ["sampling_ratio"] if config.training.recipe == "paper" else []
        history = read_csv(folder / "history.csv", ["epoch", "train_loss", "validation_loss", *ratio])
        provenance = read_checked(folder / "provenance.json", Provenance)
    per_frame = read_csv(folder / "per_frame.csv", ["frame", "mse", "ssim_paper"])
    return Result(folder, config, metrics, per_frame, history, provenance)


def seed_by_seed(results: list[Result]) -> list[list[Result]]:
    """Return the runs in groups that differ in the seed only, ordered by each group's first run."""
    groups: dict[tuple[str, str], list[Result]] = {}
    for result in results:
        groups.setdefault((result.config.system, result.variant), []).append(result)
    return list(groups.values())


def across_seeds(runs: list[Result], horizon: int, metric: str) -> Interval | None:
    """Return a metric's mean over the runs, with the interval over seeds and test sequences.

    Returns None if a run lacks the metric. For a single run it is the interval in metrics.json.

    Raises:
        UserError: per_sequence.csv of a run is missing or damaged.
    """
    intervals = [run.metrics.horizons[horizon].get(metric) for run in runs]
    if len(runs) == 1 or None in intervals:
        return None if None in intervals else intervals[0]
    values = np.stack([run.values(horizon, metric) for run in runs])
    return Interval.of(estimate_mean(values, runs[0].groups(horizon, GROUP).to_numpy()))


def source_label(run: Run) -> str:
    """Return the label of the run's scale and data, shown with all its results."""
    data = f", {run.dataset.stand_in}" if run.dataset.stand_in else ""
    if run.scale == "paper" and not data:
        return run.label
    if run.decides_claims and not data:
        return f"{run.label}: says what holds at this scale, not at the paper's"
    return f"{run.label}{data}: shows nothing about the paper"
