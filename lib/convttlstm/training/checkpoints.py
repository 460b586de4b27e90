"""last.ckpt: everything needed to go on, bit for bit; and the lock that keeps two writers apart."""

import contextlib
import fcntl
import hashlib
import os
import socket
import zipfile
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import torch

from convttlstm.files import UserError, atomic_path

LAST, PREVIOUS, LOCK = "last.ckpt", "previous.ckpt", ".lock"


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


def load_checkpoint(folder: Path) -> dict[str, Any] | None:
    """Return the newest readable checkpoint of a run, or None if there is none at all.

    An unreadable file is set aside as <name>.corrupt, with one line that says so and what follows.

    Raises:
        UserError: there are checkpoints, but none can be read.
    """
    found = [path for name in (LAST, PREVIOUS) if (path := folder / name).exists()]
    for path in found:
        try:
            # torch does not look at the archive's own checksums.
            with zipfile.ZipFile(path) as archive:
                if broken := archive.testzip():
                    raise ValueError(f"bad checksum of {broken}")
            content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
            return content
        except OSError as error:
            raise UserError(f"{path}: cannot be read ({error}); nothing was changed, try again") from error
        except Exception as error:  # torch raises many kinds for a broken file
            reason = str(error).splitlines()[0]
            aside = path.with_name(f"{path.name}.corrupt")
            path.replace(aside)
            print(f"{path}: unreadable checkpoint ({reason}); set aside as {aside.name}")
    if found:
        raise UserError(
            f"{folder}: no checkpoint is readable; give the same command again to train from the start"
        )
    return None


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


@contextlib.contextmanager
def run_lock(folder: Path) -> Iterator[None]:
    """Hold the run's folder for this process, after the one that holds it; the lock dies with its holder."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK).open("a+") as file:
        try:
            # lockf and not flock: it also works on network file systems.
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.seek(0)
            print(f"{folder}: {file.read().strip()} trains this run; waiting for its end", flush=True)
            fcntl.lockf(file, fcntl.LOCK_EX)
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
        file.flush()
        yield


def forget(folder: Path) -> Path:
    """Move a run's folder out of the way, so that the run is trained anew; return where it is now.

    That is results/<scale>/forgotten/<dataset>/<run>-<number>, for a run's usual folder.

    Raises:
        UserError: there is no run in the folder, or it is being trained.
    """
    if not (folder / "config.json").is_file():
        raise UserError(f"{folder}: no run is here (it has no config.json)")
    if is_locked(folder):
        raise UserError(f"{folder}: is being trained; stop that first")
    place = folder.parents[2] / "forgotten" / folder.parent.name
    place.mkdir(parents=True, exist_ok=True)
    aside = next(path for number in count(1) if not (path := place / f"{folder.name}-{number}").exists())
    folder.replace(aside)
    return aside


def is_locked(folder: Path) -> bool:
    """Return whether a process trains a run."""
    try:
        with (folder / LOCK).open() as file:
            fcntl.lockf(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False
