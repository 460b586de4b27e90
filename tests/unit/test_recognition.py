"""Recognizers: their layers, their recipe, and how their answers are counted."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn
from torch.nn import functional

from convttlstm.config import Run, Something, load_settings, resolve_run
from convttlstm.evaluation.recognition import accuracies, calibration_error
from convttlstm.files import UserError
from convttlstm.models import create_recognizer
from convttlstm.models.recognizer import CausalConv3dCell, Recognizer
from convttlstm.training.recipes.base import Batch
from convttlstm.training.recipes.recognition import RecognitionRecipe

ROOT = Path(__file__).parents[2]
CELLS = ["conv_lstm", "conv_tt_lstm", "cnn3d"]
TINY = {"size": 16, "channels": (4, 5, 5, 3), "layers_per_block": 1, "rank": 2, "kernel_size": 3}
TINY |= {"encoder_channels": 6, "classifier_channels": 7, "classified": 4}


def tiny(cell: str, **changes: object) -> nn.Module:
    torch.manual_seed(0)
    return create_recognizer(cell, 5, **(TINY | changes))


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("context, horizon", [(1, 1), (2, 3), (9, 2)])
def test_shapes(cell, context, horizon):
    frames, logits = tiny(cell)(torch.rand(2, context, 3, 16, 16), context, horizon)
    assert frames.shape == (2, context + horizon - 1, 3, 16, 16) and logits.shape == (2, 5)
    assert frames.isfinite().all() and logits.isfinite().all()


@pytest.mark.parametrize("cell", CELLS)
def test_later_frames_matter_only_if_fed_back(cell):
    model, frames = tiny(cell).eval(), torch.rand(2, 7, 3, 16, 16)
    other = frames.clone()
    other[:, 4:] = 0
    mask = torch.zeros(2, 2, dtype=torch.bool)
    for ours, theirs in zip(model(frames, 4, 3, mask), model(other, 4, 3, mask), strict=True):
        assert ours.equal(theirs)
    assert not model(frames, 4, 3, ~mask)[1].equal(model(other, 4, 3, ~mask)[1])
    other = frames.clone()
    other[:, 3] = 0
    assert not model(frames, 4, 3)[1].equal(model(other, 4, 3)[1])


@pytest.mark.parametrize("cell", CELLS)
def test_checkpointing_changes_no_gradient(cell):
    frames, gradients = torch.rand(2, 5, 3, 16, 16), []
    for checkpointing in (False, True, [2, 3]):
        model = tiny(cell, checkpointing=checkpointing)
        outputs, logits = model(frames, 3, 2)
        (outputs.square().mean() + logits.square().mean()).backward()
        gradients.append([p.grad for p in model.parameters()])
    for plain, recomputed, in_blocks in zip(*gradients, strict=True):
        torch.testing.assert_close(plain, recomputed)
        torch.testing.assert_close(plain, in_blocks)


def test_the_causal_cell_is_a_3d_convolution_padded_in_front():
    """Against PyTorch's own 3D convolution over the whole sequence."""
    torch.manual_seed(0)
    cell, x = CausalConv3dCell(3, 4, kernel_size=3, depth=3).double(), torch.rand(2, 6, 3, 8, 8).double()
    weight = cell.conv.weight.unflatten(1, (3, 3)).transpose(1, 2)  # (out, in, depth, height, width)
    padded = functional.pad(x.transpose(1, 2), (1, 1, 1, 1, 2, 0))
    expected = functional.leaky_relu(functional.conv3d(padded, weight, cell.conv.bias), 0.2)
    state = cell.initial_state(x[:, 0])
    for t in range(6):
        output, state = cell(x[:, t], state)
        torch.testing.assert_close(output, expected[:, :, t])


def test_the_classifier_sees_the_last_outputs_only():
    model = tiny("conv_lstm").eval()
    seen: list[torch.Tensor] = []
    model.classifier.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    model(torch.rand(1, 2, 3, 16, 16), 2, 1)  # two steps, of four that are classified
    assert seen[0].shape == (1, 4 * 3, 4, 4)
    assert (seen[0][:, :6] == 0).all() and (seen[0][:, 6:] != 0).any()


def test_unusable_cells_are_refused_with_the_reason():
    with pytest.raises(UserError, match="keeps 47 GB"):
        create_recognizer("e3d_lstm", 41)
    with pytest.raises(UserError, match="known are conv_lstm, conv_tt_lstm, cnn3d"):
        create_recognizer("gru", 41)


