"""Every variant of a training step is the same function, with the same gradients and the same losses."""

import pytest
import torch

from benchmarks import weight_gradients
from benchmarks.fast_paths import DeferredConv, PaddedConv, ProjectingConv
from benchmarks.train_step import measure
from benchmarks.variants import CHANGES, MODELS, RECOMPUTED, TrainingStep, Variant, Work, losses, waves

SETTINGS = {"channels": [3, 4, 4, 3], "layers_per_block": 1, "kernel_size": 3}
TINY = Work(batch=2, side=8, context=2, horizon=2, settings=SETTINGS)
# Without "compiled", which takes a minute; tests/unit/test_models.py does so once.
FAST = [f"ours, {option}" for option in CHANGES if option != "compiled"]
CODES = ["readable", "ours", f"ours, {RECOMPUTED}", *FAST]
UPDATES = 200
TOLERANCE = 1e-4  # of a loss in float32, relative, after so many updates


def frames_and_gradients(name: str, code: str, context: int, horizon: int) -> list[torch.Tensor]:
    model = Variant(name, "float32", code).build(TINY).double()
    frames = waves(torch.Size([2, context + horizon, 1, 8, 8]), seed=0).double().requires_grad_()
    sampling = torch.arange(2 * (horizon - 1)).reshape(2, -1) % 3 == 0
    outputs = model(frames, context, horizon, sampling)
    return [outputs.detach(), *torch.autograd.grad(outputs.square().sum(), [frames, *model.parameters()])]


@pytest.mark.parametrize("context, horizon", [(3, 3), (1, 2), (2, 1)])
@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("name", MODELS)
def test_all_variants_equal_the_textbook(name, code, context, horizon):
    found = frames_and_gradients(name, code, context, horizon)
    expected = frames_and_gradients(name, "textbook", context, horizon)
    assert all(gradient.abs().max() > 0 for gradient in expected)
    for value, exact in zip(found, expected, strict=True):
        torch.testing.assert_close(value, exact, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    "option, kinds", [("padded first layer", [PaddedConv]), ("batched weight gradients", [DeferredConv] * 4)]
)
def test_an_option_changes_the_convolutions(option, kinds):
    """A variant that is ours under another name would pass all comparisons."""
    cells = Variant("conv_tt_lstm", "float32", f"ours, {option}").build(TINY).stack.cells()
    assert [type(cell.gates) for cell in cells[: len(kinds)]] == kinds


def test_the_inputs_of_a_layer_are_convolved_once(monkeypatch):
    calls = []
    project = ProjectingConv.project
    monkeypatch.setattr(ProjectingConv, "project", lambda self, x: calls.append(len(x)) or project(self, x))
    frames_and_gradients("conv_lstm", "ours, inputs at once", 3, 2)
    assert calls == [3 * 2] * 4  # time steps x batch, each layer


@pytest.mark.slow
def test_the_same_seed_gives_the_same_losses():
    found = {
        code: losses(Variant("conv_tt_lstm", "float32", code), TINY, UPDATES)
        for code in ["textbook", "ours", *FAST]
    }
    expected = found.pop("textbook")
    assert expected[-1] < 0.7 * expected[0]  # it learns
    for code, values in found.items():
        assert values == pytest.approx(expected, rel=TOLERANCE), code


@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_warming_up_changes_nothing(precision):
    """Three steps are made and undone before a graph is recorded."""
    found = []
    for warm_up in (0, 3):
        step = TrainingStep(Variant("conv_tt_lstm", precision, "ours"), TINY)
        step.frames.copy_(waves(step.frames.shape, 0))
        step.warm_up(warm_up)
        found.append([])
        for _ in range(3):
            step()
            found[-1].append(step.loss.item())
    assert found[0] == found[1]
    assert len(set(found[0])) == 3


def test_joint_weight_gradients_equal_those_step_by_step():
    rows = weight_gradients.compare("float32", Work(batch=1, side=6), rounds=1)
    assert [row["model"] for row in rows] == MODELS
    assert all(0 < row["difference"] < 1e-5 for row in rows)


@pytest.mark.parametrize("code", ["", "ours,compiled", "ours, fast", "theirs", "textbook, whole-step"])
def test_an_unknown_variant_is_refused(code):
    with pytest.raises(ValueError, match="name one of textbook, readable, ours"):
        Variant("conv_lstm", "float32", code).build(TINY)


@pytest.mark.slow
def test_the_table_compares_with_the_textbook_of_the_same_run():
    variants = [Variant("conv_lstm", "bf16", code) for code in ("textbook", "ours")]
    rows = measure(variants, TINY, rounds=1)
    assert [row["variant"] for row in rows] == ["textbook", "ours"]
    assert rows[0]["times_textbook"] == 1
    assert rows[1]["times_textbook"] == pytest.approx(rows[0]["seconds"] / rows[1]["seconds"])
