"""PredRNN++: causal LSTMs with a gradient highway.

Y. Wang, Z. Gao, M. Long, J. Wang and P. S. Yu, "PredRNN++: Towards A Resolution of the Deep-in-Time
Dilemma in Spatiotemporal Predictive Learning", ICML 2018. In its symbols, layer k at time t has an
input X, a hidden state H and two memories in cascade: C stays in the layer, M comes from the layer
below. The layers' equations (causal LSTM):

    g, i, f    = tanh, sigma, sigma (W1 * [X, H(t-1), C(t-1)])
    C(t)       = f C(t-1) + i g
    g', i', f' = tanh, sigma, sigma (W2 * [X, C(t), M(k-1)])
    M(k)       = f' tanh(W3 * M(k-1)) + i' g'
    o          = tanh(W4 * [X, C(t), M(k)])
    H(t)       = o tanh(W5 * [C(t), M(k)])

M zigzags: the first layer gets the M of the top layer at the previous time step. The input of layer 2 is not
H of layer 1 but the highway's state Z, along which gradients pass through time without a layer:

    P = tanh(Wp * [H, Z(t-1)]);   S = sigma(Ws * [H, Z(t-1)]);   Z(t) = S P + (1 - S) Z(t-1)

The X of the other layers is the H below; a 1x1 convolution turns the top H into a frame. Frames are cut into
patches, whose pixels become channels.

The authors' published code computes each product W * [..] as a sum, with a separate convolution, bias and
layer norm for each input. The code, and the number of parameters, show which input affects which gates; h is
the number of hidden channels:

    X -> 7h: i, g, f, o, i', g', f'      C(t) -> 4h: i', g', f', o
    H -> 4h: i, g, f, o                  M(k-1) -> 3h: i', f', W3 * M(k-1)
    C(t-1) -> 3h: i, g, f                M(k) -> h: o

It differs from the equations: o also depends on H(t-1), and g' does not depend on M(k-1). W5 is a 1x1
convolution without norm; f and f' have 1 added before sigma; all initial states are zero.

Initial weights are uniform in +-0.001 there and here, because they decide how fast the model learns: before a
norm, Adam's steps change the direction of small weights quickly, and that of large ones hardly. W5 and the
output start Xavier-uniform, there and here.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from convttlstm.models.recurrent import State, roll_out, xavier_conv

FORGET_BIAS = 1.0


def small_conv(in_channels: int, out_channels: int, kernel_size: int) -> nn.Conv2d:
    """Return a convolution that keeps the frame size, with weights within +-0.001 and zero bias."""
    conv = xavier_conv(in_channels, out_channels, kernel_size)
    nn.init.uniform_(conv.weight, -1e-3, 1e-3)
    return conv


def normed_conv(in_channels: int, out_channels: int, kernel_size: int) -> nn.Sequential:
    """Return a convolution and a layer norm over the whole sample, with two weights per channel."""
    return nn.Sequential(small_conv(in_channels, out_channels, kernel_size), nn.GroupNorm(1, out_channels))


class CausalLstmCell(nn.Module):
    """One layer.

    Args:
        in_channels: channels of X.
        memory_channels: channels of M(k-1).
        hidden_channels: channels of H, C and M(k).
        kernel_size: size of every kernel except W5's.
    """

    def __init__(
        self, in_channels: int, memory_channels: int, hidden_channels: int, kernel_size: int
    ) -> None:
        super().__init__()
        h = hidden_channels
        self.from_input = normed_conv(in_channels, 7 * h, kernel_size)
        self.from_hidden = normed_conv(h, 4 * h, kernel_size)
        self.from_cell = normed_conv(h, 3 * h, kernel_size)
        self.from_memory = normed_conv(memory_channels, 3 * h, kernel_size)
        self.from_new_cell = normed_conv(h, 4 * h, kernel_size)
        self.from_new_memory = normed_conv(h, h, kernel_size)
        self.join = xavier_conv(2 * h, h, kernel_size=1)  # W5

    def forward(self, x: Tensor, hidden: Tensor, cell: Tensor, memory: Tensor) -> tuple[Tensor, ...]:
        """Return H(t), C(t) and M(k) from X, H(t-1), C(t-1) and M(k-1), all (batch, .., height, width)."""
        i_x, g_x, f_x, o_x, i2_x, g2_x, f2_x = self.from_input(x).chunk(7, dim=1)
        i_h, g_h, f_h, o_h = self.from_hidden(hidden).chunk(4, dim=1)
        i_c, g_c, f_c = self.from_cell(cell).chunk(3, dim=1)
        i = torch.sigmoid(i_x + i_h + i_c)
        g = torch.tanh(g_x + g_h + g_c)
        f = torch.sigmoid(f_x + f_h + f_c + FORGET_BIAS)
        cell = f * cell + i * g

        i2_c, g2_c, f2_c, o_c = self.from_new_cell(cell).chunk(4, dim=1)
        i2_m, f2_m, kept = self.from_memory(memory).chunk(3, dim=1)
        i2 = torch.sigmoid(i2_x + i2_c + i2_m)
        g2 = torch.tanh(g2_x + g2_c)
        f2 = torch.sigmoid(f2_x + f2_c + f2_m + FORGET_BIAS)
        memory = f2 * torch.tanh(kept) + i2 * g2

        o = torch.tanh(o_x + o_h + o_c + self.from_new_memory(memory))
        hidden = o * torch.tanh(self.join(torch.cat([cell, memory], dim=1)))
        return hidden, cell, memory


class GradientHighway(nn.Module):
    """The gradient highway unit, for inputs and states of `channels`."""

    def __init__(self, channels: int, kernel_size: int) -> None:
        super().__init__()
        self.from_input = normed_conv(channels, 2 * channels, kernel_size)
        self.from_state = normed_conv(channels, 2 * channels, kernel_size)

    def forward(self, x: Tensor, z: Tensor) -> Tensor:
        """Return Z(t) from the unit's input and Z(t-1), all (batch, channels, height, width)."""
        p, s = (self.from_input(x) + self.from_state(z)).chunk(2, dim=1)
        s = torch.sigmoid(s)
        return s * torch.tanh(p) + (1 - s) * z


