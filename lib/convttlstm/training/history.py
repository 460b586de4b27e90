"""A run's history, a line for each epoch; to be read without all that training needs."""

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from convttlstm.files import UserError, write_text

HISTORY, PARTIAL = "history.csv", "history.partial.csv"  # of a finished run; of one under way


def write_history(path: Path, rows: Sequence[dict[str, float]]) -> None:
    """Write the finished epochs."""
    write_text(path, pd.DataFrame(rows).to_csv(index=False))


def read_history(folder: Path) -> pd.DataFrame | None:
    """Return a run's finished epochs, a line each; None before the first."""
    for name in (PARTIAL, HISTORY):  # a finished run may have been taken up again, for more epochs
        with contextlib.suppress(FileNotFoundError, pd.errors.EmptyDataError):
            return pd.read_csv(folder / name)
    return None


def best_epoch(folder: Path, until: int | None = None) -> dict[str, Any]:
    """Return how far a run was trained and the lowest validation loss on the way.

    Args:
        folder: the run's.
        until: look at the first so many epochs only.

    Raises:
        UserError: it has no history.
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
