"""Counts the memory of a training step, tensor by tensor, and the largest batch that fits a GPU.

Forward and backward of a sequence of 10 -> 10 frames run on PyTorch's fake tensors, which have sizes but no
content. All tensors alive at a time are added up, and the largest sum is the peak. The difference between
batches of 2 and of 1 is the memory per sequence; the rest (gradients, weights rounded to bf16) does not grow
with the batch. Weights and Adam's two moments are added. Workspaces of convolutions cannot be counted:
RESERVED is kept for them and for the GPU's context. Not run on a GPU yet.
"""

import argparse
import weakref
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from benchmarks import RESULTS, publish
from benchmarks.variants import MODELS
from convttlstm.config.counted import PAPER_SIZES
from convttlstm.evaluation.complexity import count_parameters
from convttlstm.models import create_model
from convttlstm.provenance import device_name

CONTEXT, HORIZON = 10, 10
GPUS = [16, 24, 40, 80, 141]  # GB
RESERVED = 2.0  # GB


def main() -> None:
    """Count, and write one CSV."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--output", type=Path, default=RESULTS, help="folder")
    options = parser.parse_args()
    choices = product(PAPER_SIZES, MODELS, ("float32", "bf16"), (False, True))
    rows = [{"device": device_name("cpu"), "torch": torch.__version__} | row(*choice) for choice in choices]
    publish(pd.DataFrame(rows), options.output, "memory")


def row(size: int, name: str, precision: str, checkpointing: bool) -> dict[str, object]:
    """Return a row of the table."""
    model = create_model(name, checkpointing=checkpointing)
    sequence, fixed = (value / 1e9 for value in sequence_bytes(model, size, precision))
    fixed += 3 * 4 * count_parameters(model) / 1e9
    return {
        "size": size,
        "model": name,
        "precision": precision,
        "recomputed": checkpointing,
        "mb_per_sample_and_step": 1000 * sequence / (CONTEXT + HORIZON - 1),
        "gb_per_sample": sequence,
        "gb_fixed": fixed,
        "gb_of_batch_16": 16 * sequence + fixed,
    } | {f"batch_of_{gpu}_gb": max(0, int((gpu - RESERVED - fixed) // sequence)) for gpu in GPUS}


def sequence_bytes(model: nn.Module, size: int, precision: str) -> tuple[int, int]:
    """Return the peak memory per sequence and the part that does not grow with the batch, in bytes."""
    one, two = (peak_bytes(training(model, batch, size, precision)) for batch in (1, 2))
    return two - one, 2 * one - two


def training(
    model: nn.Module, batch: int, size: int, precision: str, context: int = CONTEXT, horizon: int = HORIZON
) -> Callable[[], object]:
    """Return a function that runs forward and backward once."""
    frames = torch.empty(batch, context, 1, size, size)

    def work() -> object:
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            outputs = model(frames, context, horizon)
        return torch.autograd.grad(outputs.float().square().mean(), list(model.parameters()))

    return work


def peak_bytes(work: Callable[[], object]) -> int:
    """Return the peak memory of the tensors that `work` makes, in bytes."""
    with FakeTensorMode(allow_non_fake_inputs=True), LiveBytes() as count:
        work()
    return count.peak


class LiveBytes(TorchDispatchMode):
    """Counts the memory of the tensors that operators return and that are not freed yet."""

    def __init__(self) -> None:
        super().__init__()
        self.live = self.peak = 0
        self.storages: set[int] = set()

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = function(*args, **(kwargs or {}))
        for value in tree_leaves(result):
            if isinstance(value, Tensor):
                self._note(value.untyped_storage())
        return result

    def _note(self, storage: torch.UntypedStorage) -> None:
        key, size = storage._cdata, storage.nbytes()
        if key not in self.storages:
            self.storages.add(key)
            self.live += size
            self.peak = max(self.peak, self.live)
            weakref.finalize(storage, self._forget, key, size)

    def _forget(self, key: int, size: int) -> None:
        self.storages.remove(key)
        self.live -= size


if __name__ == "__main__":
    main()
