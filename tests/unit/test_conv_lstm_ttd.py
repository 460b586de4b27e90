"""The classic-TTD cell against a W that is summed up weight by weight, its scale, its counts."""

from itertools import product

import numpy as np
import pytest
import torch
from torch import Tensor

from benchmarks import oracle
from convttlstm.models.conv_lstm_ttd import ConvLstmTtdCell, TensorTrain, conv_lstm_ttd, split_channels


def random_cell(inputs: int, hidden: int, size: int, rank: int) -> ConvLstmTtdCell:
    torch.manual_seed(inputs * 1000 + hidden * 100 + size * 10 + rank)
    cell = ConvLstmTtdCell(inputs, hidden, size, rank).double()
    for weight in cell.parameters():
        torch.nn.init.normal_(weight, std=0.5)  # biases too, or they would not be tested
    return cell


def summed_kernel(train: TensorTrain) -> np.ndarray:
    """Eq. 13, one weight after the other: (out, in, K, K)."""
    g0, g1, g2 = (factor.detach().numpy() for factor in (train.g0, train.g1, train.g2))
    size, _, rank = g0.shape
    t1_count, s1_count = g1.shape[:2]
    t2_count, s2_count = g2.shape[:2]
    kernel = np.zeros((t1_count * t2_count, s1_count * s2_count, size, size))
    for t1, t2, s1, s2 in product(range(t1_count), range(t2_count), range(s1_count), range(s2_count)):
        for i, j, r0, r1 in product(range(size), range(size), range(rank), range(rank)):
            value = g0[i, j, r0] * g1[t1, s1, r0, r1] * g2[t2, s2, r1]
            kernel[t2 * t1_count + t1, s2 * s1_count + s1, i, j] += value
    return kernel


@pytest.mark.parametrize("channels, count", [(1, 2_204_497), (3, 2_208_755)])
def test_parameters(channels, count):
    assert sum(weight.numel() for weight in conv_lstm_ttd(channels).parameters()) == count


@pytest.mark.parametrize(
    "channels, factors",
    [(1, (1, 1)), (3, (3, 1)), (32, (8, 4)), (48, (8, 6)), (80, (10, 8)), (49, (7, 7)), (13, (13, 1))],
)
def test_channels_are_split_near_a_square(channels, factors):
    assert split_channels(channels) == factors


@pytest.mark.parametrize(
    "inputs, outputs, size, rank", [(1, 6, 3, 2), (6, 4, 3, 3), (12, 6, 1, 2), (5, 5, 5, 1)]
)
def test_the_kernel_equals_the_written_out_sum(inputs, outputs, size, rank):
    torch.manual_seed(0)
    train = TensorTrain(inputs, outputs, size, rank, variance=0.3).double()
    expected = summed_kernel(train)
    assert expected.shape == (outputs, inputs, size, size)
    np.testing.assert_allclose(train().detach().numpy(), expected, atol=1e-12)


@pytest.mark.parametrize("inputs, hidden, size, rank", [(1, 4, 3, 2), (6, 4, 3, 3), (3, 6, 5, 2)])
def test_the_cell_equals_slow_steps(inputs, hidden, size, rank):
    cell = random_cell(inputs, hidden, size, rank)
    w = np.concatenate([summed_kernel(train) for train in cell.trains])  # I, F, O, C~
    k = cell.hidden_gates.weight.detach().numpy()
    bias = cell.hidden_gates.bias.detach().numpy()[:, None, None]
    xs = torch.randn(3, 1, inputs, 7, 8, dtype=torch.float64)
    state = cell.initial_state(xs[0])
    h = c = np.zeros((hidden, 7, 8))
    for x in xs:
        found, state = cell(x, state)
        h, c = oracle.lstm(oracle.correlate(x[0].numpy(), w) + oracle.correlate(h, k) + bias, c)
        np.testing.assert_allclose(found[0].detach().numpy(), h, atol=1e-12)
        np.testing.assert_allclose(state[1][0].detach().numpy(), c, atol=1e-12)
    assert np.abs(h).max() > 1e-2


@pytest.mark.parametrize("inputs, outputs", [(1, 32), (48, 48), (80, 32)])
def test_the_kernel_starts_with_the_variance_of_pytorchs_default(inputs, outputs):
    """Few factors make many weights, so one draw is uneven: 16 cells of four trains are averaged."""
    torch.manual_seed(0)
    cells = [ConvLstmTtdCell(inputs, outputs, kernel_size=5, rank=8) for _ in range(16)]
    kernels = torch.stack([train() for cell in cells for train in cell.trains])
    plain = torch.nn.Conv2d(inputs, 4 * outputs, 5).weight
    assert kernels.var().item() == pytest.approx(plain.var().item(), rel=0.1)
    assert abs(kernels.mean().item()) < 0.1 * plain.std().item()


def test_gradients_of_two_steps():
    """The kernel of both steps is built once, so its gradient must gather from both."""
    cell = random_cell(2, 2, 3, 2)
    names = [name for name, _ in cell.named_parameters()]

    class TwoSteps(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cell = cell

        def forward(self, x: Tensor) -> Tensor:
            _, state = self.cell(x[0], self.cell.initial_state(x[0]))
            return self.cell(x[1], state)[0]

    two_steps = TwoSteps()

    def run(x: Tensor, *weights: Tensor) -> Tensor:
        parameters = {f"cell.{name}": weight for name, weight in zip(names, weights, strict=True)}
        return torch.func.functional_call(two_steps, parameters, (x,))

    x = torch.randn(2, 1, 2, 4, 4, dtype=torch.float64, requires_grad=True)
    weights = [weight.detach().clone().requires_grad_() for weight in cell.parameters()]
    assert torch.autograd.gradcheck(run, (x, *weights), fast_mode=True)


def test_the_kernel_is_that_of_the_present_weights():
    """Nothing of an earlier sequence stays, with or without gradients, after new weights were loaded."""
    first, second = (conv_lstm_ttd(channels=(2, 4, 4, 2), layers_per_block=1, rank=2) for _ in range(2))
    frames = torch.rand(1, 4, 1, 8, 8)
    with torch.no_grad():
        before, expected = first(frames, 2, 2), second(frames, 2, 2)
        first.load_state_dict(second.state_dict())
        found = first(frames, 2, 2)
    assert not torch.allclose(before, expected)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(first(frames, 2, 2).detach(), expected)
