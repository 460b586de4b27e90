"""Creates models by name: `create_model("conv_tt_lstm", order=3)`.

A predictor is called as `model(frames, context, horizon, sampling=None)`. `frames` has shape
(batch, time, channel, height, width), values in [0, 1] and at least `context` frames; with `sampling`,
at least `context + horizon - 1`. It returns the `context + horizon - 1` one-step outputs for times
2 ... context + horizon, or, from models without
one-step reconstructions, the `horizon` predictions; the last `horizon` are always the prediction.
`sampling` is a boolean mask (batch, horizon - 1), true where the true frame is fed back.

A recognizer, `create_recognizer("conv_tt_lstm", classes=41)`, is called in the same way, and returns the
frames and the logits of the activities, (batch, classes).
"""

from collections.abc import Callable
from typing import Any

from torch import nn

from convttlstm.files import UserError, nearest
from convttlstm.models.conv_lstm import conv_lstm
from convttlstm.models.conv_lstm_shi import EncoderForecaster
from convttlstm.models.conv_lstm_ttd import conv_lstm_ttd
from convttlstm.models.conv_tt_lstm import conv_tt_lstm
from convttlstm.models.e3d_lstm import E3dLstm
from convttlstm.models.external import is_external, load_external
from convttlstm.models.higher_order import higher_order
from convttlstm.models.mcnet import Mcnet
from convttlstm.models.naive import Black, CopyLast
from convttlstm.models.predrnn_pp import PredRnnPp
from convttlstm.models.recognizer import Recognizer
from convttlstm.models.vpn import VideoPixelNetwork

# Each makes a model from `in_channels` and the model's settings; the signatures have the defaults.
FACTORIES: dict[str, Callable[..., nn.Module]] = {
    "black": Black,
    "copy_last": CopyLast,
    "conv_lstm": conv_lstm,
    "conv_tt_lstm": conv_tt_lstm,
    "higher_order": higher_order,
    "conv_lstm_ttd": conv_lstm_ttd,
    "conv_lstm_shi": EncoderForecaster,
    "predrnn_pp": PredRnnPp,
    "e3d_lstm": E3dLstm,
    "mcnet": Mcnet,
    "vpn": VideoPixelNetwork,
    "recognizer": Recognizer,
}


def list_models() -> list[str]:
    """Return the names of all predictors."""
    return sorted(FACTORIES.keys() - {"recognizer"})


def create_model(name: str, in_channels: int = 1, **hyper: Any) -> nn.Module:
    """Return a model with fresh weights.

    Args:
        name: one of `list_models()`, "recognizer" (see `create_recognizer`), 'path/to/file.py:Class', or
            an entry point of the group `convttlstm.models`.
        in_channels: channels of a frame.
        hyper: the model's own settings, named as in `convttlstm.config`.

    Raises:
        UserError: no model has this name, it has no such setting, or the factory's result is not a module.
    """
    factory: Callable[..., nn.Module]
    if name in FACTORIES:
        factory = FACTORIES[name]
    elif is_external(name):
        factory = load_external(name)
    else:
        raise UserError(f"model {name!r} does not exist; {nearest(name, list_models())}")
    try:
        model = factory(in_channels, **hyper)
    except TypeError as error:
        raise UserError(f"model {name!r}: {error}") from error
    if not isinstance(model, nn.Module):
        raise UserError(f"model {name!r}: makes {type(model).__name__!r}, which is not a torch.nn.Module")
    return model


def create_recognizer(cell: str, classes: int, in_channels: int = 3, **hyper: Any) -> nn.Module:
    """Return a model that predicts frames and classifies the activity, with fresh weights.

    Args:
        cell: "conv_lstm", "conv_tt_lstm" or "cnn3d".
        classes: number of activities.
        in_channels: channels of a frame.
        hyper: further settings; see `convttlstm.models.recognizer.Recognizer`.

    Raises:
        UserError: there is no such cell, or no such setting.
    """
    return create_model("recognizer", in_channels, cell=cell, classes=classes, **hyper)
