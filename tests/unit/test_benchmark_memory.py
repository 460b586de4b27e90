"""The counted memory of a training step against numbers by hand."""

import pytest
import torch
from torch.nn import functional

from benchmarks.memory import peak_bytes, training
from convttlstm.models import create_model

KILO = 1000 * 4  # bytes of a thousand float32 numbers


def test_freed_tensors_and_views_do_not_count():
    given = torch.ones(1000)

    def work() -> None:
        first = given + 1
        second = first * 2
        del first
        third = second * 2
        third.view(10, 100).add_(1)

    assert peak_bytes(work) == 2 * KILO


def test_tensors_count_until_the_backward_pass_has_used_them():
    weight = torch.ones(1000, requires_grad=True)

    def work() -> None:
        # Kept: the first and second tanh. The sum's gradient is one number, and its expansion a view.
        value = weight.tanh().tanh().sum()
        torch.autograd.grad(value, weight)

    assert 3 * KILO <= peak_bytes(work) <= 3 * KILO + 100


@pytest.mark.parametrize("name", ["conv_lstm", "conv_tt_lstm"])
def test_memory_is_linear_in_sequences_and_pixels(name):
    model = create_model(name, channels=(4, 4, 4, 4), layers_per_block=1)

    def peak(batch: int, size: int) -> int:
        return peak_bytes(training(model, batch, size, "float32"))

    one, two, three = (peak(batch, 16) for batch in (1, 2, 3))
    assert three - two == pytest.approx(two - one, rel=1e-3)
    assert peak(2, 32) - peak(1, 32) == pytest.approx(4 * (two - one), rel=1e-3)


def test_a_convolution_keeps_its_input():
    weight = torch.ones(4, 4, 3, 3, requires_grad=True)
    given = torch.ones(1, 4, 10, 25)

    def work() -> None:
        result = functional.conv2d(given + 1, weight, padding=1)
        torch.autograd.grad(result, weight, torch.ones_like(result))

    # The sum, the result and its gradient, then the weight's gradient.
    assert peak_bytes(work) == 3 * KILO + 4 * weight.numel()
