"""SimVP: convolutions alone predict all frames at once.

Z. Gao, C. Tan, L. Wu and S. Z. Li, "SimVP: Simpler yet Better Video Prediction", CVPR 2022, Section 3.
An encoder shrinks each of the T input frames, a translator mixes their channels, T x C of them, and a
decoder enlarges each result to a frame:

    encoder     z = sigma(norm(conv(z)))           N_S times, on each frame; every second one has stride 2
    translator  z = sum over k of sigma(norm(conv_k(conv_1x1(z))))        k = 3, 5, 7, 11; grouped
    decoder     z = sigma(norm(unconv(z)))         N_S times; the first encoder layer's z joins the last one

The translator is a U-net of 2 N_T such blocks at one size; the first N_T - 1 hand what they make to the last
N_T - 1. T frames in give T frames out. For a longer horizon the model goes on from its own prediction.

The numbers of layers and channels are those for Moving-MNIST in OpenSTL's model zoo ("SimVP+IncepU"), which
prints 58.0M parameters and 19.4 G multiplications. As in OpenSTL's code, unconv is a convolution to four
times the channels and a pixel shuffle, and the first encoder layer's output is added: 57.946M and 19.3 G.
The authors' own code has transposed convolutions and sets the two inputs side by side: 57.76M at these sizes.
sigma is a leaky ReLU with slope 0.2, the norms are group norms.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn

KERNELS = (3, 5, 7, 11)


def layer(in_channels: int, out_channels: int, change: str = "same") -> nn.Sequential:
    """Return sigma(norm(conv)); `change` is "same", "half" or "double": what becomes of height and width."""
    conv: nn.Module = nn.Conv2d(in_channels, out_channels, 3, stride=1 + (change == "half"), padding=1)
    if change == "double":
        conv = nn.Sequential(nn.Conv2d(in_channels, 4 * out_channels, 3, padding=1), nn.PixelShuffle(2))
    return nn.Sequential(conv, nn.GroupNorm(2, out_channels), nn.LeakyReLU(0.2))


class Inception(nn.Module):
    """A block of the translator: kernels of several sizes on the same few channels, added up."""

    def __init__(self, in_channels: int, hidden: int, out_channels: int, groups: int) -> None:
        super().__init__()
        self.narrow = nn.Conv2d(in_channels, hidden, 1)
        self.branches = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(hidden, out_channels, size, padding="same", groups=groups),
                nn.GroupNorm(groups, out_channels),
                nn.LeakyReLU(0.2),
            )
            for size in KERNELS
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return (batch, out_channels, height, width)."""
        x = self.narrow(x)
        return torch.stack([branch(x) for branch in self.branches]).sum(dim=0)


class Translator(nn.Module):
    """The blocks between encoder and decoder, on the channels of all frames together."""

    def __init__(self, channels: int, hidden: int, blocks: int, groups: int) -> None:
        super().__init__()
        widths = [channels] + [hidden] * blocks
        self.down = nn.ModuleList(Inception(a, hidden // 2, b, groups) for a, b in pairwise(widths))
        inputs = [hidden] + [2 * hidden] * (blocks - 1)
        outputs = [hidden] * (blocks - 1) + [channels]
        self.up = nn.ModuleList(
            Inception(a, hidden // 2, b, groups) for a, b in zip(inputs, outputs, strict=True)
        )

    def forward(self, z: Tensor) -> Tensor:
        """Return as many channels as come in, (batch, channels, height, width)."""
        skips = []
        for block in self.down:
            z = block(z)
            skips.append(z)
        z = self.up[0](skips.pop())
        for block in self.up[1:]:
            z = block(torch.cat([z, skips.pop()], dim=1))
        return z


class SimVP(nn.Module):
    """SimVP: 57,946,113 parameters with these settings.

    Args:
        in_channels: channels of a frame.
        frames: T, frames that go in and come out; the data's `context`.
        channels: channels of encoder and decoder, an even number.
        layers: N_S, of the encoder and of the decoder, an even number; height and width are to be divisible
            by 2 to the power of half of it.
        hidden: channels of the translator, divisible by twice the groups; so is `frames` times `channels`.
        blocks: N_T, two at least.
        groups: of the translator's convolutions and norms.
    """

    def __init__(
        self,
        in_channels: int = 1,
        *,
        frames: int = 10,
        channels: int = 64,
        layers: int = 4,
        hidden: int = 512,
        blocks: int = 8,
        groups: int = 8,
    ) -> None:
        super().__init__()
        self.frames = frames
        shrink, enlarge = ["same", "half"] * (layers // 2), ["double", "same"] * (layers // 2)
        widths = [in_channels] + [channels] * layers
        self.encoder = nn.ModuleList(map(layer, widths, widths[1:], shrink))
        self.translator = Translator(frames * channels, hidden, blocks, groups)
        self.decoder = nn.ModuleList(layer(channels, channels, change) for change in enlarge)
        self.readout = nn.Conv2d(channels, in_channels, 1)

    def forward(self, frames: Tensor, context: int, horizon: int, sampling: Tensor | None = None) -> Tensor:
        """Return the `horizon` predictions; no true frame is fed back, as none is needed.

        Raises:
            ValueError: there are fewer input frames than T.
        """
        if context < self.frames:
            raise ValueError(f"SimVP has settings for {self.frames} input frames, not {context}")
        x, predictions = frames[:, context - self.frames : context], []
        for _ in range(0, horizon, self.frames):
            x = self.translate(x)
            predictions.append(x)
        return torch.cat(predictions, dim=1)[:, :horizon]

    def translate(self, frames: Tensor) -> Tensor:
        """Return the T frames that follow the T in `frames` (batch, T, channel, height, width)."""
        batch, time = frames.shape[:2]
        first = z = self.encoder[0](frames.flatten(0, 1))
        for shrink in self.encoder[1:]:
            z = shrink(z)
        together = z.unflatten(0, (batch, time)).flatten(1, 2)
        z = self.translator(together).unflatten(1, (time, -1)).flatten(0, 1)
        for enlarge in self.decoder[:-1]:
            z = enlarge(z)
        z = self.decoder[-1](z + first)
        return self.readout(z).unflatten(0, (batch, time))
