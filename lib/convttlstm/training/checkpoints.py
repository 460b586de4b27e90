"""Checkpoints: last.ckpt holds everything needed to resume training bit for bit."""

import contextlib
import hashlib
import math
import os
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from convttlstm.faults import of_the_machine
from convttlstm.files import UserError, atomic_path, shortened

LAST, PREVIOUS = "last.ckpt", "previous.ckpt"


@dataclass
class Progress:
    """How far a run is."""

    conditions: dict[str, Any]  # hardware and software; see `repeatability`
    bit_exact: bool  # whether training again gives the same weights
    epoch: int = 0  # finished epochs
    step: int = 0  # finished steps of the current epoch
    loss_sum: float = 0.0  # sum of those steps' losses, each a mean over all processes
    seconds: float = 0.0  # spent on those steps
    best_loss: float = math.inf  # the lowest validation loss
    best_epoch: int = 0  # the epoch that reached it, counted from 1
    history: list[dict[str, float]] = field(default_factory=list)  # one row per finished epoch
    interruptions: int = 0  # how often the run was resumed
    finished: str = ""  # the date of the last epoch
    made_by: dict[str, Any] = field(default_factory=dict)  # command, commit and versions that trained last

    def summary(self) -> dict[str, Any]:
        """Return the entries of provenance.json about training."""
        seconds = sum(row["seconds"] for row in self.history)
        samples = sum(row["samples"] for row in self.history)
        return {
            "epochs": self.epoch,
            "best_epoch": self.best_epoch,
            "minutes_per_10000_samples": seconds / 60 * 10_000 / samples,
            "wall_seconds": seconds,
            "interruptions": self.interruptions,
            "finished": self.finished,
            "bit_exact": self.bit_exact,
        }


def save_checkpoint(folder: Path, content: dict[str, Any]) -> None:
    """Write `content` to last.ckpt, and keep the checkpoint before it as previous.ckpt.

    Raises:
        UserError: the file cannot be written; both earlier checkpoints are then unchanged.
    """
    last = folder / LAST
    with atomic_path(last) as temporary:
        with temporary.open("wb") as file:
            try:
                torch.save(content, file)
            except RuntimeError as error:
                # torch reports a failed write as a RuntimeError, with the OSError behind it.
                raise OSError(error.__context__ or error) from error
            file.flush()
            os.fsync(file.fileno())
        if last.exists():
            last.replace(folder / PREVIOUS)


def remove_unfinished(folder: Path) -> None:
    """Remove temporary files that killed processes left. Call it only while holding the run's lock."""
    for path in folder.glob(".*.tmp"):
        if path.is_file() and not path.is_symlink():
            path.unlink(missing_ok=True)


def load_checkpoint(folder: Path, restore: Callable[[dict[str, Any]], None]) -> None:
    """Restore a run from its newest readable checkpoint; do nothing if there is none.

    An unreadable checkpoint is renamed to <name>.corrupt, and a line says so. If there is too little memory,
    or the device fails, both stay.

    Args:
        folder: the run's folder.
        restore: called with the checkpoint's content.

    Raises:
        UserError: there are checkpoints, but none is readable.
    """
    found = [path for name in (LAST, PREVIOUS) if (path := folder / name).exists()]
    for path in found:
        try:
            # torch does not check the archive's own checksums.
            with zipfile.ZipFile(path) as archive:
                if broken := archive.testzip():
                    raise ValueError(f"bad checksum of {broken}")
            restore(torch.load(path, map_location="cpu", weights_only=True))
            return
        except UserError:
            raise
        except FileNotFoundError:
            continue  # another process of this run has set it aside
        except OSError as error:
            raise UserError(
                f"{path}: cannot be read ({error}); nothing was changed, run the same command again"
            ) from error
        except Exception as error:  # torch raises many types of errors for a damaged file
            if of_the_machine(error):
                raise
            aside = path.with_name(f"{path.name}.corrupt")
            with contextlib.suppress(FileNotFoundError):
                path.replace(aside)
            print(f"{path}: unusable checkpoint ({shortened(error)}); renamed to {aside.name}")
    if found:
        raise UserError(
            f"{folder}: no readable checkpoint is left; run the same command again to train from the start"
        )


def set_aside(folder: Path, saved: dict[str, Any]) -> Path:
    """Rename a run's newest checkpoint, which has other settings or data, so that training can start again.

    Its new name holds a digest of its settings and data. The checkpoint before it is deleted.
    """
    digest = hashlib.sha256(repr((saved["identity"], saved["data"])).encode()).hexdigest()[:8]
    aside = folder / f"superseded-{digest}.ckpt"
    last, previous = folder / LAST, folder / PREVIOUS
    (last if last.exists() else previous).replace(aside)
    previous.unlink(missing_ok=True)
    return aside
