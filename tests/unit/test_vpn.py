"""The Video Pixel Network against its equations in NumPy, and its sampler against the network."""

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from benchmarks.oracle import correlate, lstm
from convttlstm.config import MovingMnist
from convttlstm.data.digits import load_digits
from convttlstm.data.moving_mnist import generate
from convttlstm.models.vpn import PixelwiseDecoder, VideoPixelNetwork, draw_level, negative_log_likelihood

EMBEDDED = Path(__file__).parents[2] / "data" / "embedded"
SMALL = {"channels": 3, "encoder_blocks": 1, "decoder_blocks": 2, "lstm_channels": 4}


def network(seed: int = 0, gain: float = 1.0, **hyper: object) -> VideoPixelNetwork:
    """A small network in float64, all its biases at work; `gain` makes pixels depend on each other more."""
    torch.manual_seed(seed)
    model = VideoPixelNetwork(**SMALL | hyper).double()
    for name, weight in model.named_parameters():
        if name.endswith("bias"):
            torch.nn.init.normal_(weight, std=0.3)
        else:
            weight.data *= gain
    return model


def random_frames(batch: int = 2, time: int = 5, height: int = 6, width: int = 7) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.rand(batch, time, 1, height, width, generator=generator, dtype=torch.float64)


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


class Reference:
    """The paper's equations for one sequence, in NumPy, on the weights of a network."""

    def __init__(self, model: VideoPixelNetwork) -> None:
        self.weights = {name: value.numpy() for name, value in model.state_dict().items()}

    def conv(self, name: str, x: np.ndarray) -> np.ndarray:
        weight, bias = self.weights[f"{name}.weight"], self.weights[f"{name}.bias"]
        return correlate(x, weight) + bias[:, None, None]

    def masked_conv(self, name: str, x: np.ndarray, size: int) -> np.ndarray:
        """A whole kernel, in which the weights stand in reading order until they run out."""
        weight = self.weights[f"{name}.weight"]
        kernel = np.zeros((*weight.shape[:2], size, size))
        for tap in range(weight.shape[2]):
            kernel[:, :, tap // size, tap % size] = weight[:, :, tap]
        return correlate(x, kernel) + self.weights[f"{name}.bias"][:, None, None]

    def block(self, name: str, x: np.ndarray, size: int | None) -> np.ndarray:
        """RMB, masked if the kernel's size is given."""
        h = self.conv(f"{name}.reduce", x)
        for unit in (f"{name}.units.0", f"{name}.units.1"):
            gates = self.conv(unit, h) if size is None else self.masked_conv(unit, h, size)
            c = len(h)
            g1, g2, g3 = (sigmoid(gates[i * c : (i + 1) * c]) for i in range(3))
            u = np.tanh(gates[3 * c :])
            h = g1 * np.tanh(g2 * h + g3 * u)
        return x + self.conv(f"{name}.expand", h)

    def logits(self, frames: np.ndarray, context: int, horizon: int, size: int) -> np.ndarray:
        hidden_channels = len(self.weights["lstm.gates.bias"]) // 4
        hidden = cell = np.zeros((hidden_channels, *frames.shape[2:]))
        result = []
        for t in range(context + horizon - 1):
            x = self.block("encoder.0", self.conv("encoder_input", frames[t]), None)
            hidden, cell = lstm(self.conv("lstm.gates", np.concatenate([x, hidden])), cell)
            if t >= context - 1:
                y = self.masked_conv("decoder_input", frames[t + 1], size) + self.conv("condition", hidden)
                for block in ("decoder.0", "decoder.1"):
                    y = self.block(block, y, size)
                result.append(self.conv("logits", y))
        return np.stack(result)


@pytest.mark.parametrize("levels, kernel_size", [(2, 3), (5, 3), (2, 5)])
def test_logits_are_those_of_the_equations(levels, kernel_size):
    model, frames = network(levels=levels, kernel_size=kernel_size), random_frames()
    logits = model.teacher_forced(frames, 3, 2)
    assert logits.shape == (2, 2, 1 if levels == 2 else levels, 6, 7)
    for found, sequence in zip(logits.detach().numpy(), frames.numpy(), strict=True):
        expected = Reference(model).logits(sequence, 3, 2, kernel_size)
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)


