"""One training step of the paper's two models, ours against the textbook module, variants in turn.

A step is forward, l1 + l2, backward, clipping and Adam, on 2 given and 2 predicted frames of 64x64. All
variants have the same weights; outputs and gradients are compared with the oracle before anything is timed.
Each round also times a lone convolution as most layers have one (5x5, 56 -> 192 channels, channels last),
forward and backward: the share of its rate says how near a step comes to convolutions at full speed. Peak
memory is that of the process, in a first round, above what it was before the step. What counts is the least
over rounds.
"""

import argparse
import ctypes
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pandas as pd
import torch
from torch import nn
from torch.nn import functional

from benchmarks import RESULTS, conditions, publish
from benchmarks.textbook import textbook, verify
from convttlstm.evaluation.complexity import step_cost
from convttlstm.models import create_model
from convttlstm.provenance import device_name
from convttlstm.training.recipes.base import l1_l2

MODELS = ["conv_lstm", "conv_tt_lstm"]
BATCH, CONTEXT, HORIZON, SIDE = 2, 2, 2, 64
STEPS = CONTEXT + HORIZON - 1
LONE = {"in": 56, "out": 192, "kernel": 5, "calls": 5}


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
    for precision in ("float32", "bf16")
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
    steps = {variant: training_step(variant) for variant in VARIANTS}
    peaks = {variant: peak_bytes(step) for variant, step in steps.items()}
    seconds, lone = measure(steps, options.rounds)
    rows = [row(variant, seconds, lone) | memory_columns(peaks[variant]) for variant in VARIANTS]
    found = {"device": device_name("cpu"), "threads": torch.get_num_threads(), "torch": torch.__version__}
    publish(pd.DataFrame([found | one for one in rows]), options.output, "train_step")


def measure(
    steps: dict[Variant, Callable[[], None]], rounds: int
) -> tuple[dict[Variant, float], dict[str, float]]:
    """Return the least seconds of each variant, and the operations a second of the lone convolution."""
    lone = {precision: partial(lone_convolution, precision) for precision in ("float32", "bf16")}
    taken: dict[Variant | str, list[float]] = {}
    for _ in range(rounds):
        for name, work in {**lone, **steps}.items():
            started = time.perf_counter()
            work()
            taken.setdefault(name, []).append(time.perf_counter() - started)
    least = {name: min(times) for name, times in taken.items()}
    operations = 3 * 2 * BATCH * SIDE**2 * LONE["in"] * LONE["out"] * LONE["kernel"] ** 2 * LONE["calls"]
    return {v: least[v] for v in VARIANTS}, {p: operations / least[p] for p in lone}


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


def lone_convolution(precision: str) -> None:
    """Convolve forward and backward a few times."""
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    shapes = (BATCH, LONE["in"], SIDE, SIDE), (LONE["out"], LONE["in"], LONE["kernel"], LONE["kernel"])
    inputs = [torch.ones(shape, dtype=dtype).to(memory_format=torch.channels_last) for shape in shapes]
    image, weight = (tensor.requires_grad_() for tensor in inputs)
    for _ in range(LONE["calls"]):
        result = functional.conv2d(image, weight, padding="same")
        torch.autograd.grad(result, (image, weight), torch.ones_like(result))


def row(variant: Variant, seconds: dict[Variant, float], lone: dict[str, float]) -> dict[str, object]:
    """Return a line of the table."""
    own = seconds[variant]
    base = {p: seconds[Variant(variant.model, p, "textbook")] for p in ("float32", variant.precision)}
    multiplications = step_cost(create_model(variant.model), SIDE).multiplications
    rate = 3 * 2 * multiplications * STEPS * BATCH / own
    return {
        "model": variant.model,
        "precision": variant.precision,
        "variant": variant.code,
        "seconds": own,
        "samples_per_second": BATCH / own,
        "times_float32_textbook": base["float32"] / own,
        "times_textbook": base[variant.precision] / own,
        "gflops": rate / 1e9,
        "share_of_lone_convolution": rate / lone[variant.precision],
    }


def memory_columns(peak: int) -> dict[str, float]:
    return {"peak_mib": peak / 2**20, "mib_a_sample_and_step": peak / 2**20 / BATCH / STEPS}


def peak_bytes(work: Callable[[], None]) -> int:
    """Return what a function takes at its peak, above the memory before it (Linux with glibc)."""
    ctypes.CDLL("libc.so.6").malloc_trim(0)  # or it would go unseen in what others have left
    Path("/proc/self/clear_refs").write_text("5")  # the peak is counted from here
    before = memory("VmRSS")
    work()
    return memory("VmHWM") - before


def memory(name: str) -> int:
    """Return a figure of this process's memory in bytes."""
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith(name)) * 1024


if __name__ == "__main__":
    main()
