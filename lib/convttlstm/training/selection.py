"""Which configuration of a grid won, by validation loss alone."""

from pathlib import Path
from typing import Any

import pandas as pd

from convttlstm.files import UserError, write_json


def select(dataset: str, folders: list[Path], output: Path) -> None:
    """Rank finished runs by their lowest validation loss; no test figure is read.

    Args:
        dataset: the data set's name.
        folders: the runs' folders.
        output: the JSON file to write: the ranking, the winner, and by how much it won.

    Raises:
        UserError: a run has no history.csv.
    """
    ranking: list[dict[str, Any]] = []
    for folder in folders:
        path = folder / "history.csv"
        if not path.exists():
            raise UserError(f"{path}: no such file; train {folder.name} to its end first")
        history = pd.read_csv(path)
        best = history.loc[history["validation_loss"].idxmin()]
        ranking.append(
            {
                "run": folder.name,
                "validation_loss": float(best["validation_loss"]),
                "epoch": int(best["epoch"]),
            }
        )
    ranking.sort(key=lambda entry: (entry["validation_loss"], entry["run"]))
    margin = ranking[1]["validation_loss"] - ranking[0]["validation_loss"] if ranking[1:] else None
    write_json(
        output,
        {
            "dataset": dataset,
            "criterion": "lowest validation loss, no true frame fed back",
            "winner": ranking[0]["run"],
            "margin": margin,
            "ranking": ranking,
        },
    )
