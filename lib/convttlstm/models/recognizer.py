"""Early activity recognition (Section 4, "Model architecture"), from the first part of a clip.

"The prediction model consists of two-layers 2D-convolutional encoder and decoder with eight recurrent
layers in between. The classifier, which contains two 2D-convolutional layers and one fully-connected
layer, takes the last recurrent layer's output." The sizes are in the paper's Appendix B; here they are
remembered [M] or inferred [I]:

    frames 224 x 224 -> two 3x3 convolutions of stride 2, 64 channels -> 56 x 56                      [M]
    -> RecurrentStack, two layers in each of its four blocks -> two transposed convolutions -> frames [M]
    the last layer's outputs of the last 16 steps, concatenated as channels -> twice (3x3 convolution of
    stride 2, max pooling) -> fully connected                                           [M], widths [I]

The steps include the predicted frames [I], so the classifier also depends on the predictions. If there are
fewer than 16 steps, zeros come first.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from convttlstm.files import UserError
from convttlstm.models.conv_lstm import ConvLstmCell
from convttlstm.models.conv_tt_lstm import PackedConvTtLstmCell
from convttlstm.models.layout import LaidOut
from convttlstm.models.recurrent import Checkpointing, RecurrentStack, State, same_conv, unroll, xavier_conv

SLOPE = 0.2  # of the leaky rectifiers [I]


class CausalConv3dCell(nn.Module):
    """One layer of the 3D-CNN baseline: a 3D convolution over this step's input and earlier ones.

    Args:
        in_channels: channels of X(t).
        hidden_channels: channels of the output.
        kernel_size: S, height and width of the kernel.
        depth: the kernel's size in time.
    """

    def __init__(self, in_channels: int, hidden_channels: int, kernel_size: int, depth: int) -> None:
        super().__init__()
        self.depth = depth
        # The kernel's time steps are concatenated as channels, the oldest first.
        self.conv = same_conv(depth * in_channels, hidden_channels, kernel_size)

    def initial_state(self, x: Tensor) -> list[Tensor]:
        """Return the inputs before the first step, zeros."""
        return [torch.zeros_like(x)] * (self.depth - 1)

    def forward(self, x: Tensor, state: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """Return the output and the last inputs, from X(t) and the inputs before it, oldest first."""
        inputs = [*state, x]
        return nn.functional.leaky_relu(self.conv(torch.cat(inputs, dim=1)), SLOPE), inputs[1:]


class Recognizer(LaidOut):
    """Predicts frames and classifies the activity.

    Args:
        in_channels: channels of a frame.
        cell: "conv_lstm", "conv_tt_lstm" or "cnn3d".
        classes: number of activities.
        size: height and width of a frame, or both if they differ; multiples of 4.
        kernel_size: S of the layers between encoder and decoder.
        order: N of conv_tt_lstm.
        steps: M of conv_tt_lstm.
        rank: C(i) of conv_tt_lstm.
        depth: size of cnn3d's kernels in time.
        channels: hidden channels of each block's layers.
        layers_per_block: layers in a block; the paper has 2, eight in all.
        encoder_channels: channels of encoder and decoder.
        classifier_channels: channels of the classifier's convolutions.
        classified: number of last steps that the classifier gets.
        checkpointing: what the backward pass recomputes; see `recurrent.Checkpointing`.
    """

    def __init__(
        self,
        in_channels: int = 3,
        *,
        cell: str,
        classes: int,
        size: int | tuple[int, int] = 224,
        kernel_size: int = 5,
        order: int = 3,
        steps: int = 3,
        rank: int = 8,
        depth: int = 3,
        channels: Sequence[int] = (32, 48, 48, 32),
        layers_per_block: int = 2,
        encoder_channels: int = 64,
        classifier_channels: int = 64,
        classified: int = 16,
        checkpointing: Checkpointing = False,
    ) -> None:
        super().__init__()
        height, width = (size, size) if isinstance(size, int) else size
        cells: dict[str, Callable[[int, int], nn.Module]] = {
            "conv_lstm": lambda inputs, hidden: ConvLstmCell(inputs, hidden, kernel_size, kernel_size),
            "conv_tt_lstm": lambda inputs, hidden: PackedConvTtLstmCell(
                inputs, hidden, kernel_size, order, steps, rank, factor_size=kernel_size
            ),
            "cnn3d": lambda inputs, hidden: CausalConv3dCell(inputs, hidden, kernel_size, depth),
        }
        if cell not in cells:
            raise UserError(_unknown_cell(cell, height, width, cells))
        self.hidden_channels, self.classified = channels[-1], classified
        wide = encoder_channels
        self.encoder = nn.Sequential(
            _halving(in_channels, wide), nn.LeakyReLU(SLOPE), _halving(wide, wide), nn.LeakyReLU(SLOPE)
        )
        self.stack = RecurrentStack(cells[cell], wide, channels, layers_per_block)
        self.checkpointing = self.stack.set_checkpointing(checkpointing)
        self.decoder = nn.Sequential(
            _doubling(self.stack.out_channels, wide), nn.LeakyReLU(SLOPE), _doubling(wide, in_channels)
        )
        seen, narrow = classified * self.hidden_channels, classifier_channels
        self.classifier = nn.Sequential(
            _halving(seen, narrow),
            nn.LeakyReLU(SLOPE),
            nn.MaxPool2d(2, ceil_mode=True),
            _halving(narrow, narrow),
            nn.LeakyReLU(SLOPE),
            nn.MaxPool2d(2, ceil_mode=True),
            nn.Flatten(),
            nn.Linear(narrow * -(-height // 64) * -(-width // 64), classes),
        )
        self.lay_out()

    def forward(
        self, frames: Tensor, context: int, horizon: int, sampling: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return frames and logits.

        Args:
            frames: (batch, time, channel, height, width), at least `context` of them, in [0, 1]; with
                `sampling`, at least context + horizon - 1.
            context: number of frames that the model is given.
            horizon: number of frames to predict, each from the one before.
            sampling: (batch, horizon - 1), true where the true frame is fed back.

        Returns:
            The one-step outputs for times 2 ... context + horizon, of which the last `horizon` are the
            prediction, and the logits, (batch, classes).
        """
        outputs, states = zip(
            *unroll(self.step, frames, context, horizon, sampling, self.checkpointing), strict=True
        )
        hidden = [last for _, last in states][-self.classified :]
        missing = [torch.zeros_like(hidden[0])] * (self.classified - len(hidden))
        return torch.stack(outputs, dim=1), self.classifier(torch.cat([*missing, *hidden], dim=1))

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Return the frame after `x`, and the new state: the stack's, and the last layer's output."""
        features, stack_state = self.stack.step(self.encoder(x), state[0] if state else None)
        return self.decoder(features), (stack_state, features[:, : self.hidden_channels])


def _halving(in_channels: int, out_channels: int) -> nn.Conv2d:
    conv = xavier_conv(in_channels, out_channels, kernel_size=3)
    conv.stride = (2, 2)
    return conv


def _doubling(in_channels: int, out_channels: int) -> nn.ConvTranspose2d:
    conv = nn.ConvTranspose2d(in_channels, out_channels, 3, stride=2, padding=1, output_padding=1)
    nn.init.xavier_uniform_(conv.weight)
    nn.init.zeros_(conv.bias)  # type: ignore[arg-type]
    return conv


def _unknown_cell(
    cell: str, height: int, width: int, cells: dict[str, Callable[[int, int], nn.Module]]
) -> str:
    if cell != "e3d_lstm":
        return f"cell {cell!r} does not exist; known are {', '.join(cells)}"
    # Its recall compares every position of two feature maps with every position of all earlier cell states.
    steps = 25
    gigabytes = (2 * (height // 4) * (width // 4)) ** 2 * steps * (steps - 1) / 2 * 4 / 1e9
    return (
        f"cell 'e3d_lstm' is not implemented: with frames of {height} x {width} pixels one layer's recall "
        f"keeps {gigabytes:.2g} GB for one sample's {steps} steps; the paper also only quotes its accuracy"
    )
