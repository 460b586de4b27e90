"""Checks the reasons that Sections 5 and 3.1 give for the sliding window, on small models.

(a) "The former [fewer channels, all steps] fails due to the gradient vanishing/exploding problem": how
    large the gradient is with respect to a hidden state or a frame some steps earlier.
(b) "The latter [all states in every input] has a tube-shaped receptive field" and property 2, "the size
    of the receptive field for H(t-i) increases with i": which pixels of H(t-i) one pixel of the gates sees.

All variants use the same M = 5 hidden states, so those without a sliding window or a tube need order N = 5.
(b) and the first row of (a) measure the transition only: gradients with respect to H(t-i) directly, not
through the states in between.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from matplotlib import ticker
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor, nn

from benchmarks import RESULTS, conditions, result_path
from convttlstm.config import MovingMnist
from convttlstm.data.digits import load_digits
from convttlstm.data.moving_mnist import generate
from convttlstm.files import write_text
from convttlstm.models.conv_tt_lstm import ConvTtLstmCell, conv_tt_lstm
from convttlstm.models.higher_order import higher_order
from convttlstm.models.recurrent import RecurrentPredictor
from convttlstm.reporting.drawing import WIDTH, Look, label_ends, save, styled
from convttlstm.training.recipes.base import l1_l2

SIZE, STEPS, ORDER, RANK, HIDDEN = 3, 5, 3, 4, 8  # S, M, N (of the sliding window and the tube), C(i), C
SEEDS, UPDATES = 3, 40
FRAMES, BATCH = 13, 4  # of sequences of 16 x 16 pixels
EMBEDDED = Path(__file__).parents[1] / "data/embedded"


@dataclass(frozen=True)
class Variant:
    """One Phi of Eq. 6: its order for a history of M states, and its style in plots."""

    name: str
    order: int
    colour: str
    dash: str
    marker: str

    def model(self, channels: int = HIDDEN, size: int = SIZE) -> RecurrentPredictor:
        """Return a small predictor, one layer a block."""
        stack = {"channels": [channels] * 4, "layers_per_block": 1, "kernel_size": size}
        hyper = {"order": self.order, "steps": STEPS, "rank": RANK}
        if self.name == "sliding window":
            return conv_tt_lstm(**stack, **hyper)
        return higher_order(transition=self.name, **stack, **hyper)

    def width(self, lag: int, size: int = SIZE) -> int:
        """Return the expected width, in pixels of H(t-lag), of the receptive field of a pixel of the gates.

        G(i) * ... * G(1) is i(S-1)+1 wide; P(i) before it adds S-1.
        """
        reach = {
            "sliding window": min(lag, self.order) + 1,
            "reduce": lag + 1,
            "tube": self.order + 1,
            "raw": lag,
            "equal": 1,
            "growing": lag,
        }
        return reach[self.name] * (size - 1) + 1


# Okabe and Ito's colours; dashes and markers distinguish them in grey.
VARIANTS = [
    Variant("sliding window", ORDER, "#D55E00", "-", "o"),
    Variant("reduce", STEPS, "#0072B2", "--", "s"),
    Variant("tube", ORDER, "#009E73", "-.", "^"),
    Variant("raw", STEPS, "#CC79A7", ":", "D"),
    Variant("equal", STEPS, "#B8860B", "--", "v"),
    Variant("growing", STEPS, "#000000", "-", "x"),
]


def seen_pixels(cell: nn.Module, in_channels: int, side: int) -> list[np.ndarray]:
    """Return, for each lag, how strongly the central pixel's gates depend on each pixel of H(t-lag).

    Returns:
        M arrays (side, side): squared gradients, summed over the state's channels, mean over gates.
    """
    weight = next(cell.parameters())
    x = weight.new_zeros(1, in_channels, side, side)
    states = [weight.new_zeros(1, cell.hidden_channels, side, side).requires_grad_() for _ in range(STEPS)]
    inputs = states
    if isinstance(cell, ConvTtLstmCell):
        past = None
        for state in reversed(states):
            inputs, past = cell.preprocess(state, past)
    gates = cell.preactivations(x, inputs)[0, :, side // 2, side // 2]
    each_gate = torch.eye(len(gates), dtype=weight.dtype)
    gradients = torch.autograd.grad(gates, states, each_gate, is_grads_batched=True)
    return [gradient.square().sum((1, 2)).mean(0).numpy() for gradient in gradients]


def support(pixels: np.ndarray) -> int:
    """Return the width of the columns that are not zero."""
    columns = np.flatnonzero(pixels.sum(0))
    return int(columns[-1] - columns[0] + 1)


def receptive_fields(side: int = 23, size: int = SIZE) -> dict[str, list[np.ndarray]]:
    """Return `seen_pixels` of each variant's second layer; its input and state have equally many channels."""
    fields = {}
    for variant in VARIANTS:
        torch.manual_seed(0)
        cell = variant.model(size=size).double().stack.cells()[1]
        fields[variant.name] = seen_pixels(cell, HIDDEN, side)
    return fields


