"""Foundations of the benchmarks: equal algorithms, counted costs, receptive fields; no timing."""

from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch
from torch.nn.utils import parameters_to_vector, vector_to_parameters
from torch.utils.checkpoint import checkpoint

from benchmarks import algorithms, oracle, scaling, section5, textbook, trials
from benchmarks.memory import peak_bytes
from benchmarks.oracle_layers import hidden_by_oracle
from convttlstm.models.conv_lstm import ConvLstmCell
from convttlstm.models.conv_tt_lstm import ConvTtLstmCell, PackedConvTtLstmCell
from convttlstm.models.recurrent import JointConv


@pytest.mark.parametrize("size, order", [(3, 1), (3, 2), (3, 4), (5, 3), (1, 3)])
def test_both_algorithms_equal_the_sum_of_full_size_kernels(size, order):
    torch.manual_seed(0)
    margin = oracle.border(size, order)
    side = 2 * margin + 7
    shape = {"rank": 2, "hidden": 3, "side": side}
    windows, factors = algorithms.random_inputs(order, size, dtype=torch.float64, **shape)
    kernels = oracle.full_kernels([factor.numpy() for factor in factors])
    pairs = zip(windows, kernels, strict=True)
    expected = sum(oracle.correlate(window[0].numpy(), kernel) for window, kernel in pairs)
    inner = np.s_[:, margin : side - margin, margin : side - margin]
    assert np.abs(expected[inner]).max() > 0.1
    # Algorithm 1 pads once, as the oracle does: equal everywhere.
    np.testing.assert_allclose(algorithms.by_kernels(windows, factors)[0], expected, atol=1e-12)
    found = algorithms.by_recursion(windows, factors)[0].numpy()
    np.testing.assert_allclose(found[inner], expected[inner], atol=1e-12)


@pytest.mark.parametrize("size", [3, 5])
@pytest.mark.parametrize("algorithm, degree", [("kernels", 3), ("recursion", 1)])
def test_multiplications_are_a_polynomial_in_the_order(algorithm, degree, size):
    """Of degree 3 and 1: constant third and first differences, none after them."""
    shape = {"rank": 2, "hidden": 3, "side": 16}
    costs = [algorithms.multiplications(algorithm, order, size, **shape) for order in range(1, 9)]
    assert len(set(np.diff(costs, degree))) == 1
    assert np.diff(costs, degree)[0] > 0


def test_multiplications_by_hand():
    """S=3, N=2, C=2, hidden 3 (12 gates), 16 x 16; K(2) is 5 x 5 and costs one S x S convolution."""
    shape = {"rank": 2, "hidden": 3, "side": 16}
    pixels, factor, gates = 16 * 16, 2 * 2 * 9, 2 * 12 * 9
    assert algorithms.multiplications("recursion", 2, 3, **shape) == pixels * (factor + gates)
    building, second = 12 * 25 * factor, 2 * 12 * 25
    assert algorithms.multiplications("kernels", 2, 3, **shape) == pixels * (gates + second) + building


# Widths in units of S - 1, less one pixel, for lags 1 ... 5: M = 5, N = 3 for the window and the tube.
REACH = {
    "sliding window": [2, 3, 4, 4, 4],
    "reduce": [2, 3, 4, 5, 6],
    "tube": [4, 4, 4, 4, 4],
    "raw": [1, 2, 3, 4, 5],
    "equal": [1, 1, 1, 1, 1],
    "growing": [1, 2, 3, 4, 5],
}


@pytest.mark.parametrize("size", [3, 5])
def test_receptive_fields_have_the_expected_widths(size):
    fields = section5.receptive_fields(side=33, size=size)
    widths = {name: [section5.support(pixels) for pixels in lags] for name, lags in fields.items()}
    expected = {name: [reach * (size - 1) + 1 for reach in lags] for name, lags in REACH.items()}
    assert widths == expected
    formula = {
        variant.name: [variant.width(lag, size) for lag in range(1, 6)] for variant in section5.VARIANTS
    }
    assert formula == expected