def make_run(weight: float) -> Run:
    run = resolve_run(
        load_settings(ROOT / "config/demo.yaml"), "demo", "something", "recognizer_conv_tt-seed0"
    )
    recognition = run.training.recognition.model_copy(update={"prediction_weight": weight})
    return run.model_copy(update={"training": run.training.model_copy(update={"recognition": recognition})})


class Fixed(nn.Module):
    """Returns the same outputs and logits for all frames."""

    def __init__(self, outputs: torch.Tensor, logits: torch.Tensor) -> None:
        super().__init__()
        self.outputs, self.logits = nn.Parameter(outputs), nn.Parameter(logits)

    def forward(self, frames, context, horizon, sampling=None):
        self.asked = context, horizon
        return self.outputs, self.logits


def test_the_joint_loss_by_hand():
    from lightning_fabric import Fabric

    torch.manual_seed(1)
    run = make_run(0.3)
    horizon = run.dataset.horizon
    frames, outputs = torch.rand(2, 3 + horizon, 3, 8, 8), torch.rand(2, 2 + horizon, 3, 8, 8)
    logits, labels = torch.randn(2, 4), torch.tensor([2, 0])
    recipe = RecognitionRecipe(run, Fabric(accelerator="cpu", devices=1), Fixed(outputs, logits))
    batch = Batch(frames, np.arange(2), 1, labels)
    entropy = -sum(logits[i].softmax(0)[label].log() for i, label in enumerate(labels)).item() / 2
    error = outputs - frames[:, 1:]
    prediction = (error.abs().mean() + error.square().mean()).item()
    assert recipe.validate(batch).item() == pytest.approx(entropy, rel=1e-5)
    assert recipe.step(batch).item() == pytest.approx(0.3 * prediction + entropy, rel=1e-5)
    assert recipe.model.asked == (3, horizon)


def answers(**columns: list) -> pd.DataFrame:
    groups = {0: "A", 1: "A", 2: "B"}
    table = pd.DataFrame(columns)
    table["group"], table["predicted_group"] = table["label"].map(groups), table["predicted"].map(groups)
    return table


def test_groups_have_exact_and_group_accuracies():
    """Of A's four clips one is named rightly and two fall into the group; of B's two, one and one."""
    table = answers(
        label=[0, 0, 1, 1, 2, 2], predicted=[0, 1, 2, 2, 2, 0], confidence=[0.9] * 6, rank=[1, 2, 6, 3, 1, 9]
    )
    found = accuracies(table)
    assert found["top1"]["mean"] == pytest.approx(2 / 6)
    assert found["top5"]["mean"] == pytest.approx(4 / 6)
    assert found["group"]["mean"] == pytest.approx(3 / 6)
    assert found["groups"]["A"]["clips"] == 4
    assert found["groups"]["A"]["top1"]["mean"] == 0.25 and found["groups"]["A"]["group"]["mean"] == 0.5
    assert found["groups"]["B"]["top1"]["mean"] == found["groups"]["B"]["group"]["mean"] == 0.5


def test_the_calibration_error_by_hand():
    """Two bins: three clips at 0.55, of which one is right, and one right clip at a confidence of 1."""
    confidence, right = np.array([0.55, 0.55, 0.55, 1.0]), np.array([True, False, False, True])
    assert calibration_error(confidence, right) == pytest.approx(3 / 4 * (0.55 - 1 / 3))


def test_recognizers_and_data_sets_must_match():
    settings = load_settings(ROOT / "config/demo.yaml")
    with pytest.raises(UserError, match="names activities, and these sequences have none"):
        resolve_run(settings, "demo", "kth", "recognizer_conv_tt-seed0")
    with pytest.raises(UserError, match="predicts frames only"):
        resolve_run(settings, "demo", "something", "conv_tt_lstm-seed0")


def test_the_papers_recognizer_has_eight_layers_at_56_pixels():
    settings = load_settings(ROOT / "config/paper.yaml")
    run = resolve_run(settings, "paper", "something_50", "recognizer_conv_tt-seed0")
    assert isinstance(run.dataset, Something)
    arguments = run.model_arguments()
    assert arguments["classes"] == 41 and len({c.group for c in run.dataset.activities()}) == 10
    with torch.device("meta"):
        model = Recognizer(**arguments)
    assert len(model.stack.cells()) == 8
    assert model.encoder(torch.zeros(1, 3, 224, 224, device="meta")).shape == (1, 64, 56, 56)