def layer_gradients(model: RecurrentPredictor) -> list[float]:
    """Return the norm of d gate / d H(t-lag) for lags 1 ... M, root mean square over gates and layers."""
    first, *others = model.stack.cells()
    layers = [seen_pixels(first, 1, 15)]
    # The fourth block also sees the first one's output.
    widths = [HIDDEN, HIDDEN, 2 * HIDDEN]
    layers += [seen_pixels(cell, width, 15) for cell, width in zip(others, widths, strict=True)]
    return [float(np.sqrt(np.mean([layer[lag].sum() for layer in layers]))) for lag in range(STEPS)]


def model_gradients(model: RecurrentPredictor, frames: Tensor) -> list[float]:
    """Return the norm of d (last output) / d frame, in a random direction, for lags 1, 2, ...

    Args:
        model: any predictor.
        frames: (batch, time, 1, height, width), all seen before the output.
    """
    frames = frames.clone().requires_grad_()
    output = model(frames, frames.shape[1], 1)[:, -1]
    direction = torch.randn_like(output)
    (gradient,) = torch.autograd.grad(output, frames, direction / direction.norm())
    norms: list[float] = gradient.square().sum((0, 2, 3, 4)).sqrt().flip(0).tolist()
    return norms


def train(model: RecurrentPredictor, clips: Tensor, updates: int) -> float:
    """Train with the paper's loss (Section 4), 6 frames to 4, and return the last loss."""
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for update in range(updates):
        start = update * BATCH % len(clips)
        batch = clips[start : start + BATCH]
        loss = l1_l2(model(batch, 6, 4), batch, 6, 4)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    return float(loss.detach())


def gradients(seeds: int, updates: int) -> pd.DataFrame:
    """Return gradient norms, one row for each variant, seed, number of updates, measure and lag."""
    dataset = MovingMnist.model_validate({"digits": "embedded", "size": 16, "digit_size": 7})
    digits = load_digits("embedded", Path("unused"), EMBEDDED)
    clips = generate(dataset, "train", digits, np.arange(updates * BATCH))[:, :FRAMES, None]
    frames = torch.from_numpy(clips).float() / 255
    rows = []
    for variant in VARIANTS:
        for seed in range(seeds):
            torch.manual_seed(seed)
            model, loss = variant.model(), float("nan")
            for done in (0, updates):
                if done:
                    loss = train(model, frames, updates)
                found = {"layer": layer_gradients(model), "model": model_gradients(model, frames[:BATCH])}
                rows += [
                    [variant.name, variant.order, seed, done, loss, measure, lag, norm]
                    for measure, norms in found.items()
                    for lag, norm in enumerate(norms, start=1)
                ]
    columns = ["variant", "order", "seed", "updates", "last_loss", "measure", "lag", "norm"]
    return pd.DataFrame(rows, columns=columns)


def draw_gradients(table: pd.DataFrame, where: str, output: Path) -> None:
    """Plot gradient norms against lag: one layer, and below it the whole model; fresh and trained weights."""
    with styled({}):
        figure = Figure(figsize=(WIDTH, 4.4))
        panels = figure.subplots(2, 2, sharey="row")
        last_updates = table["updates"].max()
        for row, (measure, title) in enumerate(
            {"layer": "d gates / d H(t-lag)", "model": "d output / d frame"}.items()
        ):
            for column, updates in enumerate((0, last_updates)):
                axes = panels[row, column]
                axes.set_yscale("log")
                part = table[(table["measure"] == measure) & (table["updates"] == updates)]
                ends = _draw_norms(axes, part)
                axes.xaxis.set_major_locator(ticker.MaxNLocator(integer=True))
                axes.set_title(f"{title}, {f'after {updates} updates' if updates else 'fresh'}", loc="left")
                if column:
                    label_ends(axes, ends)
            panels[row, 0].set_ylabel("norm of gradient")
            for axes in panels[row]:
                axes.set_xlabel("lag, steps" if measure == "layer" else "lag, frames")
        seeds = table["seed"].nunique()
        note = f"S = {SIZE}, M = {STEPS}, C = {RANK}, hidden {HIDDEN}; median and range of {seeds} seeds"
        save(figure, f"{note}\n{where}", output, (".svg", ".png"))


