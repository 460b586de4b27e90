"""Shi et al.'s encoder-forecaster against their equations in NumPy, the frames that it sees, its counts."""

import numpy as np
import pytest
import torch

from benchmarks.oracle import correlate
from convttlstm.models.conv_lstm_shi import EncoderForecaster, PeepholeCell


def small_model(in_channels: int = 1, channels: tuple[int, ...] = (3, 2), **hyper: object):
    """A model in float64 with random weights, biases and peepholes, or they would not be tested."""
    torch.manual_seed(0)
    settings = {"channels": channels, "kernel_size": 3, "patch_size": 2} | hyper
    model = EncoderForecaster(in_channels, **settings).double()
    for weight in model.parameters():
        torch.nn.init.normal_(weight, std=0.4)
    return model


def random_frames(batch: int = 1, channels: int = 1) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.rand(batch, 5, channels, 8, 10, generator=generator, dtype=torch.float64)


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def eq_3(
    cell: PeepholeCell, x: np.ndarray | None, h: np.ndarray, c: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """H(t) and C(t), each of the four convolutions on X and on H by itself."""
    weight, bias = cell.gates.weight.detach().numpy(), cell.gates.bias.detach().numpy()
    wci, wcf, wco = cell.peepholes.detach().numpy()
    inputs = weight.shape[1] - len(h)

    def convolutions(gate: int) -> np.ndarray:
        rows = slice(gate * len(h), (gate + 1) * len(h))
        total = correlate(h, weight[rows, inputs:]) + bias[rows, None, None]
        return total if x is None else total + correlate(x, weight[rows, :inputs])

    i = sigmoid(convolutions(0) + wci * c)
    f = sigmoid(convolutions(1) + wcf * c)
    new_c = f * c + i * np.tanh(convolutions(3))
    o = sigmoid(convolutions(2) + wco * new_c)
    return o * np.tanh(new_c), new_c


def slow_prediction(model: EncoderForecaster, frames: np.ndarray, horizon: int) -> np.ndarray:
    """All predictions (horizon, channel, height, width) from the frames (time, channel, height, width)."""
    p = model.patch_size
    _, channels, height, width = frames.shape
    cut = [(c, dy, dx) for c in range(channels) for dy in range(p) for dx in range(p)]
    shape = height // p, width // p
    states = [(np.zeros((cell.hidden_channels, *shape)),) * 2 for cell in model.encoder]
    for frame in frames:
        x = np.stack([frame[c, dy::p, dx::p] for c, dy, dx in cut])
        for layer, cell in enumerate(model.encoder):
            states[layer] = eq_3(cell, x, *states[layer])
            x = states[layer][0]
    predictions = np.zeros((horizon, channels, height, width))
    for prediction in predictions:
        below = None
        for layer, cell in enumerate(model.forecaster):
            states[layer] = eq_3(cell, below, *states[layer])
            below = states[layer][0]
        hidden = np.concatenate([h for h, _ in states])
        patches = np.einsum("oi,ihw->ohw", model.output.weight.detach().numpy()[:, :, 0, 0], hidden)
        patches += model.output.bias.detach().numpy()[:, None, None]
        for patch, (c, dy, dx) in zip(patches, cut, strict=True):
            prediction[c, dy::p, dx::p] = patch
    return predictions


@pytest.mark.parametrize("in_channels, channels", [(1, (2, 2, 2)), (3, (3, 2)), (1, (4,))])
def test_predictions_equal_their_equations(in_channels, channels):
    model, frames = small_model(in_channels, channels), random_frames(2, in_channels)
    with torch.no_grad():
        found = model(frames, 3, 4).numpy()
    for sequence in range(2):
        expected = slow_prediction(model, frames[sequence, :3].numpy(), 4)
        np.testing.assert_allclose(found[sequence], expected, atol=1e-12)
        assert np.ptp(expected, axis=0).min() > 1e-6  # no two steps alike


def test_parameters():
    assert sum(weight.numel() for weight in EncoderForecaster().parameters()) == 7_585_296


def test_the_forecaster_knows_only_the_encoders_states():
    """An encoder whose states stay zero makes all sequences alike; so the forecaster sees no frame."""
    model, frames = small_model(), random_frames(2)
    with torch.no_grad():
        seeing = model(frames, 3, 2)
        for weight in model.encoder.parameters():
            weight.zero_()
        blind = model(frames, 3, 2)
    assert (seeing[0] - seeing[1]).abs().max() > 1e-3
    torch.testing.assert_close(blind[0], blind[1])


@pytest.mark.parametrize("layer", [0, 1])
@pytest.mark.parametrize("part", [0, 1])
def test_each_layer_starts_from_the_encoders_last_state(layer, part):
    """The encoder layer's last state is the same tensor as the forecaster layer's first."""
    model, last, first = small_model(), [], []
    model.encoder[layer].register_forward_hook(lambda _, inputs, state: last.append(state[part]))
    model.forecaster[layer].register_forward_pre_hook(lambda _, inputs: first.append(inputs[1][part]))
    model(random_frames(), 3, 2)
    assert len(last) == 3 and len(first) == 2
    torch.testing.assert_close(first[0], last[-1], rtol=0, atol=0)
    assert not torch.equal(last[-1], last[-2])


def test_only_the_given_frames_are_seen():
    """Neither later frames nor `sampling` matter, and a longer prediction begins like a shorter one."""
    model, frames = small_model(), random_frames(2).requires_grad_()
    prediction = model(frames, 3, 2)
    (gradient,) = torch.autograd.grad(prediction[:, 0].sum(), frames)
    assert (gradient.abs().sum((0, 2, 3, 4)) > 0).tolist() == [True, True, True, False, False]
    with torch.no_grad():
        forced = model(frames, 3, 2, torch.ones(2, 1, dtype=torch.bool))
        longer = model(frames[:, :3], 3, 9)
    torch.testing.assert_close(forced, prediction.detach())
    assert longer.shape == (2, 9, 1, 8, 10)
    torch.testing.assert_close(longer[:, :2], prediction.detach())


def test_every_fresh_parameter_gets_a_gradient():
    """The last encoder layer's output gate too, whose H goes nowhere but into the copy."""
    model = EncoderForecaster(3, channels=(4, 3, 3), kernel_size=3, patch_size=2)
    model(random_frames(2, 3).float(), 3, 2).square().sum().backward()
    for name, weight in model.named_parameters():
        parts = weight.grad.flatten(1) if "peepholes" in name else weight.grad.flatten()[None]
        assert weight.grad.isfinite().all() and (parts.abs().sum(1) > 0).all(), name


def test_checkpointing_recomputes_and_changes_nothing():
    """Each layer's step is computed once more in the backward pass; results and gradients stay."""
    results, calls = [], []
    for checkpointing in (False, True):
        model, count = small_model(checkpointing=checkpointing), []
        for cell in [*model.encoder, *model.forecaster]:
            cell.register_forward_pre_hook(lambda *call, count=count: count.append(1))
        prediction = model(random_frames(), 3, 2)
        prediction.square().sum().backward()
        results.append([prediction.detach(), *(weight.grad for weight in model.parameters())])
        calls.append(len(count))
    for plain, checkpointed in zip(*results, strict=True):
        torch.testing.assert_close(plain, checkpointed)
    assert calls == [10, 20]


def test_frames_that_cannot_be_cut_are_refused():
    with pytest.raises(RuntimeError, match="divisible"):
        small_model(patch_size=3)(random_frames(), 3, 2)
