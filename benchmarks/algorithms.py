"""Measures the cost of Appendix A's two algorithms for the convolutional tensor train (Eq. 9) against N.

    Algorithm 1 ("kernels"):    K(1) = G(1);  K(i) = K(i-1) * G(i);  CTT = sum_i K(i) * H~(i)
    Algorithm 2 ("recursion"):  V(N) = H~(N);  V(i) = H~(i) + G(i+1) * V(i+1);  CTT = G(1) * V(1)

Algorithm 1's N convolutions are independent, but K(i) is i(S-1)+1 wide, so its cost is O(N^3). Algorithm 2
makes N convolutions with S x S kernels, one after the other. W * X(t) and the pre-processing are the same in
both, and not included.
"""

import argparse
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from matplotlib import ticker
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import RESULTS, conditions, median_seconds, result_path, seconds_of
from convttlstm.files import write_text
from convttlstm.reporting.drawing import GREY, WIDTH, Look, label_ends, save, styled

ORDERS, KERNEL_SIZES = range(1, 8), (3, 5)
RANK, HIDDEN, SIDE = 8, 32, 64


def full_kernels(factors: Sequence[Tensor]) -> list[Tensor]:
    """Return K(1) ... K(N), K(i) of shape (4 x hidden, rank, i(S-1)+1, i(S-1)+1) (Eq. 8)."""
    kernels = [factors[0]]
    for factor in factors[1:]:
        # Two correlations in a row equal one with the convolution of their kernels, hence the flip.
        weight = factor.flip(2, 3).transpose(0, 1)
        kernels.append(functional.conv2d(kernels[-1], weight, padding=factor.shape[2] - 1))
    return kernels


def by_kernels(windows: Sequence[Tensor], factors: Sequence[Tensor]) -> Tensor:
    """Return CTT by Algorithm 1, which builds all kernels.

    Args:
        windows: H~(1) ... H~(N), each (batch, rank, height, width).
        factors: G(1), (4 x hidden, rank, S, S), and G(2) ... G(N), (rank, rank, S, S).
    """
    terms = [
        functional.conv2d(window, kernel, padding="same")
        for window, kernel in zip(windows, full_kernels(factors), strict=True)
    ]
    return torch.stack(terms).sum(0)


def by_recursion(windows: Sequence[Tensor], factors: Sequence[Tensor]) -> Tensor:
    """Return CTT by Algorithm 2, as `convttlstm.models.conv_tt_lstm` does; see `by_kernels`.

    The two agree from N x (S // 2) pixels inside the border on: this one pads zeros before each factor,
    Algorithm 1 only once.
    """
    value = windows[-1]
    for i in range(len(windows) - 1, 0, -1):
        value = windows[i - 1] + functional.conv2d(value, factors[i], padding="same")
    return functional.conv2d(value, factors[0], padding="same")


ALGORITHMS: dict[str, Callable[[Sequence[Tensor], Sequence[Tensor]], Tensor]] = {
    "kernels": by_kernels,
    "recursion": by_recursion,
}


def random_inputs(
    order: int,
    size: int,
    rank: int = RANK,
    hidden: int = HIDDEN,
    side: int = SIDE,
    device: str = "cpu",
    dtype: torch.dtype = torch.float32,
) -> tuple[list[Tensor], list[Tensor]]:
    """Return windows and factors for `by_kernels` and `by_recursion`, the factors Xavier-uniform."""
    options = {"device": device, "dtype": dtype}
    windows = [torch.randn(1, rank, side, side, **options) for _ in range(order)]
    factors = [torch.empty(4 * hidden, rank, size, size, **options)]
    factors += [torch.empty(rank, rank, size, size, **options) for _ in range(order - 1)]
    for factor in factors:
        torch.nn.init.xavier_uniform_(factor)
    return windows, factors