def _draw_norms(axes: Axes, part: pd.DataFrame) -> list[tuple[float, float, Look]]:
    ends = []
    for variant in VARIANTS:
        norms = part[part["variant"] == variant.name].groupby("lag")["norm"]
        middle, low, high = norms.median(), norms.min(), norms.max()
        axes.plot(middle.index, middle, variant.dash, marker=variant.marker, ms=3.5, color=variant.colour)
        axes.vlines(middle.index, low, high, color=variant.colour, lw=0.7)
        look = Look(variant.colour, variant.dash, f"{variant.name}, N = {variant.order}")
        ends.append((float(middle.index[-1]), float(middle.iloc[-1]), look))
    return ends


def field_widths(fields: dict[str, list[np.ndarray]]) -> pd.DataFrame:
    """Return measured and expected widths, one row for each variant and lag."""
    rows = [
        [variant.name, variant.order, lag, support(pixels), variant.width(lag), _bulk(pixels)]
        for variant in VARIANTS
        for lag, pixels in enumerate(fields[variant.name], start=1)
    ]
    return pd.DataFrame(rows, columns=["variant", "order", "lag", "width", "formula", "width_of_90_percent"])


def _bulk(pixels: np.ndarray) -> int:
    """Return the width of the middle columns that hold 90 % of the squared gradient."""
    columns, middle = pixels.sum(0) / pixels.sum(), pixels.shape[1] // 2
    half = next(h for h in range(middle + 1) if columns[middle - h : middle + h + 1].sum() >= 0.9)
    return 2 * half + 1


def draw_fields(fields: dict[str, list[np.ndarray]], where: str, output: Path) -> None:
    """Plot the receptive field of a pixel of the gates in each earlier state, with the formula's outline."""
    with styled({}):
        figure = Figure(figsize=(WIDTH, 3.3))
        panels = figure.subplots(2, 3, sharex=True, sharey=True)
        for axes, variant in zip(panels.flat, VARIANTS, strict=True):
            profiles = np.sqrt([pixels.sum(0) for pixels in fields[variant.name]])
            half = profiles.shape[1] / 2
            axes.grid(False)
            axes.imshow(
                profiles / profiles.max(1, keepdims=True),
                cmap="Greys",
                aspect="auto",
                extent=(-half, half, STEPS + 0.5, 0.5),
                vmin=0,
                vmax=1.6,  # so that outlines stand out from the darkest
            )
            for lag in range(1, STEPS + 1):
                reach = variant.width(lag) / 2
                axes.vlines([-reach, reach], lag - 0.5, lag + 0.5, color=variant.colour, lw=1.6)
            axes.set_title(f"{variant.name}, N = {variant.order}", loc="left", color=variant.colour)
            axes.set(xlim=(-8, 8), yticks=range(1, STEPS + 1))
        for axes in panels[1]:
            axes.set_xlabel("pixels from the gate's")
        for axes in panels[:, 0]:
            axes.set_ylabel("lag, steps")
        note = "grey: norm of gradient, relative to each row's largest; lines: width by formula"
        save(figure, f"{note}; S = {SIZE}, M = {STEPS}, fresh weights\n{where}", output, (".svg", ".png"))


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print tables, and write two CSV files and two figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--threads", type=int, default=1, help="CPU threads (default 1)")
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--updates", type=int, default=UPDATES, help="of the short training")
    parser.add_argument("--output", type=Path, default=RESULTS, help="folder for CSV files and figures")
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    where = conditions("cpu")

    fields = receptive_fields()
    widths = field_widths(fields)
    path = result_path(options.output, "receptive_fields", "cpu")
    write_text(path.with_name(path.name + ".csv"), widths.assign(conditions=where).to_csv(index=False))
    draw_fields(fields, where, path)
    print(where, widths.to_string(index=False), f"wrote {path}.csv, .svg and .png", sep="\n")

    norms = gradients(options.seeds, options.updates)
    path = result_path(options.output, "gradients", "cpu")
    write_text(path.with_name(path.name + ".csv"), norms.assign(conditions=where).to_csv(index=False))
    draw_gradients(norms, where, path)
    medians = norms.pivot_table(
        index=["measure", "updates", "lag"], columns="variant", values="norm", aggfunc="median"
    )
    print(medians.to_string(), f"wrote {path}.csv, .svg and .png", sep="\n")


if __name__ == "__main__":
    main()
