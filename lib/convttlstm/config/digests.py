"""Digests of the settings that each stage of the pipeline depends on."""

import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any

from convttlstm.config.catalogue import Settings
from convttlstm.config.counted import counted_models
from convttlstm.config.runs import Run, evaluated_runs, planned_run, trained_runs


def digests(settings: Settings, scale: str) -> dict[str, Any]:
    """Return a digest of eight hexadecimal digits for each data set, run, evaluation and the report.

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
        "data": {
            name: _digest(settings.datasets[name].model_dump(mode="json", exclude_defaults=True))
            for name in settings.experiments
        },
        "train": of_runs(trained_runs, Run.digest),
        "evaluate": of_runs(
            evaluated_runs,
            lambda run: _digest([run.evaluation.model_dump(exclude_defaults=True), run.dataset.stated()]),
        ),
        "report": report_digest(settings),
    }


def report_digest(settings: Settings) -> str:
    """Return the digest of all settings that a report may show."""
    stated = settings.model_dump(mode="json", exclude={"datasets"}, exclude_defaults=True)
    return _digest([stated, {name: dataset.stated() for name, dataset in settings.datasets.items()}])


def cost_digest(settings: Mapping[str, Settings]) -> str:
    """Return the digest of the models in the table of costs, which has these scales."""
    return _digest(
        {
            scale: [
                [name, title, model.model_dump(mode="json", exclude_defaults=True)]
                for name, title, model in counted_models(catalogue, scale)
            ]
            for scale, catalogue in settings.items()
        }
    )


def _digest(stated: Any) -> str:
    return hashlib.sha256(json.dumps(stated, sort_keys=True).encode()).hexdigest()[:8]
