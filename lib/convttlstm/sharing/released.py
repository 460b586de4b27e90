"""Rename the authors' released weights to this package's names.

Their names count blocks, layers and windows from 0, and windows from the oldest. A layer's names begin with
`layers.b{block}l{layer}.`; all names of a model trained on several GPUs begin with `module.`.

    theirs              ours                  content
    layers_.{j}         window_weight[i-1]    P(i), i = N - j, for the hidden states of one window, oldest
                                              first: (C, lags x hidden, S, S) or (C, hidden, S, S, lags)
    layers.{j}, j<N-1   factors.{i-2}         G(i), i = N - j
    layers.{N-1}        gates                 [W, G(1)] on [X(t), V(1)], gates I, F, O, C~
    conv                gates                 [W, K] on [X(t), H(t-1)] of the ConvLSTM
    layers.output       output                the 1x1 convolution
"""

import re
from collections.abc import Mapping

import torch
from torch import Tensor

from convttlstm.files import UserError

CELL = re.compile(r"layers\.b(\d+)l(\d+)\..+")


def from_released(released: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the weights of `conv_tt_lstm` or `conv_lstm`, renamed from the authors' names.

    Raises:
        UserError: a weight of the authors' layout is missing, or there is an unknown one.
    """
    left = {name.removeprefix("module."): tensor for name, tensor in released.items()}
    places = dict.fromkeys(match.groups() for name in left if (match := CELL.fullmatch(name)))
    if not places:
        raise UserError("holds no weights named layers.b0l0. ..., unlike the authors' release")
    ours: dict[str, Tensor] = {}
    for block, layer in places:
        prefix = f"layers.b{block}l{layer}."
        cell = _Weights(left, prefix)
        first_order = f"{prefix}conv.weight" in left
        converted = cell.convolution("conv", "gates") if first_order else _higher_order(cell)
        ours |= {f"stack.blocks.{block}.{layer}.{name}": tensor for name, tensor in converted.items()}
    ours |= _Weights(left, "layers.").convolution("output", "output")
    if left:
        raise UserError(f"holds {sorted(left)[0]}, which the authors' release does not have")
    return ours


class _Weights:
    """The weights with a prefix; `take` removes them."""

    def __init__(self, weights: dict[str, Tensor], prefix: str) -> None:
        self.weights, self.prefix = weights, prefix

    def take(self, name: str) -> Tensor:
        try:
            return self.weights.pop(self.prefix + name)
        except KeyError:
            raise UserError(f"holds no {self.prefix}{name}") from None

    def convolution(self, theirs: str, ours: str) -> dict[str, Tensor]:
        return {f"{ours}.{part}": self.take(f"{theirs}.{part}") for part in ("weight", "bias")}

    def count(self, name: str) -> int:
        return sum(key.startswith(f"{self.prefix}{name}.") and key.endswith("weight") for key in self.weights)


def _higher_order(cell: _Weights) -> dict[str, Tensor]:
    order = cell.count("layers_")
    ours = cell.convolution(f"layers.{order - 1}", "gates")
    hidden = ours["gates.bias"].numel() // 4
    newest_first = [f"layers_.{order - i}" for i in range(1, order + 1)]
    ours["window_weight"] = torch.stack([_window(cell.take(f"{p}.weight"), hidden) for p in newest_first])
    ours["window_bias"] = torch.stack([cell.take(f"{p}.bias") for p in newest_first])
    for i in range(2, order + 1):
        ours |= cell.convolution(f"layers.{order - i}", f"factors.{i - 2}")
    return ours


def _window(weight: Tensor, hidden: int) -> Tensor:
    """Return P(i)'s kernels for the hidden states in its window, newest first, (lags, C, hidden, S, S)."""
    if weight.dim() == 5:
        return weight.movedim(-1, 0).flip(0)
    outputs, _, *size = weight.shape
    return weight.reshape(outputs, -1, hidden, *size).movedim(1, 0).flip(0)
