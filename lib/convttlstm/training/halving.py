"""Successive halving: the points of a grid are trained in rounds, and only the best go on to the next.

Jamieson and Talwalkar, "Non-stochastic Best Arm Identification and Hyperparameter Optimization", AISTATS
2016. The runs are those of the full grid, in the same folders: one that goes on does so from its checkpoint,
and one that was given up can be taken up again by the full grid.
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
    """Train one run of a round for that round's epochs, and write how far it came.

    `place` is the role whose grid is searched, the round, and which of its runs, counted from 0. `ranking`
    is what `select` made of the round before; None for the first. `output` is a JSON file.

    Raises:
        UserError, Interrupted: see `train`.
    """
    role, rung, number = place
    planned = rungs(settings, dataset, role) if grid_runs(settings, dataset, role) else []
    if rung >= len(planned) or number >= planned[rung].places:
        raise UserError(f"search for {role} on {dataset}: there is no place {number} in round {rung}")
    if ranking:
        name = read_json(ranking)["ranking"][number]["run"]
    else:
        name = grid_runs(settings, dataset, role)[number]
    epochs = planned[rung].epochs
    train(resolve_run(settings, scale, dataset, name), data, runs / name, until=epochs)
    write_json(output, best_epoch(runs / name, epochs) | {"rung": rung})
