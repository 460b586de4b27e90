"""Reasons to save during training: a checkpoint is due, a signal arrived, or the job's time runs out."""

import contextlib
import math
import signal
import time
from collections.abc import Callable, Iterator
from enum import IntEnum
from typing import Any

from convttlstm import slurm

EXIT_INTERRUPTED = 75  # EX_TEMPFAIL of sysexits.h: the same command resumes
SAVING_SECONDS = 120.0  # reserved at the end of a Slurm job; a tenth of a short job


class Reason(IntEnum):
    """Why a run saves; among several processes the highest value counts."""

    NONE = 0
    DUE = 1  # checkpoint_minutes have passed
    SIGINT = 2
    SIGTERM = 3
    SIGUSR1 = 4
    TIME_LIMIT = 5

    @property
    def stops(self) -> bool:
        """Whether the run stops after it has saved."""
        return self > Reason.DUE

    @property
    def restarts(self) -> bool:
        """Whether Slurm is to start the job again."""
        return self in (Reason.SIGUSR1, Reason.TIME_LIMIT)

    def __str__(self) -> str:
        return "the job's time limit" if self is Reason.TIME_LIMIT else self.name


class Interrupted(Exception):
    """The run was asked to stop, for `reason`, and has saved."""

    def __init__(self, message: str, reason: Reason) -> None:
        super().__init__(message)
        self.reason = reason


@contextlib.contextmanager
def stop_requests() -> Iterator[Callable[[], Reason]]:
    """Catch signals; yield a function that returns the first reason to stop: a signal, or the time limit."""
    received: list[Reason] = []
    left = slurm.seconds_left()
    deadline = time.monotonic() + left - min(SAVING_SECONDS, left / 10) if left else math.inf

    def note(number: int, frame: Any) -> None:
        received.append(Reason[signal.Signals(number).name])

    def stop_reason() -> Reason:
        if not received and time.monotonic() > deadline:
            received.append(Reason.TIME_LIMIT)
        return received[0] if received else Reason.NONE

    numbers = signal.SIGTERM, signal.SIGUSR1, signal.SIGINT
    before = {number: signal.signal(number, note) for number in numbers}
    try:
        yield stop_reason
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
