"""Table 4's readings of "1x1 filters": layers with factors of another size than W, counted and looked at."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from benchmarks import oracle
from benchmarks.section5 import support
from benchmarks.textbook import textbook_layer
from convttlstm.config import ablation_runs, load_settings, resolve_run
from convttlstm.evaluation.complexity import count_parameters, step_cost
from convttlstm.models import create_model
from convttlstm.models.conv_lstm import ConvLstmCell
from convttlstm.models.conv_tt_lstm import ConvTtLstmCell, PackedConvTtLstmCell
from tests.tiny_models import random_frames, tiny_model, windows_of

ROOT = Path(__file__).parents[2]
DATASET = "moving_mnist_2"
# Input and hidden channels of the paper's twelve layers, and the 80 features that a frame is made of.
LAYERS = [(1, 32), (32, 32), (32, 32), (32, 48), *5 * [(48, 48)], (80, 32), (32, 32), (32, 32)]
FEATURES = 80


def randomized(module: nn.Module) -> nn.Module:
    """The module in float64 with all weights drawn, biases too, or they would not be tested."""
    torch.manual_seed(0)
    for weight in module.double().parameters():
        nn.init.normal_(weight, std=0.3)
    return module


@pytest.mark.parametrize("size, factor_size", [(5, 5), (5, 1), (3, 5), (1, 3)])
def test_conv_lstm_equals_the_oracle(size, factor_size):
    cell = randomized(ConvLstmCell(2, 3, size, factor_size))
    x, h, c = (torch.randn(channels, 9, 11, dtype=torch.float64) for channels in (2, 3, 3))
    w, k, bias = (part.detach().numpy() for part in cell.gates.kernels())
    assert w.shape[2:] == (size, size) and k.shape[2:] == (factor_size, factor_size)
    gates = oracle.correlate(x.numpy(), w) + bias[:, None, None] + oracle.correlate(h.numpy(), k)
    expected = oracle.lstm(gates, c.numpy())
    _, state = cell(x[None], (h[None], c[None]))
    for found, array in zip(state, expected, strict=True):
        np.testing.assert_allclose(found[0].detach().numpy(), array, atol=1e-12)


@pytest.mark.parametrize(
    "make", [ConvLstmCell, partial(PackedConvTtLstmCell, order=3, steps=3, rank=8)], ids=["conv", "conv_tt"]
)
def test_the_textbook_supports_factors_of_another_size(make):
    cell = randomized(make(2, 3, kernel_size=5, factor_size=1))
    ordinary = textbook_layer(cell)
    x = torch.randn(4, 1, 2, 9, 9, dtype=torch.float64)
    last = []
    for layer in (cell, ordinary):
        state = layer.initial_state(x[0])
        for frame in x:
            hidden, state = layer(frame, state)
        last.append(hidden)
    torch.testing.assert_close(*last, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", ["conv_lstm", "conv_tt_lstm"])
def test_factors_of_the_kernels_size_change_nothing(name):
    plain, same = tiny_model(name), tiny_model(name, factor_size=3)
    assert list(plain.state_dict()) == list(same.state_dict())
    for weight, other in zip(plain.parameters(), same.parameters(), strict=True):
        assert torch.equal(weight, other)
    assert torch.equal(plain(random_frames(), 3, 3), same(random_frames(), 3, 3))


@pytest.mark.parametrize("name", ["conv_lstm", "conv_tt_lstm"])
def test_every_weight_of_separate_kernels_is_trained(name):
    model = tiny_model(name, factor_size=1)
    model(random_frames(), 3, 3).square().sum().backward()
    for parameter, weight in model.named_parameters():
        assert weight.grad is not None and weight.grad.abs().sum() > 0, parameter


def conv_lstm_weights(kernel: int, factor: int) -> tuple[int, int]:
    """Weights in kernels, each of which multiplies once a pixel, and biases: W in * 4h S^2, K h * 4h F^2."""
    kernels = sum(4 * h * (inputs * kernel**2 + h * factor**2) for inputs, h in LAYERS) + FEATURES
    return kernels, sum(4 * h for _, h in LAYERS) + 1


def conv_tt_lstm_weights(kernel: int, factor: int, order: int, steps: int, rank: int = 8) -> tuple[int, int]:
    """The same: W in * 4h S^2, P(i) (M-N+1) h * C S^2, G(1) C * 4h F^2, G(i) C * C F^2."""
    kernels, biases = FEATURES, 1
    for inputs, h in LAYERS:
        kernels += 4 * h * (inputs * kernel**2 + rank * factor**2)
        kernels += order * (steps - order + 1) * h * rank * kernel**2
        kernels += (order - 1) * (rank * factor) ** 2
        biases += 4 * h + order * rank + (order - 1) * rank
    return kernels, biases


# Table 4's readings at Table 2's size, by their runs in config/paper.yaml.
COUNTS = {
    "conv_tt_lstm-G1-N1-M1-seed0": (conv_tt_lstm_weights(5, 1, 1, 1), 2_087_857),
    "conv_lstm-G1-seed0": (conv_lstm_weights(5, 1), 2_056_273),
    "conv_tt_lstm-S1-N1-M1-seed0": (conv_tt_lstm_weights(1, 1, 1, 1), 100_273),
    "conv_tt_lstm-G1-seed0": (conv_tt_lstm_weights(5, 1, 3, 3), 2_281_777),
    "conv_tt_lstm-S1-seed0": (conv_tt_lstm_weights(1, 1, 3, 3), 109_873),
    "conv_tt_lstm-N1-M1-seed0": (conv_tt_lstm_weights(5, 5, 1, 1), 2_456_497),
    "conv_lstm-seed0": (conv_lstm_weights(5, 5), 3_973_201),
    "conv_tt_lstm-seed0": (conv_tt_lstm_weights(5, 5, 3, 3), 2_687_281),
}
# How many pixels wide H(t-1), H(t-2), ... are seen by a pixel of the gates; X(t) is as wide as W.
WIDTHS = {
    "conv_tt_lstm-G1-N1-M1-seed0": [5],  # P(1) alone
    "conv_lstm-G1-seed0": [1],  # K alone
    "conv_tt_lstm-S1-N1-M1-seed0": [1],
    "conv_tt_lstm-G1-seed0": [5, 5, 5],  # P(i) alone
    "conv_tt_lstm-S1-seed0": [1, 1, 1],
    "conv_tt_lstm-N1-M1-seed0": [9],  # P(1) and G(1)
    "conv_lstm-seed0": [5],
    "conv_tt_lstm-seed0": [9, 13, 17],  # P(i), then G(i) ... G(1)
}


def model_of(run: str) -> nn.Module:
    model = resolve_run(load_settings(ROOT / "config/paper.yaml"), "paper", DATASET, run).model
    return create_model(model.name, **model.hyper())


def test_all_readings_are_counted():
    settings = load_settings(ROOT / "config/paper.yaml")
    first = [row for row in ablation_runs(settings, DATASET) if row.endswith("-seed0")]
    read = [row for row in first if row.startswith(("conv_lstm", "conv_tt_lstm"))]
    assert set(read) - {"conv_tt_lstm-M5-seed0"} == set(COUNTS) == set(WIDTHS)


@pytest.mark.parametrize("run", COUNTS)
def test_parameters_and_multiplications(run):
    (kernels, biases), parameters = COUNTS[run]
    model = model_of(run)
    assert kernels + biases == count_parameters(model) == parameters
    assert step_cost(model, 16).multiplications == kernels * 16**2


def width(gradient: Tensor) -> int:
    return support(gradient.square().sum((0, 1)).numpy())


@pytest.mark.parametrize("run", WIDTHS)
def test_receptive_fields(run):
    """By gradients of the second layer's central pixel, which sees input and states of 32 channels."""
    cell = model_of(run).double().stack.cells()[1]
    torch.manual_seed(0)
    side, lags = 21, len(WIDTHS[run])
    x, *states = torch.randn(1 + lags, 1, 32, side, side, dtype=torch.float64).requires_grad_().unbind()
    if isinstance(cell, ConvTtLstmCell):
        gates = cell.preactivations(x, windows_of(cell, states))
    else:
        gates = cell.gates(x, states[0])
    gates = gates[0, :, side // 2, side // 2]
    seen, *older = torch.autograd.grad(gates.sum(), [x, *states])
    assert width(seen) == (1 if "-S1-" in run else 5)
    assert [width(gradient) for gradient in older] == WIDTHS[run]
