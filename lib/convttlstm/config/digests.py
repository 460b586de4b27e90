"""What of a scale's settings decides each stage's results, in digests: if one changes, so must the result."""

import hashlib
from collections.abc import Callable
from typing import Any

from convttlstm.config.catalogue import Settings
from convttlstm.config.runs import Run, evaluated_runs, planned_run, trained_runs


def digests(settings: Settings, scale: str) -> dict[str, Any]:
    """Return eight hexadecimal digits for each data set, training and evaluation, and for the report.

    Args:
        settings: of the scale.
        scale: its name.

    Raises:
        UserError: a run of the catalogue is not possible.
    """

    def of_runs(names: Callable[[Settings, str], list[str]], digest: Callable[[Run], str]) -> dict[str, Any]:
        return {
            dataset: {
                name: digest(planned_run(settings, scale, dataset, name)) for name in names(settings, dataset)
            }
            for dataset in settings.experiments
        }

    return {
        "data": {name: _digest(settings.datasets[name].model_dump_json()) for name in settings.experiments},
        "train": of_runs(trained_runs, Run.digest),
        "evaluate": of_runs(
            evaluated_runs,
            lambda run: _digest(run.evaluation.model_dump_json() + run.dataset.model_dump_json()),
        ),
        "report": report_digest(settings),
    }


def report_digest(settings: Settings) -> str:
    """Return eight hexadecimal digits for all that a report may say of a scale."""
    return _digest(settings.model_dump_json())


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]
