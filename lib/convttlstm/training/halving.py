"""Successive halving: train a grid's points in rounds; only the best advance to the next round.

Jamieson and Talwalkar, "Non-stochastic Best Arm Identification and Hyperparameter Optimization", AISTATS
2016. The runs and their folders are those of the full grid. A run that advances resumes from its checkpoint;
a full search later resumes those that dropped out.
"""

from pathlib import Path

from convttlstm.config import Settings, grid_runs, resolve_run, rungs
from convttlstm.files import UserError, read_json, write_json
from convttlstm.training.history import best_epoch
from convttlstm.training.loop import train


def train_rung(
    settings: Settings,
    scale: str,
    dataset: str,
    place: tuple[str, int, int],
    data: Path,
    runs: Path,
    ranking: Path | None,
    output: Path,
) -> None:
    """Train one run of a round up to that round's epochs, and write its lowest validation loss.

    Args:
        settings: the scale's settings.
        scale: the scale's name.
        dataset: the data set's name.
        place: (role, round, index): whose grid is searched, the round, and the run's place in it, from 0.
        data: folder of the prepared data set.
        runs: folder of the data set's runs.
        ranking: the file that `select` wrote for the round before; None for the first round.
        output: the JSON file to write.

    Raises:
        UserError, Interrupted: see `train`.
    """
    role, rung, number = place
    planned = rungs(settings, dataset, role) if grid_runs(settings, dataset, role) else []
    if rung >= len(planned) or number >= planned[rung].places:
        raise UserError(f"search for {role} on {dataset}: round {rung} has no place {number}")
    if ranking:
        name = read_json(ranking)["ranking"][number]["run"]
    else:
        name = grid_runs(settings, dataset, role)[number]
    epochs = planned[rung].epochs
    train(resolve_run(settings, scale, dataset, name), data, runs / name, until=epochs)
    write_json(output, best_epoch(runs / name, epochs) | {"rung": rung})
