"""The lock that keeps two processes from training one run; to be read without torch."""

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
    """Hold the run's folder for this process, after the one that holds it; the lock dies with its holder.

    Raises:
        UserError: .lock is a link, or no lock that was made here.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with _open_lock(folder / LOCK) as file:
        try:
            # lockf and not flock: it also works on network file systems.
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.seek(0)
            print(f"{folder}: {file.read().strip()} trains this run; waiting for its end", flush=True)
            fcntl.lockf(file, fcntl.LOCK_EX)
        file.seek(0)
        file.truncate()
        file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
        file.flush()
        yield


def _open_lock(path: Path) -> TextIO:
    """Return the lock's file, made if need be; nothing that a link leads to is opened."""
    try:
        file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666), "r+")
    except OSError as error:
        raise UserError(f"{path}: cannot be opened as a lock ({error.strerror}); delete it") from None
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode) or file.read(8) not in ("", "process "):
        file.close()
        raise UserError(f"{path}: is no lock of a training process; move it away")
    file.seek(0)
    return file


def forget(folder: Path) -> Path:
    """Move a run's folder out of the way, so that the run is trained anew; return where it is now.

    That is results/<scale>/forgotten/<dataset>/<run>-<number>, for a run's usual folder.

    Raises:
        UserError: there is no run in the folder, or it is being trained.
    """
    folder = folder.absolute()
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
