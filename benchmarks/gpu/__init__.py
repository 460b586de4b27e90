"""What a GPU is measured by in a few minutes: `python -m benchmarks.gpu --minutes M --output DIR`.

../README.md says how to take it to a machine without a network.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.variants import Work

Row = dict[str, Any]
# What is known of each step that was tried: status, rows, device and so on; see `__main__`.
Records = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Options:
    """What all steps share.

    Attributes:
        kind: of the device, "cpu" or "cuda".
        small: tiny models and frames, to rehearse.
        output: where results go.
        runs: where the scale's runs are trained, and go on.
    """

    kind: str
    small: bool
    output: Path
    runs: Path

    def work(self, side: int, batch: int = 16) -> Work:
        """Return the paper's training step on frames of this size, or a tiny one in its place."""
        if self.small:
            settings = {"channels": [3, 4, 4, 3], "layers_per_block": 1, "kernel_size": 3}
            return Work(2, side // 8, self.kind, context=2, horizon=2, settings=settings)
        return Work(batch, side, self.kind, context=10, horizon=10)


@dataclass(frozen=True)
class Step:
    """Something to measure.

    Attributes:
        name: unique, and the same on every day, so that results that are there are not made again.
        seconds: about how long it takes on a data-centre GPU.
        call: measures; is given all records so far and the time, by `time.monotonic`, to end by.
        waits: it takes all the time that is left, if that is at least `seconds`.
    """

    name: str
    seconds: float
    call: Callable[[Records, float], list[Row]]
    waits: bool = False
