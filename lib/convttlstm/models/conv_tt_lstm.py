"""Conv-TT-LSTM, the paper's model (Section 3.2).

The gates see N = `order` past states at once, through kernels K(1) ... K(N) of growing size that are
never built: they share the factors G(1) ... G(N) of a convolutional tensor train (Eq. 8), so that

    H~(i) = P(i) * [H(t-i); ...; H(t-i+N-M)]                                              (Eq. 10)
    CTT   = sum_i  G(i) * ... * G(1) * H~(i)                                          (Eq. 8 and 9)
    [I; F; O; C~](t) = sigma(W * X(t) + CTT)                                              (Eq. 11)

With N factors the sum costs N convolutions, by Horner's scheme from the oldest window to the newest
(Appendix A, Algorithm 2):

    V(N) = H~(N);   V(i) = H~(i) + G(i+1) * V(i+1);   CTT = G(1) * V(1)

W and G(1) are one convolution over [X(t), V(1)], unless their sizes differ. A hidden state enters all
windows that will see it by one convolution too, when it is produced.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from convttlstm.models.fused_update import lstm_update
from convttlstm.models.recurrent import (
    Checkpointing,
    RecurrentPredictor,
    RecurrentStack,
    gate_conv,
    same_conv,
)

# C(t-1), and for each of the last M hidden states, newest first, its shares in the windows.
ConvTtState = tuple[Tensor, list[tuple[Tensor, ...]]]


class ConvTtLstmCell(nn.Module):
    """One higher-order layer (Eq. 8 to 11).

    Args:
        in_channels: channels of X(t).
        hidden_channels: channels of H(t).
        kernel_size: S, size of W and of every P(i).
        order: N, number of factors and of windows.
        steps: M >= N, number of past hidden states.
        rank: C(i), channels of the windows and between the factors.
        factor_size: size of every G(i); None for S. With 1 the train has no convolutions (Table 4).
    """

    def __init__(
        self,
        in_channels: int,
        hidden_channels: int,
        kernel_size: int = 5,
        order: int = 3,
        steps: int = 3,
        rank: int = 8,
        factor_size: int | None = None,
    ) -> None:
        super().__init__()
        if not 1 <= order <= steps or rank < 1:
            raise ValueError(f"need 1 <= order <= steps and rank >= 1, not {order}, {steps}, {rank}")
        self.hidden_channels, self.order, self.steps, self.rank = (
            hidden_channels,
            order,
            steps,
            rank,
        )
        self.lags = steps - order + 1  # hidden states in each window

        # P(i) is window_weight[i-1]: its kernel for H(t-i-j) is window_weight[i-1, j].
        shape = order, self.lags, rank, hidden_channels, kernel_size, kernel_size
        self.window_weight = nn.Parameter(torch.empty(shape))
        self.window_bias = nn.Parameter(torch.empty(order, rank))
        for parameter in (self.window_weight, self.window_bias):  # as `same_conv` starts
            bound = (self.lags * hidden_channels * kernel_size**2) ** -0.5
            nn.init.uniform_(parameter, -bound, bound)

        # G(i) is factors[i-2], for i = 2 ... N; G(1) is a part of gates.
        size = factor_size or kernel_size
        self.factors = nn.ModuleList(same_conv(rank, rank, size) for _ in range(order - 1))
        self.gates = gate_conv(in_channels, rank, hidden_channels, kernel_size, factor_size)

    def forward(self, x: Tensor, state: ConvTtState) -> tuple[Tensor, ConvTtState]:
        """Return H(t) and the new state, from X(t), (batch, in_channels, height, width), and the old."""
        cell, shares = state
        hidden, cell = lstm_update(self.preactivations(x, shares), cell)
        return hidden, (cell, [self.share(hidden), *shares[:-1]])

    def initial_state(self, x: Tensor) -> ConvTtState:
        """Return the state before the first step, when all hidden states are zero, for inputs like `x`."""
        zeros = x.new_zeros(x.shape[0], self.hidden_channels, *x.shape[2:])
        return zeros, [self.share(zeros)] * self.steps

    def share(self, hidden: Tensor) -> tuple[Tensor, ...]:
        """Return what a hidden state adds to H~(i) when it is its j-th newest, at [(i-1) lags + j]."""
        # Each window has one newest member; P(i)'s bias comes with that one.
        bias = functional.pad(self.window_bias[:, None], (0, 0, 0, self.lags - 1)).flatten()
        weight = self.window_weight.flatten(0, 2)
        return torch.split(functional.conv2d(hidden, weight, bias, padding="same"), self.rank, dim=1)

    def window(self, i: int, shares: list[tuple[Tensor, ...]]) -> Tensor:
        """Return H~(i), (batch, rank, height, width) (Eq. 10)."""
        total = shares[i - 1][(i - 1) * self.lags]
        for j in range(1, self.lags):
            total = total + shares[i - 1 + j][(i - 1) * self.lags + j]
        return total

    def preactivations(self, x: Tensor, shares: list[tuple[Tensor, ...]]) -> Tensor:
        """Return W * X(t) + CTT, (batch, 4 x hidden, height, width) (Eq. 11)."""
        value = self.window(self.order, shares)
        for i in range(self.order - 1, 0, -1):
            value = self.window(i, shares) + self.factors[i - 1](value)
        return self.gates(torch.cat([x, value], dim=1))


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
) -> RecurrentPredictor:
    """Return Conv-TT-LSTM: 2,687,281 parameters with Table 2's settings and one input channel."""

    def make_cell(inputs: int, hidden: int) -> nn.Module:
        return ConvTtLstmCell(inputs, hidden, kernel_size, order, steps, rank, factor_size)

    stack = RecurrentStack(make_cell, in_channels, channels, layers_per_block)
    return RecurrentPredictor(stack, in_channels, checkpointing)
