"""The paper's rules for sampling and the learning rate, on losses whose outcome one can count out."""

from types import SimpleNamespace

import numpy as np
import pytest

from convttlstm.config import LearningRateDecay, ScheduledSampling, Training
from convttlstm.training.loaders import epoch_order
from convttlstm.training.recipes import PaperRecipe
from convttlstm.training.recipes.base import Batch, sampling_mask
from convttlstm.training.schedules import Plateau


def run(training: Training, losses: list[float]) -> list[tuple[float, float]]:
    """The ratio and learning rate that each epoch is trained with."""
    plateau, used = Plateau(training), []
    for loss in losses:
        used.append((plateau.sampling_ratio, plateau.learning_rate))
        plateau.finish_epoch(loss)
    return used


def test_the_papers_schedule_on_a_loss_that_never_improves_again():
    used = run(Training(), [1.0] * 500)
    ratios, rates = np.array(used).T
    # The loss of epoch 1 is the best; 22 epochs without a better one end with epoch 23.
    assert (ratios[:23] == 1).all()
    assert ratios[23] == pytest.approx(0.996)
    assert ratios[23 + 248] > 0 and ratios[23 + 249] == pytest.approx(0, abs=1e-12)
    # 22 more end with epoch 45; the first fall comes five epochs later.
    assert (rates[:50] == 1e-3).all()
    assert rates[50] == pytest.approx(0.98e-3)
    assert rates[54] == pytest.approx(0.98e-3)
    assert rates[55] == pytest.approx(0.98e-3 * 0.98)


def authors_first_falls(losses: list[float]) -> int | None:
    """The epoch, counted from 0, after which the authors' training lowers the ratio.

    The best epoch is counted from 1, the current one from 0, and compared by >, so that 20 epochs are 22.
    """
    best, best_epoch = np.inf, 0
    for epoch, loss in enumerate(losses):
        if loss < best:
            best, best_epoch = loss, epoch + 1
        if epoch > 20 and epoch > best_epoch + 20:
            return epoch
    return None


@pytest.mark.parametrize("seed", range(8))
def test_sampling_starts_in_the_same_epoch_as_the_authors(seed: int):
    random = np.random.default_rng(seed)
    falling = np.maximum(1 / np.arange(1, 301) ** 0.5, 0.15)
    losses = list(falling + 0.02 * random.exponential(size=300))
    expected = authors_first_falls(losses)
    assert expected is not None
    ratios = [ratio for ratio, _ in run(Training(), losses)]
    assert ratios.index(0.996) == expected + 1


def test_an_improving_loss_keeps_true_frames():
    used = run(Training(), list(np.linspace(1, 0.5, 100)))
    assert set(used) == {(1.0, 1e-3)}


def test_an_improvement_delays_the_plateau():
    losses = [1.0] * 15 + [0.9] + [1.0] * 30
    ratios = [ratio for ratio, _ in run(Training(), losses)]
    assert ratios.index(0.996) == 38  # epoch 16 was best, epoch 38 ends the plateau


def test_earliest_delays_sampling():
    training = Training(scheduled_sampling=ScheduledSampling(earliest=10, patience=2, rate=0.5))
    ratios = [ratio for ratio, _ in run(training, [1.0] * 14)]
    assert ratios == [1.0] * 10 + [0.5, 0.0, 0.0, 0.0]


def test_an_improvement_during_sampling_delays_the_decay():
    training = Training(
        scheduled_sampling=ScheduledSampling(earliest=0, patience=1, rate=0.1),
        learning_rate_decay=LearningRateDecay(patience=3, factor=0.5, interval=1),
    )
    # Sampling since 2; epoch 4 improves; three worse ones end with 7; falls are used from 9 on.
    rates = [rate for _, rate in run(training, [1.0, 1.0, 1.0, 0.9, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0])]
    assert rates == pytest.approx([1e-3] * 8 + [0.5e-3, 0.25e-3])


def test_a_schedule_resumes_from_its_state():
    losses = list(np.random.default_rng(0).uniform(size=80))
    training = Training(scheduled_sampling=ScheduledSampling(earliest=3, patience=2, rate=0.01))
    whole = Plateau(training)
    for loss in losses:
        whole.finish_epoch(loss)
    first = Plateau(training)
    for loss in losses[:37]:
        first.finish_epoch(loss)
    second = Plateau(training)
    second.load_state_dict(first.state_dict())
    for loss in losses[37:]:
        second.finish_epoch(loss)
    assert second == whole


def test_sampling_masks_depend_on_ratio_epoch_and_sample():
    samples = np.arange(2000)
    mask = sampling_mask(0, Batch(None, samples, 3), 0.7, 10)
    assert mask.shape == (2000, 9)
    # Five standard deviations of a mean of 18,000 draws.
    assert abs(mask.float().mean().item() - 0.7) < 5 * (0.7 * 0.3 / 18_000) ** 0.5
    part = sampling_mask(0, Batch(None, samples[[5, 3]], 3), 0.7, 10)
    assert part.equal(mask[[5, 3]])
    assert not sampling_mask(0, Batch(None, samples, 4), 0.7, 10).equal(mask)
    assert sampling_mask(0, Batch(None, samples, 3), 1.0, 10).all()
    assert not sampling_mask(0, Batch(None, samples, 3), 0.0, 10).any()


def test_each_epoch_draws_every_sequence_once_in_a_new_order():
    first, second = epoch_order(0, 1, 50, 50), epoch_order(0, 2, 50, 50)
    assert sorted(first) == sorted(second) == list(range(50))
    assert list(first) != list(second)
    assert list(epoch_order(0, 1, 50, 20)) == list(first[:20])


@pytest.mark.parametrize(("epochs", "warns"), [(23, True), (24, False)])
def test_a_run_too_short_for_scheduled_sampling_is_warned_of(epochs: int, warns: bool) -> None:
    """The loss improves in the first epoch only, so after a patience of 22 the ratio falls in epoch 24."""
    training = Training(epochs=epochs)
    assert all(ratio == 1 for ratio, _ in run(training, [1.0] * epochs)) == warns
    recipe = object.__new__(PaperRecipe)
    recipe.run = SimpleNamespace(training=training)  # type: ignore[assignment]
    assert bool(recipe.warning()) == warns
