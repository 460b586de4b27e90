"""Possibly faster ways to compute our models' convolutions, with the same weights; untested on GPUs.

Each function changes a model in place. They stay outside the package until they are faster on some device.
"""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from convttlstm.models.recurrent import JointConv, RecurrentPredictor, State

convolution_backward = torch.ops.aten.convolution_backward
MULTIPLE = 8  # tensor cores are fastest with multiples of this many channels


def gate_convolutions(model: RecurrentPredictor) -> list[JointConv]:
    """Return the convolutions over [X; V] of all layers, first to last.

    Raises:
        ValueError: a layer has two convolutions, because its kernels have two sizes.
    """
    gates = [cell.gates for cell in model.stack.cells()]
    if not all(isinstance(conv, JointConv) for conv in gates):
        raise ValueError("the kernels of inputs and states have two sizes; use kernels of one size")
    return gates


def pad_first_layer(model: RecurrentPredictor) -> None:
    """Pad the input channels of the first layer's convolution with zeros, to a multiple of 8."""
    gate_convolutions(model)[0].__class__ = PaddedConv


class PaddedConv(JointConv):
    """W * X + K * V, padded with zero channels to the next multiple of 8."""

    def forward(self, x: Tensor, v: Tensor) -> Tensor:
        missing = -sum(self.channels) % MULTIPLE
        zeros = x.new_zeros(x.shape[0], missing, *x.shape[2:])
        weight = functional.pad(self.weight, (0, 0, 0, 0, 0, missing))
        return functional.conv2d(torch.cat([x, v, zeros], dim=1), weight, self.bias, padding="same")


def batch_weight_gradients(model: RecurrentPredictor) -> None:
    """Compute the weight gradient of each layer's gates by one convolution over all time steps.

    Appleyard, Kocisky, Blunsom: Optimizing Performance of Recurrent Neural Networks on GPUs, 2016. The
    gradients of all steps' gates are kept in memory until the last one is known.
    """
    convolutions = gate_convolutions(model)
    for conv in convolutions:
        conv.__class__ = DeferredConv

    def begin(*_: object) -> None:
        for conv in convolutions:
            conv.begin()

    model.register_forward_pre_hook(begin)


class DeferredConv(JointConv):
    """W * X + K * V, with one weight gradient for all calls since `begin`."""

    def begin(self) -> None:
        """Start a sequence."""
        self.kept: list[tuple[Tensor, Tensor]] = []  # input and output gradient of each call
        self.shared = AllSteps.apply(self.weight, self.bias, self.kept)

    def forward(self, x: Tensor, v: Tensor) -> Tensor:
        return OneStep.apply(torch.cat([x, v], dim=1), *self.shared, self.kept)


class AllSteps(torch.autograd.Function):
    """Returns the weights; its backward pass computes their gradient after those of all `OneStep`s."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor, bias: Tensor, kept: list[tuple[Tensor, Tensor]]) -> Any:
        ctx.save_for_backward(weight)
        ctx.kept = kept
        ctx.set_materialize_grads(False)
        return weight.view_as(weight), bias.view_as(bias)

    @staticmethod
    def backward(ctx: Any, *_: object) -> Any:
        (weight,) = ctx.saved_tensors
        inputs, gradients = (joined(tensors) for tensors in zip(*ctx.kept, strict=True))
        ctx.kept.clear()
        d_weight, d_bias = weight_gradient(inputs, gradients, weight.to(inputs.dtype))
        return d_weight.to(weight.dtype), d_bias.to(weight.dtype), None


class OneStep(torch.autograd.Function):
    """A convolution that leaves its weight gradient to `AllSteps`."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, kept: list[tuple[Tensor, Tensor]]) -> Any:
        dtype = x.dtype
        if torch.is_autocast_enabled(x.device.type):
            dtype = torch.get_autocast_dtype(x.device.type)
        x, low = x.to(dtype), weight.to(dtype)
        ctx.save_for_backward(x, low)
        ctx.kept = kept
        return functional.conv2d(x, low, bias.to(dtype), padding="same")

    @staticmethod
    def backward(ctx: Any, d_output: Tensor) -> Any:
        x, low = ctx.saved_tensors
        ctx.kept.append((x, d_output))
        d_x, _, _ = _backward(d_output, x, low, [ctx.needs_input_grad[0], False, False])
        return d_x, None, None, None


