"""Measures training on a GPU in a few minutes: `python -m benchmarks.gpu --minutes M --output DIR`.

../README.md explains how to run it on a machine without a network.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.variants import Work

Row = dict[str, Any]
# The record of each step that was tried, by its name: status, rows, device and so on; see `worker`.
Records = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Options:
    """Options of all steps.

    Attributes:
        kind: kind of device, "cpu" or "cuda".
        small: whether to use tiny models and frames, for a rehearsal.
        output: folder of the results.
        runs: folder of the scale's runs, which resume from there.
    """

    kind: str
    small: bool
    output: Path
    runs: Path

    def work(self, side: int, batch: int = 16) -> Work:
        """Return the paper's training step on frames of this size, or a tiny one in a rehearsal."""
        if self.small:
            settings = {"channels": [3, 4, 4, 3], "layers_per_block": 1, "kernel_size": 3}
            return Work(2, side // 8, self.kind, context=2, horizon=2, settings=settings)
        return Work(batch, side, self.kind, context=10, horizon=10)


@dataclass(frozen=True)
class Step:
    """A measurement.

    Attributes:
        name: unique, and the same in every call, so that no result is measured twice.
        seconds: about how long it takes on a data-centre GPU.
        call: measures; takes all records so far and the deadline, by `time.monotonic`.
        open_ended: whether it uses all the time that is left, if that is at least `seconds`.
    """

    name: str
    seconds: float
    call: Callable[[Records, float], list[Row]]
    open_ended: bool = False
