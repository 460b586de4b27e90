"""Both Conv-TT cells against the oracle's full-size kernels and each other, and their receptive field."""

import random

import numpy as np
import pytest
import torch
from torch import Tensor

from benchmarks import oracle
from benchmarks.oracle_layers import as_arrays
from convttlstm.models.conv_tt_lstm import ConvTtLstmCell, PackedConvTtLstmCell
from tests.tiny_models import windows_of

SETTINGS = [  # S, N, C, M, and the size of every G(i)
    (3, 1, 2, 1),
    (3, 1, 3, 4),
    (3, 2, 2, 2),
    (5, 2, 3, 4),
    (3, 3, 2, 3),
    (5, 3, 2, 5),
    (3, 5, 2, 5),
    (1, 3, 2, 3),
    (3, 4, 1, 7),
]
SETTINGS = [(*setting, setting[0]) for setting in SETTINGS]
SETTINGS += [(5, 1, 2, 1, 1), (5, 3, 2, 3, 1), (3, 2, 3, 4, 1), (1, 3, 2, 3, 3), (3, 2, 2, 2, 5)]
CELLS = [ConvTtLstmCell, PackedConvTtLstmCell]
DRAWS = random.Random(2020)
for _ in range(8):
    order = DRAWS.randint(1, 4)
    rank, steps = DRAWS.randint(1, 4), order + DRAWS.randint(0, 3)
    SETTINGS.append((DRAWS.choice([1, 3, 5]), order, rank, steps, DRAWS.choice([1, 3, 5])))


def random_cell(make, size, order, rank, steps, factor_size, inputs=2, hidden=3) -> ConvTtLstmCell:
    torch.manual_seed(size * 1000 + order * 100 + rank * 10 + steps)
    cell = make(inputs, hidden, size, order, steps, rank, factor_size).double()
    for weight in cell.parameters():
        torch.nn.init.normal_(weight, std=0.3)  # biases too, or they would not be tested
    return cell


def inner(tensor: Tensor | np.ndarray, margin: int) -> np.ndarray:
    array = tensor.detach().numpy() if isinstance(tensor, Tensor) else tensor
    return array[..., margin : array.shape[-2] - margin, margin : array.shape[-1] - margin]


@pytest.mark.parametrize("make", CELLS)
@pytest.mark.parametrize("size, order, rank, steps, factor_size", SETTINGS)
def test_gates_equal_the_full_size_kernels(make, size, order, rank, steps, factor_size):
    """All steps of a sequence: the first ones see zero states, the later ones a full history."""
    inputs, hidden, height, width = 2, 3, 23, 25
    cell = random_cell(make, size, order, rank, steps, factor_size, inputs, hidden)
    weights = as_arrays(cell, inputs)
    margin = oracle.border(factor_size, order)
    state = None
    history = [np.zeros((hidden, height, width))] * steps
    for _ in range(steps + 2):
        x = torch.randn(1, inputs, height, width, dtype=torch.float64)
        state = state or cell.initial_state(x)
        old_cell, windows = state[0][0].detach().numpy(), state[1]
        found = cell.preactivations(x, windows)[0]
        expected = oracle.preactivations(
            x[0].numpy(),
            oracle.windows(history, weights["p"], weights["p_biases"]),
            weights["w"],
            weights["factors"],
            weights["factor_biases"],
        )
        assert np.abs(inner(found, margin) - inner(expected, margin)).max() < 1e-10
        assert np.abs(inner(expected, margin)).max() > 1e-3
        new_hidden, state = cell(x, state)
        # The update itself is checked everywhere, from the cell's own gates.
        h, c = oracle.lstm(found.detach().numpy(), old_cell)
        np.testing.assert_allclose(new_hidden[0].detach().numpy(), h, atol=1e-12)
        np.testing.assert_allclose(state[0][0].detach().numpy(), c, atol=1e-12)
        history = [new_hidden[0].detach().numpy(), *history[:-1]]


@pytest.mark.parametrize("size, order, rank, steps, factor_size", SETTINGS)
def test_the_packed_cell_equals_the_readable_one(size, order, rank, steps, factor_size):
    """All hidden states of a sequence, and the gradients of frames and weights, which have the same names."""
    cells = [random_cell(make, size, order, rank, steps, factor_size) for make in CELLS]
    cells[1].load_state_dict(cells[0].state_dict())
    frames = torch.randn(steps + 2, 2, 2, 9, 10, dtype=torch.float64, requires_grad=True)
    found = []
    for cell in cells:
        state, hidden = cell.initial_state(frames[0]), []
        for x in frames:
            h, state = cell(x, state)
            hidden.append(h)
        value = torch.stack(hidden)
        gradients = torch.autograd.grad(value.sin().sum(), [frames, *cell.parameters()])
        assert all(gradient.abs().max() > 0 for gradient in gradients)
        found.append([value.detach(), *gradients])
    for packed, readable in zip(*reversed(found), strict=True):
        torch.testing.assert_close(packed, readable, rtol=1e-9, atol=1e-10)


