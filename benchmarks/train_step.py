"""Times a training step of the paper's two models: ours against the textbook module.

A step is that of `benchmarks.variants`, on 4 given and 3 predicted frames. All variants have the same
weights. Outputs and gradients of ours and of the textbook are compared, on the CPU, before anything is timed;
the tests compare both with full-size kernels.

The variants are timed in turn, and the shortest time of all rounds counts. Each round also times a single
convolution, forward and backward, of the size that most layers have (5x5, 56 -> 192 channels, channels last),
and a matrix product. The share of their rates is how close a step comes to full speed. The first step has a
separate column, because it includes compilation. Memory is the peak that `benchmarks.memory` counts. On a
GPU, use `benchmarks.gpu`.
"""

import argparse
import math
from collections.abc import Mapping
from functools import partial
from itertools import product
from pathlib import Path

import pandas as pd
import torch
from torch.nn import functional

from benchmarks import RESULTS, conditions, finish, least_seconds, publish, seconds_of
from benchmarks.memory import peak_bytes, training
from benchmarks.textbook import verify
from benchmarks.variants import MODELS, OPTIONS, PRECISIONS, RECOMPUTED, TrainingStep, Variant, Work
from convttlstm.evaluation.complexity import step_cost
from convttlstm.models import create_model
from convttlstm.provenance import device_name
from convttlstm.repeatability import set_arithmetic

CALLS = 5  # of a single convolution or product, in each round
CODES = ["textbook", "ours", f"ours, {RECOMPUTED}"]


def main() -> None:
    """Check, time every variant and write one CSV for this device."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--batch", type=int, default=Work.batch)
    parser.add_argument("--side", type=int, default=Work.side, help="pixels")
    parser.add_argument("--context", type=int, default=Work.context, help="frames given")
    parser.add_argument("--horizon", type=int, default=Work.horizon, help="frames predicted")
    parser.add_argument("--precisions", nargs="+", default=["float32", "bf16"], choices=PRECISIONS)
    parser.add_argument(
        "--codes",
        nargs="+",
        default=CODES,
        metavar="CODE",
        help=f"such as 'ours, compiled'; options: {OPTIONS}",
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--output", type=Path, default=RESULTS, help="folder")
    parser.add_argument("--name", default="train_step", help="of the CSV file, before the device's")
    options = parser.parse_args()
    print(conditions(options.device))
    for name in MODELS:
        verify(name)
    choices = product(MODELS, options.precisions, options.codes)
    work = Work(options.batch, options.side, options.device, options.context, options.horizon)
    rows = measure([Variant(*choice) for choice in choices], work, options.rounds)
    found = {"device": device_name(work.kind), "threads": torch.get_num_threads(), "torch": torch.__version__}
    found |= {"batch": work.batch, "side": work.side, "context": work.context, "horizon": work.horizon}
    publish(pd.DataFrame([found | row for row in rows]), options.output, options.name, kind=work.kind)


def measure(variants: list[Variant], work: Work, rounds: int) -> list[dict[str, object]]:
    """Return a row of the table for each variant."""
    precisions = dict.fromkeys(variant.precision for variant in variants)
    ceilings = {(name, p): partial(make, p, work) for name, make in CEILINGS.items() for p in precisions}
    counted = {key: call() for key, call in ceilings.items()}
    steps = {variant: TrainingStep(variant, work) for variant in variants}
    first = {variant: seconds_of(step) for variant, step in steps.items()}
    timed = {key: partial(seconds_of, call) for key, call in {**ceilings, **steps}.items()}
    least = least_seconds(timed, rounds)
    rates = {key: counted[key] / least[key] for key in ceilings}
    return [row(variant, work, first[variant], least, rates) for variant in variants]


def lone_convolution(precision: str, work: Work) -> int:
    """Convolve forward and backward a few times; return the number of operations."""
    set_arithmetic(tf32=precision == "tf32")
    torch.backends.cudnn.benchmark = True  # its best, to compare with
    shapes = (work.batch, 56, work.side, work.side), (192, 56, 5, 5)
    made = [torch.rand(shape, dtype=PRECISIONS[precision], device=work.kind) for shape in shapes]
    image, weight = (tensor.to(memory_format=torch.channels_last).requires_grad_() for tensor in made)
    for _ in range(CALLS):
        result = functional.conv2d(image, weight, padding="same")
        torch.autograd.grad(result, (image, weight), result.detach())
    finish(work.kind)
    return CALLS * 3 * 2 * work.batch * work.side**2 * weight.numel()


def matrix_product(precision: str, work: Work) -> int:
    """Multiply square matrices a few times; return the number of operations."""
    set_arithmetic(tf32=precision == "tf32")
    side = {"cpu": 32, "cuda": 128}[work.kind] * work.side  # 2048 or 8192 at 64 x 64
    matrix = torch.rand(side, side, dtype=PRECISIONS[precision], device=work.kind)
    for _ in range(CALLS):
        matrix @ matrix
    finish(work.kind)
    return CALLS * 2 * side**3


CEILINGS = {"lone_convolution": lone_convolution, "matrix_product": matrix_product}


def operations(variant: Variant, work: Work) -> int:
    """Return the number of multiplications and additions in a training step, two thirds of them backward."""
    cost = step_cost(create_model(variant.model, **work.settings), work.side)
    return 3 * 2 * cost.multiplications * work.steps * work.batch


def row(
    variant: Variant, work: Work, first: float, least: Mapping[object, float], rates: Mapping[object, float]
) -> dict[str, object]:
    """Return a row of the table, with ratios to the measurements that were made."""
    own, precision = least[variant], variant.precision
    base = {p: least.get(Variant(variant.model, p, "textbook"), math.nan) for p in ("float32", precision)}
    rate = operations(variant, work) / own
    peak = math.nan  # compiled code cannot be counted
    if "compiled" not in variant.options:
        sequence = work.batch, work.side, precision, work.context, work.horizon
        peak = peak_bytes(training(variant.build(work), *sequence))
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
        | {f"share_of_{name}": rate / rates[name, precision] for name in CEILINGS}
        | {"peak_mb_per_sample_and_step": peak / 1e6 / work.batch / work.steps}
    )


if __name__ == "__main__":
    main()
