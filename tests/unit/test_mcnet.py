"""MCNet against its equations in NumPy, and the frames that its two paths may see."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from benchmarks import oracle
from convttlstm.models.mcnet import Mcnet, unpool


def small_model(in_channels: int = 1, **settings: bool) -> Mcnet:
    torch.manual_seed(0)
    return Mcnet(in_channels, channels=4, **settings)


def random_frames(
    batch: int = 2, time: int = 6, channels: int = 1, height: int = 16, width: int = 8
) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.rand(2, time, channels, height, width, generator=generator)


def record(module: nn.Module) -> list[Tensor]:
    """Return a list that every call of `module` appends its input to."""
    seen: list[Tensor] = []
    module.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    return seen


# By hand, each layer of the facts as (in, out, kernel size); every one has a bias.
PUBLISHED = {
    "motion": [(1, 64, 5), (64, 128, 5), (128, 256, 7)],
    "motion_lstm": [(512, 1024, 3)],
    "content": [
        *[(1, 64, 3), (64, 64, 3)],
        *[(64, 128, 3), (128, 128, 3)],
        *[(128, 256, 3), (256, 256, 3), (256, 256, 3)],
    ],
    "combination": [(512, 256, 3), (256, 128, 3), (128, 256, 3)],
    "residuals": [(128, 64, 3), (64, 64, 3), (256, 128, 3), (128, 128, 3), (512, 256, 3), (256, 256, 3)],
    "decoder": [
        *[(256, 256, 3), (256, 256, 3), (256, 128, 3)],
        *[(128, 128, 3), (128, 64, 3)],
        *[(64, 64, 3), (64, 1, 3)],
    ],
}


@pytest.mark.parametrize("part", PUBLISHED)
def test_layers_have_the_published_widths(part):
    with torch.device("meta"):
        model = Mcnet()
    found = [
        (conv.in_channels, conv.out_channels, *conv.kernel_size)
        for conv in model.get_submodule(part).modules()
        if isinstance(conv, nn.Conv2d)
    ]
    assert found == [(inputs, outputs, size, size) for inputs, outputs, size in PUBLISHED[part]]


def test_only_the_published_layers_have_weights():
    with torch.device("meta"):
        model = Mcnet()
    layers = [layer for part in PUBLISHED.values() for layer in part]
    expected = sum((inputs * size**2 + 1) * outputs for inputs, outputs, size in layers)
    assert expected == 1_812_480 + 4_719_616 + 1_734_336 + 1_770_112 + 2_323_328 + 1_734_081
    assert sum(weight.numel() for weight in model.parameters()) == expected


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("height, width", [(8, 8), (16, 8), (8, 24)])
def test_shapes(channels, height, width):
    frames = random_frames(channels=channels, height=height, width=width)
    outputs = small_model(channels)(frames, 3, 4)
    assert outputs.shape == (2, 4, channels, height, width)
    assert (outputs > 0).all() and (outputs < 1).all()


def test_frames_that_cannot_be_halved_three_times_are_refused():
    with pytest.raises(ValueError, match="multiples of 8 as frame size, not 12 x 16"):
        small_model()(random_frames(height=12, width=16), 3, 2)
    with pytest.raises(ValueError, match="not 16 x 20"):
        small_model()(random_frames(height=16, width=20), 3, 2)


def test_one_frame_of_context_is_refused():
    with pytest.raises(ValueError, match="difference of two frames"):
        small_model()(random_frames(), 1, 2)


def test_unpooling_puts_each_value_upper_left():
    x = torch.randn(2, 3, 4, 5)
    expected = np.zeros((2, 3, 8, 10), np.float32)
    for place in np.ndindex(2, 3, 4, 5):
        b, c, row, column = place
        expected[b, c, 2 * row, 2 * column] = x[place]
    np.testing.assert_array_equal(unpool(x).numpy(), expected)


# MCNet in NumPy. `weights` maps a part to its convolutions (weight, bias) in order.
Weights = dict[str, list[tuple[np.ndarray, np.ndarray]]]


def conv(x: np.ndarray, layer: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    return oracle.correlate(x, layer[0]) + layer[1][:, None, None]


def convs(x: np.ndarray, layers: list[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    for layer in layers:
        x = np.maximum(conv(x, layer), 0)
    return x


def pool(x: np.ndarray) -> np.ndarray:
    corners = [x[:, row::2, column::2] for row in (0, 1) for column in (0, 1)]
    return np.maximum.reduce(corners)


def encode(x: np.ndarray, scales: list[list[tuple[np.ndarray, np.ndarray]]]) -> list[np.ndarray]:
    """Return the features of each scale before pooling, then the last one's after it."""
    features = []
    for layers in scales:
        features.append(convs(x, layers))
        x = pool(features[-1])
    return [*features, x]


def predict(weights: Weights, frames: np.ndarray, horizon: int) -> list[np.ndarray]:
    """Return the predictions after the given frames, (time, channel, height, width) in [0, 1]."""
    given, predictions = list(frames), []
    motion, content, residual = weights["motion"], weights["content"], weights["residuals"]
    size = 4 * len(motion[0][1]), frames.shape[2] // 8, frames.shape[3] // 8
    d, c = np.zeros(size), np.zeros(size)
    for t in range(1, len(frames) + horizon):
        seen_motion = encode(given[t] - given[t - 1], [motion[:1], motion[1:2], motion[2:]])
        gates = conv(np.concatenate([seen_motion[3], d]), weights["motion_lstm"][0])
        d, c = oracle.lstm(gates, c)
        if t < len(frames) - 1:
            continue
        seen_content = encode(2 * given[t] - 1, [content[:2], content[2:4], content[4:]])
        joined = [np.concatenate(pair) for pair in zip(seen_motion, seen_content, strict=True)]
        r = [conv(convs(joined[k], [residual[2 * k]]), residual[2 * k + 1]) for k in range(3)]
        x = convs(np.concatenate([d, seen_content[3]]), weights["combination"])
        layers = weights["decoder"]
        for k, last in [(2, layers[:3]), (1, layers[3:5]), (0, layers[5:6])]:
            big = np.zeros_like(r[k])
            big[:, ::2, ::2] = x
            x = convs(np.maximum(big + r[k], 0), last)
        predictions.append((np.tanh(conv(x, layers[6])) + 1) / 2)
        given.append(predictions[-1])
        if len(predictions) == horizon:
            break
    return predictions


