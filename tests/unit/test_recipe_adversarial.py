"""MCNet's loss against loops, and who changes whose weights."""

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from convttlstm.config import Run, load_settings, resolve_run
from convttlstm.files import UserError
from convttlstm.models.mcnet import Mcnet
from convttlstm.training.recipes import Batch
from convttlstm.training.recipes.adversarial import (
    AdversarialRecipe,
    Discriminator,
    gradient_difference,
    image_loss,
)

ROOT = Path(__file__).parents[2]


def make_run(**training: Any) -> Run:
    """Three frames in, two out, 16 pixels; the recipe asks no more of a run."""
    settings = load_settings(ROOT / "config/paper.yaml")
    run = resolve_run(settings, "paper", "moving_mnist_2", "conv_lstm-seed0")
    dataset = run.dataset.model_copy(update={"size": 16, "context": 3, "horizon": 2})
    training = {"learning_rate": 1e-3, "gradient_clip": None} | training
    return run.model_copy(
        update={"dataset": dataset, "training": run.training.model_copy(update=training)}, deep=True
    )


def make_recipe(run: Run | None = None, seed: int = 0) -> AdversarialRecipe:
    torch.manual_seed(seed)
    fabric = Fabric(accelerator="cpu", devices=1)
    fabric.launch()
    return AdversarialRecipe(run or make_run(), fabric, Mcnet(channels=4))


def weighted(weight: float, **training: Any) -> Run:
    """A run whose adversarial term has this weight."""
    adversarial = make_run().training.adversarial.model_copy(update={"weight": weight})
    return make_run(adversarial=adversarial, **training)


def random_batch(seed: int = 0) -> Batch:
    frames = torch.rand(3, 6, 1, 16, 16, generator=torch.Generator().manual_seed(seed))
    return Batch(frames, np.arange(3), epoch=1)


def weights(model: nn.Module) -> list[Tensor]:
    return [weight.detach().clone() for weight in model.parameters()]


def test_gradient_difference_pixel_by_pixel():
    generator = torch.Generator().manual_seed(0)
    predicted, true = torch.rand(2, 2, 3, 2, 4, 5, generator=generator, dtype=torch.float64).numpy()
    down, across = [], []
    for n, t, c, i, j in np.ndindex(*true.shape):
        if i > 0:
            here, before = (n, t, c, i, j), (n, t, c, i - 1, j)
            down.append(abs(abs(true[here] - true[before]) - abs(predicted[here] - predicted[before])))
        if j > 0:
            here, before = (n, t, c, i, j), (n, t, c, i, j - 1)
            across.append(abs(abs(true[here] - true[before]) - abs(predicted[here] - predicted[before])))
    expected = np.mean(down) + np.mean(across)
    found = gradient_difference(torch.from_numpy(predicted), torch.from_numpy(true))
    assert found.item() == pytest.approx(expected, rel=1e-12)


def test_the_squared_error_is_of_pixels_from_minus_one_to_one():
    true = torch.rand(2, 3, 1, 4, 5, generator=torch.Generator().manual_seed(0))
    brighter = true + 0.1  # the same gradients
    assert image_loss(brighter, true).item() == pytest.approx(0.2**2, rel=1e-4)


def test_the_discriminators_layers():
    """Four 5x5 convolutions of stride 2, batch norms after all but the first, and a linear layer."""
    with torch.device("meta"):
        discriminator = Discriminator(20, (64, 64))
    convolutions = (20 * 25 + 1) * 64 + (64 * 25 + 1) * 128 + (128 * 25 + 1) * 256 + (256 * 25 + 1) * 512
    norms, linear = 2 * (128 + 256 + 512), 512 * 4 * 4 + 1
    assert sum(weight.numel() for weight in discriminator.parameters()) == convolutions + norms + linear
    assert not list(discriminator.buffers())


@pytest.mark.parametrize("shape", [(8, 8), (16, 24), (40, 40), (64, 33)])
def test_the_discriminator_takes_frames_of_its_size(shape):
    logits = Discriminator(6, shape, channels=2)(torch.rand(3, 2, 3, *shape))
    assert logits.shape == (3, 1)
    assert logits.isfinite().all()


