"""Every trained model at a size that tests can afford, and its outputs in golden.json.

`python -m tests.tiny_models` writes golden.json again, which a change of a model's arithmetic needs.
"""

import json
from pathlib import Path

import torch
from torch import Tensor, nn

from convttlstm.models import create_model
from convttlstm.models.conv_tt_lstm import ConvTtLstmCell

GOLDEN = Path(__file__).with_name("golden.json")
STACK = {"channels": [3, 4, 4, 3], "layers_per_block": 1, "kernel_size": 3}
TINY_MODELS: dict[str, dict[str, object]] = {
    "conv_lstm": STACK,
    "conv_tt_lstm": STACK,
    "higher_order": STACK,
    "conv_lstm_ttd": STACK | {"rank": 2},
    "conv_lstm_shi": {"channels": [4, 3], "kernel_size": 3, "patch_size": 2},
    "predrnn_pp": {"channels": [4, 3, 3], "kernel_size": 3, "patch_size": 2},
    "e3d_lstm": {"channels": [3, 3], "kernel_size": 3, "patch_size": 2},
    "mcnet": {"channels": 4},
    "vpn": {"channels": 3, "encoder_blocks": 1, "decoder_blocks": 1, "lstm_channels": 4},
}


def windows_of(cell: ConvTtLstmCell, states: list[Tensor]) -> list[Tensor]:
    """H~(1) ... H~(N) after H(t-1) ... H(t-M)."""
    past = None
    for state in reversed(states):
        windows, past = cell.preprocess(state, past)
    return windows


def tiny_model(name: str, in_channels: int = 1, **hyper: object) -> nn.Module:
    torch.manual_seed(0)
    return create_model(name, in_channels, **TINY_MODELS.get(name, {}) | hyper)


def random_frames(batch: int = 2, time: int = 6, channels: int = 1) -> Tensor:
    return torch.rand(batch, time, channels, 8, 16, generator=torch.Generator().manual_seed(1))


def outputs(model: nn.Module, frames: Tensor, context: int, horizon: int, sampling: Tensor) -> Tensor:
    """The outputs that training differentiates: logits where frames are drawn pixel by pixel."""
    if hasattr(model, "teacher_forced"):
        return model.teacher_forced(frames, context, horizon)
    return model(frames, context, horizon, sampling)


def golden_output(name: str) -> list[float]:
    """Some outputs under weights that depend on no random numbers and no way to initialise."""
    model = tiny_model(name).double()
    with torch.no_grad():
        for i, weight in enumerate(model.parameters()):
            spread = 0.4 * torch.sin(torch.arange(weight.numel(), dtype=torch.float64) * 1.7 + i)
            weight.copy_(spread.reshape(weight.shape))
        pixels = torch.arange(2 * 6 * 8 * 16, dtype=torch.float64).reshape(2, 6, 1, 8, 16)
        frames = 0.5 + 0.5 * torch.sin(pixels * 0.37)
        sampling = torch.tensor([[True, False], [False, True]])
        result = outputs(model, frames, 3, 3, sampling).flatten()
    return [*result[:: result.numel() // 6].tolist(), result.mean().item()]


if __name__ == "__main__":
    GOLDEN.write_text(json.dumps({name: golden_output(name) for name in TINY_MODELS}, indent=1) + "\n")
