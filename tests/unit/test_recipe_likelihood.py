"""The Video Pixel Network's recipe: its loss by hand, its updates, and resuming from a checkpoint."""

import copy
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from convttlstm.config import MovingMnist, Run, Training, load_settings, resolve_run
from convttlstm.models.vpn import VideoPixelNetwork, negative_log_likelihood
from convttlstm.training.recipes.base import Batch
from convttlstm.training.recipes.likelihood import LikelihoodRecipe

ROOT = Path(__file__).parents[2]
TINY = {"channels": 2, "encoder_blocks": 1, "decoder_blocks": 1, "lstm_channels": 3}


def make_run(**training: object) -> Run:
    """Any run, with the settings that the recipe reads: training, context and horizon."""
    run = resolve_run(load_settings(ROOT / "config/paper.yaml"), "paper", "moving_mnist_2", "conv_lstm-seed0")
    return run.model_copy(
        update={
            "dataset": MovingMnist(context=2, horizon=3, test_horizons=[3]),
            "training": Training(**{"learning_rate": 3e-3, "gradient_clip": None} | training),
        }
    )


def make_recipe(levels: int = 2, **training: object) -> LikelihoodRecipe:
    torch.manual_seed(0)
    fabric = Fabric(accelerator="cpu", devices=1, precision=training.get("precision", "32-true"))
    return LikelihoodRecipe(make_run(**training), fabric, VideoPixelNetwork(levels=levels, **TINY))


def make_batch(seed: int = 0) -> Batch:
    frames = torch.rand(4, 5, 1, 6, 7, generator=torch.Generator().manual_seed(seed)).round()
    return Batch(frames, np.arange(4), epoch=1)


def weights(model: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in model.state_dict().items()}


def test_the_binary_likelihood_of_grey_pixels():
    logits, frames = np.random.default_rng(0).normal(size=(2, 3, 1, 4, 5)), np.zeros((2, 3, 1, 4, 5))
    frames.flat = np.random.default_rng(1).random(frames.size)
    total = 0.0
    for logit, x in zip(logits.flat, frames.flat, strict=True):
        p = 1 / (1 + math.exp(-logit))
        total -= x * math.log(p) + (1 - x) * math.log(1 - p)
    found = negative_log_likelihood(torch.from_numpy(logits), torch.from_numpy(frames))
    assert found.item() == pytest.approx(total / frames.size, rel=1e-12)


def test_the_likelihood_of_levels():
    logits = np.random.default_rng(0).normal(size=(2, 3, 4, 4, 5))
    frames = np.random.default_rng(1).random((2, 3, 1, 4, 5))
    total = 0.0
    for n, t, y, x in np.ndindex(2, 3, 4, 5):
        # Of 0, 1/3, 2/3 and 1, the nearest.
        level = min(range(4), key=lambda k: abs(frames[n, t, 0, y, x] - k / 3))
        total += math.log(sum(math.exp(v) for v in logits[n, t, :, y, x])) - logits[n, t, level, y, x]
    found = negative_log_likelihood(torch.from_numpy(logits), torch.from_numpy(frames))
    assert found.item() == pytest.approx(total / frames.size, rel=1e-12)


def test_equal_logits_cost_the_logarithm_of_the_levels():
    assert negative_log_likelihood(torch.zeros(1, 2, 1, 3, 3), torch.rand(1, 2, 1, 3, 3)).item() == (
        pytest.approx(math.log(2))
    )
    assert negative_log_likelihood(torch.zeros(1, 2, 8, 3, 3), torch.rand(1, 2, 1, 3, 3)).item() == (
        pytest.approx(math.log(8))
    )


@pytest.mark.parametrize("clip", [None, 0.01])
def test_a_step_equals_rmsprop_by_hand(clip):
    """The first update, by hand: g / (sqrt(0.01 g^2) + 1e-8), after the clipping of the gradient's norm."""
    recipe, batch = make_recipe(gradient_clip=clip), make_batch()
    before = weights(recipe.model)
    twin = VideoPixelNetwork(**TINY)
    twin.load_state_dict(before)
    expected = negative_log_likelihood(twin.teacher_forced(batch.frames, 2, 3), batch.frames[:, 2:])
    expected.backward()
    norm = torch.stack([w.grad.norm() for w in twin.parameters()]).norm().item()
    scale = 1.0 if clip is None else min(1.0, clip / (norm + 1e-6))
    assert (scale < 1) == (clip is not None)

    loss = recipe.step(batch)

    assert not loss.requires_grad
    assert loss.item() == pytest.approx(expected.item(), rel=1e-6)
    after = weights(recipe.model)
    for name, weight in twin.named_parameters():
        gradient = weight.grad * scale
        update = gradient / ((0.01 * gradient.square()).sqrt() + 1e-8)
        torch.testing.assert_close(after[name], before[name] - 3e-3 * update, rtol=1e-4, atol=2e-6)


def test_validation_is_the_same_loss_and_changes_nothing():
    recipe, batch = make_recipe(levels=4), make_batch()
    before = weights(recipe.model)
    recipe.model.eval()
    with torch.no_grad():
        validated = recipe.validate(batch)
    recipe.model.train()
    assert all(value.equal(before[name]) for name, value in weights(recipe.model).items())
    assert recipe.step(batch).item() == pytest.approx(validated.item(), rel=1e-6)


def test_only_the_frames_of_the_horizon_count():
    recipe, batch = make_recipe(), make_batch()
    longer = torch.cat([batch.frames, torch.rand(4, 2, 1, 6, 7)], dim=1)
    with torch.no_grad():
        assert recipe.validate(replace(batch, frames=longer)).equal(recipe.validate(batch))


def test_the_loss_falls():
    recipe, batch = make_recipe(), make_batch()
    losses = [recipe.step(batch).item() for _ in range(60)]
    assert losses[-1] < 0.95 * losses[0]
    assert losses[-1] < math.log(2)


def test_a_run_resumes_bit_for_bit():
    whole = make_recipe()
    for seed in range(5):
        whole.step(make_batch(seed))

    first = make_recipe()
    for seed in range(2):
        first.step(make_batch(seed))
    saved = copy.deepcopy((weights(first.model), first.state_dict()))
    second = make_recipe()
    second.model.load_state_dict(saved[0])
    second.load_state_dict(saved[1])
    second.finish_epoch(1.0)
    for seed in range(2, 5):
        second.step(make_batch(seed))
    expected = weights(whole.model)
    assert all(value.equal(expected[name]) for name, value in weights(second.model).items())


def test_mixed_precision_reaches_the_network_but_not_the_loss():
    recipe, seen = make_recipe(precision="bf16-mixed"), []
    recipe.model.logits.register_forward_hook(lambda *call: seen.append(call[2].dtype))
    loss = recipe.step(make_batch())
    assert seen == [torch.bfloat16] and loss.dtype == torch.float32
    assert loss.item() == pytest.approx(make_recipe().step(make_batch()).item(), rel=0.02)


def test_no_sampling_ratio_is_reported():
    recipe = make_recipe()
    recipe.finish_epoch(0.5)
    assert recipe.report() == {"learning_rate": 3e-3}
