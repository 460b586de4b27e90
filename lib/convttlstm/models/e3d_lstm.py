"""E3D-LSTM: 3D convolutions over a window of frames, and attention over all past cell states.

Y. Wang, L. Jiang, M.-H. Yang, L.-J. Li, M. Long and L. Fei-Fei, "Eidetic 3D LSTM: A Model for Video
Prediction and Beyond", ICLR 2019. All states are windows, (batch, channel, depth, height, width). A
layer's step, * a 3D convolution and o the elementwise product (numbers of equations [M]):

    R = sigmoid(Wxr*X + Whr*H(t-1));  I = sigmoid(Wxi*X + Whi*H(t-1));  G = tanh(Wxg*X + Whg*H(t-1))
    RECALL(R, C(0..t-1)) = softmax(R . C(0..t-1)^T) . C(0..t-1)
    C(t) = I o G + LayerNorm(C(t-1) + RECALL(R, C(0..t-1)))                                    (Eq. 1)
    I' = sigmoid(Wxi'*X + Wmi*M);  G' = tanh(Wxg'*X + Wmg*M);  F' = sigmoid(Wxf'*X + Wmf*M + 1)
    M' = I' o G' + F' o tanh(Wmm*M)                                                            (Eq. 2)
    O = sigmoid(Wxo*X + Who*H(t-1) + Wco*C(t) + Wmo*M')
    H(t) = O o tanh(W111 * [C(t), M'])                                                         (Eq. 3)

M comes from the layer below at the same time; the first layer's comes from the last layer at the previous
time. In the recall, the queries are the channel vectors at all positions of R, keys and values those of all
past cell states; the products are not scaled.

From the published code: the window of 2 and its stride of 1, the zero frames before the first, the zero
cell C(0) as the history's first entry, the layer norms of W*X, W*H and W*M (each over the whole sample, two
weights per channel), the 1 in F', tanh(Wmm*M) where the paper has M itself, a bias in every convolution, and
the last convolution, from the window to one frame. With these the number of parameters equals the published
one. Kernels of even depth have their extra zero padding after the window's last frame.

Differences to the published code: it returns M instead of M' from a layer (as `memory="published"` does; its
authors called that a bug that their experiments did not have), and its O is the sigmoid of a tanh, which is
not in the paper. Its layer norm adds 1e-12 to the variance [M]; PyTorch's 1e-5 keeps gradients small where
zero states are normalized.
"""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from convttlstm.models.recurrent import State, roll_out

# H(t-1), C(t-1), and the past cell states for the recall, oldest first, each as `positions`.
EideticState = tuple[Tensor, Tensor, list[Tensor]]


