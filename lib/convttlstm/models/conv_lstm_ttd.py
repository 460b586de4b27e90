"""ConvLSTM with a classic tensor train for its input kernels, "ConvLSTM (classic TTD)" in Table 2.

Su, Byeon, Kossaifi, Huang, Kautz, Anandkumar: "Convolutional Tensor-Train LSTM for Spatio-Temporal
Learning" (NeurIPS 2020), Section 5, after Garipov et al.'s tensor-train convolutions [28].

[I; F; O; C~](t) = sigma(W * X(t) + K * H(t-1))                                             (Eq. 12)
W[i, j, (t1, t2), (s1, s2)] = sum_r0,r1  G(0)[i, j, r0] G(1)[t1, s1, r0, r1] G(2)[t2, s2, r1]   (Eq. 13)

i and j run over the kernel, (t1, t2) is an output and (s1, s2) an input channel. K is a full kernel.
In print, the last factor of Eq. 13 has wrong indices; these here follow from the sizes given below it.

The paper does not state the number of factors, the ranks, or how channels are split. From the parameters,
2,204,497 with one input channel and 2,208,755 with three (Table 2's 2.21M), follow three factors, one train
per gate, ranks of 8, and no bias except K's; channels are split into two factors near a square, T1 >= T2 and
S1 >= S2. [I]: t2 and s2 vary slowest in a channel's number. [I]: the factors start uniform, all with the same
variance, so that W has the variance of PyTorch's default.

W and K are one convolution over the concatenation [X(t), H(t-1)]. Its kernel is built once per sequence, and
passed from step to step in the state.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from convttlstm.models.fused_update import fused_lstm_update
from convttlstm.models.layout import fast_layout
from convttlstm.models.recurrent import Checkpointing, RecurrentPredictor, same_conv

TtdState = tuple[Tensor, Tensor, Tensor]  # H(t-1), C(t-1), and the kernel [W, K] of all steps


def split_channels(channels: int) -> tuple[int, int]:
    """Return the two most equal factors, the larger first: 48 gives (8, 6), a prime p gives (p, 1)."""
    smaller = next(n for n in range(math.isqrt(channels), 0, -1) if channels % n == 0)
    return channels // smaller, smaller


class TensorTrain(nn.Module):
    """The kernel of one gate (Eq. 13).

    Args:
        in_channels: S1 x S2.
        out_channels: T1 x T2.
        kernel_size: K.
        rank: R, both ranks of the train.
        variance: initial variance of the kernel's weights.
    """

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int, rank: int, variance: float
    ) -> None:
        super().__init__()
        (s1, s2), (t1, t2) = split_channels(in_channels), split_channels(out_channels)
        self.g0 = nn.Parameter(torch.empty(kernel_size, kernel_size, rank))
        self.g1 = nn.Parameter(torch.empty(t1, s1, rank, rank))
        self.g2 = nn.Parameter(torch.empty(t2, s2, rank))
        # A weight of the kernel sums rank^2 products of three independent ones.
        bound = (3 * (variance / rank**2) ** (1 / 3)) ** 0.5
        for factor in (self.g0, self.g1, self.g2):
            nn.init.uniform_(factor, -bound, bound)

    def forward(self) -> Tensor:
        """Return the kernel, (out_channels, in_channels, K, K)."""
        # The letters are Eq. 13's i, j, and t, u for t1, t2; s, v for s1, s2; q, r for r0, r1.
        kernel = torch.einsum("ijq,tsqr,uvr->utvsij", self.g0, self.g1, self.g2)
        return kernel.flatten(2, 3).flatten(0, 1)


class ConvLstmTtdCell(nn.Module):
    """One first-order layer whose W is in tensor-train form (Eq. 12).

    Args:
        in_channels: channels of X(t).
        hidden_channels: channels of H(t).
        kernel_size: K, size of both kernels.
        rank: R, ranks of the trains.
    """

    def __init__(self, in_channels: int, hidden_channels: int, kernel_size: int, rank: int) -> None:
        super().__init__()
        self.hidden_channels = hidden_channels
        variance = 1 / (3 * in_channels * kernel_size**2)  # PyTorch's default for W
        self.trains = nn.ModuleList(  # for the gates I, F, O and C~
            TensorTrain(in_channels, hidden_channels, kernel_size, rank, variance) for _ in range(4)
        )
        self.hidden_gates = same_conv(hidden_channels, 4 * hidden_channels, kernel_size)

    def initial_state(self, x: Tensor) -> TtdState:
        """Return zero H and C for inputs like `x`, and [W, K], (4 x hidden, in + hidden, K, K)."""
        zeros = x.new_zeros(x.shape[0], self.hidden_channels, *x.shape[2:])
        w = torch.cat([train() for train in self.trains])
        kernel = torch.cat([w, self.hidden_gates.weight], dim=1)
        return zeros, zeros, kernel.contiguous(memory_format=fast_layout(x.device.type))  # like other weights

    def forward(self, x: Tensor, state: TtdState) -> tuple[Tensor, TtdState]:
        """Return H(t) and the new state, from X(t), (batch, in_channels, height, width), and the old."""
        hidden, cell, kernel = state
        inputs = torch.cat([x, hidden], dim=1)
        gates = functional.conv2d(inputs, kernel, self.hidden_gates.bias, padding="same")
        hidden, cell = fused_lstm_update(gates, cell)
        return hidden, (hidden, cell, kernel)


def conv_lstm_ttd(
    in_channels: int = 1,
    *,
    kernel_size: int = 5,
    rank: int = 8,
    channels: Sequence[int] = (32, 48, 48, 32),
    layers_per_block: int = 3,
    checkpointing: Checkpointing = False,
) -> RecurrentPredictor:
    """Return the ConvLSTM with classic TTD: 2,204,497 parameters with one input channel."""

    def make_cell(inputs: int, hidden: int) -> nn.Module:
        return ConvLstmTtdCell(inputs, hidden, kernel_size, rank)

    return RecurrentPredictor(make_cell, in_channels, channels, layers_per_block, checkpointing)
