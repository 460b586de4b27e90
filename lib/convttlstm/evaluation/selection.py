"""The choice of a grid's best configuration, by validation loss only."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from convttlstm.config import Run, Settings, grid_runs, resolve_run
from convttlstm.config.models import SYMBOLS, ExternalModel
from convttlstm.evaluation.complexity import count_parameters, step_cost
from convttlstm.files import read_json, write_json
from convttlstm.models import create_model
from convttlstm.training.history import best_epoch


def select(settings: Settings, dataset: str, runs: Path, output: Path, tried: Sequence[Path] = ()) -> None:
    """Rank the runs of a grid by their lowest validation loss; test results are not read.

    Args:
        settings: the scale's settings.
        dataset: the data set's name.
        runs: the folder that holds the runs' folders.
        output: the JSON file to write: for each role the winner and its margin, and the ranking with each
            configuration's cost.
        tried: files that `try` wrote during successive halving, used instead of histories; a run that
            advanced further ranks higher, whatever its loss.

    Raises:
        UserError: a run has no history.csv.
    """
    found = {entry["run"]: entry for path in sorted(tried) for entry in [read_json(path)]}
    ranking: list[dict[str, Any]] = []
    for role in settings.experiments[dataset].roles():
        for name in grid_runs(settings, dataset, role):
            if tried and name not in found:
                continue
            reached = found.get(name) or best_epoch(runs / name)
            ranking.append({"role": role} | reached | _configuration(settings, dataset, name))
    ranking.sort(key=lambda entry: (-entry.get("rung", 0), entry["validation_loss"], entry["run"]))
    winners = {}
    for role in dict.fromkeys(entry["role"] for entry in ranking):
        first, *others = [entry for entry in ranking if entry["role"] == role]
        # Only runs of the same round have as many epochs.
        others = [entry for entry in others if entry.get("rung") == first.get("rung")]
        margin = others[0]["validation_loss"] - first["validation_loss"] if others else None
        winners[role] = {"run": first["run"], "margin": margin}
    content = {
        "dataset": dataset,
        "criterion": "lowest validation loss, no true frame fed back",
        "winners": winners,
        "ranking": ranking,
    }
    write_json(output, content)


def _configuration(settings: Settings, dataset: str, name: str) -> dict[str, Any]:
    """Return the settings that a grid varies, and the model's cost."""
    run = resolve_run(settings, "", dataset, name)
    values = run.model.hyper()
    with torch.device("meta"):
        model = create_model(run.model.name, **run.model_arguments())
    return {
        "settings": {symbol: values[name] for name, symbol in SYMBOLS.items() if values.get(name)},
        "parameters": count_parameters(model),
        "multiplications": _multiplications(run, model),
    }


def _multiplications(run: Run, model: nn.Module) -> int | None:
    """Return the multiplications of a step, None for a user's model that cannot be counted."""
    dataset, own = run.dataset, isinstance(run.model, ExternalModel)
    lengths = (dataset.context, dataset.horizon) if own else ()
    try:
        return step_cost(model, dataset.frame_shape, dataset.channels, *lengths).multiplications
    except (RuntimeError, ValueError):
        if own:
            return None
        raise
