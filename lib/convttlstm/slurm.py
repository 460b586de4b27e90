"""Slurm: the job of this process, if there is one, and all jobs of a folder."""

import fcntl
import os
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from convttlstm.files import UserError

NAME = "convttlstm"  # prefix of all job names, as in profiles/slurm
# The format of squeue; the working folder is last since it may contain the separator.
FIELDS = "%i|%T|%j|%r|%k|%Z"
ENDED = ("CANCELLED", "COMPLETED", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY", "PREEMPTED", "TIMEOUT")


def seconds_left() -> float | None:
    """Return the seconds until the time limit of this process's job; None without Slurm or limit."""
    job = os.environ.get("SLURM_JOB_ID")
    said = _output_of("squeue", "--noheader", "--jobs", job, "--format", "%L") if job else ""
    return parse_duration(said.strip())


def parse_duration(text: str) -> float | None:
    """Return the seconds of [days-][hours:]minutes:seconds, None for anything else, such as UNLIMITED."""
    days, dash, clock = text.rpartition("-")
    parts = clock.split(":")
    if not all(part.isdigit() for part in [*parts, *([days] if dash else [])]) or len(parts) not in (2, 3):
        return None
    seconds = 0
    for part in parts:
        seconds = 60 * seconds + int(part)
    return seconds + 86_400 * int(days or 0)


def requeue() -> bool:
    """Requeue the job of this process, with the same number.

    Slurm then ends all its processes, including this one. Of several processes only the first requeues.

    Returns:
        Whether there is a job and Slurm will start it again.
    """
    job = os.environ.get("SLURM_JOB_ID")
    if not job:
        return False
    if os.environ.get("SLURM_PROCID", "0") != "0":
        return True
    try:
        subprocess.run(["scontrol", "requeue", job], check=True, capture_output=True, timeout=60)
    except (OSError, subprocess.SubprocessError):
        return False  # not a batch job, or requeueing is forbidden
    return True


@dataclass(frozen=True)
class Job:
    """A job in Slurm's queue.

    Attributes:
        number: its number in Slurm.
        state: its state, such as RUNNING.
        reason: why it waits, such as Resources.
        comment: Snakemake's comment: its rule and wildcards.
    """

    number: str
    state: str
    reason: str
    comment: str


def jobs_of(folder: Path) -> list[Job]:
    """Return this project's waiting and running jobs that were submitted from `folder`.

    The list is empty without Slurm.
    """
    found = []
    for line in _output_of("squeue", "--me", "--noheader", "--format", FIELDS).splitlines():
        number, state, name, reason, comment, place = line.split("|", 5)
        if name.startswith(NAME) and state not in ENDED and Path(place) == folder.resolve():
            found.append(Job(number, state, reason, comment))
    return found


def cancel_orphans(folder: Path) -> None:
    """Cancel the jobs that were submitted from `folder`, and wait until they end; training saves first.

    Call it once in a process, before submitting them again. While another process that has called it is
    alive, for another scale, its jobs are left alone.

    Raises:
        UserError: a job does not end within five minutes.
    """
    alone, orphans = _is_alone(folder), jobs_of(folder)
    if not orphans:
        return
    if not alone:
        print(f"{len(orphans)} jobs of another Snakemake in this folder are left alone", file=sys.stderr)
        return
    running = sum(job.state != "PENDING" for job in orphans)
    print(
        f"{len(orphans)} jobs of an earlier Snakemake are still in the queue, {running} of them running: "
        "cancelling them; training is saved and resumes",
        file=sys.stderr,
    )
    subprocess.run(["scancel", *(job.number for job in orphans)], check=True)
    deadline = time.monotonic() + 300
    while left := jobs_of(folder):
        if time.monotonic() > deadline:
            numbers = ", ".join(job.number for job in left)
            raise UserError(
                f"Slurm's jobs {numbers} do not end; see `scontrol show job {left[0].number}` and cancel them"
            )
        time.sleep(1)


def _is_alone(folder: Path) -> bool:
    """Hold a lock until this process ends; return whether no other process holds one in this folder.

    Snakemake's own locks do not serve: any Snakemake that ends deletes them all.
    """
    locks = folder / ".snakemake"
    locks.mkdir(exist_ok=True)
    others = False
    for path in locks.glob("convttlstm-*.lock"):
        with path.open("r+") as file:
            try:
                # lockf and not flock: it also works on network file systems.
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink(missing_ok=True)
            except OSError:
                others = True
    own = locks / f"convttlstm-{socket.gethostname()}-{os.getpid()}.lock"
    fcntl.lockf(os.open(own, os.O_RDWR | os.O_CREAT, 0o666), fcntl.LOCK_EX)  # open until the process ends
    return not others


def _output_of(*command: str) -> str:
    """Return a command's output, "" if the command is missing or fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout
