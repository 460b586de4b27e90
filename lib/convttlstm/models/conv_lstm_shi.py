"""Shi et al.'s ConvLSTM, "ConvLSTM [4]" in Table 2: an encoder-forecaster with peepholes.

Shi, Chen, Wang, Yeung, Wong, Woo: "Convolutional LSTM Network: A Machine Learning Approach for
Precipitation Nowcasting" (NeurIPS 2015). A layer is their Eq. 3 (o: element-wise):

    i(t) = sigmoid(Wxi * X(t) + Whi * H(t-1) + Wci o C(t-1) + bi)
    f(t) = sigmoid(Wxf * X(t) + Whf * H(t-1) + Wcf o C(t-1) + bf)
    C(t) = f(t) o C(t-1) + i(t) o tanh(Wxc * X(t) + Whc * H(t-1) + bc)
    o(t) = sigmoid(Wxo * X(t) + Who * H(t-1) + Wco o C(t) + bo)
    H(t) = o(t) o tanh(C(t))

The encoder's layers read the given frames, cut into patches. Their last H and C are copied to the
forecaster's layers (Section 3.2 and Figure 3), which have no input; at each step a 1x1 convolution of all
their H gives the next frame. Predictions are not fed back.

The 7,585,296 parameters (Table 2's 7.58M) imply that a peephole has one weight per channel, not one
per pixel, and that the forecaster's layers have the encoder's widths in the same order, the first without
input. [I]: the forecaster makes a step before each of its frames, also the first; peepholes start at zero.

[I]: the output has no sigmoid. The original has one, whose slope its cross-entropy cancels. With the paper's
L1 + L2, as here, the slope remains, and gradients vanish where a prediction is almost black, as most of
Moving-MNIST is: on four small sequences, training stopped at black frames.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from convttlstm.models.recurrent import recompute, xavier_conv

PeepholeState = tuple[Tensor, Tensor]  # H(t-1) and C(t-1)


class PeepholeCell(nn.Module):
    """One layer (their Eq. 3).

    Args:
        in_channels: channels of X(t); 0 for a layer without input.
        hidden_channels: channels of H(t).
        kernel_size: height and width of every kernel.
    """

    def __init__(self, in_channels: int, hidden_channels: int, kernel_size: int) -> None:
        super().__init__()
        self.hidden_channels = hidden_channels
        # Gates in the order i, f, o, c.
        self.gates = xavier_conv(in_channels + hidden_channels, 4 * hidden_channels, kernel_size)
        self.peepholes = nn.Parameter(torch.zeros(3, hidden_channels, 1, 1))  # Wci, Wcf, Wco

    def initial_state(self, x: Tensor) -> PeepholeState:
        """Return the zero state (H, C) for inputs like `x`."""
        zeros = x.new_zeros(x.shape[0], self.hidden_channels, *x.shape[2:])
        return zeros, zeros

    def forward(self, x: Tensor | None, state: PeepholeState) -> PeepholeState:
        """Return H(t) and C(t), from X(t), None for a layer without input, and (H(t-1), C(t-1))."""
        hidden, cell = state
        inputs = hidden if x is None else torch.cat([x, hidden], dim=1)
        i, f, o, c = self.gates(inputs).chunk(4, dim=1)
        wci, wcf, wco = self.peepholes
        i = torch.sigmoid(i + wci * cell)
        f = torch.sigmoid(f + wcf * cell)
        cell = f * cell + i * torch.tanh(c)
        o = torch.sigmoid(o + wco * cell)
        return o * torch.tanh(cell), cell


class EncoderForecaster(nn.Module):
    """Two stacks of layers; the second starts from the last states of the first.

    With one input channel it has 7,585,296 parameters.

    Args:
        in_channels: channels of a frame.
        channels: hidden channels of the layers, the same in encoder and forecaster.
        kernel_size: height and width of every kernel.
        patch_size: height and width of the patches; each becomes one pixel with its values as channels.
        checkpointing: recompute each time step in the backward pass instead of storing it.
    """

    def __init__(
        self,
        in_channels: int = 1,
        *,
        channels: Sequence[int] = (128, 64, 64),
        kernel_size: int = 5,
        patch_size: int = 4,
        checkpointing: bool = False,
    ) -> None:
        super().__init__()
        self.patch_size, self.checkpointing = patch_size, checkpointing
        patch_channels = in_channels * patch_size**2

        def layers(first_inputs: int) -> nn.ModuleList:
            inputs = [first_inputs, *channels[:-1]]
            return nn.ModuleList(
                PeepholeCell(width, hidden, kernel_size)
                for width, hidden in zip(inputs, channels, strict=True)
            )

        self.encoder = layers(patch_channels)
        self.forecaster = layers(0)
        self.output = xavier_conv(sum(channels), patch_channels, kernel_size=1)

    def forward(self, frames: Tensor, context: int, horizon: int, sampling: Tensor | None = None) -> Tensor:
        """Return the `horizon` predictions; see `convttlstm.models`. `sampling` has no effect.

        Raises:
            RuntimeError: height or width is not a multiple of the patch size.
        """
        patches = functional.pixel_unshuffle(frames, self.patch_size)
        states = [layer.initial_state(patches[:, 0]) for layer in self.encoder]  # type: ignore[operator]
        for t in range(context):
            states = recompute(self.checkpointing, advance, self.encoder, patches[:, t], states)
        outputs: list[Tensor] = []
        for _ in range(horizon):
            states = recompute(self.checkpointing, advance, self.forecaster, None, states)
            outputs.append(self.output(torch.cat([hidden for hidden, _ in states], dim=1)))
        return functional.pixel_shuffle(torch.stack(outputs, dim=1), self.patch_size)


def advance(layers: nn.ModuleList, x: Tensor | None, states: list[PeepholeState]) -> list[PeepholeState]:
    """Return the states of stacked layers one time step later; a layer's input is the H(t) below it."""
    new: list[PeepholeState] = []
    for layer, state in zip(layers, states, strict=True):
        new.append(layer(x, state))
        x = new[-1][0]
    return new
