"""Higher-order ConvLSTMs that the paper discusses as alternatives (Sections 3.1 and 5).

Su, Byeon, Kossaifi, Huang, Kautz, Anandkumar: Convolutional Tensor-Train LSTM for Spatio-Temporal
Learning, NeurIPS 2020. All of them are Eq. 6 in the twelve-layer stack of Section 4,

    [I; F; O; C~](t) = sigma(W * X(t) + Phi(H(t-1), ..., H(t-M)))                          (Eq. 6)

and differ in Phi. Two sum over the states, each with its own kernel (M = N):

    Phi = sum_i  K(i) * H(t-i)                                                             (Eq. 7)

- "equal": all K(i) are S x S, so the receptive field does not grow for older states (property 2 of Section
  3.1 fails).
- "growing": K(i) is i(S-1)+1 wide, the "immediate remedy", with O(N^3) weights (property 3 fails).

In three others, the convolutional tensor train (Eq. 8 and 9) has other inputs than the sliding window of Eq.
10,

    Phi = sum_i  G(i) * ... * G(1) * H~(i)

- "reduce": H~(i) = P(i) * H(t-i): fewer channels, all steps (M = N). That is Eq. 10 with M = N, so it is the
  same function as `conv_tt_lstm` with as many steps as factors, such as Table 2's Conv-TT-LSTM (N = M = 3).
  Section 5's objection is about a long history, which here needs as many factors.
- "tube": H~(i) = P(i) * [H(t-1); ...; H(t-M)]: all steps in every input.
- "raw": H~(i) = H(t-i): no pre-processing, so that all ranks equal the hidden channels (Eq. 9 as written).

From the paper: Eq. 6 to 10 and, in words, Section 5's two alternatives. Inferred [I]: P(i) is S x S as in
the paper's model; each input of "tube" has a separate one; W and every P(i) and G(i) have biases, but not
"growing"'s K(i), where they would repeat W's. Initial weights follow the fan-in of each convolution as it is
computed: one over [X(t), H(t-1), ..., H(t-N)] for "equal", N of them for "growing".
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from convttlstm.models.conv_tt_lstm import PackedConvTtLstmCell, horner
from convttlstm.models.fused_update import fused_lstm_update
from convttlstm.models.recurrent import Checkpointing, JointConv, RecurrentPredictor, same_conv

HistoryState = tuple[Tensor, list[Tensor]]  # C(t-1), and H(t-1) ... H(t-M)


class HistoryCell(nn.Module):
    """A layer that keeps its last M hidden states unchanged; each subclass is one Phi of Eq. 6."""

    def __init__(self, hidden_channels: int, steps: int) -> None:
        super().__init__()
        self.hidden_channels, self.steps = hidden_channels, steps

    def forward(self, x: Tensor, state: HistoryState) -> tuple[Tensor, HistoryState]:
        """Return H(t) and the new state, from X(t), (batch, in_channels, height, width), and the old."""
        cell, history = state
        hidden, cell = fused_lstm_update(self.preactivations(x, history), cell)
        return hidden, (cell, [hidden, *history[:-1]])

    def initial_state(self, x: Tensor) -> HistoryState:
        """Return the initial state, all zeros, for inputs like `x`."""
        zeros = x.new_zeros(x.shape[0], self.hidden_channels, *x.shape[2:])
        return zeros, [zeros] * self.steps

    def preactivations(self, x: Tensor, history: list[Tensor]) -> Tensor:
        """Return W * X(t) + Phi, (batch, 4 x hidden, height, width), from H(t-1) ... H(t-M) (Eq. 6)."""
        raise NotImplementedError


class EqualCell(HistoryCell):
    """Eq. 7 with all kernels S x S; W and K(1) ... K(N) are one convolution over [X(t), H(t-1), ...]."""

    def __init__(self, in_channels: int, hidden_channels: int, kernel_size: int, order: int) -> None:
        super().__init__(hidden_channels, order)
        self.gates = same_conv(in_channels + order * hidden_channels, 4 * hidden_channels, kernel_size)

    def preactivations(self, x: Tensor, history: list[Tensor]) -> Tensor:
        """Return W * X(t) + sum_i K(i) * H(t-i) (Eq. 6 and 7)."""
        return self.gates(torch.cat([x, *history], dim=1))


class GrowingCell(HistoryCell):
    """Eq. 7 with K(i) of size i(S-1)+1; W and K(1), both S x S, are one convolution over [X(t), H(t-1)]."""

    def __init__(self, in_channels: int, hidden_channels: int, kernel_size: int, order: int) -> None:
        super().__init__(hidden_channels, order)
        self.gates = JointConv(in_channels, hidden_channels, 4 * hidden_channels, kernel_size)
        # K(i) is kernels[i-2], for i = 2 ... N.
        self.kernels = nn.ModuleList()
        for i in range(2, order + 1):
            size = i * (kernel_size - 1) + 1
            kernel = nn.Conv2d(hidden_channels, 4 * hidden_channels, size, padding="same", bias=False)
            self.kernels.append(kernel)

    def preactivations(self, x: Tensor, history: list[Tensor]) -> Tensor:
        """Return W * X(t) + sum_i K(i) * H(t-i) (Eq. 6 and 7)."""
        total = self.gates(x, history[0])
        for kernel, hidden in zip(self.kernels, history[1:], strict=True):
            total = total + kernel(hidden)
        return total


class TensorTrainCell(HistoryCell):
    """The convolutional tensor train on the hidden states themselves (Eq. 9): steps = order, rank = hidden.

    Args:
        in_channels: channels of X(t).
        hidden_channels: channels of H(t).
        kernel_size: S, size of every kernel.
        order: N, number of factors and of their inputs.
        steps: M, number of past hidden states.
        rank: C(i), channels of the inputs and between the factors.
    """

    def __init__(
        self, in_channels: int, hidden_channels: int, kernel_size: int, order: int, steps: int, rank: int
    ) -> None:
        super().__init__(hidden_channels, steps)
        # G(i) is factors[i-2], for i = 2 ... N; G(1) is in gates.
        self.factors = nn.ModuleList(same_conv(rank, rank, kernel_size) for _ in range(order - 1))
        self.gates = JointConv(in_channels, rank, 4 * hidden_channels, kernel_size)

    def train_inputs(self, history: list[Tensor]) -> list[Tensor]:
        """Return H~(1) ... H~(N), each (batch, rank, height, width): here the hidden states."""
        return history

    def preactivations(self, x: Tensor, history: list[Tensor]) -> Tensor:
        """Return W * X(t) + CTT, by Algorithm 2 (Eq. 9 and 11)."""
        return self.gates(x, horner(self.train_inputs(history), self.factors))


class TubeCell(TensorTrainCell):
    """The convolutional tensor train on N mixtures of all M hidden states (Section 5)."""

    def __init__(
        self, in_channels: int, hidden_channels: int, kernel_size: int, order: int, steps: int, rank: int
    ) -> None:
        super().__init__(in_channels, hidden_channels, kernel_size, order, steps, rank)
        # P(i) is mixtures[i-1].
        self.mixtures = nn.ModuleList(
            same_conv(steps * hidden_channels, rank, kernel_size) for _ in range(order)
        )

    def train_inputs(self, history: list[Tensor]) -> list[Tensor]:
        """Return H~(1) ... H~(N), each P(i) * [H(t-1); ...; H(t-M)]."""
        everything = torch.cat(history, dim=1)
        return [mixture(everything) for mixture in self.mixtures]


def higher_order(
    in_channels: int = 1,
    *,
    transition: str = "equal",
    kernel_size: int = 5,
    order: int = 3,
    steps: int = 3,
    rank: int = 8,
    channels: Sequence[int] = (32, 48, 48, 32),
    layers_per_block: int = 3,
    checkpointing: Checkpointing = False,
) -> RecurrentPredictor:
    """Return a higher-order ConvLSTM.

    With N = M = 3 and one input channel it has 7,966,801 parameters ("equal"), 23,941,201 ("growing"),
    2,687,281 ("reduce"), 3,263,281 ("tube") or 4,972,561 ("raw").

    Args:
        in_channels: channels of a frame.
        transition: "equal", "growing", "reduce", "tube" or "raw", as explained at the top of this file.
        kernel_size: S.
        order: N, terms of Eq. 7 or factors of the tensor train.
        steps: M, past hidden states; N for all but "tube".
        rank: C(i); ignored by "equal", "growing" and "raw".
        channels: hidden channels of each block's layers, four numbers.
        layers_per_block: layers in a block.
        checkpointing: what the backward pass recomputes; see `recurrent.Checkpointing`.

    Raises:
        ValueError: the transition does not exist, or it needs M = N.
    """
    if steps != order and transition != "tube":
        raise ValueError(f"{transition!r} needs steps equal to order, not {steps} and {order}")
    size = kernel_size

    def make_cell(inputs: int, hidden: int) -> nn.Module:
        match transition:
            case "equal":
                return EqualCell(inputs, hidden, size, order)
            case "growing":
                return GrowingCell(inputs, hidden, size, order)
            case "reduce":
                return PackedConvTtLstmCell(inputs, hidden, size, order, steps, rank, factor_size=size)
            case "tube":
                return TubeCell(inputs, hidden, size, order, steps, rank)
            case "raw":
                return TensorTrainCell(inputs, hidden, size, order, steps, rank=hidden)
        raise ValueError(f"{transition!r} is none of 'equal', 'growing', 'reduce', 'tube' and 'raw'")

    return RecurrentPredictor(make_cell, in_channels, channels, layers_per_block, checkpointing)
