"""PredRNN++ against its equations evaluated by hand in float64, its parameter counts, and its two ways
through time: the zigzag memory and the gradient highway.
"""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from benchmarks.oracle import correlate
from convttlstm.models.predrnn_pp import GradientHighway, PredRnnPp

EMBEDDED = Path(__file__).parents[2] / "data/embedded"


def random_model(in_channels: int = 1, **settings: object) -> PredRnnPp:
    """A small model in float64 whose every weight counts, biases and norms too."""
    torch.manual_seed(0)
    small = {"channels": (4, 2, 3), "kernel_size": 3, "patch_size": 2}
    model = PredRnnPp(in_channels, **small | settings).double()
    for weight in model.parameters():
        torch.nn.init.normal_(weight, std=0.5)
    return model


def random_frames(batch: int = 1, time: int = 4, channels: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.rand(batch, time, channels, 6, 8, generator=generator, dtype=torch.float64)


def count(model: torch.nn.Module) -> int:
    return sum(weight.numel() for weight in model.parameters())


# The published code's model has these many weights, with patches of one pixel and of 4x4.
@pytest.mark.parametrize(
    "settings, expected", [({"patch_size": 1}, 15_053_185), ({"patch_size": 4}, 15_390_160), ({}, 15_390_160)]
)
def test_parameters(settings, expected):
    with torch.device("meta"):
        assert count(PredRnnPp(1, **settings)) == expected


class Oracle:
    """The paper's equations, one sequence and one gate at a time, as the published code splits them."""

    def __init__(self, model: PredRnnPp) -> None:
        self.weights = {name: value.numpy() for name, value in model.state_dict().items()}
        self.layers = len(model.channels)
        self.channels, self.patch = model.channels, model.patch_size

    def conv(self, name: str, x: np.ndarray) -> np.ndarray:
        return correlate(x, self.weights[f"{name}.weight"]) + self.weights[f"{name}.bias"][:, None, None]

    def normed(self, name: str, x: np.ndarray, gates: str) -> dict[str, np.ndarray]:
        """Convolution, layer norm, and the parts of the result by the gates' names."""
        value = self.conv(f"{name}.0", x)
        value = (value - value.mean()) / np.sqrt(value.var() + 1e-5)
        scale, shift = self.weights[f"{name}.1.weight"], self.weights[f"{name}.1.bias"]
        value = value * scale[:, None, None] + shift[:, None, None]
        names = gates.split()
        width = len(value) // len(names)
        return {gate: value[n * width : (n + 1) * width] for n, gate in enumerate(names)}

    def causal_lstm(self, k: int, x: np.ndarray, h: np.ndarray, c: np.ndarray, m: np.ndarray) -> tuple:
        cell = f"cells.{k}"
        in_x = self.normed(f"{cell}.from_input", x, "i g f o i' g' f'")
        in_h = self.normed(f"{cell}.from_hidden", h, "i g f o")
        in_c = self.normed(f"{cell}.from_cell", c, "i g f")
        in_m = self.normed(f"{cell}.from_memory", m, "i' f' m")
        g = np.tanh(in_x["g"] + in_h["g"] + in_c["g"])
        i = sigmoid(in_x["i"] + in_h["i"] + in_c["i"])
        f = sigmoid(in_x["f"] + in_h["f"] + in_c["f"] + 1)
        c = f * c + i * g
        in_new_c = self.normed(f"{cell}.from_new_cell", c, "i' g' f' o")
        g = np.tanh(in_x["g'"] + in_new_c["g'"])
        i = sigmoid(in_x["i'"] + in_new_c["i'"] + in_m["i'"])
        f = sigmoid(in_x["f'"] + in_new_c["f'"] + in_m["f'"] + 1)
        m = f * np.tanh(in_m["m"]) + i * g
        in_new_m = self.normed(f"{cell}.from_new_memory", m, "o")
        o = np.tanh(in_x["o"] + in_h["o"] + in_new_c["o"] + in_new_m["o"])
        return o * np.tanh(self.conv(f"{cell}.join", np.concatenate([c, m]))), c, m

    def highway(self, x: np.ndarray, z: np.ndarray) -> np.ndarray:
        in_x = self.normed("highway.from_input", x, "p s")
        in_z = self.normed("highway.from_state", z, "p s")
        p, s = np.tanh(in_x["p"] + in_z["p"]), sigmoid(in_x["s"] + in_z["s"])
        return s * p + (1 - s) * z

    def predict(self, frames: np.ndarray, context: int, horizon: int) -> np.ndarray:
        """The outputs for one sequence (time, channel, height, width), each prediction fed back."""
        size = self.patch
        height, width = frames.shape[2] // size, frames.shape[3] // size
        h = [np.zeros((width_k, height, width)) for width_k in self.channels]
        c = [zero.copy() for zero in h]
        m, z = h[-1].copy(), h[0].copy()
        outputs: list[np.ndarray] = []
        for t in range(context + horizon - 1):
            x = cut(frames[t] if t < context else outputs[-1], size)
            for k in range(self.layers):
                h[k], c[k], m = self.causal_lstm(k, x, h[k], c[k], m)
                x = h[k]
                if k == 0:
                    x = z = self.highway(x, z)
            outputs.append(paste(self.conv("output", x), size))
        return np.stack(outputs)


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def cut(frame: np.ndarray, size: int) -> np.ndarray:
    """Pixel (dy, dx) of every patch of a frame as a channel of its own."""
    return np.stack(
        [image[dy::size, dx::size] for image in frame for dy in range(size) for dx in range(size)]
    )


def paste(patches: np.ndarray, size: int) -> np.ndarray:
    """The frame that `cut` cut."""
    channels, (height, width) = len(patches) // size**2, patches.shape[1:]
    frame = np.empty((channels, height * size, width * size))
    places = [(image, dy, dx) for image in range(channels) for dy in range(size) for dx in range(size)]
    for (image, dy, dx), patch in zip(places, patches, strict=True):
        frame[image, dy::size, dx::size] = patch
    return frame


@pytest.mark.parametrize(
    "in_channels, settings",
    [
        (1, {}),
        (3, {"channels": (3, 4), "patch_size": 1, "kernel_size": 5}),
        (2, {"channels": (2, 3, 3, 5)}),
    ],
)
@torch.no_grad()
def test_every_layer_and_step_follows_the_equations(in_channels, settings):
    """From zero states over four steps, the last one on a prediction, for both sequences of a batch."""
    model = random_model(in_channels, **settings)
    frames = random_frames(batch=2, time=3, channels=in_channels)
    found = model(frames, 3, 2).numpy()
    for sequence, outputs in zip(frames.numpy(), found, strict=True):
        np.testing.assert_allclose(outputs, Oracle(model).predict(sequence, 3, 2), rtol=1e-9, atol=1e-10)
    assert found.std() > 0.1


def state_after(model: PredRnnPp, steps: int) -> tuple:
    """The state after some steps, its tensors cut off from earlier steps."""
    state, x = None, torch.rand(1, 4, 3, 4, dtype=torch.float64)
    with torch.no_grad():
        for _ in range(steps):
            _, state = model.step(x, state)
    return state


def sensitivity(output: Tensor, source: Tensor) -> float:
    (gradient,) = torch.autograd.grad(output.sum(), source, retain_graph=True, allow_unused=True)
    return 0.0 if gradient is None else gradient.abs().max().item()


def test_the_first_layer_gets_the_top_layers_previous_memory():
    model = random_model()
    layers, memory, z = state_after(model, 2)
    memory = memory.requires_grad_()
    assert memory.shape[1] == model.channels[-1] != model.channels[0]
    _, (new, new_memory, _) = model.step(torch.rand(1, 4, 3, 4, dtype=torch.float64), (layers, memory, z))
    first_hidden, first_cell = new[0]
    assert sensitivity(first_hidden, memory) > 1e-3
    assert sensitivity(first_cell, memory) == 0  # C takes no part in the zigzag
    assert sensitivity(new_memory, memory) > 0


def test_memory_reaches_the_top_layer_without_hidden_states():
    """With all inputs X from below cut off, the first layer's M still reaches the top."""
    model = random_model()
    for cell in model.cells[1:]:
        cell.from_input[1].weight.data.zero_()
    layers, memory, z = state_after(model, 2)
    x = torch.rand(1, 4, 3, 4, dtype=torch.float64, requires_grad=True)
    output, (new, _, _) = model.step(x, (layers, memory, z))
    assert sensitivity(output, x) > 1e-6
    assert sensitivity(new[1][1], x) == 0


def test_the_first_hidden_state_reaches_layer_2_only_by_the_highway():
    """A closed switch, S = 0, keeps Z: C of layer 2, which sees X and not M, then ignores the frame."""
    model = random_model()
    layers, memory, z = state_after(model, 2)
    x = torch.rand(1, 4, 3, 4, dtype=torch.float64, requires_grad=True)
    _, (new, _, new_z) = model.step(x, (layers, memory, z))
    assert sensitivity(new[1][1], x) > 1e-4
    assert not new_z.allclose(z)
    close(model.highway)
    _, (new, _, new_z) = model.step(x, (layers, memory, z))
    assert sensitivity(new[0][0], x) > 1e-4
    assert sensitivity(new[1][1], x) < 1e-12
    torch.testing.assert_close(new_z, z)


def close(highway: GradientHighway) -> None:
    """Make every S nearly 0."""
    switches = slice(highway.from_input[1].num_channels // 2, None)
    highway.from_input[1].weight.data[switches] = 0
    highway.from_input[1].bias.data[switches] = -60


def test_a_closed_highway_keeps_gradients_over_many_steps():
    torch.manual_seed(0)
    highway = GradientHighway(3, 3).double()
    start = torch.randn(1, 3, 4, 4, dtype=torch.float64, requires_grad=True)
    x = torch.randn(20, 1, 3, 4, 4, dtype=torch.float64)
    gradients = []
    for _ in range(2):
        z = start
        for value in x:
            z = highway(value, z)
        (gradient,) = torch.autograd.grad(z.sum(), start)
        gradients.append(gradient)
        close(highway)
    assert gradients[0].abs().max() < 0.1  # half open, as it starts: about halved at each step
    torch.testing.assert_close(gradients[1], torch.ones_like(start))


def test_gradients_are_those_of_finite_differences():
    model = random_model(channels=(1, 2), patch_size=1)
    names = [name for name, _ in model.named_parameters()]
    mask = torch.tensor([[False]])

    def run(frames: Tensor, *weights: Tensor) -> Tensor:
        return torch.func.functional_call(model, dict(zip(names, weights, strict=True)), (frames, 2, 2, mask))

    frames = random_frames(time=3)[..., :3, :3].clone().requires_grad_()
    weights = [weight.detach().clone().requires_grad_() for weight in model.parameters()]
    assert torch.autograd.gradcheck(run, (frames, *weights), fast_mode=True)


@pytest.mark.parametrize("checkpointing", [False, True])
def test_every_fresh_weight_gets_a_gradient(checkpointing):
    torch.manual_seed(0)
    model = PredRnnPp(3, channels=(4, 2, 3), kernel_size=3, patch_size=2, checkpointing=checkpointing)
    frames = random_frames(2, 5, 3).float()
    model(frames, 2, 3, torch.tensor([[True, False], [False, True]])).square().sum().backward()
    for name, weight in model.named_parameters():
        assert weight.grad is not None and weight.grad.isfinite().all(), name
        assert weight.grad.abs().sum() > 0, name


def test_weights_start_as_published():
    torch.manual_seed(0)
    model = PredRnnPp(channels=(8, 8), kernel_size=3)
    for name, weight in model.named_parameters():
        if name.endswith(("output.weight", "join.weight")):
            glorot = (6 / (weight.shape[0] + weight.shape[1])) ** 0.5  # both are 1x1
            assert 0.9 * glorot < weight.abs().max() <= glorot, name
        elif weight.ndim == 4:
            assert 0.9e-3 < weight.abs().max() <= 1e-3, name
        else:
            assert (weight == (name.endswith("1.weight"))).all(), name


def test_one_layer_is_refused():
    with pytest.raises(ValueError, match="two layers"):
        PredRnnPp(channels=(4,))