def joined(tensors: Iterable[Tensor]) -> Tensor:
    """Return the batches of all time steps as one batch."""
    return torch.cat(list(tensors))


def weight_gradient(x: Tensor, d_output: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Return the gradients of a convolution's weights and bias."""
    _, d_weight, d_bias = _backward(d_output, x, weight, [False, True, True])
    return d_weight, d_bias


def _backward(d_output: Tensor, x: Tensor, weight: Tensor, wanted: list[bool]) -> Any:
    out_channels, _, *size = weight.shape
    padding = [side // 2 for side in size]
    return convolution_backward(
        d_output, x, weight, [out_channels], [1, 1], padding, [1, 1], False, [0, 0], 1, wanted
    )


def project_at_once(model: RecurrentPredictor) -> None:
    """Convolve each layer's inputs at all context frames at once, before its time steps.

    Each layer then runs over all context frames before the next layer begins. There W * X + K * V are two
    convolutions; on predicted frames they are one, as before.

    Raises:
        ValueError: the model recomputes layers or time steps in the backward pass.
    """
    if model.checkpointing or model.stack.checkpointed_blocks:
        raise ValueError("this path cannot recompute layers or time steps; set checkpointing to false")
    for conv in gate_convolutions(model):
        conv.__class__ = ProjectingConv
    model.__class__ = LayerwisePredictor


class ProjectingConv(JointConv):
    """W * X + K * V, where W * X may be computed in advance."""

    ready = False

    def project(self, x: Tensor) -> Tensor:
        """Return W * X plus the bias."""
        w, _, bias = self.kernels()
        return functional.conv2d(x, w, bias, padding="same")

    def forward(self, x: Tensor, v: Tensor) -> Tensor:
        """Return W * X + K * V; if `ready`, x is already W * X."""
        if not self.ready:
            return super().forward(x, v)
        return x + functional.conv2d(v, self.kernels()[1], padding="same")


class LayerwisePredictor(RecurrentPredictor):
    """Computes the same function, layer by layer over the context frames."""

    def forward(self, frames: Tensor, context: int, horizon: int, sampling: Tensor | None = None) -> Tensor:
        outputs, state = self._read(frames[:, :context])
        predictions = [outputs[-1]]
        for t in range(context, context + horizon - 1):
            x = predictions[-1]
            if sampling is not None:
                x = torch.where(sampling[:, t - context, None, None, None], frames[:, t], x)
            prediction, state = self.step(x, state)
            predictions.append(prediction)
        return torch.stack([*outputs[:-1], *predictions], dim=1)

    def _read(self, frames: Tensor) -> tuple[list[Tensor], State]:
        """Return the prediction after each context frame, and the state after the last one."""
        steps = frames.shape[1]
        x, states, outputs = frames.transpose(0, 1).flatten(0, 1), [], []
        for index, block in enumerate(self.stack.blocks):
            if index == 3:
                x = torch.cat([x, outputs[0]], dim=1)
            for cell in block:
                x, state = over_time(cell, x, steps)
                states.append(state)
            outputs.append(x)
        frames = self.output(torch.cat([outputs[3], outputs[1]], dim=1))
        return list((torch.sigmoid(frames) if self.sigmoid else frames).chunk(steps)), states


def over_time(cell: nn.Module, x: Tensor, steps: int) -> tuple[Tensor, State]:
    """Return a layer's hidden states, one batch per time step as in `x`, and its last state."""
    hidden_states, state = [], cell.initial_state(x[: x.shape[0] // steps])
    cell.gates.ready = True
    for projected in cell.gates.project(x).chunk(steps):
        hidden, state = cell(projected, state)
        hidden_states.append(hidden)
    cell.gates.ready = False
    return torch.cat(hidden_states), state