class PredRnnPp(nn.Module):
    """PredRNN++: 15,390,160 parameters with the authors' settings, 15,053,185 with patches of one pixel.

    Args:
        in_channels: channels of a frame.
        channels: hidden channels of each layer, at least two layers.
        kernel_size: size of every kernel except the 1x1 kernels.
        patch_size: height and width of the patches that frames are cut into; divides those of the frame.
        checkpointing: recompute each time step in the backward pass instead of storing it.

    Raises:
        ValueError: there are fewer than two layers; the highway is between the first and the second.
    """

    def __init__(
        self,
        in_channels: int = 1,
        *,
        channels: Sequence[int] = (128, 64, 64, 64),
        kernel_size: int = 5,
        patch_size: int = 4,
        checkpointing: bool = False,
    ) -> None:
        super().__init__()
        if len(channels) < 2:
            raise ValueError(f"the highway needs at least two layers, not {len(channels)}")
        self.channels, self.patch_size, self.checkpointing = channels, patch_size, checkpointing
        patch_channels = in_channels * patch_size**2
        inputs = [patch_channels, channels[0], *channels[1:-1]]
        memories = [channels[-1], *channels[:-1]]
        self.cells = nn.ModuleList(
            CausalLstmCell(*widths, kernel_size) for widths in zip(inputs, memories, channels, strict=True)
        )
        self.highway = GradientHighway(channels[0], kernel_size)
        self.output = xavier_conv(channels[-1], patch_channels, kernel_size=1)

    def forward(self, frames: Tensor, context: int, horizon: int, sampling: Tensor | None = None) -> Tensor:
        """Return the one-step outputs for times 2 ... context + horizon; see `convttlstm.models`."""
        patches = functional.pixel_unshuffle(frames, self.patch_size)
        outputs = roll_out(self.step, patches, context, horizon, sampling, self.checkpointing)
        return functional.pixel_shuffle(outputs, self.patch_size)

    def initial_state(self, x: Tensor) -> State:
        """Return zero states for inputs like `x`: (H, C) of each layer, the top layer's M, and Z."""
        zeros = [x.new_zeros(x.shape[0], hidden, *x.shape[2:]) for hidden in self.channels]
        return [(zero, zero) for zero in zeros], zeros[-1], zeros[0]

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Return the patches (batch, patch_channels, height, width) after `x`, and the new state."""
        layers, memory, z = state or self.initial_state(x)
        new = []
        for k, (cell, (hidden, c)) in enumerate(zip(self.cells, layers, strict=True)):
            x, c, memory = cell(x, hidden, c, memory)
            new.append((x, c))
            if k == 0:
                x = z = self.highway(x, z)
        return self.output(x), (new, memory, z)
