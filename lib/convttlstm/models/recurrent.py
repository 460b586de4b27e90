"""Common parts of the recurrent models: the LSTM update, the stack of layers, the rollout over time."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from convttlstm.models.layout import LaidOut

State = Any  # each cell keeps what it needs from one step to the next
Result = TypeVar("Result")
# Activations that the backward pass recomputes instead of storing them: none, those of whole time steps, or
# those of the layers of some blocks, counted from 1.
Checkpointing = bool | Sequence[int]


def same_conv(in_channels: int, out_channels: int, kernel_size: int, bias: bool = True) -> nn.Conv2d:
    """Return a convolution that keeps the frame size.

    Its initial weights are PyTorch's default, uniform within 1 / sqrt(fan-in), as in the authors' models
    (docs/recipe.md).
    """
    return nn.Conv2d(in_channels, out_channels, kernel_size, padding=kernel_size // 2, bias=bias)


def xavier_conv(in_channels: int, out_channels: int, kernel_size: int) -> nn.Conv2d:
    """Return a convolution that keeps the frame size; Xavier-uniform, zero bias, as in TensorFlow."""
    conv = same_conv(in_channels, out_channels, kernel_size)
    nn.init.xavier_uniform_(conv.weight)
    nn.init.zeros_(conv.bias)  # type: ignore[arg-type]
    return conv


class JointConv(nn.Conv2d):
    """W * X + K * V, where both kernels have the same size: one convolution over [X; V], faster than two."""

    def __init__(self, x_channels: int, v_channels: int, out_channels: int, size: int) -> None:
        super().__init__(x_channels + v_channels, out_channels, size, padding=size // 2)
        self.channels = [x_channels, v_channels]

    def forward(self, x: Tensor, v: Tensor) -> Tensor:  # type: ignore[override]
        """Return W * X + K * V, (batch, out_channels, height, width)."""
        return super().forward(torch.cat([x, v], dim=1))

    def kernels(self) -> tuple[Tensor, Tensor, Tensor | None]:
        """Return W, K and the bias."""
        w, k = torch.split(self.weight, self.channels, dim=1)
        return w, k, self.bias


class SplitConv(nn.Module):
    """W * X + K * V, where the kernels have two sizes."""

    def __init__(self, x_channels: int, v_channels: int, out_channels: int, x_size: int, v_size: int) -> None:
        super().__init__()
        self.x = same_conv(x_channels, out_channels, x_size)
        self.v = same_conv(v_channels, out_channels, v_size, bias=False)  # one bias is enough

    def forward(self, x: Tensor, v: Tensor) -> Tensor:
        """Return W * X + K * V, (batch, out_channels, height, width)."""
        return self.x(x) + self.v(v)

    def kernels(self) -> tuple[Tensor, Tensor, Tensor | None]:
        """Return W, K and the bias."""
        return self.x.weight, self.v.weight, self.x.bias


def gate_conv(
    x_channels: int, v_channels: int, hidden_channels: int, x_size: int, v_size: int
) -> JointConv | SplitConv:
    """Return W * X + K * V for the four gates; V holds the past states, and the sizes are W's and K's."""
    if v_size == x_size:
        return JointConv(x_channels, v_channels, 4 * hidden_channels, x_size)
    return SplitConv(x_channels, v_channels, 4 * hidden_channels, x_size, v_size)


def lstm_update(gates: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
    """Return H(t) and C(t), both (batch, hidden, height, width), from pre-activations and C(t-1).

    The models use `fused_update.fused_lstm_update`, a faster version.

    Args:
        gates: pre-activations of I, F, O and C~, in this order, (batch, 4 x hidden, height, width).
        cell: C(t-1), (batch, hidden, height, width).
    """
    i, f, o, c = gates.chunk(4, dim=1)  # each (batch, hidden, height, width)
    i, f, o, c = torch.sigmoid(i), torch.sigmoid(f), torch.sigmoid(o), torch.tanh(c)  # sigma of Eq. 2
    cell = cell * f + c * i  # C(t) = C(t-1) o F(t) + C~(t) o I(t)  (Eq. 1b)
    return o * torch.tanh(cell), cell  # H(t) = O(t) o tanh(C(t))  (Eq. 1b)


def recompute(enabled: bool, function: Callable[..., Result], *arguments: Any) -> Result:
    """Return function(*arguments); if enabled, backward recomputes activations instead of storing them."""
    if enabled and torch.is_grad_enabled():
        return checkpoint(function, *arguments, use_reentrant=False)
    return function(*arguments)


def unroll(
    step: Callable[[Tensor, State], tuple[Tensor, State]],
    frames: Tensor,
    context: int,
    horizon: int,
    sampling: Tensor | None,
    checkpointing: bool,
) -> Iterator[tuple[Tensor, State]]:
    """Yield the one-step outputs for times 2 ... context + horizon, each with the state after it.

    Args:
        step: returns the next frame and the new state, from a frame and the state, which is None at first.
        frames: (batch, time, channel, height, width), at least `context` of them; with `sampling`, at least
            context + horizon - 1.
        context: number of frames that the model is given.
        horizon: number of frames to predict, each from the one before.
        sampling: (batch, horizon - 1), true where the true frame is fed back.
        checkpointing: recompute each time step in the backward pass instead of storing it.
    """
    output, state = frames[:, 0], None
    for t in range(context + horizon - 1):
        if t < context:
            x = frames[:, t]
        elif sampling is None:
            x = output
        else:
            x = torch.where(sampling[:, t - context, None, None, None], frames[:, t], output)
        output, state = recompute(checkpointing, step, x, state)
        yield output, state


def roll_out(
    step: Callable[[Tensor, State], tuple[Tensor, State]],
    frames: Tensor,
    context: int,
    horizon: int,
    sampling: Tensor | None,
    checkpointing: bool,
) -> Tensor:
    """Return the one-step outputs for times 2 ... context + horizon; see `unroll`."""
    steps = unroll(step, frames, context, horizon, sampling, checkpointing)
    return torch.stack([output for output, _ in steps], dim=1)


class RecurrentStack(nn.Module):
    """Four blocks of recurrent layers with two skips (Section 4 and Appendix B).

    The outputs of the first and third block are the input of the fourth; those of the second and fourth are
    the features that the stack returns.

    Args:
        make_cell: returns a layer, from its numbers of input and hidden channels. A layer has
            `initial_state(x) -> state` and `forward(x, state) -> (hidden, state)`.
        in_channels: channels of the input.
        channels: hidden channels of each block's layers, four numbers.
        layers_per_block: layers in a block (3 for video prediction).
    """

    def __init__(
        self,
        make_cell: Callable[[int, int], nn.Module],
        in_channels: int,
        channels: Sequence[int],
        layers_per_block: int,
    ) -> None:
        super().__init__()
        first, second, third, fourth = channels
        block_inputs = [in_channels, first, second, third + first]
        self.blocks = nn.ModuleList(
            nn.ModuleList(
                make_cell(width if layer == 0 else hidden, hidden) for layer in range(layers_per_block)
            )
            for width, hidden in zip(block_inputs, channels, strict=True)
        )
        self.out_channels = fourth + second
        self.checkpointed_blocks: Sequence[int] = ()

    def cells(self) -> list[nn.Module]:
        """Return the layers, first to last."""
        return [cell for block in self.blocks for cell in block]  # type: ignore[attr-defined]

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Advance all layers by one time step.

        Args:
            x: input, (batch, in_channels, height, width).
            state: returned by the previous step; None at the first, for zero states.

        Returns:
            Features (batch, out_channels, height, width) and the new state.
        """
        old = iter(state or [None] * len(self.cells()))
        new: list[State] = []
        outputs: list[Tensor] = []
        for index, block in enumerate(self.blocks):
            if index == 3:
                x = torch.cat([x, outputs[0]], dim=1)
            recomputed = index + 1 in self.checkpointed_blocks
            for cell in block:  # type: ignore[attr-defined]
                before = next(old) or cell.initial_state(x)
                x, after = recompute(recomputed, cell, x, before)
                new.append(after)
            outputs.append(x)
        return torch.cat([outputs[3], outputs[1]], dim=1), new

    def compile_cells(self) -> None:
        """Compile each layer with torch.compile, at its first steps."""
        # One version for each shape of layer, with and without gradients: more than torch's default of eight.
        torch._dynamo.config.recompile_limit = 64
        for cell in self.cells():
            cell.compile()

    def set_checkpointing(self, checkpointing: Checkpointing) -> bool:
        """Set the blocks that are recomputed; return whether whole time steps are recomputed instead."""
        self.checkpointed_blocks = () if isinstance(checkpointing, bool) else checkpointing
        return checkpointing is True