def test_the_oracle_equals_a_kernel_by_hand():
    """K(2) of two factors with one row each, by hand: (1, 2) * (3, 4) = (3, 10, 8)."""
    first = np.array([0.0, 1.0, 2.0]).reshape(1, 1, 1, 3) * np.array([0, 1, 0]).reshape(1, 1, 3, 1)
    second = np.array([0.0, 3.0, 4.0]).reshape(1, 1, 1, 3) * np.array([0, 1, 0]).reshape(1, 1, 3, 1)
    kernel = oracle.full_kernels([first, second])[1]
    assert kernel.shape == (1, 1, 5, 5)
    np.testing.assert_array_equal(kernel[0, 0, 2], [0, 0, 3, 10, 8])
    assert kernel[0, 0, [0, 1, 3, 4]].sum() == 0


@pytest.mark.parametrize("make", CELLS)
@pytest.mark.parametrize(
    "size, order, rank, steps, factor_size",
    [(3, 2, 2, 3, 3), (3, 3, 1, 3, 3), (1, 1, 2, 2, 1), (3, 2, 2, 3, 1)],
)
def test_gradients_of_two_steps(make, size, order, rank, steps, factor_size):
    cell = random_cell(make, size, order, rank, steps, factor_size, inputs=1, hidden=1)
    names = [name for name, _ in cell.named_parameters()]

    def two_steps(x: Tensor, *weights: Tensor) -> Tensor:
        parameters = dict(zip(names, weights, strict=True))
        state = cell.initial_state(x[0])
        for t in range(2):
            hidden, state = torch.func.functional_call(cell, parameters, (x[t], state))
        return hidden

    x = torch.randn(2, 1, 1, 4, 4, dtype=torch.float64, requires_grad=True)
    weights = [weight.detach().clone().requires_grad_() for weight in cell.parameters()]
    assert torch.autograd.gradcheck(two_steps, (x, *weights), fast_mode=True)


@pytest.mark.parametrize("make", CELLS)
@pytest.mark.parametrize("size, order, steps", [(3, 3, 3), (5, 2, 2), (3, 2, 4)])
def test_older_states_are_seen_through_wider_kernels(make, size, order, steps):
    """Property 2 of Section 3.1, by gradients: through window i a state spreads over K(i) and P(i)."""
    cell = random_cell(make, size, order, 2, steps, size, inputs=1, hidden=1)
    side = 31
    states = [torch.zeros(1, 1, side, side, dtype=torch.float64, requires_grad=True) for _ in range(steps)]
    x = torch.zeros(1, 1, side, side, dtype=torch.float64)
    gates = cell.preactivations(x, windows_of(cell, states))
    gates[0, :, side // 2, side // 2].sum().backward()
    for lag, state in enumerate(states, start=1):
        rows = state.grad[0, 0].abs().sum(1).nonzero().flatten()
        widest = min(lag, order)
        assert rows[-1] - rows[0] + 1 == (widest + 1) * (size - 1) + 1


@pytest.mark.parametrize("order, steps, rank", [(0, 1, 1), (3, 2, 1), (1, 1, 0)])
def test_impossible_settings_are_refused(order, steps, rank):
    with pytest.raises(ValueError, match="order"):
        ConvTtLstmCell(1, 1, 3, order, steps, rank, 3)


def test_weights_start_as_pytorchs_convolutions_do():
    """Uniform within 1 / sqrt(fan-in), biases too: each equals a plain convolution of the same inputs."""
    torch.manual_seed(0)
    cell = ConvTtLstmCell(48, 48, kernel_size=5, order=3, steps=5, rank=8, factor_size=5)
    plain = {  # Conv2d's inputs, by the tensors that it corresponds to
        ("window_weight", "window_bias"): 3 * 48,
        ("factors.0.weight", "factors.0.bias"): 8,
        ("gates.weight", "gates.bias"): 48 + 8,
    }
    for names, inputs in plain.items():
        bound = torch.nn.Conv2d(inputs, 512, 5).weight.abs().max().item()
        for name in names:
            values = cell.get_parameter(name)
            drawn, share = values.abs().max().item(), 0.5 if "bias" in name else 0.98
            assert share * bound < drawn <= 1.001 * bound, name
            if values.numel() > 8:  # so few need not come near both ends
                assert values.min() < -0.5 * bound < 0.5 * bound < values.max(), name
            if "weight" in name:
                assert values.std().item() == pytest.approx(bound / 3**0.5, rel=0.05), name  # uniform
