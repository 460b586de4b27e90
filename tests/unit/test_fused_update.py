"""The LSTM update with its own backward pass against the plain equations."""

import pytest
import torch
from torch import Tensor

from convttlstm.models.fused_update import fused_lstm_update
from convttlstm.models.recurrent import lstm_update


def random_state(dtype: torch.dtype, channels_last: bool) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    layout = torch.channels_last if channels_last else torch.contiguous_format
    gates = 3 * torch.randn(2, 4 * 5, 6, 7, generator=generator, dtype=torch.float64)
    cell = torch.randn(2, 5, 6, 7, generator=generator, dtype=torch.float64)
    return gates.to(dtype).to(memory_format=layout), cell.to(dtype).to(memory_format=layout)


def values_and_gradients(update, gates: Tensor, cell: Tensor) -> list[Tensor]:
    gates, cell = gates.clone().requires_grad_(), cell.clone().requires_grad_()
    hidden, new = update(gates, cell)
    # The second gradient reaches the first update through both states.
    hidden, new = update(gates + torch.cat([hidden] * 4, dim=1), new)
    (hidden.square().sum() + new.sin().sum()).backward()
    return [hidden.detach(), new.detach(), gates.grad, cell.grad]


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize(
    "dtype, tolerance", [(torch.float64, 1e-10), (torch.float32, 1e-5), (torch.bfloat16, 0.03)]
)
def test_the_fused_update_equals_the_plain_one(dtype, tolerance, channels_last):
    """The plain one in float64; relative to the largest value. bf16: only inputs and results are rounded."""
    gates, cell = random_state(dtype, channels_last)
    expected = values_and_gradients(lstm_update, gates.double(), cell.double())
    for value, exact in zip(values_and_gradients(fused_lstm_update, gates, cell), expected, strict=True):
        assert (value.double() - exact).abs().max() <= tolerance * exact.abs().max()


def test_gradients_are_those_of_finite_differences():
    gates, cell = random_state(torch.float64, channels_last=True)
    assert torch.autograd.gradcheck(
        fused_lstm_update, (gates.requires_grad_(), cell.requires_grad_()), fast_mode=True
    )


def test_the_cell_state_is_not_rounded_to_bf16():
    gates, cell = random_state(torch.bfloat16, channels_last=True)
    hidden, new = fused_lstm_update(gates, cell)
    assert (hidden.dtype, new.dtype) == (torch.bfloat16, torch.float32)


def test_only_the_preactivations_and_cell_states_are_kept():
    gates, cell = (value.requires_grad_() for value in random_state(torch.float32, channels_last=True))
    kept: list[int] = []

    def note(tensor: Tensor) -> Tensor:
        kept.append(tensor.data_ptr())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        _, new = fused_lstm_update(gates, cell)
    assert kept == [gates.data_ptr(), cell.data_ptr(), new.data_ptr()]