@pytest.mark.slow
@pytest.mark.parametrize("name", ["conv_lstm", "conv_tt_lstm"])
def test_textbook_and_ours_are_the_same_function(name):
    textbook.verify(name)


def test_a_wrong_weight_in_the_textbook_is_noticed(monkeypatch):
    class Wrong(textbook.SeparateConv):
        def kernels(self):
            w, k, bias = super().kernels()
            return w, 1.001 * k, bias

    monkeypatch.setitem(textbook.TEXTBOOK, JointConv, Wrong)
    with pytest.raises(AssertionError):
        textbook.verify("conv_lstm")


STEPS, ORDER, HISTORY, SIZE = 3, 2, 3, 3  # of a sequence, N, M and S
HIDDEN, RANK = 2, 2
STEP = 1e-5  # of the central difference
# Each step carries the effect of padding further from the border, by the reach of a state.
MARGIN = STEPS * (oracle.border(SIZE, ORDER) + SIZE // 2)
SIDE = 2 * MARGIN + 5


@pytest.mark.parametrize(
    "make",
    [
        partial(ConvLstmCell, 1, HIDDEN, SIZE, SIZE),
        partial(PackedConvTtLstmCell, 1, HIDDEN, SIZE, ORDER, HISTORY, RANK, SIZE),
    ],
    ids=["conv_lstm", "conv_tt_lstm"],
)
def test_a_layer_of_the_textbook_and_ours_equal_the_oracle(make):
    """Outputs, and slopes along one direction of all weights: the oracle's is a central difference."""
    torch.manual_seed(0)
    ours = make().double()
    x = torch.randn(STEPS, 1, 1, SIDE, SIDE, dtype=torch.float64)
    weights = parameters_to_vector(ours.parameters()).detach()
    direction, ends = torch.randn_like(weights), []
    for step in (-STEP, STEP):
        moved = make().double()
        vector_to_parameters(weights + step * direction, moved.parameters())
        ends.append(np.square(by_oracle(moved, x)).sum())
    for layer in (ours, textbook.textbook_layer(ours)):
        state = layer.initial_state(x[0])
        for frame in x:
            hidden, state = layer(frame, state)
        hidden = hidden[0, :, MARGIN:-MARGIN, MARGIN:-MARGIN]
        np.testing.assert_allclose(hidden.detach(), by_oracle(ours, x), atol=1e-10)
        gradients = torch.autograd.grad(hidden.square().sum(), list(layer.parameters()))
        slope = parameters_to_vector(gradients) @ direction
        np.testing.assert_allclose(slope, (ends[1] - ends[0]) / 2 / STEP, rtol=1e-6)


def by_oracle(layer: ConvLstmCell | ConvTtLstmCell, x: torch.Tensor) -> np.ndarray:
    """The last hidden state, (hidden, height, width), away from the border."""
    return hidden_by_oracle(layer, x[:, 0])[:, MARGIN:-MARGIN, MARGIN:-MARGIN]


def test_gradient_of_one_layer_by_hand():
    """The "equal" cell's gradient to H(t-lag) is K(lag) itself, so its norm is the kernel's."""
    torch.manual_seed(0)
    variant = next(variant for variant in section5.VARIANTS if variant.name == "equal")
    model = variant.model()
    layers = [cell.gates.weight.detach() for cell in model.stack.cells()]
    width = section5.HIDDEN
    norms = []
    for lag in range(section5.STEPS):
        first = -(section5.STEPS - lag) * width  # the states come after the input, newest first
        kernels = [weight[:, weight.shape[1] + first :][:, :width] for weight in layers]
        norms.append(np.mean([kernel.square().sum().item() / (4 * width) for kernel in kernels]) ** 0.5)
    assert section5.layer_gradients(model) == pytest.approx(norms, rel=1e-5)


def test_gradient_of_the_model_lists_the_newest_frame_first():
    class LastFrames(torch.nn.Module):
        def forward(self, frames: torch.Tensor, context: int, horizon: int) -> torch.Tensor:
            return (3 * frames[:, -1] + frames[:, -2])[:, None]

    norms = section5.model_gradients(LastFrames(), torch.rand(2, 4, 1, 5, 5))
    assert norms == pytest.approx([3, 1, 0, 0], rel=1e-5)


def test_figures_and_tables_are_written(tmp_path):
    rows = [
        [name, size, order, order**2 * size, order / size, 0.0]
        for name in algorithms.ALGORITHMS
        for size in algorithms.KERNEL_SIZES
        for order in algorithms.ORDERS
    ]
    columns = ["algorithm", "kernel_size", "order", "multiplications", "seconds", "relative_difference"]
    algorithms.draw(pd.DataFrame(rows, columns=columns), "nowhere", tmp_path / "algorithms")
    points = [
        [model, changed, value, value / 10]
        for changed, values in {**scaling.CHANGED, "": [1]}.items()
        for value in values
        for model in scaling.NAMES
    ]
    columns = ["model", "changed", "value", "seconds"]
    scaling.draw(pd.DataFrame(points, columns=columns), "nowhere", tmp_path / "scaling")
    section5.main(["--seeds", "1", "--updates", "1", "--output", str(tmp_path)])
    for stem, suffixes in {
        "algorithms": [".png", ".svg"],
        "scaling": [".png", ".svg"],
        "gradients-*": [".csv", ".png", ".svg"],
        "receptive_fields-*": [".csv", ".png", ".svg"],
    }.items():
        found = sorted(path.suffix for path in tmp_path.glob(f"{stem}.*") if path.stat().st_size > 300)
        assert found == suffixes
    table = pd.read_csv(next(tmp_path.glob("gradients*.csv")))
    assert (table["norm"] > 0).all()
    lags = table.groupby(["measure", "variant", "updates"]).size()
    assert set(lags["layer"]) == {section5.STEPS} and set(lags["model"]) == {section5.FRAMES}


@pytest.mark.parametrize("recomputed, kept", [(False, 10), (True, 2)])
def test_each_kept_result_is_counted_until_it_is_freed(recomputed, kept):
    """Exponentials keep their results: ten more of a chain, or, recomputed by fives, two inputs of these."""
    x = torch.empty(1000, requires_grad=True)

    def five(y: torch.Tensor) -> torch.Tensor:
        return y.exp().exp().exp().exp().exp()

    def work(fives: int) -> None:
        y = x
        for _ in range(fives):
            y = checkpoint(five, y, use_reentrant=False) if recomputed else five(y)
        torch.autograd.grad(y, x, torch.ones(1000))

    more, less = (peak_bytes(partial(work, fives)) for fives in (5, 3))
    assert more - less == kept * 4 * 1000


def test_a_frame_is_open_if_the_model_surely_beats_both_naive_predictions() -> None:
    """At frame 1 it beats both, at frame 2 one of them, at frame 3 both, but not for sure."""
    noise = np.random.default_rng(0).normal(0, 0.001, (50, trials.HORIZON))
    wide = noise.copy()
    wide[:, 2] *= 100
    lower = {"black": 0.3 + noise, "copy_last": 0.2 + noise, "model": 0.1 + wide}
    lower["model"][:, 1] += 0.15
    lower["model"][:, 2] += 0.095
    values = {
        name: {"mse": errors, "ssim_standard": 1 - errors, "lpips_standard": errors}
        for name, errors in lower.items()
    }
    rows = trials.compared(values, "model")
    assert {row["metric"] for row in rows} == set(trials.METRICS)
    found = {(row["metric"], row["frame"]): row["open"] for row in rows}
    for metric in trials.METRICS:
        assert [found[metric, frame] for frame in (1, 2, 3)] == [True, False, False]
