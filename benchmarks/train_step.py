"""One training step of the paper's two models, ours against the textbook module, variants in turn.

A step is forward, l1 + l2, backward, clipping and Adam, on 4 given and 3 predicted frames of 64x64. All
variants have the same weights; outputs and gradients are compared with the oracle before anything is timed.
Each round also times a lone convolution as most layers have one (5x5, 56 -> 192 channels, channels last),
forward and backward, and a matrix product: the shares of their rates say how near a step comes to full speed.
What counts is the least over rounds. Memory is that of `benchmarks.memory`, at its peak.
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import nn
from torch.nn import functional

from benchmarks import RESULTS, conditions, least_seconds, publish, seconds_of
from benchmarks.memory import MODELS, peak_bytes, training
from benchmarks.textbook import textbook, verify
from convttlstm.evaluation.complexity import step_cost
from convttlstm.models import create_model
from convttlstm.provenance import device_name
from convttlstm.training.recipes.base import l1_l2

BATCH, CONTEXT, HORIZON, SIDE = 2, 4, 3, 64
STEPS = CONTEXT + HORIZON - 1
CALLS = 5  # of what is timed alone, in each round
PRECISIONS = {"float32": torch.float32, "bf16": torch.bfloat16}


@dataclass(frozen=True)
class Variant:
    model: str
    precision: str
    code: str

    def build(self) -> nn.Module:
        torch.manual_seed(0)
        model = create_model(self.model, checkpointing=self.code == "ours, recomputed")
        return textbook(model) if self.code == "textbook" else model


VARIANTS = [
    Variant(model, precision, code)
    for model in MODELS
    for precision in PRECISIONS
    for code in ("textbook", "ours", "ours, recomputed")
]


def main() -> None:
    """Check, measure every variant and write one CSV for this device."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--output", type=Path, default=RESULTS, help="folder")
    options = parser.parse_args()
    print(conditions("cpu"))
    for name in MODELS:
        verify(name)
    seconds, rates = measure(options.rounds)
    rows = [row(variant, seconds, rates) for variant in VARIANTS]
    found = {"device": device_name("cpu"), "threads": torch.get_num_threads(), "torch": torch.__version__}
    publish(pd.DataFrame([found | one for one in rows]), options.output, "train_step")


def measure(rounds: int) -> tuple[dict[Variant, float], dict[tuple[str, str], float]]:
    """Return the least seconds of each variant, and the operations a second of what is timed alone."""
    steps = {variant: training_step(variant) for variant in VARIANTS}
    alone = {
        (name, precision): partial(work, PRECISIONS[precision])
        for name, work in ALONE.items()
        for precision in PRECISIONS
    }
    operations = {key: work() for key, work in alone.items()}
    works: dict[Any, Callable[[], object]] = {**alone, **steps}
    least = least_seconds({key: partial(seconds_of, work) for key, work in works.items()}, rounds)
    return {key: least[key] for key in steps}, {key: operations[key] / least[key] for key in alone}


def training_step(variant: Variant) -> Callable[[], None]:
    """Return a function that updates a variant's weights once."""
    model = variant.build()
    optimizer = torch.optim.Adam(model.parameters())
    frames = torch.rand(BATCH, CONTEXT + HORIZON, 1, SIDE, SIDE)

    def step() -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=variant.precision == "bf16"):
            loss = l1_l2(model(frames, CONTEXT, HORIZON).float(), frames, CONTEXT + HORIZON)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()

    return step


def lone_convolution(dtype: torch.dtype) -> int:
    """Convolve forward and backward a few times; return the operations that this takes."""
    shapes = (BATCH, 56, SIDE, SIDE), (192, 56, 5, 5)
    inputs = [torch.ones(shape, dtype=dtype).to(memory_format=torch.channels_last) for shape in shapes]
    image, weight = (tensor.requires_grad_() for tensor in inputs)
    for _ in range(CALLS):
        result = functional.conv2d(image, weight, padding="same")
        torch.autograd.grad(result, (image, weight), torch.ones_like(result))
    return CALLS * 3 * 2 * BATCH * SIDE**2 * weight.numel()


def matrix_product(dtype: torch.dtype, side: int = 2048) -> int:
    """Multiply square matrices a few times; return the operations that this takes."""
    matrix = torch.ones(side, side, dtype=dtype)
    for _ in range(CALLS):
        matrix @ matrix
    return CALLS * 2 * side**3


ALONE = {"lone_convolution": lone_convolution, "matrix_product": matrix_product}


def row(
    variant: Variant, seconds: dict[Variant, float], rates: dict[tuple[str, str], float]
) -> dict[str, object]:
    """Return a line of the table."""
    own = seconds[variant]
    base = {p: seconds[Variant(variant.model, p, "textbook")] for p in ("float32", variant.precision)}
    multiplications = step_cost(create_model(variant.model), SIDE).multiplications
    rate = 3 * 2 * multiplications * STEPS * BATCH / own
    peak = peak_bytes(training(variant.build(), BATCH, SIDE, variant.precision, CONTEXT, HORIZON))
    return (
        {
            "model": variant.model,
            "precision": variant.precision,
            "variant": variant.code,
            "seconds": own,
            "samples_per_second": BATCH / own,
            "times_float32_textbook": base["float32"] / own,
            "times_textbook": base[variant.precision] / own,
            "gflops": rate / 1e9,
        }
        | {f"share_of_{name}": rate / rates[name, variant.precision] for name in ALONE}
        | {"peak_mb_a_sample_and_step": peak / 1e6 / BATCH / STEPS}
    )


if __name__ == "__main__":
    main()
