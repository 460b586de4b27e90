"""Times the weight gradient of one layer's gates: one convolution per time step, against one for all steps.

The difference is the most that `benchmarks.fast_paths.batch_weight_gradients` can save. The layer has 5x5
kernels and the channels of the wide layers of ConvLSTM and Conv-TT-LSTM; the sequence has 19 time steps. The
time of the joint convolution includes concatenating its inputs. The two take turns, and the shortest time of
all rounds counts.
"""

import argparse
from functools import partial
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor

from benchmarks import RESULTS, conditions, least_seconds, publish, seconds_of
from benchmarks.fast_paths import joined, weight_gradient
from benchmarks.variants import PRECISIONS, Work
from convttlstm.models.layout import fast_layout
from convttlstm.provenance import device_name
from convttlstm.repeatability import set_arithmetic

# Channels of [X; V], for gates of 48 hidden channels.
CHANNELS = {"conv_lstm": 96, "conv_tt_lstm": 56}
HIDDEN, KERNEL = 48, 5

Pairs = list[tuple[Tensor, ...]]  # each time step's input, and gradient of the output


def main() -> None:
    """Measure, and write one CSV for this device."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--batch", type=int, default=Work.batch)
    parser.add_argument("--side", type=int, default=Work.side, help="pixels")
    parser.add_argument("--precisions", nargs="+", default=["float32", "bf16"], choices=PRECISIONS)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--output", type=Path, default=RESULTS, help="folder")
    options = parser.parse_args()
    print(conditions(options.device))
    work = Work(options.batch, options.side, options.device, context=10, horizon=10)
    rows = [row for precision in options.precisions for row in compare(precision, work, options.rounds)]
    found = {"device": device_name(work.kind), "threads": torch.get_num_threads(), "torch": torch.__version__}
    table = pd.DataFrame([found | row for row in rows])
    publish(table, options.output, "weight_gradients", kind=work.kind)


def compare(precision: str, work: Work, rounds: int) -> list[dict[str, object]]:
    """Return a row for each model's layer: the seconds of both ways, and the difference of their results."""
    set_arithmetic(tf32=precision == "tf32")
    rows: list[dict[str, object]] = []
    for name, channels in CHANNELS.items():
        layout = {"memory_format": fast_layout(work.kind)}
        made = {"dtype": PRECISIONS[precision], "device": work.kind}
        shapes = [(work.batch, width, work.side, work.side) for width in (channels, 4 * HIDDEN)]
        pairs = [tuple(torch.randn(s, **made).to(**layout) for s in shapes) for _ in range(work.steps)]
        weight = torch.zeros(4 * HIDDEN, channels, KERNEL, KERNEL, **made).to(**layout)
        ways = {"each": step_by_step, "joint": at_once}
        values = {way: compute(pairs, weight).double() for way, compute in ways.items()}
        difference = (values["joint"] - values["each"]).norm() / values["each"].norm()
        calls = {way: partial(compute, pairs, weight) for way, compute in ways.items()}
        timed = {way: partial(seconds_of, call, work.kind) for way, call in calls.items()}
        seconds = least_seconds(timed, rounds)
        row = {"model": name, "precision": precision, "side": work.side, "batch": work.batch}
        row |= {f"{way}_seconds": value for way, value in seconds.items()}
        rows.append(row | {"saved": 1 - seconds["joint"] / seconds["each"], "difference": float(difference)})
    return rows


def step_by_step(pairs: Pairs, weight: Tensor) -> Tensor:
    """Return the sum of all steps' gradients, computed one after the other as autograd does."""
    total = weight_gradient(*pairs[0], weight)[0]
    for x, gradient in pairs[1:]:
        total += weight_gradient(x, gradient, weight)[0]
    return total


def at_once(pairs: Pairs, weight: Tensor) -> Tensor:
    """Return the same sum, computed by one convolution."""
    x, gradient = (joined(tensors) for tensors in zip(*pairs, strict=True))
    return weight_gradient(x, gradient, weight)[0]


if __name__ == "__main__":
    main()
