"""A faster `recurrent.lstm_update`, with a hand-written backward pass.

`recurrent.lstm_update` shows the equations, and the tests compare this one with it. Cells may use either.

With bf16 autocast, a cell spends most of its time outside the convolutions in element-wise arithmetic. A gate
is a strided quarter of the channels-last pre-activations: a sigmoid on it in bf16 takes several times as long
as on a float32 copy. So each gate is copied first, to the cell state's precision, at least float32. Only the
pre-activations and the two cell states are stored for the backward pass, which recomputes the gates. Measured
on a CPU (benchmarks/README.md), not on a GPU yet. `compute.compile` uses the plain arithmetic.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from convttlstm.models import recurrent

sigmoid_backward = torch.ops.aten.sigmoid_backward  # (gradient, sigmoid(x)) -> gradient of x
tanh_backward = torch.ops.aten.tanh_backward  # likewise


def fused_lstm_update(gates: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
    """Return the new hidden state and cell state (Eq. 1b); see `recurrent.lstm_update`.

    Args:
        gates: pre-activations of I, F, O and C~, in this order, (batch, 4 x hidden, height, width).
        cell: C(t-1), (batch, hidden, height, width).

    Returns:
        H(t) in the gates' precision, and C(t) in float32, or float64 if C(t-1) is.
    """
    if torch.compiler.is_compiling():  # the compiler fuses the plain arithmetic itself
        return recurrent.lstm_update(gates, cell)
    cell = cell.to(torch.promote_types(cell.dtype, torch.float32))
    return LstmUpdate.apply(gates, cell)  # type: ignore[no-untyped-call]


class LstmUpdate(torch.autograd.Function):
    """Eq. 1b and its derivative."""

    @staticmethod
    def forward(ctx: Any, gates: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
        """Return H(t) and C(t)."""
        i, f, o, c = activate(gates, cell.dtype)
        new = f.mul_(cell).addcmul_(i, c)
        ctx.save_for_backward(gates, cell, new)
        return o.mul_(new.tanh()).to(gates.dtype), new

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_hidden: Tensor, d_new: Tensor) -> tuple[Tensor, Tensor]:
        """Return the gradients of the pre-activations and of C(t-1), from those of H(t) and C(t)."""
        gates, cell, new = ctx.saved_tensors
        i, f, o, c = activate(gates, cell.dtype)
        d_hidden, tanh = d_hidden.to(cell.dtype), new.tanh()
        d_cell = tanh_backward(d_hidden * o, tanh) + d_new
        d_gates = torch.empty_like(gates)
        d_i, d_f, d_o, d_c = d_gates.chunk(4, dim=1)
        d_i.copy_(sigmoid_backward(d_cell * c, i))
        d_f.copy_(sigmoid_backward(d_cell * cell, f))
        d_o.copy_(sigmoid_backward(d_hidden * tanh, o))
        d_c.copy_(tanh_backward(d_cell * i, c))
        return d_gates, d_cell * f


def activate(gates: Tensor, dtype: torch.dtype) -> list[Tensor]:
    """Return I, F, O and C~, each as a separate tensor in this precision."""
    i, f, o, c = (part.to(dtype, copy=True) for part in gates.chunk(4, dim=1))
    return [i.sigmoid_(), f.sigmoid_(), o.sigmoid_(), c.tanh_()]