def largest_difference(order: int, size: int, side: int = SIDE) -> float:
    """Return the largest relative difference of the two algorithms away from the border, in float64."""
    windows, factors = random_inputs(order, size, side=side, dtype=torch.float64)
    margin = order * (size // 2)
    inner = np.s_[..., margin : side - margin, margin : side - margin]
    first, second = (compute(windows, factors)[inner] for compute in ALGORITHMS.values())
    return float((first - second).abs().max() / first.abs().max())


def multiplications(algorithm: str, order: int, size: int, **shape: int) -> int:
    """Return the multiplications of one evaluation, counted on the meta device."""
    windows, factors = random_inputs(order, size, device="meta", **shape)
    with FlopCounterMode(display=False) as counter:
        ALGORITHMS[algorithm](windows, factors)
    return counter.get_total_flops() // 2


def seconds(order: int, size: int, repetitions: int, device: str) -> dict[str, float]:
    """Return each algorithm's median time, measured in turn."""
    inputs = random_inputs(order, size, device=device)
    timed = {
        name: partial(seconds_of, partial(compute, *inputs), device) for name, compute in ALGORITHMS.items()
    }
    median_seconds(timed, 1)  # warms up
    return median_seconds(timed, repetitions)


def measure(repetitions: int, device: str) -> pd.DataFrame:
    """Return a row for each kernel size, order and algorithm, after checking that the algorithms agree."""
    rows = []
    with torch.no_grad():
        for size in KERNEL_SIZES:
            for order in ORDERS:
                difference = largest_difference(order, size)
                if difference > 1e-12:
                    raise ArithmeticError(f"the algorithms differ by {difference} at S={size}, N={order}")
                for name, median in seconds(order, size, repetitions, device).items():
                    cost = multiplications(name, order, size)
                    rows.append([name, size, order, cost, median, difference])
    columns = ["algorithm", "kernel_size", "order", "multiplications", "seconds", "relative_difference"]
    return pd.DataFrame(rows, columns=columns)


def draw(table: pd.DataFrame, where: str, output: Path) -> None:
    """Draw both costs against the order on logarithmic axes."""
    with styled({}):
        figure = Figure(figsize=(WIDTH, 2.9))
        panels = figure.subplots(1, 2)
        for axes, column, title in zip(
            panels,
            ["multiplications", "seconds"],
            ["multiplications, counted", "seconds, measured"],
            strict=True,
        ):
            _draw_cost(axes, table, column)
            axes.set_title(title, loc="left")
            axes.set_xlabel("order N")
        note = f"C = {RANK}, hidden {HIDDEN}, {SIDE}x{SIDE}; solid: S = 5, dashed: S = 3"
        save(figure, f"{note}\n{where}", output, (".svg", ".png"))


def _draw_cost(axes: Axes, table: pd.DataFrame, column: str) -> None:
    looks = {"kernels": ("#D55E00", "o", "Alg. 1"), "recursion": ("#0072B2", "s", "Alg. 2")}
    axes.set(xscale="log", yscale="log", xlim=(0.93, 7.5))
    ends: list[tuple[float, float, Look]] = []
    for (name, size), rows in table.groupby(["algorithm", "kernel_size"]):
        colour, marker, label = looks[name]
        dash = "-" if size == max(KERNEL_SIZES) else "--"
        axes.plot(rows["order"], rows[column], dash, marker=marker, ms=3.5, color=colour)
        ends.append((7, rows[column].iloc[-1], Look(colour, dash, f"{label}, S = {size}")))
    # Only their slope matters; one is above all measured lines, one below.
    last = table[table["order"] == max(ORDERS)][column]
    for power, height, label in ((3, 3 * last.max(), "slope of N³"), (1, last.min() / 3, "slope of N")):
        axes.plot([2, 7], [height * (2 / 7) ** power, height], ":", color=GREY, lw=1)
        ends.append((7, height, Look(GREY, ":", label)))
    axes.xaxis.set_major_locator(ticker.FixedLocator(list(ORDERS)))
    axes.xaxis.set_major_formatter(ticker.FormatStrFormatter("%d"))
    axes.xaxis.set_minor_locator(ticker.NullLocator())
    label_ends(axes, ends)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print a table, and write a CSV file and a figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads (default 1)")
    parser.add_argument("--repetitions", type=int, default=15, help="timings per median (default 15)")
    parser.add_argument("--output", type=Path, default=RESULTS, help="folder for CSV and figure")
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    table = measure(options.repetitions, options.device)
    where = conditions(options.device)
    output = result_path(options.output, "algorithms", options.device)
    write_text(output.with_name(output.name + ".csv"), table.assign(conditions=where).to_csv(index=False))
    draw(table, where, output)
    wide = table.pivot_table(
        index=["kernel_size", "order"], columns="algorithm", values=["multiplications", "seconds"]
    )
    print(where, wide.to_string(), f"wrote {output}.csv, .svg and .png", sep="\n")


if __name__ == "__main__":
    main()
