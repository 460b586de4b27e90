"""MCNet, the motion-content network with residual connections.

Ruben Villegas, Jimei Yang, Seunghoon Hong, Xunyu Lin, Honglak Lee: "Decomposing Motion and Content for
Natural Video Sequence Prediction", ICLR 2017. Motion is extracted from differences of frames,
content from the last frame:

    d(t), c(t) = f_dyn(x(t) - x(t-1), d(t-1), c(t-1))     motion encoder and ConvLSTM
    s(t)       = f_cont(x(t))                             content encoder
    r(t)^l     = f_res([d(t)^l, s(t)^l]),  l = 1, 2, 3    features of both encoders before pooling l
    f(t)       = g_comb([d(t), s(t)])                     three combination layers
    x^(t+1)    = g_dec(f(t), r(t))                        unpooling decoder

From the second prediction on, x^(t+1) is used in place of x(t), in the difference and as content.

The equations' form is remembered [M]. Layers, widths and the order of operations were read in the authors'
published code, and so were the scales: differences are of frames in [0, 1]; content and the output's tanh are
in [-1, 1]. The code differs in these points, of which only the last two change the function:

- Its stride-1 deconvolutions are written as convolutions here: the same up to the kernels' orientation.
- It adds 1 to the forget gate's pre-activation; here the gate's bias begins at 1.
- With three channels it takes motion from grey frames; here from all channels.
- Its first predictions are grey (0.5); here the output's bias begins at -1.5, which makes them dark (0.05).
  From grey, all weights move towards Moving-MNIST's black background until the tanh is saturated and has no
  gradient: in our trials, with 8 to 64 channels, the prediction stayed blank.
"""

import itertools

import torch
from torch import Tensor, nn
from torch.nn import functional

from convttlstm.models.conv_lstm import ConvLstmCell
from convttlstm.models.recurrent import State, recompute, xavier_conv


def convolutions(*widths: int, kernel_size: int = 3) -> nn.Sequential:
    """Return convolutions from each of `widths` to the next, a ReLU after each."""
    layers: list[nn.Module] = []
    for inputs, outputs in itertools.pairwise(widths):
        layers += [xavier_conv(inputs, outputs, kernel_size), nn.ReLU()]
    return nn.Sequential(*layers)


def unpool(x: Tensor) -> Tensor:
    """Return `x` at twice its height and width: each value upper left in a 2x2 square, the rest zero."""
    squares = functional.pad(x[:, :, None], (0, 0, 0, 0, 0, 3))
    return functional.pixel_shuffle(squares.flatten(1, 2), 2)


class Encoder(nn.Module):
    """Convolutions at three scales, with max pooling after each."""

    def __init__(self, *scales: nn.Module) -> None:
        super().__init__()
        self.scales = nn.ModuleList(scales)

    def forward(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Return the last features after pooling, and those of all scales before pooling, finest first."""
        features = []
        for scale in self.scales:
            features.append(scale(x))
            x = functional.max_pool2d(features[-1], 2)
        return x, features


class Mcnet(nn.Module):
    """MCNet: 14,093,953 parameters with the published widths and one input channel.

    It returns the predictions only, and always feeds them back, as in its authors' training.

    Args:
        in_channels: channels of a frame.
        channels: channels of both encoders' first convolutions; the other two scales have 2x and 4x.
        checkpointing: recompute each time step in the backward pass instead of storing it.
    """

    def __init__(self, in_channels: int = 1, *, channels: int = 64, checkpointing: bool = False) -> None:
        super().__init__()
        one, two, four = channels, 2 * channels, 4 * channels
        self.motion = Encoder(
            convolutions(in_channels, one, kernel_size=5),
            convolutions(one, two, kernel_size=5),
            convolutions(two, four, kernel_size=7),
        )
        self.motion_lstm = ConvLstmCell(four, four, kernel_size=3, factor_size=3)
        nn.init.xavier_uniform_(self.motion_lstm.gates.weight)  # type: ignore[arg-type]
        nn.init.zeros_(self.motion_lstm.gates.bias)  # type: ignore[arg-type]
        with torch.no_grad():
            self.motion_lstm.gates.bias[four : 2 * four].fill_(1)  # type: ignore[index]
        self.content = Encoder(
            convolutions(in_channels, one, one),
            convolutions(one, two, two),
            convolutions(two, four, four, four),
        )
        self.combination = convolutions(2 * four, four, two, four)
        self.residuals = nn.ModuleList(
            nn.Sequential(convolutions(2 * width, width), xavier_conv(width, width, 3))
            for width in (one, two, four)
        )
        self.decoder = nn.ModuleList(  # coarsest scale first
            [
                convolutions(four, four, four, two),
                convolutions(two, two, one),
                nn.Sequential(convolutions(one, one), xavier_conv(one, in_channels, 3), nn.Tanh()),
            ]
        )
        with torch.no_grad():
            self.decoder[-1][-2].bias.fill_(-1.5)  # type: ignore[index]
        self.checkpointing = checkpointing

    def forward(self, frames: Tensor, context: int, horizon: int, sampling: Tensor | None = None) -> Tensor:
        """Return the `horizon` predictions, values in [0, 1]; see `convttlstm.models`.

        Args:
            frames: (batch, time, in_channels, height, width); those after the context are ignored.
            context: number of frames that the model is given, at least two.
            horizon: number of frames to predict.
            sampling: ignored.

        Raises:
            ValueError: the context is one frame, or a frame cannot be halved three times.
        """
        height, width = frames.shape[-2:]
        if context < 2:
            raise ValueError(f"context is {context}; motion, the difference of two frames, needs 2 or more")
        if height % 8 or width % 8:
            raise ValueError(f"three poolings need multiples of 8 as frame size, not {height} x {width}")
        state: State = None
        for t in range(1, context - 1):
            _, state = recompute(self.checkpointing, self.see_motion, frames[:, t] - frames[:, t - 1], state)
        before, now = frames[:, context - 2], frames[:, context - 1]
        predictions = []
        for _ in range(horizon):
            prediction, state = recompute(self.checkpointing, self.step, before, now, state)
            predictions.append(prediction)
            before, now = now, prediction
        return torch.stack(predictions, dim=1)

    def see_motion(self, difference: Tensor, state: State) -> tuple[list[Tensor], State]:
        """Return the motion features before each pooling, and the ConvLSTM's new state (d(t), c(t)).

        Args:
            difference: x(t) - x(t-1), (batch, in_channels, height, width).
            state: returned for the previous difference; None at the first.
        """
        pooled, features = self.motion(difference)
        _, state = self.motion_lstm(pooled, state or self.motion_lstm.initial_state(pooled))
        return features, state

    def step(self, before: Tensor, now: Tensor, state: State) -> tuple[Tensor, State]:
        """Return x^(t+1) and the new motion state, from x(t-1), x(t) and the motion state before x(t)."""
        motion_features, state = self.see_motion(now - before, state)
        content, content_features = self.content(2 * now - 1)
        residuals = [
            residual(torch.cat(pair, dim=1))
            for residual, *pair in zip(self.residuals, motion_features, content_features, strict=True)
        ]
        x = self.combination(torch.cat([state[0], content], dim=1))
        for layers, residual in zip(self.decoder, reversed(residuals), strict=True):
            x = layers(functional.relu(unpool(x) + residual))
        return (x + 1) / 2, state
