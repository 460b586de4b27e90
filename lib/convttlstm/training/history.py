"""A run's history, one row per epoch; imports neither torch nor Lightning."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from convttlstm.files import UserError, shortened, write_text

HISTORY, PARTIAL = "history.csv", "history.partial.csv"  # of a finished run; of a run in training


def write_history(path: Path, rows: Sequence[dict[str, float]]) -> None:
    """Write the finished epochs as CSV."""
    write_text(path, pd.DataFrame(rows).to_csv(index=False))


def read_history(folder: Path) -> pd.DataFrame | None:
    """Return a run's finished epochs, one row each; None before the first.

    Raises:
        UserError: the file is damaged.
    """
    for name in (PARTIAL, HISTORY):  # a finished run may have resumed, for more epochs
        if (table := _epochs(folder / name)) is not None:
            return table
    return None


def _epochs(path: Path) -> pd.DataFrame | None:
    """Return a file's epochs; None if it is missing or empty."""
    try:
        table = pd.read_csv(path)
        if table.empty or not np.isfinite(table[["epoch", "validation_loss"]].to_numpy(float)).all():
            raise ValueError("an epoch or its validation loss is not a number")
    except (FileNotFoundError, pd.errors.EmptyDataError):
        return None
    except (KeyError, ValueError, OSError) as error:
        raise UserError(
            f"{path}: not a table of epochs ({shortened(error)}); delete it and run the same command again"
        ) from None
    return table


def best_epoch(folder: Path, until: int | None = None) -> dict[str, Any]:
    """Return a run's number of epochs, and its lowest validation loss with the epoch that reached it.

    Args:
        folder: the run's folder.
        until: consider only the first `until` epochs.

    Raises:
        UserError: the run has no history.
    """
    finished = read_history(folder)
    if finished is None:
        raise UserError(f"{folder / HISTORY}: no such file; train {folder.name} to its end first")
    history = finished[:until]
    best = history.loc[history["validation_loss"].idxmin()]
    return {
        "run": folder.name,
        "epochs": len(history),
        "validation_loss": float(best["validation_loss"]),
        "epoch": int(best["epoch"]),
    }
