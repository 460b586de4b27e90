"""Times a training step against N, M, C, S, frame size and batch, for the paper's claims about cost.

One layer with 48 channels in and out runs forward and backward over four steps, in float32. One quantity at a
time differs from Table 2's settings (N = M = 3, C = 8, S = 5), except that M equals N where N changes. The
points take turns, and the shortest time counts. ConvLSTM has no N, M or C: a horizontal line.
"""

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pandas as pd
import torch
from matplotlib import ticker
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks import RESULTS, conditions, least_seconds, publish, result_path, seconds_of
from convttlstm.models.conv_lstm import ConvLstmCell
from convttlstm.models.conv_tt_lstm import PackedConvTtLstmCell
from convttlstm.provenance import device_name
from convttlstm.reporting.drawing import COLOURS, WIDTH, save, styled

HIDDEN, STEPS = 48, 4
USUAL = {"N": 3, "M": 3, "C": 8, "S": 5, "size": 64, "batch": 1}
CHANGED = {
    "N": [1, 2, 3, 4, 5, 6],
    "M": [3, 4, 5, 6],
    "C": [4, 8, 16, 32],
    "S": [1, 3, 5, 7],
    "size": [32, 64, 96, 128],
    "batch": [1, 2, 4],
}
TITLES = {"N": "order N = M", "M": "steps M", "C": "rank C", "S": "kernel size S", "size": "pixels a side"}
NAMES = {"conv_lstm": "ConvLSTM", "conv_tt_lstm": "Conv-TT-LSTM"}


def main() -> None:
    """Measure, and write one CSV and one figure for this device."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--output", type=Path, default=RESULTS, help="folder")
    options = parser.parse_args()
    where = conditions("cpu")
    print(where)
    table = measure(options.rounds)
    found = {"device": device_name("cpu"), "threads": torch.get_num_threads(), "torch": torch.__version__}
    publish(table.assign(**found), options.output, "scaling")
    draw(table, where, result_path(options.output, "scaling", "cpu"))


def measure(rounds: int) -> pd.DataFrame:
    """Return a row for each point: model, changed quantity, its value, and the shortest time in seconds."""
    points = [
        (model, changed, value)
        for changed, values in CHANGED.items()
        for value in values
        for model in (["conv_tt_lstm"] if changed in "NMC" else NAMES)
    ]
    points.append(("conv_lstm", "", 0))  # at the usual settings
    works = {point: training_step(*point) for point in points}
    timed = {point: partial(seconds_of, work) for point, work in works.items()}
    least_seconds(timed, 1)  # warms up
    rows = [[*point, seconds] for point, seconds in least_seconds(timed, rounds).items()]
    return pd.DataFrame(rows, columns=["model", "changed", "value", "seconds"])


def training_step(model: str, changed: str, value: int) -> Callable[[], None]:
    """Return a function that runs the steps of a sequence, forward and backward."""
    at = USUAL | ({changed: value} if changed else {})
    at["M"] = max(at["N"], at["M"]) if changed != "N" else at["N"]
    layer: torch.nn.Module = ConvLstmCell(HIDDEN, HIDDEN, at["S"], at["S"])
    if model == "conv_tt_lstm":
        layer = PackedConvTtLstmCell(HIDDEN, HIDDEN, at["S"], at["N"], at["M"], at["C"], at["S"])
    layer.to(memory_format=torch.channels_last)
    x = torch.rand(at["batch"], HIDDEN, at["size"], at["size"]).to(memory_format=torch.channels_last)

    def step() -> None:
        state = layer.initial_state(x)
        for _ in range(STEPS):
            hidden, state = layer(x, state)
        layer.zero_grad()
        hidden.sum().backward()

    return step


def draw(table: pd.DataFrame, where: str, output: Path) -> None:
    """Plot the time of a step against each quantity."""
    constant = table[table["changed"] == ""]["seconds"].iloc[0] / STEPS
    with styled({}):
        figure = Figure(figsize=(WIDTH, 3.4))
        panels = figure.subplots(2, 3).flat
        for axes, changed in zip(panels, CHANGED, strict=True):
            _draw_panel(axes, table[table["changed"] == changed], 1000 * constant)
            axes.set_xlabel(TITLES.get(changed, changed))
        for axes in figure.axes[::3]:
            axes.set_ylabel("ms a step")
        figure.axes[0].legend(fontsize=6, frameon=False, loc="lower right")
        note = f"one layer, {HIDDEN} channels, else N = M = 3, C = 8, S = 5, 64x64, batch 1"
        save(figure, f"{note}\n{where}", output, (".svg", ".png"))


def _draw_panel(axes: Axes, rows: pd.DataFrame, constant: float) -> None:
    for model, name in NAMES.items():
        own = rows[rows["model"] == model]
        if own.empty:
            axes.axhline(constant, color=COLOURS[model], ls="--", label=name)
        else:
            dash = "o--" if model == "conv_lstm" else "s-"
            milliseconds = 1000 * own["seconds"] / STEPS
            axes.plot(own["value"], milliseconds, dash, ms=3, color=COLOURS[model], label=name)
    axes.set_ylim(bottom=0)
    axes.set_xticks(sorted(set(rows["value"])))
    axes.xaxis.set_major_formatter(ticker.FormatStrFormatter("%d"))


if __name__ == "__main__":
    main()