@pytest.mark.parametrize("channels, context", [(1, 2), (1, 4), (3, 3)])
def test_predictions_follow_the_papers_equations(channels, context):
    model = small_model(channels).double()
    with torch.no_grad():
        for weight in model.parameters():  # biases too, and all large enough to matter
            weight.mul_(1.5).add_(torch.randn_like(weight) / 10)
    weights: Weights = {
        part: [
            (layer.weight.detach().numpy(), layer.bias.detach().numpy())
            for layer in model.get_submodule(part).modules()
            if isinstance(layer, nn.Conv2d)
        ]
        for part in PUBLISHED
    }
    frames = random_frames(channels=channels).double()
    found = model(frames, context, 3).detach().numpy()
    for sequence in range(2):
        expected = np.stack(predict(weights, frames[sequence, :context].numpy(), 3))
        assert expected.std() > 0.01
        np.testing.assert_allclose(found[sequence], expected, atol=1e-12)


def test_the_forget_gate_begins_open():
    cell = small_model().motion_lstm
    (hidden, memory), bias = cell.initial_state(torch.zeros(1, 16, 2, 2)), cell.gates.bias.detach()
    assert bias.abs().sum() == 16
    _, (_, kept) = cell(torch.zeros(1, 16, 2, 2), (hidden, memory + 1))
    torch.testing.assert_close(kept, torch.full_like(kept, 1 / (1 + np.exp(-1))))


def test_first_predictions_are_dark_but_not_saturated():
    """They begin near Moving-MNIST's mean pixel, where the tanh still has a gradient."""
    predictions = small_model()(random_frames(), 3, 3)
    assert 0.02 < predictions.min() < 0.0474 < predictions.max() < 0.2  # (tanh(-1.5) + 1) / 2


def test_the_motion_path_sees_only_differences():
    """Brighter frames that move alike look alike to the motion path, though not to the content path."""
    model, frames = small_model(), random_frames(time=3) / 2
    motion, content = record(model.motion_lstm), record(model.content)
    model(frames, 3, 1)
    model(frames + 0.5, 3, 1)
    dark, bright = motion[:2], motion[2:]
    torch.testing.assert_close(dark, bright)
    assert not torch.allclose(dark[0], dark[1])
    torch.testing.assert_close(content[1], content[0] + 1)  # 0.5 in [0, 1] is 1 in [-1, 1]


def test_the_content_path_sees_only_the_last_frame():
    model, frames = small_model(), random_frames().requires_grad_()
    content, motion = record(model.content), record(model.motion_lstm)
    model(frames, 4, 1)
    (gradient,) = torch.autograd.grad(content[0].square().sum(), frames, retain_graph=True)
    assert (gradient.abs().sum((0, 2, 3, 4)) > 0).tolist() == [False, False, False, True, False, False]
    for t, seen in enumerate(motion, start=1):  # the t-th difference: frames t and t - 1
        (gradient,) = torch.autograd.grad(seen.square().sum(), frames, retain_graph=True)
        assert (gradient.abs().sum((0, 2, 3, 4)) > 0).tolist() == [k in (t - 1, t) for k in range(6)]


def test_every_context_frame_matters_and_none_after_it():
    model, frames = small_model(), random_frames().requires_grad_()
    outputs = model(frames, 4, 2, torch.ones(2, 1, dtype=torch.bool))
    for k in range(2):
        (gradient,) = torch.autograd.grad(outputs[:, k].square().sum(), frames, retain_graph=True)
        assert (gradient.abs().sum((0, 2, 3, 4)) > 0).tolist() == [True] * 4 + [False] * 2


def test_a_longer_prediction_begins_with_the_shorter():
    model, frames = small_model(), random_frames()
    longer = model(frames, 3, 4)
    torch.testing.assert_close(longer[:, :3], model(frames, 3, 3), rtol=0, atol=0)
    assert not torch.allclose(longer[:, 3], longer[:, 2])


@pytest.mark.parametrize("horizon", [1, 3])
def test_checkpointing_changes_nothing_but_memory(horizon):
    outputs, gradients = [], []
    for checkpointing in (False, True):
        model = small_model(checkpointing=checkpointing)
        result = model(random_frames(), 3, horizon)
        result.square().mean().backward()
        outputs.append(result.detach())
        gradients.append([weight.grad for weight in model.parameters()])
    torch.testing.assert_close(outputs[0], outputs[1], rtol=0, atol=0)
    torch.testing.assert_close(gradients[0], gradients[1])


def test_checkpointing_stores_less_for_the_backward_pass():
    stored = []
    for checkpointing in (False, True):
        kept: list[int] = []

        def keep(value: Tensor, kept: list[int] = kept) -> Tensor:
            kept.append(value.numel())
            return value

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda value: value):
            small_model(checkpointing=checkpointing)(random_frames(), 3, 3)
        stored.append(sum(kept))
    assert stored[1] < stored[0] / 4
