"""One training step of the paper's two models, ours against the textbook module, variants in turn.

A step is forward, l1 + l2, backward, clipping and Adam, on 4 given and 3 predicted frames. All variants
have the same weights; outputs and gradients of ours and the textbook's are compared, on the CPU, before
anything is timed. The tests compare both with full-size kernels.
Each round also times a lone convolution as most layers have one (5x5, 56 -> 192 channels, channels last),
forward and backward, and a matrix product: the shares of their rates say how near a step comes to full speed.
What counts is the least over rounds; each variant's first step, with its compilation if it is compiled, has a
column of its own. Memory is that of `benchmarks.memory`, at its peak. `--device cuda` has not been tried.
"""

import argparse
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path

import pandas as pd
import torch
from torch import nn
from torch.nn import functional

from benchmarks import RESULTS, conditions, least_seconds, publish, seconds_of
from benchmarks.memory import MODELS, peak_bytes, training
from benchmarks.textbook import textbook, verify
from convttlstm.evaluation.complexity import step_cost
from convttlstm.models import create_model
from convttlstm.models.recurrent import RecurrentPredictor
from convttlstm.provenance import device_name
from convttlstm.training.recipes.base import l1_l2

CONTEXT, HORIZON = 4, 3
STEPS = CONTEXT + HORIZON - 1
CALLS = 5  # of what is timed alone, in each round
PRECISIONS = {"float32": torch.float32, "bf16": torch.bfloat16}
COMPILED = "ours, compiled"
CODES = ["textbook", "ours", "ours, recomputed", COMPILED]


@dataclass(frozen=True)
class Variant:
    model: str
    precision: str
    code: str

    def build(self) -> RecurrentPredictor:
        torch.manual_seed(0)
        model = create_model(self.model, checkpointing=self.code == "ours, recomputed")
        if self.code == COMPILED:
            model.stack.compile_cells()
        return textbook(model) if self.code == "textbook" else model


@dataclass(frozen=True)
class Work:
    """What a step is made of: sequences, square frames, and the kind of device."""

    batch: int = 2
    side: int = 64
    kind: str = "cpu"


def main() -> None:
    """Check, measure every variant and write one CSV for this device."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--batch", type=int, default=Work.batch)
    parser.add_argument("--side", type=int, default=Work.side, help="pixels")
    parser.add_argument("--precisions", nargs="+", default=list(PRECISIONS), choices=PRECISIONS)
    parser.add_argument("--codes", nargs="+", default=CODES[:3], choices=CODES, metavar="CODE")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--output", type=Path, default=RESULTS, help="folder")
    parser.add_argument("--name", default="train_step", help="of the CSV file, before the device's")
    options = parser.parse_args()
    print(conditions(options.device))
    for name in MODELS:
        verify(name)
    choices = product(MODELS, options.precisions, options.codes)
    work = Work(options.batch, options.side, options.device)
    rows = measure([Variant(*choice) for choice in choices], work, options.rounds)
    found = {"device": device_name(work.kind), "threads": torch.get_num_threads(), "torch": torch.__version__}
    found |= {"batch": work.batch, "side": work.side}
    publish(pd.DataFrame([found | row for row in rows]), options.output, options.name, kind=work.kind)


def measure(variants: list[Variant], work: Work, rounds: int) -> list[dict[str, object]]:
    """Return a line of the table for each variant."""
    steps = {variant: training_step(variant.build(), variant.precision, work) for variant in variants}
    alone = {
        (name, precision): partial(make, PRECISIONS[precision], work)
        for name, make in ALONE.items()
        for precision in dict.fromkeys(variant.precision for variant in variants)
    }
    operations = {key: call() for key, call in alone.items()}
    first = {variant: seconds_of(step) for variant, step in steps.items()}
    timed = {key: partial(seconds_of, call) for key, call in {**alone, **steps}.items()}
    least = least_seconds(timed, rounds)
    rates = {key: operations[key] / least[key] for key in alone}
    return [row(variant, work, first[variant], least, rates) for variant in variants]


def training_step(model: RecurrentPredictor, precision: str, work: Work) -> Callable[[], None]:
    """Return a function that updates a model's weights once."""
    model.to(work.kind)
    optimizer = torch.optim.Adam(model.parameters())
    frames = torch.rand(work.batch, CONTEXT + HORIZON, 1, work.side, work.side, device=work.kind)

    def step() -> None:
        with torch.autocast(work.kind, torch.bfloat16, enabled=precision == "bf16"):
            loss = l1_l2(model(frames, CONTEXT, HORIZON).float(), frames, CONTEXT, HORIZON)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        finish(work)

    return step


def finish(work: Work) -> None:
    """Wait for the device."""
    if work.kind == "cuda":
        torch.cuda.synchronize()


def lone_convolution(dtype: torch.dtype, work: Work) -> int:
    """Convolve forward and backward a few times; return the operations that this takes."""
    shapes = (work.batch, 56, work.side, work.side), (192, 56, 5, 5)
    ones = [torch.ones(shape, dtype=dtype, device=work.kind) for shape in shapes]
    image, weight = (tensor.to(memory_format=torch.channels_last).requires_grad_() for tensor in ones)
    for _ in range(CALLS):
        result = functional.conv2d(image, weight, padding="same")
        torch.autograd.grad(result, (image, weight), torch.ones_like(result))
    finish(work)
    return CALLS * 3 * 2 * work.batch * work.side**2 * weight.numel()


def matrix_product(dtype: torch.dtype, work: Work) -> int:
    """Multiply square matrices a few times; return the operations that this takes."""
    side = {"cpu": 2048, "cuda": 8192}[work.kind]
    matrix = torch.ones(side, side, dtype=dtype, device=work.kind)
    for _ in range(CALLS):
        matrix @ matrix
    finish(work)
    return CALLS * 2 * side**3


ALONE = {"lone_convolution": lone_convolution, "matrix_product": matrix_product}


def row(
    variant: Variant, work: Work, first: float, least: Mapping[object, float], rates: Mapping[object, float]
) -> dict[str, object]:
    """Return a line of the table, with ratios where what they compare with was measured too."""
    own, precision = least[variant], variant.precision
    base = {p: least.get(Variant(variant.model, p, "textbook"), math.nan) for p in ("float32", precision)}
    multiplications = step_cost(create_model(variant.model), work.side).multiplications
    rate = 3 * 2 * multiplications * STEPS * work.batch / own
    peak = math.nan  # of compiled code nothing is counted
    if variant.code != COMPILED:
        peak = peak_bytes(training(variant.build(), work.batch, work.side, precision, CONTEXT, HORIZON))
    return (
        {
            "model": variant.model,
            "precision": precision,
            "variant": variant.code,
            "seconds": own,
            "first_seconds": first,
            "samples_per_second": work.batch / own,
            "times_float32_textbook": base["float32"] / own,
            "times_textbook": base[precision] / own,
            "gflops": rate / 1e9,
        }
        | {f"share_of_{name}": rate / rates[name, precision] for name in ALONE}
        | {"peak_mb_a_sample_and_step": peak / 1e6 / work.batch / STEPS}
    )


if __name__ == "__main__":
    main()
