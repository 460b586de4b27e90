"""Small files for `dvc metrics` and `dvc plots`: means of each run, loss curves, Figure 2's points."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from convttlstm.config import Settings, evaluated_runs
from convttlstm.files import write_json, write_text
from convttlstm.reporting.report import FileReport, Runs
from convttlstm.results import Metrics, RecognitionMetrics, Scale

CURVES = ["epoch", "train_loss", "validation_loss"]


def make(scale: Scale, _: str, loaded: Runs, output: Path) -> None:
    """Write metrics/<dataset>/<run>.json, plots/loss.csv and plots/bubbles.csv below `output`.

    Means only, in raw units, by metric and then by frames predicted, or by the share of a clip seen.

    Raises:
        UserError: a file that is read is missing or damaged.
    """
    losses = [pd.DataFrame(columns=[*CURVES, "dataset", "run"])]
    bubbles: list[dict[str, Any]] = []
    for result in loaded:
        config, history = result.config, result.history
        named = {"dataset": config.dataset_name, "run": config.id}
        if config.dataset.recognition:
            means = _shares(result.metrics)
        else:
            means = _errors(result.metrics)
            bubbles += [named | bubble for bubble in _bubbles(result.metrics)]
        write_json(output / "metrics" / config.dataset_name / f"{config.id}.json", means)
        if history is not None:
            losses.append(history[CURVES].assign(**named))
    for name, table in (("loss", pd.concat(losses)), ("bubbles", pd.DataFrame(bubbles))):
        write_text(output / f"plots/{name}.csv", table.to_csv(index=False, float_format="%.6g"))


def _errors(metrics: Metrics) -> dict[str, dict[str, float]]:
    means: dict[str, dict[str, float]] = {}
    for horizon, values in metrics.horizons.items():
        for metric, value in values.items():
            means.setdefault(metric, {})[str(horizon)] = value.mean
    return means


def _shares(metrics: RecognitionMetrics) -> dict[str, dict[str, float]]:
    found = metrics.fractions.items()
    return {
        "top1": {f"{fraction:.0%}": values.top1.mean for fraction, values in found},
        "top5": {f"{fraction:.0%}": values.top5.mean for fraction, values in found},
    }


def _bubbles(metrics: Metrics) -> Iterator[dict[str, Any]]:
    """Yield Figure 2's points, of models with parameters whose LPIPS is known."""
    for horizon, values in metrics.horizons.items():
        if metrics.parameters and "lpips_paper" in values:
            yield {
                "horizon": horizon,
                "ssim": values["ssim_paper"].mean,
                "lpips": values["lpips_paper"].mean,
                "parameters": metrics.parameters,
            }


def _names(settings: Settings, dataset: str) -> list[str]:
    runs = [(name, run) for name in settings.experiments for run in evaluated_runs(settings, name)]
    return ["plots/loss.csv", "plots/bubbles.csv", *(f"metrics/{name}/{run}.json" for name, run in runs)]


REPORT = FileReport(
    name="summary", each=False, runs=evaluated_runs, title="Means of each run", make=make, names=_names
)
