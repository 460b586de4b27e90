"""PredRNN++'s recipe: two updates a batch, one of them backwards in time, and true frames that fade out."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from convttlstm.config import MovingMnist, Run, Training, load_settings, resolve_run
from convttlstm.files import UserError
from convttlstm.training.recipes.base import Batch
from convttlstm.training.recipes.predrnn import PredRnnRecipe

ROOT = Path(__file__).parents[2]


class Scaled(nn.Module):
    """Predicts each frame as a multiple of the one before; records its arguments."""

    def __init__(self) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(0.5))
        self.calls: list[tuple[Tensor, Tensor | None, float]] = []

    def forward(self, frames: Tensor, context: int, horizon: int, sampling: Tensor | None = None) -> Tensor:
        self.calls.append((frames, sampling, self.factor.item()))
        return frames[:, : context + horizon - 1] * self.factor


class Pulled(Scaled):
    """The same, with a term of the loss that wants the multiple to be -3."""

    def forward(self, frames: Tensor, context: int, horizon: int, sampling: Tensor | None = None) -> Tensor:
        self.extra_loss = 100 * (self.factor + 3) ** 2
        return super().forward(frames, context, horizon, sampling)


def make_recipe(updates: int = 8, model: type[Scaled] = Scaled) -> PredRnnRecipe:
    settings = load_settings(ROOT / "config/paper.yaml")
    run: Run = resolve_run(settings, "paper", "moving_mnist_2", "predrnn_pp-seed0").model_copy(
        update={
            "dataset": MovingMnist(context=2, horizon=5, test_horizons=[5]),
            "training": Training.model_validate(
                {
                    "recipe": "predrnn",
                    "learning_rate": 0.01,
                    "gradient_clip": None,
                    "linear_sampling": {"updates": updates},
                }
            ),
        }
    )
    return PredRnnRecipe(run, Fabric(accelerator="cpu", devices=1), model())


def make_batch(epoch: int = 1, size: int = 4, frames: int = 9) -> Batch:
    """Sequences with more frames than context and horizon ask for."""
    pixels = torch.rand(size, frames, 1, 2, 2, generator=torch.Generator().manual_seed(epoch))
    return Batch(pixels, np.arange(size), epoch)


@pytest.mark.parametrize("shape", [(4, 3, 1, 2, 2), (4, 5, 3, 2, 2), (4, 9, 1, 2, 2)])
def test_outputs_of_the_wrong_shape_are_refused(shape):
    """Five frames are asked for, or six with one-step reconstructions."""
    recipe = make_recipe()
    recipe.model.forward = lambda *arguments: torch.zeros(shape, requires_grad=True)
    with pytest.raises(UserError, match=r"the model returned .* for sequences \(4, 7, 1, 2, 2\)"):
        recipe.step(make_batch())


def test_a_models_own_loss_is_added_only_in_training():
    plain, pulled, batch = make_recipe(), make_recipe(model=Pulled), make_batch()
    assert pulled.validate(batch) == plain.validate(batch)
    assert pulled.step(batch) > 100 * 3.4**2 > plain.step(batch)
    assert pulled.model.factor < 0.5 < plain.model.factor


def test_the_share_of_true_frames_falls_linearly_to_zero():
    recipe, shares = make_recipe(updates=4), []
    for _ in range(6):
        recipe.step(make_batch())
        shares.append(recipe.report()["sampling_ratio"])
    assert shares == [0.75, 0.5, 0.25, 0.0, 0.0, 0.0]


def test_both_updates_use_one_mask_with_that_share():
    recipe = make_recipe(updates=4)
    batch = make_batch(size=2000)
    found = []
    for _ in range(4):
        recipe.model.module.calls.clear()
        recipe.step(batch)
        (_, first, _), (_, second, _) = recipe.model.module.calls
        assert torch.equal(first, second) and first.shape == (2000, 4)
        found.append(first.float().mean().item())
    # 8,000 draws: four standard deviations are 0.022.
    assert found == pytest.approx([0.75, 0.5, 0.25, 0.0], abs=0.022)


def test_a_batch_is_trained_on_forwards_and_then_backwards():
    recipe, batch = make_recipe(), make_batch()
    loss = recipe.step(batch)
    (forwards, _, before), (backwards, _, between) = recipe.model.module.calls
    after = recipe.model.module.factor.item()
    assert torch.equal(forwards, batch.frames[:, :7])
    assert torch.equal(backwards, batch.frames[:, [6, 5, 4, 3, 2, 1, 0]])
    assert before == 0.5 and between != before and after != between

    def by_hand(frames: Tensor, factor: float) -> float:
        x = frames.double().numpy()
        return float(np.mean((factor * x[:, :6] - x[:, 1:7]) ** 2))

    expected = (by_hand(forwards, before) + by_hand(backwards, between)) / 2
    assert loss.item() == pytest.approx(expected, rel=1e-5)


def test_validation_feeds_nothing_back_and_changes_nothing():
    recipe, batch = make_recipe(), make_batch()
    recipe.validate(replace(batch, frames=batch.frames[:, :7]))
    assert [mask for _, mask, _ in recipe.model.module.calls] == [None]
    assert recipe.model.module.factor.item() == 0.5 and recipe.batches == 0


def test_a_run_resumes_bit_for_bit():
    whole, first, second = make_recipe(), make_recipe(), make_recipe()
    for epoch in range(1, 7):
        whole.step(make_batch(epoch))
    for epoch in range(1, 4):
        first.step(make_batch(epoch))
    second.model.load_state_dict(first.model.state_dict())
    second.load_state_dict(first.state_dict())
    for epoch in range(4, 7):
        second.step(make_batch(epoch))
    assert torch.equal(second.model.module.factor, whole.model.module.factor)
    assert second.report() == whole.report()
