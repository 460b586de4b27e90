"""ConvLSTM, the paper's baseline: Eq. 2 in the twelve-layer stack of Section 4.

[I; F; O; C~](t) = sigma(W * X(t) + K * H(t-1))

W and K are one convolution over [X(t); H(t-1)], unless their sizes differ.
"""

from collections.abc import Sequence

from torch import Tensor, nn

from convttlstm.models.fused_update import fused_lstm_update
from convttlstm.models.recurrent import Checkpointing, RecurrentPredictor, gate_conv


class ConvLstmCell(nn.Module):
    """One first-order layer (Eq. 2).

    Args:
        in_channels: channels of X(t).
        hidden_channels: channels of H(t).
        kernel_size: size of W.
        factor_size: size of K.
    """

    lstm_update = staticmethod(fused_lstm_update)

    def __init__(self, in_channels: int, hidden_channels: int, kernel_size: int, factor_size: int) -> None:
        super().__init__()
        self.hidden_channels = hidden_channels
        self.gates = gate_conv(in_channels, hidden_channels, hidden_channels, kernel_size, factor_size)

    def initial_state(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the zero state (H, C) for inputs like `x`."""
        zeros = x.new_zeros(x.shape[0], self.hidden_channels, *x.shape[2:])
        return zeros, zeros

    def forward(self, x: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Return H(t) and the state (H(t), C(t)), from X(t) and the state (H(t-1), C(t-1))."""
        hidden, cell = state  # both (batch, hidden, height, width)
        gates = self.gates(x, hidden)  # W * X(t) + K * H(t-1)  (Eq. 2), (batch, 4 x hidden, height, width)
        hidden, cell = self.lstm_update(gates, cell)  # sigma of Eq. 2, and Eq. 1b
        return hidden, (hidden, cell)


def conv_lstm(
    in_channels: int = 1,
    *,
    kernel_size: int = 5,
    factor_size: int | None = None,
    channels: Sequence[int] = (32, 48, 48, 32),
    layers_per_block: int = 3,
    checkpointing: Checkpointing = False,
    output: str = "linear",
) -> RecurrentPredictor:
    """Return the ConvLSTM baseline: 3,973,201 parameters with one input channel."""

    def make_cell(inputs: int, hidden: int) -> nn.Module:
        return ConvLstmCell(inputs, hidden, kernel_size, factor_size or kernel_size)

    return RecurrentPredictor(make_cell, in_channels, channels, layers_per_block, checkpointing, output)