def parameters(c: int, encoder: int, decoder: int, hidden: int, taps: int, outputs: int) -> int:
    """The count, part by part; half a kernel's weights, less the centre's half, are masked away."""
    block = (2 * c + 1) * c + (c + 1) * 2 * c  # the two 1x1 convolutions
    return (
        (taps + 1) * 2 * c
        + encoder * (block + 2 * (taps * c + 1) * 4 * c)
        + ((2 * c + hidden) * taps + 1) * 4 * hidden
        + (hidden + 1) * 2 * c
        + ((taps - 1) // 2 + 1) * 2 * c
        + decoder * (block + 2 * ((taps + 1) // 2 * c + 1) * 4 * c)
        + (2 * c + 1) * outputs
    )


def test_parameters():
    def count(**hyper: int) -> int:
        with torch.device("meta"):
            return sum(weight.numel() for weight in VideoPixelNetwork(**hyper).parameters())

    assert count() == parameters(128, 8, 12, 256, 9, 1) == 23_429_889
    assert count(levels=256) == parameters(128, 8, 12, 256, 9, 256)
    assert count(**SMALL, kernel_size=5) == parameters(3, 1, 2, 4, 25, 1)


def seen_by(place: tuple[int, int], height: int, width: int, size: int, layers: int) -> set[tuple[int, int]]:
    """The pixels of its own frame that reach a pixel's logit, followed from layer to layer."""
    r = size // 2
    earlier = [(-i, j) for i in range(1, r + 1) for j in range(-r, r + 1)] + [
        (0, -j) for j in range(1, r + 1)
    ]
    reached = {place}
    for layer in range(layers):
        steps = earlier if layer == 0 else [*earlier, (0, 0)]
        reached = {
            (y + dy, x + dx)
            for y, x in reached
            for dy, dx in steps
            if 0 <= y + dy < height and 0 <= x + dx < width
        }
    return reached


@pytest.mark.parametrize("levels, kernel_size, blocks", [(2, 3, 2), (2, 5, 1), (4, 3, 1)])
def test_a_logit_sees_unmasked_pixels_and_earlier_frames(levels, kernel_size, blocks):
    model = network(levels=levels, kernel_size=kernel_size, decoder_blocks=blocks)
    frames = random_frames(batch=1).requires_grad_()
    logits = model.teacher_forced(frames, 2, 3)
    for t, (y, x) in itertools.product(range(3), itertools.product(range(6), range(7))):
        logit = logits[0, t, :, y, x].square().sum()
        (gradient,) = torch.autograd.grad(logit, frames, retain_graph=True)
        moved = gradient[0, :, 0] != 0
        now = 2 + t
        own_frame = {(int(i), int(j)) for i, j in moved[now].nonzero()}
        assert own_frame == seen_by((y, x), 6, 7, kernel_size, 1 + 2 * blocks)
        assert max(own_frame, default=(-1, 0)) < (y, x)
        # The encoder and the ConvLSTM see the whole neighbourhood, before and after a pixel.
        assert moved[:now, max(y - 1, 0) : y + 2, max(x - 1, 0) : x + 2].all()
        assert not moved[now + 1 :].any()


def test_the_blind_spot_is_only_a_triangle_at_the_upper_right():
    """With enough layers, only pixels n rows up and more than n columns to the right stay unseen."""
    model = network(decoder_blocks=4)
    frames = random_frames(batch=1, time=2).requires_grad_()
    model.teacher_forced(frames, 1, 1)[0, 0, 0, 4, 2].backward()
    for y, x in itertools.product(range(6), range(7)):
        earlier = (y, x) < (4, 2)
        blind = x - 2 > 4 - y
        assert (frames.grad[0, 1, 0, y, x] != 0) == (earlier and not blind), (y, x)


@pytest.mark.parametrize("levels, kernel_size, horizon", [(2, 3, 3), (5, 3, 2), (2, 5, 2)])
def test_the_samplers_logits_equal_the_networks(levels, kernel_size, horizon):
    model = network(gain=2.0, levels=levels, kernel_size=kernel_size)
    given = random_frames(batch=3, time=2)
    frames, used = (torch.stack(part, dim=1) for part in zip(*model.sample(given, horizon), strict=True))
    logits = model.teacher_forced(torch.cat([given, frames], dim=1), 2, horizon)
    torch.testing.assert_close(used, logits.detach(), rtol=0, atol=1e-10)
    assert logits.std() > 0.1
    intensities = torch.linspace(0, 1, levels, dtype=torch.float64)
    assert set(frames.unique().tolist()) == set(intensities.tolist())


@pytest.mark.parametrize("levels, height, width", [(2, 2, 2), (3, 1, 3)])
def test_frames_are_drawn_with_their_probability(levels, height, width):
    """Each frame that there is gets its probability from the network, pixel by pixel."""
    model, draws = network(gain=3.0, levels=levels), 20_000
    given = random_frames(batch=1, time=1, height=height, width=width)
    values = torch.linspace(0, 1, levels, dtype=torch.float64)
    every = torch.cartesian_prod(*[values] * (height * width)).reshape(-1, 1, height, width)
    pairs = torch.stack([given[:, 0].expand_as(every), every], dim=1)
    with torch.no_grad():
        logits = model.teacher_forced(pairs, 1, 1)[:, 0]
        if levels == 2:
            logits = torch.cat([-logits / 2, logits / 2], dim=1)
        chances = logits.softmax(dim=1).gather(1, (every * (levels - 1)).round().long()).prod(-1).prod(-1)
        state = model.lstm.initial_state(given[:, 0])
        hidden, _ = model.lstm(model.encoder[0](model.encoder_input(given[:, 0])), state)
        conditioning = model.condition(hidden).expand(draws, -1, -1, -1)
        numbers = np.random.default_rng(0).random((draws, height * width))
        drawn, _ = PixelwiseDecoder(model, draws, height, width).draw(conditioning, torch.from_numpy(numbers))
    torch.testing.assert_close(chances.sum(), torch.tensor(1.0, dtype=torch.float64))
    assert chances.max() > 2 / len(every)
    counts = (drawn[:, None] == every[None]).flatten(2).all(dim=2).sum(dim=0)
    assert counts.sum() == draws
    # Five standard deviations of a binomial count, and one for the rarest.
    deviation = 5 * (draws * chances * (1 - chances)).sqrt() + 1
    assert ((counts - draws * chances[:, 0]).abs() < deviation[:, 0]).all()


def test_random_numbers_select_intensities_by_probability():
    softmax = torch.tensor([[0.2, 0.5, 0.3]]).log().expand(6, 3)
    numbers = torch.tensor([[0.0], [0.19], [0.21], [0.69], [0.71], [0.99999]])
    assert draw_level(softmax, numbers).flatten().tolist() == [0, 0, 0.5, 0.5, 1, 1]
    sigmoid_of = torch.tensor([[0.3]]).logit().expand(4, 1)
    assert draw_level(sigmoid_of, numbers[[0, 3, 4, 5]]).flatten().tolist() == [0, 0, 1, 1]


def test_a_clips_sample_does_not_depend_on_its_batch():
    model, frames = network(), random_frames(batch=4)
    together = model(frames, 3, 2)
    again = model(frames[[2, 0]], 3, 2)
    assert together.shape == (4, 2, 1, 6, 7)
    assert together[[2, 0]].equal(again)
    assert not together[0].equal(together[1])
    later = frames.clone()
    later[:, 3:] = 0
    assert model(later, 3, 2).equal(together)
    # The frame that follows gets new numbers: two frames of a sequence are not drawn alike.
    assert not together[:, 0].equal(together[:, 1])


def test_sampling_has_no_gradient_and_leaves_the_callers_random_state():
    model, state = network(), torch.get_rng_state()
    assert not model(random_frames(), 3, 2).requires_grad
    assert torch.get_rng_state().equal(state)


@pytest.mark.parametrize("levels", [2, 4])
def test_every_parameter_gets_a_gradient_and_checkpointing_changes_nothing(levels):
    frames, gradients = random_frames(), []
    for checkpointing in (False, True):
        model = network(levels=levels, checkpointing=checkpointing)
        logits = model.teacher_forced(frames, 2, 3)
        negative_log_likelihood(logits, frames[:, 2:]).backward()
        gradients.append({name: weight.grad for name, weight in model.named_parameters()})
    for name, gradient in gradients[0].items():
        assert gradient is not None and gradient.isfinite().all() and gradient.abs().sum() > 0, name
        torch.testing.assert_close(gradients[1][name], gradient, rtol=1e-12, atol=1e-15)


def test_gradients_are_those_of_finite_differences():
    model, frames = network(channels=2, decoder_blocks=1), random_frames(1, 3, 3, 4).requires_grad_()
    weights = [model.decoder_input.weight, model.decoder[0].units[0].weight, model.condition.weight]

    def logits(x: Tensor, *_: Tensor) -> Tensor:
        return model.teacher_forced(x, 1, 2)

    assert torch.autograd.gradcheck(logits, (frames, *weights), fast_mode=True)


def test_bf16_is_near_float32():
    model, frames = network().float(), random_frames().float()
    exact = model.teacher_forced(frames, 2, 3)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = model.teacher_forced(frames, 2, 3)
    assert (rounded.float() - exact).abs().max() < 0.02 * exact.abs().max()


def test_the_network_works_on_the_meta_device():
    with torch.device("meta"):
        model = VideoPixelNetwork(levels=4, **SMALL)
        logits = model.teacher_forced(torch.zeros(2, 4, 1, 8, 9), 2, 2)
    assert logits.shape == (2, 2, 4, 8, 9)


@pytest.mark.parametrize(
    "wrong, message",
    [
        ({"in_channels": 3}, "grey frames only, not 3 channels"),
        ({"kernel_size": 1}, "odd kernel_size >= 3"),
        ({"kernel_size": 4}, "odd kernel_size >= 3"),
        ({"levels": 1}, "levels >= 2"),
    ],
)
def test_impossible_settings_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        VideoPixelNetwork(**SMALL | wrong)


@pytest.mark.slow
def test_the_network_learns_four_sequences_by_heart():
    """Pixels are made black or white, so that the loss can fall to zero."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    digits = load_digits("embedded", Path("unused"), EMBEDDED)
    split = {"sequences": 4, "frames": 6}
    dataset = MovingMnist.model_validate(
        {"size": 16, "digit_size": 7, "context": 3, "horizon": 3, "test_horizons": [3]}
        | dict.fromkeys(["train", "validation", "test"], split)
    )
    sequences = generate(dataset, "train", digits, np.arange(4))
    frames = torch.from_numpy(sequences > 127).unsqueeze(2).float()
    future, copied = frames[:, 3:], frames[:, 2:3]

    model = VideoPixelNetwork(channels=8, encoder_blocks=1, decoder_blocks=1, lstm_channels=16)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(150):
        loss = negative_log_likelihood(model.teacher_forced(frames, 3, 3), future)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    chance = future.mean((0, 1))  # the best of all models that give each place one chance
    fixed = torch.special.entr(chance).add(torch.special.entr(1 - chance)).mean()
    assert loss < 0.01 < fixed / 10
    error = (model(frames[:, :3], 3, 3) - future).square().mean()
    assert error < 0.01
    assert future.square().mean() > 0.04 and (copied - future).square().mean() > 0.04