class Outputs(nn.Module):
    """Returns the same outputs for all frames."""

    def __init__(self, outputs: Tensor) -> None:
        super().__init__()
        self.outputs = nn.Parameter(outputs)

    def forward(self, frames: Tensor, context: int, horizon: int, sampling: Tensor | None = None) -> Tensor:
        return self.outputs


@pytest.mark.parametrize("one_step_outputs", [0, 2])
def test_only_predictions_enter_the_losses(one_step_outputs):
    """One-step outputs before them change nothing, nor do frames after the horizon."""
    frames = random_batch().frames
    predicted = torch.rand(3, 2, 1, 16, 16, generator=torch.Generator().manual_seed(9))
    outputs = torch.cat([torch.full((3, one_step_outputs, 1, 16, 16), 7.0), predicted], dim=1)
    recipe = AdversarialRecipe(make_run(), Fabric(accelerator="cpu", devices=1), Outputs(outputs))
    expected = image_loss(predicted, frames[:, 3:5]).item()
    assert recipe.validate(Batch(frames, np.arange(len(frames)), epoch=1)).item() == pytest.approx(
        expected, rel=1e-6
    )
    seen: list[Tensor] = []
    recipe.discriminator.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].detach().clone()))
    loss = recipe.step(random_batch())
    assert loss.item() == pytest.approx(expected, rel=1e-6)
    for found, future in zip(seen, [frames[:, 3:5], predicted, predicted], strict=True):
        torch.testing.assert_close(found, torch.cat([frames[:, :3], future], dim=1))
    gradient = recipe.model.outputs.grad
    assert (gradient[:, -2:] != 0).any() and (gradient[:, :-2] == 0).all()


@pytest.mark.parametrize("shape", [(3, 1, 1, 16, 16), (3, 2, 3, 16, 16), (3, 5, 1, 16, 16)])
def test_outputs_of_the_wrong_shape_are_refused(shape):
    recipe = AdversarialRecipe(make_run(), Fabric(accelerator="cpu", devices=1), Outputs(torch.zeros(shape)))
    with pytest.raises(UserError, match=r"the model returned .* for sequences \(3, 6, 1, 16, 16\)"):
        recipe.step(random_batch())


def test_each_half_step_changes_only_its_own_network():
    recipe = make_recipe()
    given, true = random_batch().frames[:, :3], random_batch().frames[:, 3:5]
    predicted = recipe.model(random_batch().frames, 3, 2)

    generator, discriminator = weights(recipe.model), weights(recipe.discriminator)
    recipe._update_discriminator(given, true, predicted.detach())
    assert all(weight.grad is None for weight in recipe.model.parameters())
    torch.testing.assert_close(weights(recipe.model), generator, rtol=0, atol=0)
    changed = weights(recipe.discriminator)
    assert all((new != old).any() for new, old in zip(changed, discriminator, strict=True))

    gradients = [weight.grad.clone() for weight in recipe.discriminator.parameters()]
    recipe._update_predictor(given, true, predicted)
    torch.testing.assert_close(weights(recipe.discriminator), changed, rtol=0, atol=0)
    after = [weight.grad for weight in recipe.discriminator.parameters()]
    torch.testing.assert_close(after, gradients, rtol=0, atol=0)
    assert all(weight.requires_grad for weight in recipe.discriminator.parameters())
    assert all((new != old).any() for new, old in zip(weights(recipe.model), generator, strict=True))


def test_each_network_descends_its_own_loss():
    """D is better after its small step; D errs more on G's next prediction if its term dominates."""
    recipe = make_recipe(weighted(1e4, learning_rate=1e-5))
    given, true = random_batch().frames[:, :3], random_batch().frames[:, 3:5]

    def predict() -> Tensor:
        return recipe.model(random_batch().frames, 3, 2)

    def mean_log(future: Tensor, sign: int) -> float:
        """The mean of log D for sign 1, of log(1 - D) for -1."""
        return (sign * recipe.discriminator(torch.cat([given, future], dim=1))).sigmoid().log().mean().item()

    before = mean_log(true, 1) + mean_log(predict(), -1)
    recipe._update_discriminator(given, true, predict().detach())
    assert mean_log(true, 1) + mean_log(predict(), -1) > before
    before = mean_log(predict(), 1)
    recipe._update_predictor(given, true, predict())
    assert mean_log(predict(), 1) > before


