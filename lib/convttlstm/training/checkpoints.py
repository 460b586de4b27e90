"""last.ckpt: everything needed to go on, bit for bit."""

import hashlib
import math
import os
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from convttlstm.files import UserError, atomic_path, shortened

LAST, PREVIOUS = "last.ckpt", "previous.ckpt"


@dataclass
class Progress:
    """Where a run stands."""

    conditions: dict[str, Any]  # what decides the bits; see `repeatability`
    bit_exact: bool  # whether the same weights can be had again
    epoch: int = 0  # finished epochs
    step: int = 0  # finished steps of the epoch under way
    loss_sum: float = 0.0  # of those steps' losses, each a mean over all processes
    seconds: float = 0.0  # spent on those steps
    best_loss: float = math.inf  # the lowest validation loss
    best_epoch: int = 0  # the epoch that reached it, counted from 1
    history: list[dict[str, float]] = field(default_factory=list)  # a line for each finished epoch
    interruptions: int = 0  # how often the run was resumed

    def summary(self) -> dict[str, Any]:
        """Return what provenance.json says about a finished run."""
        seconds = sum(row["seconds"] for row in self.history)
        samples = sum(row["samples"] for row in self.history)
        return {
            "epochs": self.epoch,
            "best_epoch": self.best_epoch,
            "minutes_per_10000_samples": seconds / 60 * 10_000 / samples,
            "wall_seconds": seconds,
            "interruptions": self.interruptions,
            "finished": datetime.now(UTC).date().isoformat(),
            "bit_exact": self.bit_exact,
        }


def save_checkpoint(folder: Path, content: dict[str, Any]) -> None:
    """Write `content` to last.ckpt; the one before stays as previous.ckpt.

    Raises:
        UserError: it cannot be written; both earlier files are untouched then.
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
    """Remove what killed processes had begun to write; only the holder of the run's lock may do so."""
    for path in folder.glob(".*.tmp"):
        if path.is_file() and not path.is_symlink():
            path.unlink(missing_ok=True)


def load_checkpoint(folder: Path, go_on_from: Callable[[dict[str, Any]], None]) -> None:
    """Go on from the newest checkpoint of a run that can be read and used; do nothing if there is none.

    One that cannot is set aside as <name>.corrupt, with one line that says so and what follows.

    Args:
        folder: the run's.
        go_on_from: takes up what a checkpoint holds.

    Raises:
        UserError: there are checkpoints, but none can be used.
    """
    found = [path for name in (LAST, PREVIOUS) if (path := folder / name).exists()]
    for path in found:
        try:
            # torch does not look at the archive's own checksums.
            with zipfile.ZipFile(path) as archive:
                if broken := archive.testzip():
                    raise ValueError(f"bad checksum of {broken}")
            go_on_from(torch.load(path, map_location="cpu", weights_only=True))
            return
        except UserError:
            raise
        except OSError as error:
            raise UserError(f"{path}: cannot be read ({error}); nothing was changed, try again") from error
        except Exception as error:  # torch raises many kinds for a file that is broken, or of another layout
            aside = path.with_name(f"{path.name}.corrupt")
            path.replace(aside)
            print(f"{path}: unusable checkpoint ({shortened(error)}); set aside as {aside.name}")
    if found:
        raise UserError(
            f"{folder}: no checkpoint can be used; give the same command again to train from the start"
        )


def set_aside(folder: Path, saved: dict[str, Any]) -> Path:
    """Rename the checkpoint that `load_checkpoint` returned, so that another run can take its place.

    Its new name holds a digest of what it was trained with; the one before it is dropped.
    """
    digest = hashlib.sha256(repr((saved["identity"], saved["data"])).encode()).hexdigest()[:8]
    aside = folder / f"superseded-{digest}.ckpt"
    last, previous = folder / LAST, folder / PREVIOUS
    (last if last.exists() else previous).replace(aside)
    previous.unlink(missing_ok=True)
    return aside
