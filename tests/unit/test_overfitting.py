"""Each model learns four sequences by heart, which a wrong gate or a lost gradient prevents.

The stated loss is a share of the smaller of two: that of black frames and of the last frame repeated.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from convttlstm.config import MovingMnist
from convttlstm.data.digits import load_digits
from convttlstm.data.moving_mnist import generate
from convttlstm.models import create_model
from convttlstm.training.recipes.adversarial import image_loss
from convttlstm.training.recipes.base import l1_l2

ROOT = Path(__file__).parents[2]
CONTEXT, HORIZON = 3, 3
STACK = {"channels": [8, 12, 12, 8], "layers_per_block": 1, "kernel_size": 3}


def paper_loss(predicted: Tensor, true: Tensor) -> Tensor:
    return l1_l2(predicted, true, true.shape[1] - predicted.shape[1], predicted.shape[1])


@dataclass(frozen=True)
class Trial:
    """How one model is trained, and to which share of the better trivial prediction's loss."""

    settings: dict[str, object]
    share: float = 0.25
    learning_rate: float = 1e-2
    updates: int = 200
    loss: Callable[[Tensor, Tensor], Tensor] = field(default=paper_loss)


TRIALS = {
    "conv_lstm": Trial(STACK),
    "conv_tt_lstm": Trial(STACK),
    "conv_lstm_ttd": Trial(STACK),
    "higher_order": Trial(STACK | {"transition": "tube", "order": 2, "steps": 3}),
    "conv_lstm_shi": Trial({"channels": [32, 16, 16], "kernel_size": 3, "patch_size": 2}, updates=150),
    "predrnn_pp": Trial({"channels": [16, 16], "kernel_size": 3, "patch_size": 2}, 0.25, 3e-3, updates=500),
    "e3d_lstm": Trial({"channels": [32, 32], "kernel_size": 3}, 0.35, 5e-4, updates=100),
    "mcnet": Trial({"channels": 16}, 1 / 3, 1e-3, loss=image_loss),
}


def four_sequences() -> Tensor:
    """Return (4, 6, 1, 16, 16) of real, small digits."""
    part = {"sequences": 4, "frames": CONTEXT + HORIZON}
    splits = dict.fromkeys(["train", "validation", "test"], part)
    horizons = {"context": CONTEXT, "horizon": HORIZON, "test_horizons": [HORIZON]}
    dataset = MovingMnist.model_validate({"size": 16, "digit_size": 7} | splits | horizons)
    digits = load_digits("embedded", Path("unused"), ROOT / "data/embedded")
    return torch.from_numpy(generate(dataset, "train", digits, np.arange(4)))[:, :, None] / 255


@pytest.mark.slow
@pytest.mark.parametrize("name", TRIALS)
def test_four_sequences_are_learned_by_heart(name):
    trial, frames = TRIALS[name], four_sequences()
    future = frames[:, CONTEXT:]
    torch.manual_seed(0)
    model = create_model(name, **trial.settings)
    optimizer = torch.optim.Adam(model.parameters(), lr=trial.learning_rate)
    for _ in range(trial.updates):
        outputs = model(frames, CONTEXT, HORIZON)
        optimizer.zero_grad()
        trial.loss(outputs, frames[:, -outputs.shape[1] :]).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    with torch.no_grad():
        loss = trial.loss(model(frames, CONTEXT, HORIZON)[:, -HORIZON:], future)
    black = trial.loss(torch.zeros_like(future), future)
    repeated = trial.loss(frames[:, [CONTEXT - 1] * HORIZON], future)
    assert loss < trial.share * min(black, repeated)