class RecurrentPredictor(LaidOut):
    """A stack, rolled out over time, with a 1x1 convolution from features to frames.

    Args:
        make_cell: see `RecurrentStack`, also for the next two.
        in_channels: channels of a frame.
        channels: hidden channels of each block's layers.
        layers_per_block: layers in a block.
        checkpointing: what the backward pass recomputes; see `Checkpointing`.
        output: "linear", or "sigmoid", which is applied to the frames.
    """

    def __init__(
        self,
        make_cell: Callable[[int, int], nn.Module],
        in_channels: int,
        channels: Sequence[int],
        layers_per_block: int,
        checkpointing: Checkpointing,
        output: str = "linear",
    ) -> None:
        super().__init__()
        self.sigmoid = output == "sigmoid"
        self.stack = RecurrentStack(make_cell, in_channels, channels, layers_per_block)
        self.output = same_conv(self.stack.out_channels, in_channels, kernel_size=1)
        self.checkpointing = self.stack.set_checkpointing(checkpointing)
        self.lay_out()

    def forward(self, frames: Tensor, context: int, horizon: int, sampling: Tensor | None = None) -> Tensor:
        """Return the one-step outputs for times 2 ... context + horizon; see `convttlstm.models`."""
        return roll_out(self.step, frames, context, horizon, sampling, self.checkpointing)

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Return the frame after `x`, and the new state."""
        features, state = self.stack.step(x, state)
        frame = self.output(features)
        return torch.sigmoid(frame) if self.sigmoid else frame, state
