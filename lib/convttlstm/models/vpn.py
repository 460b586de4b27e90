"""Video Pixel Network (Kalchbrenner et al., "Video Pixel Networks", ICML 2017), the baseline form.

The likelihood of a video is a product over its frames t and, within a frame, its pixels p in raster order:

    p(x) = prod_t prod_p  p(x(t, p) | x(< t), x(t, < p))

A CNN encoder at full resolution processes each frame, a ConvLSTM combines its features over time, and a
PixelCNN decoder, conditioned on the ConvLSTM's H(t-1), processes the earlier pixels of frame t with masked
convolutions. Both CNNs are stacks of residual multiplicative blocks of multiplicative units:

    g1 = sigma(W1 * h);  g2 = sigma(W2 * h);  g3 = sigma(W3 * h);  u = tanh(W4 * h)
    MU(h; W) = g1 . tanh(g2 . h + g3 . u)     . is element-wise
    RMB(h)   = h + V2 * MU(MU(V1 * h))        V1: 1x1, 2c -> c channels;  V2: 1x1, c -> 2c

On grey digits each pixel has one logit, and its grey value is the target of a sigmoid's cross-entropy
(`levels` = 2). Otherwise a pixel is one of `levels` equally spaced intensities, with a softmax.

From the paper: the factors, MU and RMB, the parts and their order, and that only the frames after the context
are predicted, in training each from true frames. Remembered [M], and equal in a public reimplementation:
c = 128, 8 and 12 blocks, 256 channels of the ConvLSTM, 3x3 kernels. Remembered [M] only: grey values as
targets. Inferred [I]: one convolution from a frame to the 2c features; H(t-1) is added to the decoder's
features through a 1x1 convolution; another 1x1 convolution from features to logits; the binary form draws 0
or 1. We omit the paper's dilations, and predict grey frames only.

A k x k mask has PixelCNN's blind spot: with r = (k - 1) / 2, whatever the number of layers, the decoder does
not depend on a pixel n rows up and more than r n columns to the right. Earlier frames have no blind spot.
"""

import hashlib
from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from convttlstm.models.conv_lstm import ConvLstmCell
from convttlstm.models.recurrent import recompute, xavier_conv
from convttlstm.randomness import uniform


class CausalConv(nn.Module):
    """A masked convolution: an output depends on earlier positions and, unless `strict`, its own.

    Only unmasked weights are stored, the kernel's first ones in raster order: (out, in, taps), where taps
    counts the rows above and the row up to the centre.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        kernel_size: height and width of the whole kernel.
        strict: whether the centre is masked too (mask A), as it must be in the decoder's first layer.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, strict: bool = False) -> None:
        super().__init__()
        self.radius, self.masked_in_row = kernel_size // 2, kernel_size // 2 + strict
        taps = kernel_size * (self.radius + 1) - self.masked_in_row
        self.weight = nn.Parameter(torch.empty(out_channels, in_channels, taps))
        self.bias = nn.Parameter(torch.zeros(out_channels))
        nn.init.xavier_uniform_(self.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Return (batch, out, height, width) from (batch, in, height, width)."""
        r = self.radius
        rows = torch.unflatten(functional.pad(self.weight, (0, self.masked_in_row)), 2, (r + 1, 2 * r + 1))
        return functional.conv2d(functional.pad(x, (r, r, r, 0)), rows, self.bias)


def multiplicative_unit(h: Tensor, gates: Tensor) -> Tensor:
    """Return MU(h; W), like h, from `gates`: W1 * h ... W4 * h, joined in dimension 1."""
    g1, g2, g3, u = gates.chunk(4, dim=1)
    return torch.sigmoid(g1) * torch.tanh(torch.sigmoid(g2) * h + torch.sigmoid(g3) * torch.tanh(u))


