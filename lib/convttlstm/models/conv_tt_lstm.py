"""Conv-TT-LSTM, the paper's model (Section 3.2): the cell as the equations are written, then a faster one.

The gates depend on N = `order` past states at once, through kernels K(1) ... K(N) of growing size that are
never built: they share the factors G(1) ... G(N) of a convolutional tensor train, so that

    H~(i) = P(i) * [H(t-i); ...; H(t-i+N-M)]                                              (Eq. 10)
    CTT   = sum_i  G(i) * ... * G(1) * H~(i)                                          (Eq. 8 and 9)
    [I; F; O; C~](t) = sigma(W * X(t) + CTT)                                              (Eq. 11)

With N factors the sum costs N convolutions, by Horner's scheme from the oldest window to the newest
(Appendix A, Algorithm 2):

    V(N) = H~(N);   V(i) = H~(i) + G(i+1) * V(i+1);   CTT = G(1) * V(1)
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from convttlstm.models.fused_update import fused_lstm_update
from convttlstm.models.recurrent import Checkpointing, RecurrentPredictor, gate_conv, lstm_update, same_conv

# C(t-1), H~(1) ... H~(N), and an entry of `preprocess` for each of the last M hidden states, newest first.
ConvTtState = tuple[Tensor, list[Tensor], list[Any]]


class ConvTtLstmCell(nn.Module):
    """One higher-order layer, as the equations are written.

    Comments give the shape of each line's result; b is the batch size, and h x w the size of the frame.

    Args:
        in_channels: channels of X(t).
        hidden_channels: channels of H(t).
        kernel_size: S, size of W and of every P(i).
        order: N, number of factors and windows.
        steps: M >= N, number of past hidden states.
        rank: C(i) = C, channels of the windows and between the factors.
        factor_size: size of every G(i). With 1 the train has no convolutions (Table 4).
    """

    lstm_update = staticmethod(lstm_update)

    def __init__(
        self,
        in_channels: int,
        hidden_channels: int,
        kernel_size: int,
        order: int,
        steps: int,
        rank: int,
        factor_size: int,
    ) -> None:
        super().__init__()
        if not 1 <= order <= steps or rank < 1:
            raise ValueError(f"need 1 <= order <= steps and rank >= 1, not {order}, {steps}, {rank}")
        self.hidden_channels, self.order, self.steps, self.rank = hidden_channels, order, steps, rank
        self.lags = steps - order + 1  # hidden states in each window

        # P(i) is window_weight[i-1]: its kernel for H(t-i-j) is window_weight[i-1, j].
        shape = order, self.lags, rank, hidden_channels, kernel_size, kernel_size
        self.window_weight = nn.Parameter(torch.empty(shape))
        self.window_bias = nn.Parameter(torch.empty(order, rank))
        for parameter in (self.window_weight, self.window_bias):  # the same distribution as `same_conv`'s
            bound = (self.lags * hidden_channels * kernel_size**2) ** -0.5
            nn.init.uniform_(parameter, -bound, bound)

        # G(i) is factors[i-2], for i = 2 ... N; W and G(1) are in gates.
        self.factors = nn.ModuleList(same_conv(rank, rank, factor_size) for _ in range(order - 1))
        self.gates = gate_conv(in_channels, rank, hidden_channels, kernel_size, factor_size)

    def forward(self, x: Tensor, state: ConvTtState) -> tuple[Tensor, ConvTtState]:
        """Return H(t) and the new state, from X(t), (b, in_channels, h, w), and the old state."""
        cell, windows, past = state  # (b, hidden, h, w), N times (b, C, h, w), M hidden states
        gates = self.preactivations(x, windows)  # (b, 4 x hidden, h, w)  (Eq. 11)
        hidden, cell = self.lstm_update(gates, cell)  # (b, hidden, h, w) both  (Eq. 1b)
        windows, past = self.preprocess(hidden, past)  # for the next step  (Eq. 10)
        return hidden, (cell, windows, past)

    def initial_state(self, x: Tensor) -> ConvTtState:
        """Return the state before the first step, when all hidden states are zero, for inputs like `x`."""
        zeros = x.new_zeros(x.shape[0], self.hidden_channels, *x.shape[2:])
        return zeros, *self.preprocess(zeros, None)

    def preprocess(self, hidden: Tensor, past: list[Any] | None) -> tuple[list[Tensor], list[Any]]:
        """Return H~(1) ... H~(N) of step t (Eq. 10), and an entry for each of the last M hidden states.

        Args:
            hidden: H(t-1).
            past: the entries that the previous call returned; None if all earlier states equal `hidden`.
        """
        states = [hidden, *past[:-1]] if past else [hidden] * self.steps  # H(t-1) ... H(t-M)
        windows = []
        for i, (weight, bias) in enumerate(zip(self.window_weight, self.window_bias, strict=True), start=1):
            window = torch.cat(states[i - 1 : i - 1 + self.lags], dim=1)  # [H(t-i); ...; H(t-i+N-M)]
            p = weight.transpose(0, 1).flatten(1, 2)  # P(i), (C, lags x hidden, S, S)
            windows.append(functional.conv2d(window, p, bias, padding="same"))  # H~(i), (b, C, h, w)
        return windows, states

    def preactivations(self, x: Tensor, windows: list[Tensor]) -> Tensor:
        """Return W * X(t) + CTT, (b, 4 x hidden, h, w), from X(t) and H~(1) ... H~(N) (Eq. 11)."""
        return self.gates(x, horner(windows, self.factors))  # W * X(t) + G(1) * V(1)


def horner(windows: list[Tensor], factors: nn.ModuleList) -> Tensor:
    """Return V(1), (b, C, h, w), from H~(1) ... H~(N), each like it, and G(2) ... G(N) (Algorithm 2)."""
    value = windows[-1]  # V(N) = H~(N)
    for i in range(len(windows) - 1, 0, -1):
        value = windows[i - 1] + factors[i - 1](value)  # V(i) = H~(i) + G(i+1) * V(i+1)
    return value


class PackedConvTtLstmCell(ConvTtLstmCell):
    """The same layer, faster: one convolution computes what a hidden state adds to all later windows.

    These shares, one for each window and each place in it, are kept instead of the hidden state.
    """

    lstm_update = staticmethod(fused_lstm_update)

    def preprocess(self, hidden: Tensor, past: list[Any] | None) -> tuple[list[Tensor], list[Any]]:
        """Return H~(1) ... H~(N) (Eq. 10), and the last M hidden states' shares; see `ConvTtLstmCell`."""
        # shares[(i-1) lags + j] is a state's share of H~(i) when j states of this window are newer.
        # The newest state of each window also adds P(i)'s bias.
        bias = functional.pad(self.window_bias[:, None], (0, 0, 0, self.lags - 1)).flatten()
        packed = functional.conv2d(hidden, self.window_weight.flatten(0, 2), bias, padding="same")
        shares = torch.split(packed, self.rank, dim=1)
        past = [shares, *past[:-1]] if past else [shares] * self.steps
        windows = []
        for i in range(self.order):
            total = past[i][i * self.lags]
            for j in range(1, self.lags):
                total = total + past[i + j][i * self.lags + j]
            windows.append(total)
        return windows, past


def conv_tt_lstm(
    in_channels: int = 1,
    *,
    kernel_size: int = 5,
    order: int = 3,
    steps: int = 3,
    rank: int = 8,
    factor_size: int | None = None,
    channels: Sequence[int] = (32, 48, 48, 32),
    layers_per_block: int = 3,
    checkpointing: Checkpointing = False,
    output: str = "linear",
) -> RecurrentPredictor:
    """Return Conv-TT-LSTM: 2,687,281 parameters with Table 2's settings and one input channel."""

    def make_cell(inputs: int, hidden: int) -> nn.Module:
        size = factor_size or kernel_size
        return PackedConvTtLstmCell(inputs, hidden, kernel_size, order, steps, rank, size)

    return RecurrentPredictor(make_cell, in_channels, channels, layers_per_block, checkpointing, output)
