"""PredRNN-V2: two memories in each layer, kept apart by a term of the loss.

Y. Wang, H. Wu, J. Zhang, Z. Gao, J. Wang, P. S. Yu and M. Long, "PredRNN: A Recurrent Neural Network for
Spatiotemporal Predictive Learning", IEEE TPAMI 2022, Section 3. Layer l at time t has an input X, a hidden
state H and a memory C of its own, and hands on a second one, M, to the layer above; the top layer's M goes to
the first layer of the next time step:

    g, i, f    = tanh, sigma, sigma (Wx * X + Wh * H(t-1))
    g', i', f' = tanh, sigma, sigma (Wx' * X + Wm * M(l-1))
    C = f C(t-1) + i g
    M = f' M(l-1) + i' g'
    o = sigma(Wxo * X + Who * H(t-1) + Wco * C + Wmo * M)
    H = o tanh(W1x1 * [C, M])

The decoupling loss wants what enters C and what enters M to be orthogonal, channel by channel:

    mean over t, l and channels of |cos(Wd * (i g), Wd * (i' g'))|,   one 1x1 convolution Wd for all layers

Its gradient is used, as in the paper; the authors' code copies its values to a new tensor without one.

Sizes are those of the authors' script for Moving-MNIST; OpenSTL's model zoo counts 23.9M parameters, and
23.8M for PredRNN, which lacks Wd. As in their code there are no biases, and f and f' have 1 added before
sigma. Left out is reverse scheduled sampling, which is a way of training: the scale's recipe trains this
model like all others.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional


def conv(in_channels: int, out_channels: int, kernel_size: int) -> nn.Conv2d:
    """Return a convolution that keeps the frame size."""
    return nn.Conv2d(in_channels, out_channels, kernel_size, padding="same", bias=False)


class Layer(nn.Module):
    """A spatiotemporal LSTM.

    Args:
        in_channels: channels of X.
        channels: channels of H, C and M.
        kernel_size: size of every kernel but W1x1.
    """

    def __init__(self, in_channels: int, channels: int, kernel_size: int) -> None:
        super().__init__()
        self.from_x = conv(in_channels, 7 * channels, kernel_size)
        self.from_h = conv(channels, 4 * channels, kernel_size)
        self.from_m = conv(channels, 3 * channels, kernel_size)
        self.from_memories = conv(2 * channels, channels, kernel_size)  # Wco and Wmo
        self.join = conv(2 * channels, channels, 1)  # W1x1

    def forward(self, x: Tensor, h: Tensor, c: Tensor, m: Tensor) -> tuple[Tensor, ...]:
        """Return H, C and M, and what entered C and M; all (batch, channels, height, width)."""
        g_x, i_x, f_x, g_x2, i_x2, f_x2, o_x = self.from_x(x).chunk(7, dim=1)
        g_h, i_h, f_h, o_h = self.from_h(h).chunk(4, dim=1)
        g_m, i_m, f_m = self.from_m(m).chunk(3, dim=1)
        into_c = torch.sigmoid(i_x + i_h) * torch.tanh(g_x + g_h)
        c = torch.sigmoid(f_x + f_h + 1) * c + into_c
        into_m = torch.sigmoid(i_x2 + i_m) * torch.tanh(g_x2 + g_m)
        m = torch.sigmoid(f_x2 + f_m + 1) * m + into_m
        memories = torch.cat([c, m], dim=1)
        o = torch.sigmoid(o_x + o_h + self.from_memories(memories))
        return o * torch.tanh(self.join(memories)), c, m, into_c, into_m


class PredRnnV2(nn.Module):
    """PredRNN-V2: 23,855,104 parameters with these settings.

    Args:
        in_channels: channels of a frame.
        channels: channels of each layer.
        layers: how many.
        kernel_size: size of the layers' kernels.
        patch_size: height and width of the patches that frames are cut into, whose pixels become channels;
            divides theirs.
        decoupling: weight of the decoupling loss.

    Attributes:
        extra_loss: the weighted decoupling loss of the last call in training, a scalar.
    """

    extra_loss: Tensor

    def __init__(
        self,
        in_channels: int = 1,
        *,
        channels: int = 128,
        layers: int = 4,
        kernel_size: int = 5,
        patch_size: int = 4,
        decoupling: float = 0.1,
    ) -> None:
        super().__init__()
        self.channels, self.patch_size, self.decoupling = channels, patch_size, decoupling
        pixels = in_channels * patch_size**2
        self.layers = nn.ModuleList(
            Layer(channels if k else pixels, channels, kernel_size) for k in range(layers)
        )
        self.decouple = conv(channels, channels, 1)  # Wd
        self.output = conv(channels, pixels, 1)

    def forward(self, frames: Tensor, context: int, horizon: int, sampling: Tensor | None = None) -> Tensor:
        """Return the one-step outputs for times 2 ... context + horizon."""
        patches = functional.pixel_unshuffle(frames, self.patch_size)
        zeros = patches.new_zeros(len(patches), self.channels, *patches.shape[-2:])
        hidden, cells, memory = [zeros] * len(self.layers), [zeros] * len(self.layers), zeros
        outputs: list[Tensor] = []
        cosines = []
        for t in range(context + horizon - 1):
            if t < context:
                x = patches[:, t]
            elif sampling is None:
                x = outputs[-1]
            else:
                x = torch.where(sampling[:, t - context, None, None, None], patches[:, t], outputs[-1])
            for k, layer in enumerate(self.layers):
                x, cells[k], memory, *entered = layer(x, hidden[k], cells[k], memory)
                hidden[k] = x
                if self.training:
                    into_c, into_m = (self.decouple(new).flatten(2) for new in entered)
                    cosines.append(functional.cosine_similarity(into_c, into_m, dim=2).abs().mean())
            outputs.append(self.output(x))
        if self.training:
            self.extra_loss = self.decoupling * torch.stack(cosines).mean()
        return functional.pixel_shuffle(torch.stack(outputs, dim=1), self.patch_size)