class ResidualMultiplicativeBlock(nn.Module):
    """RMB: two multiplicative units between 1x1 convolutions.

    Args:
        channels: c; the block's input and output have 2c.
        make_conv: returns the convolution of a unit, from its numbers of input and output channels.
    """

    def __init__(self, channels: int, make_conv: Callable[[int, int], nn.Module]) -> None:
        super().__init__()
        self.reduce = xavier_conv(2 * channels, channels, 1)
        self.units = nn.ModuleList(make_conv(channels, 4 * channels) for _ in range(2))
        self.expand = xavier_conv(channels, 2 * channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return (batch, 2c, height, width) from the same."""
        h = self.reduce(x)
        for unit in self.units:
            h = multiplicative_unit(h, unit(h))
        return x + self.expand(h)


class VideoPixelNetwork(nn.Module):
    """The network: 23,429,889 parameters with the default settings.

    Args:
        in_channels: channels of a frame; must be 1.
        levels: intensities of a pixel; 2 is the binary form.
        channels: c, half the features of a block.
        encoder_blocks: residual multiplicative blocks in the encoder.
        decoder_blocks: masked ones in the decoder.
        lstm_channels: hidden channels of the ConvLSTM.
        kernel_size: height and width of every kernel except the 1x1 kernels; odd, at least 3.
        checkpointing: recompute blocks and ConvLSTM steps in the backward pass instead of storing them.

    Raises:
        ValueError: frames are not grey, or a setting is out of range.
    """

    def __init__(
        self,
        in_channels: int = 1,
        *,
        levels: int = 2,
        channels: int = 128,
        encoder_blocks: int = 8,
        decoder_blocks: int = 12,
        lstm_channels: int = 256,
        kernel_size: int = 3,
        checkpointing: bool = False,
    ) -> None:
        super().__init__()
        if in_channels != 1:
            raise ValueError(f"grey frames only, not {in_channels} channels")
        if levels < 2 or kernel_size < 3 or kernel_size % 2 == 0:
            raise ValueError(
                f"need levels >= 2 and an odd kernel_size >= 3 (the mask would cover all of a 1x1 kernel), "
                f"not {levels} and {kernel_size}"
            )

        def unmasked(inputs: int, outputs: int) -> nn.Module:
            return xavier_conv(inputs, outputs, kernel_size)

        def masked(inputs: int, outputs: int) -> nn.Module:
            return CausalConv(inputs, outputs, kernel_size)

        features = 2 * channels
        self.encoder_input = xavier_conv(1, features, kernel_size)
        self.encoder = nn.ModuleList(
            ResidualMultiplicativeBlock(channels, unmasked) for _ in range(encoder_blocks)
        )
        self.lstm = ConvLstmCell(features, lstm_channels, kernel_size, kernel_size)
        self.condition = xavier_conv(lstm_channels, features, 1)
        self.decoder_input = CausalConv(1, features, kernel_size, strict=True)
        self.decoder = nn.ModuleList(
            ResidualMultiplicativeBlock(channels, masked) for _ in range(decoder_blocks)
        )
        self.logits = xavier_conv(features, 1 if levels == 2 else levels, 1)
        self.checkpointing = checkpointing

    def teacher_forced(self, frames: Tensor, context: int, horizon: int) -> Tensor:
        """Return the logits of each pixel given all true earlier frames and pixels.

        Encoder and decoder process all frames at once; only the ConvLSTM processes one after the other.

        Args:
            frames: (batch, time, 1, height, width), at least context + horizon of them.
            context: number of frames that the model is given.
            horizon: number of frames after them, whose pixels get logits.

        Returns:
            (batch, horizon, n, height, width): n = `levels` logits of a softmax, or 1 of a sigmoid if
            `levels` is 2.
        """
        batch = frames.shape[0]
        features = self._encode(frames[:, : context + horizon - 1].flatten(0, 1))
        hidden, state = [], None
        for x in torch.unflatten(features, 0, (batch, -1)).unbind(dim=1):
            h, state = recompute(self.checkpointing, self.lstm, x, state or self.lstm.initial_state(x))
            hidden.append(h)
        conditioning = self.condition(torch.stack(hidden[context - 1 :], dim=1).flatten(0, 1))
        x = self.decoder_input(frames[:, context : context + horizon].flatten(0, 1)) + conditioning
        for block in self.decoder:
            x = recompute(self.checkpointing, block, x)
        return torch.unflatten(self.logits(x), 0, (batch, horizon))

    def forward(self, frames: Tensor, context: int, horizon: int, sampling: Tensor | None = None) -> Tensor:
        """Return the `horizon` predictions, drawn pixel by pixel; see `convttlstm.models` and `sample`.

        They have no gradient. To train, use `teacher_forced`.
        """
        return torch.stack([frame for frame, _ in self.sample(frames[:, :context], horizon)], dim=1)

    @torch.no_grad()
    def sample(self, given: Tensor, horizon: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield each predicted frame, drawn pixel by pixel, and the logits it was drawn from.

        Random numbers depend on the given frames only: a clip always gets the same ones, whatever else is in
        its batch.

        Args:
            given: the context, (batch, time, 1, height, width).
            horizon: number of frames to draw.

        Yields:
            Frames (batch, 1, height, width), of values 0, 1 / (levels - 1), ..., 1, and logits
            (batch, n, height, width), n as in `teacher_forced`.
        """
        batch, context, _, height, width = given.shape
        decoder = PixelwiseDecoder(self, batch, height, width)
        keys = [clip_key(clip) for clip in given]
        frame, state = given[:, 0], None
        for t in range(context + horizon - 1):
            x = self._encode(given[:, t] if t < context else frame)
            hidden, state = self.lstm(x, state or self.lstm.initial_state(x))
            if t >= context - 1:
                drawn = np.stack([uniform(*key, t, count=height * width) for key in keys])
                frame, logits = decoder.draw(self.condition(hidden), torch.from_numpy(drawn).to(x.device))
                yield frame, logits

    def _encode(self, frames: Tensor) -> Tensor:
        """Return features (n, 2c, height, width) of frames (n, 1, height, width)."""
        x = self.encoder_input(frames)
        for block in self.encoder:
            x = recompute(self.checkpointing, block, x)
        return x


class PixelwiseDecoder:
    """Evaluates the decoder at one position after another, in raster order.

    Each layer stores a map of its inputs, so that a step computes the features of the newest position only.
    Maps are (batch, positions, channels), with a margin of zeros of the kernels' radius. A frame overwrites
    the previous one's values before they are read, because a position only reads earlier ones.
    """

    def __init__(self, network: VideoPixelNetwork, batch: int, height: int, width: int) -> None:
        self.shape = height, width
        radius = network.decoder_input.radius
        pitch = width + 2 * radius
        rows, columns = torch.arange(radius, radius + height), torch.arange(radius, radius + width)
        index = (rows[:, None] * pitch + columns).flatten()
        reach = torch.arange(-radius, radius + 1)
        offsets = (reach[: radius + 1, None] * pitch + reach).flatten()[: 2 * radius * (radius + 1) + 1]
        self.places = index.tolist()
        device = network.decoder_input.weight.device
        self.neighbours = (index[:, None] + offsets).to(device).unbind()  # the last one is the place itself

        area = pitch * (height + radius)
        self.input = PixelwiseConv(network.decoder_input, batch, area)
        self.blocks = [PixelwiseBlock(block, batch, area) for block in network.decoder]  # type: ignore[arg-type]
        self.logits = network.logits

    def draw(self, conditioning: Tensor, numbers: Tensor) -> tuple[Tensor, Tensor]:
        """Return a frame (batch, 1, height, width) and its logits (batch, n, height, width).

        Args:
            conditioning: added to the features of the decoder's input, (batch, 2c, height, width).
            numbers: uniform in [0, 1), float64 (batch, height x width).
        """
        frame, all_logits = [], []
        steps = zip(
            self.places,
            self.neighbours,
            conditioning.flatten(2).permute(2, 0, 1).contiguous().unbind(),
            numbers.T.unsqueeze(2).contiguous().unbind(),
            strict=True,
        )
        for place, neighbours, condition, number in steps:
            x = self.input.at(neighbours[:-1]) + condition
            for block in self.blocks:
                x = block.at(x, place, neighbours)
            logits = pointwise(self.logits, x)
            pixel = draw_level(logits, number)
            self.input.put(pixel, place)
            frame.append(pixel)
            all_logits.append(logits)
        return self._image(frame), self._image(all_logits)

    def _image(self, pixels: list[Tensor]) -> Tensor:
        """Return (batch, n, height, width) from one (batch, n) for each position."""
        return torch.unflatten(torch.stack(pixels, dim=2), 2, self.shape)


class PixelwiseConv:
    """Evaluates a `CausalConv` at one position, from the map of its past inputs."""

    def __init__(self, conv: CausalConv, batch: int, area: int) -> None:
        out_channels, in_channels, _ = conv.weight.shape
        self.weight, self.bias = conv.weight.transpose(1, 2).reshape(out_channels, -1), conv.bias
        self.map = conv.weight.new_zeros(batch, area, in_channels)

    def put(self, x: Tensor, place: int) -> None:
        """Store the input (batch, in) at a place."""
        self.map[:, place] = x

    def at(self, neighbours: Tensor) -> Tensor:
        """Return the output (batch, out) where the kernel's taps fall on these places."""
        return functional.linear(self.map.index_select(1, neighbours).flatten(1), self.weight, self.bias)


class PixelwiseBlock:
    """Evaluates a masked `ResidualMultiplicativeBlock` at one position."""

    def __init__(self, block: ResidualMultiplicativeBlock, batch: int, area: int) -> None:
        self.block = block
        self.units = [PixelwiseConv(unit, batch, area) for unit in block.units]  # type: ignore[arg-type]

    def at(self, x: Tensor, place: int, neighbours: Tensor) -> Tensor:
        """Return the output (batch, 2c) at a place from the input there."""
        h = pointwise(self.block.reduce, x)
        for unit in self.units:
            unit.put(h, place)
            h = multiplicative_unit(h, unit.at(neighbours))
        return x + pointwise(self.block.expand, h)


def pointwise(conv: nn.Conv2d, x: Tensor) -> Tensor:
    """Return a 1x1 convolution's output (batch, out) at one position, from the input (batch, in)."""
    return functional.linear(x, conv.weight.flatten(1), conv.bias)


def draw_level(logits: Tensor, number: Tensor) -> Tensor:
    """Return the intensity (batch, 1) that a uniform number in [0, 1), (batch, 1), selects.

    Args:
        logits: (batch, 1) of the sigmoid for intensity 1, or (batch, levels) of a softmax.
        number: the drawn intensity is the first whose cumulative probability exceeds it. In float64: float32
            would round the largest numbers to 1, which no cumulative probability exceeds.
    """
    if logits.shape[1] == 1:
        below = torch.sigmoid(-logits)
    else:
        below = torch.softmax(logits, dim=1).cumsum(dim=1)[:, :-1]
    return (below <= number).sum(dim=1, keepdim=True).to(logits) / below.shape[1]


def clip_key(given: Tensor) -> tuple[int, int]:
    """Return 128 bits of a digest of a clip's frames in [0, 1], rounded to bytes."""
    content = (given * 255).round().to("cpu", torch.uint8).numpy().tobytes()
    digest = hashlib.sha256(content).digest()
    return int.from_bytes(digest[:8]), int.from_bytes(digest[8:16])


def negative_log_likelihood(logits: Tensor, frames: Tensor) -> Tensor:
    """Return the mean of -ln p(pixel), in nats.

    In the binary form a grey value x is half-way between two outcomes: -x ln p - (1 - x) ln(1 - p).

    Args:
        logits: as `VideoPixelNetwork.teacher_forced` returns them, (batch, time, n, height, width).
        frames: the true frames, (batch, time, 1, height, width), in [0, 1].
    """
    logits = logits.to(frames)
    if logits.shape[2] == 1:
        return functional.binary_cross_entropy_with_logits(logits, frames)
    target = (frames * (logits.shape[2] - 1)).round().long()
    return functional.cross_entropy(logits.flatten(0, 1), target.flatten(0, 2))
