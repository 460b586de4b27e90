"""The higher-order ConvLSTMs against explicit sums in float64, and their sizes against arithmetic."""

from typing import Any

import numpy as np
import pytest
import torch

from benchmarks import oracle
from convttlstm.models.conv_lstm import conv_lstm
from convttlstm.models.conv_tt_lstm import conv_tt_lstm
from convttlstm.models.higher_order import higher_order

INPUTS, HIDDEN = 2, 3
CASES = [  # transition, S, N, M, C
    ("equal", 3, 3, 3, 8),
    ("equal", 5, 1, 1, 8),
    ("growing", 3, 3, 3, 8),
    ("growing", 5, 2, 2, 8),
    ("growing", 1, 2, 2, 8),
    ("reduce", 3, 3, 3, 2),
    ("tube", 3, 2, 4, 2),
    ("tube", 3, 4, 4, 1),
    ("tube", 5, 2, 2, 4),
    ("raw", 3, 3, 3, 8),
    ("raw", 5, 2, 2, 8),
    ("raw", 3, 1, 1, 8),
]


def random_cell(transition: str, size: int, order: int, steps: int, rank: int):
    """The first layer of a model, with biases too, or they would not be tested."""
    torch.manual_seed(7)
    hyper: dict[str, Any] = {"kernel_size": size, "order": order, "steps": steps, "rank": rank}
    model = higher_order(INPUTS, transition=transition, channels=[HIDDEN] * 4, layers_per_block=1, **hyper)
    cell = model.stack.cells()[0].double()
    for weight in cell.parameters():
        torch.nn.init.normal_(weight, std=0.3)
    return cell


def array(weight: torch.Tensor) -> np.ndarray:
    return weight.detach().numpy()


def expected_preactivations(cell, transition: str, x: np.ndarray, history: list[np.ndarray]) -> np.ndarray:
    """W * X(t) + Phi, every kernel at its full size; `history` is H(t-1) ... H(t-M)."""
    joint, bias = array(cell.gates.weight), array(cell.gates.bias)
    w, rest = joint[:, :INPUTS], joint[:, INPUTS:]
    if transition in ("equal", "growing"):
        if transition == "equal":
            kernels = [rest[:, i * HIDDEN : (i + 1) * HIDDEN] for i in range(len(history))]
        else:
            kernels = [rest, *(array(kernel.weight) for kernel in cell.kernels)]
        total = oracle.correlate(x, w) + bias[:, None, None]
        for kernel, state in zip(kernels, history, strict=True):
            total += oracle.correlate(state, kernel)
        return total
    factors = [rest, *(array(factor.weight) for factor in cell.factors)]
    biases = [bias, *(array(factor.bias) for factor in cell.factors)]
    inputs = history
    if transition == "reduce":
        p = [np.concatenate(list(weight), axis=1) for weight in array(cell.window_weight)]
        inputs = oracle.windows(history, p, list(array(cell.window_bias)))
    elif transition == "tube":
        inputs = [
            oracle.correlate(np.concatenate(history), array(p.weight)) + array(p.bias)[:, None, None]
            for p in cell.mixtures
        ]
    return oracle.preactivations(x, inputs, w, factors, biases)


@pytest.mark.parametrize("transition, size, order, steps, rank", CASES)
def test_every_step_of_a_sequence_equals_the_explicit_sum(transition, size, order, steps, rank):
    """The first steps see zero states, the later ones a full history."""
    cell = random_cell(transition, size, order, steps, rank)
    tensor_train = transition in ("reduce", "tube", "raw")
    margin = oracle.border(size, order) if tensor_train else 0
    side = 2 * margin + 8
    inner = np.s_[:, margin : side - margin, margin : side - margin]
    history, memory, state = [np.zeros((HIDDEN, side, side))] * steps, np.zeros((HIDDEN, side, side)), None
    for _ in range(steps + 2):
        x = torch.randn(1, INPUTS, side, side, dtype=torch.float64)
        expected = expected_preactivations(cell, transition, x[0].numpy(), history)
        h, c = oracle.lstm(expected, memory)
        hidden, state = cell(x, state or cell.initial_state(x))
        np.testing.assert_allclose(array(hidden)[0][inner], h[inner], atol=1e-10)
        np.testing.assert_allclose(array(state[0])[0][inner], c[inner], atol=1e-10)
        # The cell's own states, whose border is its own, make the next step's history.
        history, memory = [array(hidden)[0], *history[:-1]], array(state[0])[0]