def generator_gradient(weight: float) -> Tensor:
    recipe = make_recipe(weighted(weight))
    recipe.step(random_batch())
    return torch.cat([parameter.grad.flatten() for parameter in recipe.model.parameters()])


def test_the_adversarial_gradient_is_proportional_to_its_weight():
    model = make_recipe().model
    image_loss(model(random_batch().frames, 3, 2), random_batch().frames[:, 3:5]).backward()
    plain = torch.cat([parameter.grad.flatten() for parameter in model.parameters()])
    torch.testing.assert_close(generator_gradient(1e-12), plain)
    one, two = (generator_gradient(weight) - plain for weight in (1.0, 2.0))
    assert one.norm() > 1e-3 * plain.norm()
    torch.testing.assert_close(two, 2 * one, rtol=1e-3, atol=1e-5)


def test_both_optimizers_use_the_runs_learning_rate():
    recipe = make_recipe(make_run(learning_rate=3e-4))
    for optimizer in (recipe.optimizer, recipe.discriminator_optimizer):
        (group,) = optimizer.param_groups
        assert (group["lr"], group["betas"]) == (3e-4, (0.5, 0.999))


def test_gradients_are_clipped_if_asked():
    recipe = make_recipe(make_run(gradient_clip=1e-3))
    recipe.step(random_batch())
    for model in (recipe.model, recipe.discriminator):
        norm = torch.cat([weight.grad.flatten() for weight in model.parameters()]).norm()
        assert norm.item() == pytest.approx(1e-3, rel=1e-3)


def test_the_seed_decides_the_discriminators_first_weights():
    first, again, other = (weights(make_recipe(seed=seed).discriminator) for seed in (0, 0, 1))
    torch.testing.assert_close(first, again, rtol=0, atol=0)
    assert (first[0] != other[0]).any()


def train(recipe: AdversarialRecipe, steps: range) -> list[float]:
    return [recipe.step(random_batch(seed)).item() for seed in steps]


def test_a_run_resumes_bit_for_bit(tmp_path):
    whole = make_recipe()
    train(whole, range(3))
    torch.save({"model": whole.model.state_dict(), "recipe": whole.state_dict()}, tmp_path / "last.ckpt")
    saved = torch.load(tmp_path / "last.ckpt", weights_only=True)
    losses = train(whole, range(3, 6))

    resumed = make_recipe(seed=1)
    resumed.model.load_state_dict(saved["model"])
    resumed.load_state_dict(copy.deepcopy(saved["recipe"]))
    assert train(resumed, range(3, 6)) == losses
    torch.testing.assert_close(weights(resumed.model), weights(whole.model), rtol=0, atol=0)
    torch.testing.assert_close(weights(resumed.discriminator), weights(whole.discriminator), rtol=0, atol=0)
    assert resumed.report() == whole.report()


def test_the_discriminators_loss_is_the_mean_of_the_epoch():
    recipe = make_recipe()
    given, true = random_batch().frames[:, :3], random_batch().frames[:, 3:5]
    losses = []
    for seed in range(3):
        predicted = recipe.model(random_batch(seed).frames, 3, 2).detach()
        given, true = random_batch(seed).frames[:, :3], random_batch(seed).frames[:, 3:5]
        of_true, of_predicted = (
            recipe.discriminator(torch.cat([given, future], dim=1)).detach().double()
            for future in (true, predicted)
        )
        losses.append(-(of_true.sigmoid().log().mean() + (1 - of_predicted.sigmoid()).log().mean()).item())
        recipe.step(random_batch(seed))
    report = recipe.report()
    assert report["discriminator_loss"] == pytest.approx(np.mean(losses), rel=1e-4)
    assert report.keys() == {"learning_rate", "discriminator_loss"} and report["learning_rate"] == 1e-3
    recipe.finish_epoch(1.0)
    recipe.step(random_batch(7))
    assert recipe.steps == 1
    assert recipe.report()["discriminator_loss"] != pytest.approx(np.mean(losses), rel=1e-4)
