"""ConvLSTM and Conv-TT-LSTM in an ordinary implementation, with which ours is compared.

Every kernel of Eq. 2 and of Eq. 8 to 11 is a separate convolution over the unchanged states, with the
channels first, and the gates are plain arithmetic. The stack of layers and the rollout are ours.
"""

import copy

import torch
from torch import Tensor, nn
from torch.nn import functional

from convttlstm.models import create_model
from convttlstm.models.conv_lstm import ConvLstmCell
from convttlstm.models.conv_tt_lstm import ConvTtLstmCell, PackedConvTtLstmCell
from convttlstm.models.recurrent import JointConv, RecurrentPredictor, lstm_update


class TextbookConvLstmCell(ConvLstmCell):
    """Eq. 2, with Eq. 1b as written in the paper."""

    lstm_update = staticmethod(lstm_update)


class SeparateConv(JointConv):
    """W * X + K * V by two convolutions."""

    def forward(self, x: Tensor, v: Tensor) -> Tensor:
        w, k, bias = self.kernels()
        return functional.conv2d(x, w, bias, padding="same") + functional.conv2d(v, k, padding="same")


Classes = dict[type[nn.Module], type[nn.Module]]
# The replacement for each of our classes; weights keep their names.
READABLE: Classes = {ConvLstmCell: TextbookConvLstmCell, PackedConvTtLstmCell: ConvTtLstmCell}
TEXTBOOK: Classes = READABLE | {JointConv: SeparateConv}


def textbook(ours: RecurrentPredictor) -> RecurrentPredictor:
    """Return an ordinary implementation of the same function, with the same weights."""
    return _replaced(ours, TEXTBOOK).to(memory_format=torch.contiguous_format)


def readable(ours: RecurrentPredictor) -> RecurrentPredictor:
    """Return the same function, with the same weights, computed as the paper's equations are written."""
    return _replaced(ours, READABLE)


def _replaced(ours: RecurrentPredictor, classes: Classes) -> RecurrentPredictor:
    model = copy.deepcopy(ours)
    for layer in model.stack.cells():
        _replace(layer, classes)
    return model


def textbook_layer(ours: nn.Module) -> nn.Module:
    """Return an ordinary implementation of the same layer, with the same weights."""
    return _replace(copy.deepcopy(ours), TEXTBOOK)


def _replace(layer: nn.Module, classes: Classes) -> nn.Module:
    for part in (layer, layer.gates):
        part.__class__ = classes.get(type(part), type(part))  # other methods on the same weights
    return layer


def verify(name: str) -> None:
    """Compare textbook and ours in float64: outputs, and the gradients of all weights and of the frames.

    Raises:
        AssertionError: they do not agree.
    """
    torch.manual_seed(0)
    ours = create_model(name).double()
    frames = torch.rand(1, 4, 1, 16, 16, dtype=torch.float64, requires_grad=True)
    results = []
    for model in (ours, textbook(ours)):
        output = model(frames, 2, 2)
        gradients = torch.autograd.grad(output.square().sum(), [frames, *model.parameters()])
        results.append([output.detach(), *gradients])
    for found, expected in zip(*results, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-8, atol=1e-10)
