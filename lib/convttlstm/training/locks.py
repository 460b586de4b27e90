"""A lock so that two processes never train the same run; does not import torch."""

import contextlib
import fcntl
import os
import socket
import stat
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import TextIO

from convttlstm.files import UserError

LOCK = ".lock"


@contextlib.contextmanager
def run_lock(folder: Path) -> Iterator[None]:
    """Hold the lock of a run's folder; wait while another process holds it. It ends with its process.

    Raises:
        UserError: .lock is a link, or is not a lock file of this program.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with _open_lock(folder / LOCK) as file:
        try:
            # lockf and not flock: it also works on network file systems.
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.seek(0)
            print(f"{folder}: {file.read().strip()} is training this run; waiting until it ends", flush=True)
            fcntl.lockf(file, fcntl.LOCK_EX)
        file.seek(0)
        file.truncate()
        file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
        file.flush()
        yield


def _open_lock(path: Path) -> TextIO:
    """Open the lock file, and create it if needed; links are not followed."""
    try:
        file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666), "r+")
    except OSError as error:
        raise UserError(f"{path}: cannot be opened as a lock ({error.strerror}); delete it") from None
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode) or file.read(8) not in ("", "process "):
        file.close()
        raise UserError(f"{path}: is not a lock file of a training process; move it away")
    file.seek(0)
    return file


def archive(folder: Path) -> Path:
    """Move a run's folder away, so that the run is trained again; return its new path.

    For results/<scale>/runs/<dataset>/<run> that is results/<scale>/archived/<dataset>/<run>-<number>, for
    any other folder archived/<run>-<number> next to it.

    Raises:
        UserError: the folder holds no run, or the run is in training.
    """
    folder = folder.absolute()
    if not (folder / "config.json").is_file():
        raise UserError(f"{folder}: holds no run (config.json is missing); name a run's folder")
    if is_locked(folder):
        raise UserError(f"{folder}: a process is training this run; stop it first")
    dataset = folder.parent
    usual = dataset.parent.name == "runs"
    place = dataset.parents[1] / "archived" / dataset.name if usual else dataset / "archived"
    place.mkdir(parents=True, exist_ok=True)
    aside = next(path for number in count(1) if not (path := place / f"{folder.name}-{number}").exists())
    folder.replace(aside)
    return aside


def is_locked(folder: Path) -> bool:
    """Return whether a process is training a run."""
    try:
        with (folder / LOCK).open() as file:
            fcntl.lockf(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False
