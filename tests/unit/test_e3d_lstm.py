"""E3D-LSTM: a layer's step in slow float64 NumPy, its recall, its memory, and the window."""

from itertools import product

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from convttlstm.models.e3d_lstm import E3dLstm, EideticLstmCell


def small_model(**hyper: object) -> E3dLstm:
    """Two layers; all weights are random, or zero biases would go untested."""
    torch.manual_seed(0)
    model = E3dLstm(**{"channels": (3, 3), "kernel_size": 3, "patch_size": 2} | hyper).double()
    randomise(model)
    return model


def small_layer(in_channels: int, memory_channels: int, **hyper: object) -> EideticLstmCell:
    torch.manual_seed(0)
    layer = EideticLstmCell(in_channels, memory_channels, 3, **{"depth": 2} | hyper).double()
    randomise(layer)
    return layer


def randomise(module: nn.Module) -> None:
    for weight in module.parameters():
        nn.init.normal_(weight, std=0.4)


def random_frames(batch: int = 2, time: int = 5) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.rand(batch, time, 1, 4, 6, dtype=torch.float64, generator=generator)


# A layer's step by index loops. Windows are (channel, depth, height, width) arrays.


def correlate(window: np.ndarray, conv: nn.Conv3d) -> np.ndarray:
    """TensorFlow's SAME: of an odd number of zeros, the one more comes after."""
    kernel, bias = conv.weight.detach().numpy(), conv.bias.detach().numpy()
    _, depth, height, width = window.shape
    before = [(size - 1) // 2 for size in kernel.shape[2:]]
    result = np.zeros((len(kernel), depth, height, width))
    for out, t, y, x in np.ndindex(result.shape):
        result[out, t, y, x] = bias[out]
        for dt, dy, dx in np.ndindex(kernel.shape[2:]):
            place = t + dt - before[0], y + dy - before[1], x + dx - before[2]
            if all(0 <= p < n for p, n in zip(place, window.shape[1:], strict=True)):
                result[out, t, y, x] += kernel[out, :, dt, dy, dx] @ window[:, *place]
    return result


def layer_norm(window: np.ndarray, norm: nn.GroupNorm) -> np.ndarray:
    gain, shift = (weight.detach().numpy()[:, None, None, None] for weight in (norm.weight, norm.bias))
    return (window - window.mean()) / np.sqrt(window.var() + 1e-5) * gain + shift


def recall(gate: np.ndarray, cells: list[np.ndarray]) -> np.ndarray:
    """Each position's channels are matched against those of every position of every past cell."""
    result = np.zeros(gate.shape)
    for place in product(*map(range, gate.shape[1:])):
        vectors = [cell[:, *other] for cell in cells for other in product(*map(range, cell.shape[1:]))]
        weights = [np.exp(gate[:, *place] @ vector) for vector in vectors]
        total = sum(w * v for w, v in zip(weights, vectors, strict=True))
        result[:, *place] = total / sum(weights)
    return result


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def eidetic_step(
    layer: EideticLstmCell, x: np.ndarray, hidden: np.ndarray, cells: list[np.ndarray], memory: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """H(t), C(t) and M' (Eq. 1 to 3); `cells` are C(0) ... C(t-1)."""

    def gates(which: nn.Sequential, window: np.ndarray) -> list[np.ndarray]:
        convolved = correlate(window, next(m for m in which.modules() if isinstance(m, nn.Conv3d)))
        return np.split(layer_norm(convolved, which[-1]), len(convolved) // layer.hidden_channels)

    x_i, x_g, x_r, x_o, x_i2, x_g2, x_f2 = gates(layer.from_input, x)
    h_i, h_g, h_r, h_o = gates(layer.from_hidden, hidden)
    m_i, m_g, m_f, m_m = gates(layer.from_memory, memory)
    recalled = cells[-1] + recall(sigmoid(x_r + h_r), cells)
    cell = sigmoid(x_i + h_i) * np.tanh(x_g + h_g) + layer_norm(recalled, layer.recall_norm)
    memory = sigmoid(x_i2 + m_i) * np.tanh(x_g2 + m_g) + sigmoid(x_f2 + m_f + 1) * np.tanh(m_m)
    from_cell = correlate(cell, layer.output_from_cell[-1])
    output = sigmoid(x_o + h_o + from_cell + correlate(memory, layer.output_from_memory[-1]))
    return output * np.tanh(correlate(np.concatenate([cell, memory]), layer.merge)), cell, memory


@pytest.mark.parametrize("depth, history", [(2, None), (1, None), (3, None), (2, 2)])
def test_a_layer_equals_slow_loops_while_its_history_grows(depth, history):
    layer = small_layer(2, 4, kernel_size=3, depth=depth, history=history)
    shape = 2, 3, 2
    state = layer.initial_state(torch.zeros(1, 2, *shape, dtype=torch.float64))
    hidden, cells = np.zeros((3, *shape)), [np.zeros((3, *shape))]
    for _ in range(4):
        x, memory = (torch.randn(1, n, *shape, dtype=torch.float64) for n in (2, 4))
        found_hidden, state, found_memory = layer(x, state, memory)
        seen = cells if history is None else cells[-history:]
        hidden, cell, new_memory = eidetic_step(layer, x[0].numpy(), hidden, seen, memory[0].numpy())
        for found, expected in ((found_hidden, hidden), (state[1], cell), (found_memory, new_memory)):
            np.testing.assert_allclose(found[0].detach().numpy(), expected, rtol=1e-9, atol=1e-11)
        cells.append(cell)


@pytest.mark.parametrize("patch_size, size, count", [(4, 64, 12_898_832), (8, 128, 13_980_224)])
def test_the_published_number_of_parameters(patch_size, size, count):
    with torch.device("meta"):
        model = E3dLstm(patch_size=patch_size)
        outputs = model(torch.empty(1, 2, 1, size, size), 2, 1)
    assert sum(weight.numel() for weight in model.parameters()) == count
    assert outputs.shape == (1, 2, 1, size, size)


@pytest.mark.parametrize("history, seen", [(None, [True, True, True, True]), (2, [False, False, True, True])])
def test_the_recall_sees_the_newest_cell_states_alone(history, seen):
    """The cell states of each step are leaves of their own: only the recall leads back to them."""
    layer = small_layer(2, 3, kernel_size=1, history=history)
    x, memory = torch.randn(1, 2, 2, 3, 2).double(), torch.zeros(1, 3, 2, 3, 2).double()
    hidden, cell, past = layer.initial_state(x)
    made = []
    for _ in range(4):
        _, (_, _, past), _ = layer(torch.randn_like(x), (hidden, cell, past), memory)
        past[-1] = past[-1].detach().requires_grad_()
        made.append(past[-1])
    _, (_, last, _), _ = layer(x, (hidden, cell, past), memory)
    gradients = torch.autograd.grad(last.square().sum(), made, allow_unused=True)
    assert [gradient is not None and bool(gradient.any()) for gradient in gradients] == seen


@pytest.mark.parametrize("enough", [5, 100])
def test_a_history_that_holds_all_steps_changes_nothing(enough):
    """Five steps look back at up to five cell states, the zero one included."""
    frames = random_frames()
    free = small_model()(frames, 5, 1)
    torch.testing.assert_close(small_model(history=enough)(frames, 5, 1), free, rtol=0, atol=0)
    short = small_model(history=4)(frames, 5, 1)
    torch.testing.assert_close(short[:, :4], free[:, :4], rtol=0, atol=0)
    assert not torch.allclose(short[:, 4], free[:, 4])


@pytest.mark.parametrize("memory", ["updated", "published"])
def test_layers_pass_on_updated_memory_or_zeros(memory):
    model = small_model(memory=memory)
    received: list[Tensor] = []
    made: list[Tensor] = []

    def record(_: nn.Module, inputs: tuple, outputs: tuple) -> None:
        received.append(inputs[2])
        made.append(outputs[2])

    for layer in model.layers:
        layer.register_forward_hook(record)
    model(random_frames(), 3, 1)
    assert len(received) == 6 and all(m.abs().sum() > 0 for m in made)
    assert received[0].abs().sum() == 0
    for before, now in zip(made, received[1:], strict=False):  # layer by layer, then on to the next time
        if memory == "updated":
            torch.testing.assert_close(now, before, rtol=0, atol=0)
        else:
            assert now.abs().sum() == 0


def test_only_the_published_memorys_kernels_get_no_gradient():
    model = small_model(memory="published")
    model(random_frames(), 3, 2).square().sum().backward()
    idle = {name for name, weight in model.named_parameters() if weight.grad.abs().sum() == 0}
    assert idle == {f"layers.{k}.from_memory.0.1.weight" for k in range(2)}


@pytest.mark.parametrize("window", [1, 2, 3])
def test_a_step_sees_the_last_frames_in_patches_oldest_first(window):
    model = small_model(window=window)
    frames, seen = random_frames(), []
    model.layers[0].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    outputs = model(frames, 4, 2)
    series = torch.cat([frames[:, :4], outputs[:, 3:4]], dim=1)  # the last input is fed back
    for t in range(5):
        for age in range(window):
            plane = seen[t][:, :, window - 1 - age]
            if t < age:
                assert plane.abs().sum() == 0
            else:
                for dy, dx in np.ndindex(2, 2):
                    torch.testing.assert_close(plane[:, 2 * dy + dx], series[:, t - age, 0, dy::2, dx::2])


def test_the_output_is_one_convolution_over_the_last_layers_window():
    model = small_model(window=3)
    last: list[Tensor] = []
    model.layers[-1].register_forward_hook(lambda _, inputs, outputs: last.append(outputs[0]))
    outputs = model(random_frames(), 2, 1)
    weight, bias = model.output.weight[..., 0, 0], model.output.bias
    for t in range(2):
        patched = torch.einsum("oct,bcthw->bohw", weight, last[t]) + bias[:, None, None]
        torch.testing.assert_close(outputs[:, t], functional.pixel_shuffle(patched, 2))


def test_gradients_are_those_of_finite_differences():
    model = small_model(channels=(2, 2), kernel_size=1, patch_size=1)
    weights = dict(model.named_parameters())
    frames = random_frames(batch=1, time=2)[..., :2, :2].clone().requires_grad_()

    def outputs(frames: Tensor, *values: Tensor) -> Tensor:
        replaced = dict(zip(weights, values, strict=True))
        return torch.func.functional_call(model, replaced, (frames, 2, 2))

    torch.autograd.gradcheck(outputs, (frames, *weights.values()))


@pytest.mark.parametrize("wrong", [{"memory": "forgotten"}, {"history": 0}])
def test_unknown_settings_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        E3dLstm(**wrong)
