"""Evaluates layers of our models with the oracle, which uses NumPy only."""

import numpy as np
from torch import Tensor

from benchmarks import oracle
from convttlstm.models.conv_lstm import ConvLstmCell
from convttlstm.models.conv_tt_lstm import ConvTtLstmCell


def as_arrays(cell: ConvTtLstmCell, in_channels: int) -> dict[str, list[np.ndarray] | np.ndarray]:
    """Return the cell's weights, named as in the paper's equations."""
    w, first, bias = (part.detach().cpu().numpy() for part in cell.gates.kernels())
    assert w.shape[1] == in_channels
    factors = [factor.weight.detach().cpu().numpy() for factor in cell.factors]
    biases = [factor.bias.detach().cpu().numpy() for factor in cell.factors]
    p = cell.window_weight.detach().cpu().numpy()
    return {
        "w": w,
        "factors": [first, *factors],
        "factor_biases": [bias, *biases],
        "p": [np.concatenate(list(weight), axis=1) for weight in p],
        "p_biases": list(cell.window_bias.detach().cpu().numpy()),
    }


def hidden_by_oracle(layer: ConvLstmCell | ConvTtLstmCell, frames: Tensor) -> np.ndarray:
    """Return the hidden state after the last input, (hidden, height, width), in float64.

    It is exact except for a border, of `oracle.border` and half a window for each time step.
    """
    steps = layer.steps if isinstance(layer, ConvTtLstmCell) else 1
    cell = np.zeros((layer.hidden_channels, *frames.shape[-2:]))
    history = [cell] * steps
    for frame in frames.cpu().numpy():
        if isinstance(layer, ConvTtLstmCell):
            weights = as_arrays(layer, frames.shape[1])
            inputs = oracle.windows(history, weights["p"], weights["p_biases"])
            kernels = weights["w"], weights["factors"], weights["factor_biases"]
        else:
            w, k, bias = (part.detach().cpu().numpy() for part in layer.gates.kernels())
            inputs, kernels = history, (w, [k], [bias])
        hidden, cell = oracle.lstm(oracle.preactivations(frame, inputs, *kernels), cell)
        history = [hidden, *history[:-1]]
    return hidden