# (inputs, hidden) of each of the twelve layers: 32, 48, 48, 32, and layer 10 also sees layer 3.
LAYERS = [(1, 32), *[(32, 32)] * 2, (32, 48), *[(48, 48)] * 5, (48 + 32, 32), *[(32, 32)] * 2]


def layer_weights(transition: str, x: int, h: int, s: int, n: int, m: int, c: int) -> int:
    gates = 4 * h
    convolutions = {  # (out, in, size, has a bias)
        "equal": [(gates, x + n * h, s, 1)],
        "growing": [(gates, x, s, 1)] + [(gates, h, i * (s - 1) + 1, 0) for i in range(1, n + 1)],
        "reduce": [(c, h, s, 1)] * n + [(c, c, s, 1)] * (n - 1) + [(gates, x + c, s, 1)],
        "tube": [(c, m * h, s, 1)] * n + [(c, c, s, 1)] * (n - 1) + [(gates, x + c, s, 1)],
        "raw": [(h, h, s, 1)] * (n - 1) + [(gates, x + h, s, 1)],
    }
    return sum(out * (into * k * k + bias) for out, into, k, bias in convolutions[transition])


def count(**hyper: Any) -> int:
    with torch.device("meta"):
        return sum(weight.numel() for weight in higher_order(**hyper).parameters())


@pytest.mark.parametrize("size, order, rank", [(5, 3, 8), (3, 1, 4), (3, 4, 2)])
@pytest.mark.parametrize("transition", ["equal", "growing", "reduce", "tube", "raw"])
def test_parameters_equal_the_sum_over_layers(transition, size, order, rank):
    steps = order + 2 if transition == "tube" else order
    layers = (layer_weights(transition, x, h, size, order, steps, rank) for x, h in LAYERS)
    found = count(transition=transition, kernel_size=size, order=order, steps=steps, rank=rank)
    assert found == sum(layers) + (32 + 48) + 1


@pytest.mark.parametrize("transition, degree", [("equal", 1), ("growing", 3), ("reduce", 1), ("raw", 1)])
def test_parameters_grow_with_the_order_as_section_3_1_says(transition, degree):
    """A polynomial of degree d has constant d-th differences, and none after them."""
    counts = [
        count(transition=transition, kernel_size=3, order=n, steps=n, channels=[4, 6, 6, 4])
        for n in range(1, 8)
    ]
    assert len(set(np.diff(counts, degree))) == 1
    assert np.diff(counts, degree)[0] > 0
    assert not np.diff(counts, degree + 1).any()


def small(factory, **hyper: Any):
    torch.manual_seed(3)
    return factory(channels=[3, 4, 4, 3], layers_per_block=1, kernel_size=3, **hyper)


def test_reduce_is_the_papers_model_with_as_many_steps_as_factors():
    frames = torch.rand(2, 6, 1, 9, 10)
    ours, paper = small(higher_order, transition="reduce"), small(conv_tt_lstm)
    torch.testing.assert_close(ours(frames, 3, 3), paper(frames, 3, 3), rtol=0, atol=0)


@pytest.mark.parametrize("transition", ["equal", "growing", "raw"])
def test_first_order_is_the_conv_lstm(transition):
    frames = torch.rand(2, 6, 1, 9, 10)
    ours = small(higher_order, transition=transition, order=1, steps=1)
    torch.testing.assert_close(ours(frames, 3, 3), small(conv_lstm)(frames, 3, 3), rtol=0, atol=0)


@pytest.mark.parametrize("transition", ["equal", "growing", "reduce", "tube", "raw"])
def test_checkpointing_changes_nothing_but_memory(transition):
    frames, found = torch.rand(2, 6, 1, 9, 10), []
    for checkpointing in (False, True):
        model = small(higher_order, transition=transition, checkpointing=checkpointing)
        model(frames, 3, 3, torch.tensor([[True, False], [False, True]])).square().sum().backward()
        found.append([weight.grad for weight in model.parameters()])
    assert all(gradient.abs().sum() > 0 for gradient in found[0])
    torch.testing.assert_close(found[0], found[1])


@pytest.mark.parametrize(
    "wrong", [{"transition": "grow"}, {"steps": 5}, {"transition": "raw", "order": 2}, {"transition": ""}]
)
def test_impossible_settings_are_refused(wrong):
    with pytest.raises(ValueError, match=r"steps equal to order|none of"):
        small(higher_order, **wrong)
