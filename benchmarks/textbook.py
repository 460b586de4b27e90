"""ConvLSTM and Conv-TT-LSTM as the equations stand, one convolution at a time: what ours is timed against.

Every kernel of Eq. 2 and of Eq. 8 to 11 is a convolution of its own, over the states as they are, with the
channels first; gates are plain arithmetic. The stack of layers and the rollout are ours.
"""

import copy

import numpy as np
import torch
from torch import Tensor, nn

from convttlstm.models import create_model
from convttlstm.models.conv_lstm import ConvLstmCell
from convttlstm.models.conv_tt_lstm import ConvTtLstmCell
from convttlstm.models.recurrent import RecurrentPredictor, SplitConv, lstm_update
from tests import oracle

TextbookState = tuple[Tensor, list[Tensor]]  # C(t-1), and H(t-1) ... H(t-M)


class TextbookCell(nn.Module):
    """A layer that keeps its last M hidden states; a subclass says what they add to the gates."""

    def __init__(self, hidden_channels: int, steps: int, w: Tensor, bias: Tensor) -> None:
        super().__init__()
        self.hidden_channels, self.steps = hidden_channels, steps
        self.w = convolution(w, bias)

    def initial_state(self, x: Tensor) -> TextbookState:
        zeros = x.new_zeros(x.shape[0], self.hidden_channels, *x.shape[2:])
        return zeros, [zeros] * self.steps

    def forward(self, x: Tensor, state: TextbookState) -> tuple[Tensor, TextbookState]:
        cell, history = state
        hidden, cell = lstm_update(self.w(x) + self.transition(history), cell)
        return hidden, (cell, [hidden, *history[:-1]])

    def transition(self, history: list[Tensor]) -> Tensor:
        raise NotImplementedError


class TextbookConvLstm(TextbookCell):
    """Eq. 2, with the weights of one of our layers."""

    def __init__(self, ours: ConvLstmCell) -> None:
        w, k, bias = gate_kernels(ours.gates, ours.hidden_channels)
        super().__init__(ours.hidden_channels, 1, w, bias)
        self.k = convolution(k)

    def transition(self, history: list[Tensor]) -> Tensor:
        return self.k(history[0])


class TextbookConvTtLstm(TextbookCell):
    """Eq. 8 to 11 by Algorithm 2, with the weights of one of our layers."""

    def __init__(self, ours: ConvTtLstmCell) -> None:
        w, first, bias = gate_kernels(ours.gates, ours.rank)
        super().__init__(ours.hidden_channels, ours.steps, w, bias)
        self.lags = ours.lags
        # P(i) is p[i-1], G(i) is g[i-1].
        windows = zip(ours.window_weight, ours.window_bias, strict=True)
        self.p = nn.ModuleList(convolution(torch.cat(list(weight), dim=1), bias) for weight, bias in windows)
        self.g = nn.ModuleList([convolution(first), *copy.deepcopy(ours.factors)])

    def transition(self, history: list[Tensor]) -> Tensor:
        windows = [p(torch.cat(history[i : i + self.lags], dim=1)) for i, p in enumerate(self.p)]
        value = windows[-1]
        for i in range(len(windows) - 1, 0, -1):
            value = windows[i - 1] + self.g[i](value)
        return self.g[0](value)