def conv_3d(in_channels: int, out_channels: int, depth: int, kernel_size: int) -> nn.Conv3d:
    """Return a convolution that keeps height and width, and shortens the window by depth - 1.

    Xavier-uniform, with zero bias.
    """
    kernel = depth, kernel_size, kernel_size
    conv = nn.Conv3d(in_channels, out_channels, kernel, padding=(0, kernel_size // 2, kernel_size // 2))
    nn.init.xavier_uniform_(conv.weight)
    nn.init.zeros_(conv.bias)  # type: ignore[arg-type]
    return conv


def same_conv_3d(in_channels: int, out_channels: int, depth: int, kernel_size: int) -> nn.Sequential:
    """Return a convolution that keeps the window's size; kernels of even depth get one more zero after it."""
    pad = nn.ConstantPad3d((0, 0, 0, 0, (depth - 1) // 2, depth // 2), 0.0)
    return nn.Sequential(pad, conv_3d(in_channels, out_channels, depth, kernel_size))


def positions(window: Tensor) -> Tensor:
    """Return a window's vectors of channels, (batch, depth x height x width, channel)."""
    # Fused attention needs the channels of a position to be contiguous in memory.
    return window.flatten(2).transpose(1, 2).contiguous()


def recall(gate: Tensor, history: list[Tensor]) -> Tensor:
    """Return RECALL(R, C(0..t-1)), shaped like R (Eq. 1).

    Args:
        gate: R, (batch, channel, depth, height, width).
        history: `positions` of the past cell states.
    """
    queries = positions(gate)[:, None]  # one head
    past = torch.cat(history, dim=1)[:, None]
    recalled = functional.scaled_dot_product_attention(queries, past, past, scale=1.0)
    return recalled[:, 0].transpose(1, 2).reshape(gate.shape)


class EideticLstmCell(nn.Module):
    """One layer (Eq. 1 to 3).

    Args:
        in_channels: channels of X(t).
        memory_channels: channels of M.
        hidden_channels: channels of H(t), C(t) and M'.
        kernel_size: height and width of the kernels.
        depth: their size in time.
        history: number of cell states in the recall; None for all past ones.
    """

    def __init__(
        self,
        in_channels: int,
        memory_channels: int,
        hidden_channels: int,
        kernel_size: int,
        depth: int,
        history: int | None,
    ) -> None:
        super().__init__()
        self.hidden_channels, self.history = hidden_channels, history

        def conv(inputs: int) -> nn.Sequential:
            return same_conv_3d(inputs, hidden_channels, depth, kernel_size)

        def normed(inputs: int, gates: int) -> nn.Sequential:
            outputs = gates * hidden_channels
            return nn.Sequential(same_conv_3d(inputs, outputs, depth, kernel_size), nn.GroupNorm(1, outputs))

        self.from_input = normed(in_channels, 7)
        self.from_hidden = normed(hidden_channels, 4)
        self.from_memory = normed(memory_channels, 4)
        self.recall_norm = nn.GroupNorm(1, hidden_channels)
        self.output_from_cell = conv(hidden_channels)
        self.output_from_memory = conv(hidden_channels)
        self.merge = conv_3d(2 * hidden_channels, hidden_channels, depth=1, kernel_size=1)

    def initial_state(self, x: Tensor) -> EideticState:
        """Return the zero state for windows like `x`; C(0) is the history's first entry."""
        zeros = x.new_zeros(x.shape[0], self.hidden_channels, *x.shape[2:])
        return zeros, zeros, [positions(zeros)]

    def forward(self, x: Tensor, state: EideticState, memory: Tensor) -> tuple[Tensor, EideticState, Tensor]:
        """Return H(t), the new state and M'.

        Args:
            x: X(t), (batch, in_channels, depth, height, width).
            state: returned by the previous step, or by `initial_state`.
            memory: M, (batch, memory_channels, depth, height, width).
        """
        hidden, cell, history = state
        xi, xg, xr, xo, xi_, xg_, xf_ = self.from_input(x).chunk(7, dim=1)
        hi, hg, hr, ho = self.from_hidden(hidden).chunk(4, dim=1)
        mi, mg, mf, mm = self.from_memory(memory).chunk(4, dim=1)

        recalled = recall(torch.sigmoid(xr + hr), history)
        cell = torch.sigmoid(xi + hi) * torch.tanh(xg + hg) + self.recall_norm(cell + recalled)  # Eq. 1

        new, kept = torch.tanh(xg_ + mg), torch.tanh(mm)
        memory = torch.sigmoid(xi_ + mi) * new + torch.sigmoid(xf_ + mf + 1) * kept  # Eq. 2

        output = torch.sigmoid(xo + ho + self.output_from_cell(cell) + self.output_from_memory(memory))
        hidden = output * torch.tanh(self.merge(torch.cat([cell, memory], dim=1)))  # Eq. 3

        history = [*history, positions(cell)]
        if self.history is not None:
            history = history[-self.history :]
        return hidden, (hidden, cell, history), memory


class E3dLstm(nn.Module):
    """The predictor: layers over patched frames, and a convolution from the last window to a frame.

    With one input channel it has 12,898,832 parameters in patches of 4 (Moving-MNIST) and 13,980,224 in
    patches of 8 (KTH).

    Args:
        in_channels: channels of a frame.
        channels: hidden channels of each layer.
        kernel_size: height and width of the layers' kernels.
        depth: their size in time.
        window: number of frames in X(t) of the first layer, the newest and those before it.
        patch_size: height and width of the patches, whose pixels become channels.
        memory: "updated" passes M' to the next layer; "published" passes M, as the published code does. M is
            then always zero, so the kernels on M have zero gradients and never learn (their biases and norms
            do).
        history: number of cell states in the recall; None for all past ones.
        checkpointing: recompute each time step in the backward pass instead of storing it.

    Raises:
        ValueError: `memory` is neither, or `history` is less than 1.
    """

    def __init__(
        self,
        in_channels: int = 1,
        *,
        channels: Sequence[int] = (64, 64, 64, 64),
        kernel_size: int = 5,
        depth: int = 2,
        window: int = 2,
        patch_size: int = 4,
        memory: Literal["updated", "published"] = "updated",
        history: int | None = None,
        checkpointing: bool = False,
    ) -> None:
        super().__init__()
        if memory not in ("updated", "published"):
            raise ValueError(f"memory must be 'updated' or 'published', not {memory!r}")
        if history is not None and history < 1:
            raise ValueError(f"history must be at least 1, or None for all, not {history}")
        self.window, self.patch_size, self.memory, self.checkpointing = (
            window,
            patch_size,
            memory,
            checkpointing,
        )
        patch_channels, last = in_channels * patch_size**2, channels[-1]
        inputs = [patch_channels, *channels[:-1]]
        memories = [last, *channels[:-1]] if memory == "updated" else [last] * len(channels)
        self.memory_channels = last
        self.layers = nn.ModuleList(
            EideticLstmCell(width, received, hidden, kernel_size, depth, history)
            for width, received, hidden in zip(inputs, memories, channels, strict=True)
        )
        self.output = conv_3d(last, patch_channels, depth=window, kernel_size=1)

    def forward(self, frames: Tensor, context: int, horizon: int, sampling: Tensor | None = None) -> Tensor:
        """Return the one-step outputs for times 2 ... context + horizon; see `convttlstm.models`."""
        return roll_out(self.step, frames, context, horizon, sampling, self.checkpointing)

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Return the frame after `x`, and the new state: the window's older frames, the layers', M."""
        x = functional.pixel_unshuffle(x, self.patch_size)
        older, layer_states, memory = state or self.initial_state(x)
        frames = [*older, x]
        hidden = torch.stack(frames, dim=2)
        new_states = []
        for layer, layer_state in zip(self.layers, layer_states, strict=True):
            hidden, new_state, updated = layer(hidden, layer_state, memory)
            new_states.append(new_state)
            if self.memory == "updated":
                memory = updated
        frame = functional.pixel_shuffle(self.output(hidden).squeeze(2), self.patch_size)
        return frame, (frames[1:], new_states, memory)

    def initial_state(self, x: Tensor) -> State:
        """Return zero frames and zero states for patched frames like `x`."""
        older = [torch.zeros_like(x)] * (self.window - 1)
        window = torch.stack([x] * self.window, dim=2)
        memory = x.new_zeros(x.shape[0], self.memory_channels, *window.shape[2:])
        return older, [layer.initial_state(window) for layer in self.layers], memory  # type: ignore[operator]
