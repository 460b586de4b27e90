"""Times training steps of each variant, counts their kernels, and shows what limits the fastest one."""

import gc
import math
import statistics
import time
from collections.abc import Callable

import torch
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

from benchmarks import seconds_of, weight_gradients
from benchmarks.gpu import Options, Records, Row
from benchmarks.memory import peak_bytes, training
from benchmarks.train_step import CEILINGS, operations
from benchmarks.variants import TrainingStep, Variant, Work

LEAST_CALLS = 5  # in each measurement
TOP = 10  # kernels in a profile


def rates(options: Options, precision: str, side: int) -> list[Row]:
    """Return the rates of a single convolution and of a matrix product."""
    work = options.work(side)
    rows = []
    for name, make in CEILINGS.items():
        counted = make(precision, work)  # the first call also chooses kernels
        seconds = median_seconds(lambda make=make: make(precision, work), options)
        rows.append(
            {"ceiling": name, "precision": precision, "side": side, "gflops": counted / seconds / 1e9}
        )
    return rows


def one_layer(options: Options, precision: str) -> list[Row]:
    """Return the time saved by computing a layer's weight gradient for all time steps at once."""
    rows = weight_gradients.compare(precision, options.work(64), rounds=1 + LEAST_CALLS)
    return [{"one_layer": row.pop("model")} | row for row in rows]


def train_step(options: Options, variant: Variant, side: int) -> list[Row]:
    """Return the row of one variant."""
    work = options.work(side)
    cuda = work.kind == "cuda"
    forget_earlier_steps()
    if cuda:
        torch.cuda.reset_peak_memory_stats()
    started = time.perf_counter()
    step = TrainingStep(variant, work)
    step()
    first = time.perf_counter() - started
    seconds_of(step)  # warms up caches that the first step leaves cold
    seconds = median_seconds(step, options)
    peak = torch.cuda.max_memory_allocated() if cuda else counted_bytes(variant, work)
    row = {"model": variant.model, "precision": variant.precision, "code": variant.code, "side": side}
    row |= {"batch": work.batch, "ms": 1000 * seconds, "samples_per_second": work.batch / seconds}
    row |= {"gflops": operations(variant, work) / seconds / 1e9, "first_seconds": first}
    return [row | {"peak_gb": peak / 1e9} | launches(step, work.kind)]


def forget_earlier_steps() -> None:
    """Free the memory of earlier steps, and compiled code, which would be reused for any frame size."""
    torch.compiler.reset()
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def median_seconds(call: Callable[[], object], options: Options) -> float:
    """Return the median time of a call that waits for the device, of five calls and one second at least."""
    taken: list[float] = []
    while len(taken) < LEAST_CALLS or (sum(taken) < 1 and not options.small):
        taken.append(seconds_of(call))
    return statistics.median(taken)


def counted_bytes(variant: Variant, work: Work) -> float:
    """Return the peak memory of a step on a CPU; NaN for compiled code, which cannot be counted."""
    if "compiled" in variant.options:
        return math.nan
    sequence = work.batch, work.side, variant.precision, work.context, work.horizon
    return peak_bytes(training(variant.build(work), *sequence))


def launches(step: Callable[[], object], kind: str) -> Row:
    """Return the number of kernels in a step, and of the driver's calls that launched them.

    Where the profiler does not work, its error: the step's time is worth keeping.
    """
    try:
        kernels, calls = traced(step, kind)
    except RuntimeError as error:
        return {"profiler": str(error)[:200]}
    return {"kernels": len(kernels), "launches": calls}


Kernel = tuple[str, float, float]  # name, begin and end in microseconds


def traced(step: Callable[[], object], kind: str) -> tuple[list[Kernel], int]:
    """Return the kernels of a step in the order of their begin, and the number of calls that launched them.

    On a CPU, operators that call no others are counted as kernels.
    """
    # On a GPU the operators are not recorded: they are many, and take long to read.
    activity = ProfilerActivity.CUDA if kind == "cuda" else ProfilerActivity.CPU
    with profile(activities=[activity], acc_events=True) as trace:
        step()
    events = trace.events() or []
    if kind == "cuda":
        own = [event for event in events if event.device_type == DeviceType.CUDA]
        own = [event for event in own if not event.is_user_annotation]  # such as the optimizer's
    else:
        own = [event for event in events if event.name.startswith("aten::") and not event.cpu_children]
    kernels = [(event.name, event.time_range.start, event.time_range.end) for event in own]
    calls = sum("Launch" in event.name and event.device_type == DeviceType.CPU for event in events)
    return sorted(kernels, key=lambda kernel: kernel[1]), calls


def busy(kernels: list[Kernel]) -> float:
    """Return for how long at least one kernel ran, in microseconds."""
    total, until = 0.0, -math.inf
    for _, start, end in sorted(kernels, key=lambda kernel: kernel[1]):
        total += max(0.0, end - max(start, until))
        until = max(until, end)
    return total


def fastest(records: Records, name: str, compiled: bool) -> Variant | None:
    """Return the fastest measured variant of a model at 64 x 64 in bf16, compiled or not, if there is any."""
    rows = [row for record in records.values() for row in record.get("rows", ())]
    own = [row for row in rows if "ms" in row and row["model"] == name and row["side"] == 64]
    own = [row for row in own if row["precision"] == "bf16" and ("compiled" in row["code"]) == compiled]
    best = min(own, key=lambda row: row["ms"], default=None)
    return best and Variant(name, "bf16", best["code"])


def profile_fastest(options: Options, name: str, compiled: bool, records: Records) -> list[Row]:
    """Return the kernels that take most of the fastest variant's step, and the time without any kernel.

    Raises:
        ValueError: nothing was measured yet.
    """
    variant = fastest(records, name, compiled)
    if variant is None:
        raise ValueError("no variant was measured at 64 x 64 in bf16, so there is nothing to profile")
    forget_earlier_steps()
    step = TrainingStep(variant, options.work(64))
    for _ in range(3):
        step()
    kernels, _ = traced(step, options.kind)
    if not kernels:
        raise ValueError("the profiler saw no kernel")
    span = max(end for _, _, end in kernels) - kernels[0][1]
    by_name: dict[str, list[float]] = {}
    for kernel, start, end in kernels:
        by_name.setdefault(kernel, []).append(end - start)
    top = sorted(by_name.items(), key=lambda item: -sum(item[1]))[:TOP]
    lines = [("(no kernel)", 0, span - busy(kernels))] + [(n, len(t), sum(t)) for n, t in top]
    found = {"model": name, "profiled": variant.code, "kernels": len(kernels), "step_ms": span / 1000}
    return [
        found | {"kernel": kernel[:160], "calls": calls, "kernel_ms": us / 1000, "share": us / span}
        for kernel, calls, us in lines
    ]