def gate_kernels(gates: nn.Conv2d | SplitConv, channels: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return W, K or G(1), and the bias of a layer's gates; `channels` are the second kernel's inputs."""
    if isinstance(gates, SplitConv):
        return gates.x.weight, gates.v.weight, gates.x.bias
    w, k = gates.weight.split([gates.in_channels - channels, channels], dim=1)
    return w, k, gates.bias


def convolution(weight: Tensor, bias: Tensor | None = None) -> nn.Conv2d:
    """Return a convolution with a copy of these weights."""
    outputs, inputs, size, _ = weight.shape
    layer = nn.Conv2d(inputs, outputs, size, padding="same", bias=bias is not None)
    layer.weight = nn.Parameter(weight.detach().clone())
    if bias is not None:
        layer.bias = nn.Parameter(bias.detach().clone())
    return layer


def textbook(ours: RecurrentPredictor) -> RecurrentPredictor:
    """Return the same function, with the same weights, as an ordinary implementation has it."""
    model = copy.deepcopy(ours)
    for block in model.stack.blocks:
        for index, layer in enumerate(block):
            block[index] = textbook_layer(layer)
    return model.to(memory_format=torch.contiguous_format)


def textbook_layer(ours: ConvLstmCell | ConvTtLstmCell) -> TextbookCell:
    """Return the same layer, with the same weights, as an ordinary implementation has it."""
    kinds = {ConvLstmCell: TextbookConvLstm, ConvTtLstmCell: TextbookConvTtLstm}
    return kinds[type(ours)](ours)


STEPS, ORDER, HISTORY, SIZE = 3, 2, 3, 3  # of a sequence, N, M and S
HIDDEN, RANK = 2, 2
STEP = 1e-5  # of the central difference
# Each step carries what padding changes by the reach of a state further from the border.
MARGIN = STEPS * (oracle.border(SIZE, ORDER) + SIZE // 2)
SIDE = 2 * MARGIN + 5
LAYERS = {
    "conv_lstm": lambda: ConvLstmCell(1, HIDDEN, SIZE),
    "conv_tt_lstm": lambda: ConvTtLstmCell(1, HIDDEN, SIZE, ORDER, HISTORY, RANK),
}


def verify(name: str) -> None:
    """Compare outputs of textbook, ours and oracle in float64, and slopes along one direction of all weights.

    First one layer: the oracle builds every kernel at full size, in NumPy, and its slope is a central
    difference. Then the models of twelve layers with each other, with their gradients of the frames too.

    Raises:
        AssertionError: they do not agree.
    """
    torch.manual_seed(0)
    layer = LAYERS[name]().double()
    x = torch.randn(STEPS, 1, 1, SIDE, SIDE, dtype=torch.float64)
    below, above = neighbours(layer)
    ends = [np.square(by_oracle(textbook_layer(end), x.numpy())).sum() for end in (below, above)]
    for make in (copy.deepcopy, textbook_layer):
        hidden = run_layer(make(layer), x)
        np.testing.assert_allclose(hidden.detach(), by_oracle(textbook_layer(layer), x.numpy()), atol=1e-10)
        model = make(layer)
        found = slope(model, run_layer(model, x).square().sum(), make(below), make(above))
        np.testing.assert_allclose(found, (ends[1] - ends[0]) / 2 / STEP, rtol=1e-6)

    ours = create_model(name).double()
    frames = torch.rand(1, 4, 1, 16, 16, dtype=torch.float64, requires_grad=True)
    below, above = neighbours(ours)
    results = []
    for make in (copy.deepcopy, textbook):
        model = make(ours)
        output = model(frames, 2, 2)
        (gradient,) = torch.autograd.grad(output.square().sum(), frames, retain_graph=True)
        along = slope(model, output.square().sum(), make(below), make(above))
        results.append([output.detach(), gradient, torch.tensor(along)])
    for found, expected in zip(*results, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-8, atol=1e-10)


def neighbours(module: nn.Module) -> tuple[nn.Module, nn.Module]:
    """Return the module twice, with all weights moved a little along one random direction, back and forth."""
    below, above = copy.deepcopy(module), copy.deepcopy(module)
    with torch.no_grad():
        for low, high in zip(below.parameters(), above.parameters(), strict=True):
            direction = STEP * torch.randn_like(low)
            low.sub_(direction)
            high.add_(direction)
    return below, above


def slope(model: nn.Module, value: Tensor, below: nn.Module, above: nn.Module) -> float:
    """Return the derivative of `value`, by the model's gradients, along the way between its neighbours."""
    weights = list(model.parameters())
    gradients = torch.autograd.grad(value, weights)
    ends = zip(gradients, below.parameters(), above.parameters(), strict=True)
    return sum((gradient * (high - low)).sum().item() for gradient, low, high in ends) / 2 / STEP


def run_layer(layer: nn.Module, x: Tensor) -> Tensor:
    """Return the last hidden state, (hidden, height, width), away from the border."""
    state = layer.initial_state(x[0])
    for frame in x:
        hidden, state = layer(frame, state)
    return hidden[0, :, MARGIN:-MARGIN, MARGIN:-MARGIN]


def by_oracle(layer: TextbookCell, x: np.ndarray) -> np.ndarray:
    """Return the same by the oracle, with a textbook layer's weights."""
    arrays = {key: weight.numpy() for key, weight in layer.state_dict().items()}
    order = len(layer.p) if isinstance(layer, TextbookConvTtLstm) else 0
    numbers = range(order)
    cell = np.zeros((HIDDEN, SIDE, SIDE))
    history = [cell] * layer.steps
    for frame in x[:, 0]:
        if order:
            weights, biases = ([arrays[f"p.{i}.{kind}"] for i in numbers] for kind in ("weight", "bias"))
            inputs = oracle.windows(history, weights, biases)
            factors = [arrays[f"g.{i}.weight"] for i in numbers]
        else:
            inputs, factors = history, [arrays["k.weight"]]
        biases = [arrays["w.bias"], *(arrays[f"g.{i}.bias"] for i in numbers[1:])]
        gates = oracle.preactivations(frame, inputs, arrays["w.weight"], factors, biases)
        hidden, cell = oracle.lstm(gates, cell)
        history = [hidden, *history[:-1]]
    return hidden[:, MARGIN:-MARGIN, MARGIN:-MARGIN]
