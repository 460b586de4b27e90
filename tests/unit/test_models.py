"""Properties of every registered model, and the paper's parameter counts."""

import inspect
import json
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from convttlstm.config import load_settings
from convttlstm.config.models import BUILT_IN
from convttlstm.evaluation.complexity import (
    count_parameters,
    paper_flops,
    step_cost,
    write_complexity,
    write_orders,
)
from convttlstm.files import UserError
from convttlstm.models import FACTORIES, create_model, list_models
from tests.tiny_models import GOLDEN, TINY_MODELS, golden_output, outputs, random_frames, tiny_model

ROOT = Path(__file__).parents[2]
TRAINED = sorted(set(list_models()) - {"black", "copy_last"})
# Those that feed frames back step by step, and so take a sampling mask.
STEPWISE = ["conv_lstm", "conv_lstm_ttd", "conv_tt_lstm", "e3d_lstm", "higher_order", "predrnn_pp"]
MIXED = torch.tensor([[True, False], [False, True]])


def from_catalogue(system: str) -> nn.Module:
    model = load_settings(ROOT / "config/paper.yaml").systems[system].model
    return create_model(model.name, **model.hyper())


@pytest.mark.parametrize(
    "system, count",
    [
        ("conv_lstm", 3_973_201),
        ("conv_tt_lstm", 2_687_281),
        ("conv_lstm_ttd", 2_204_497),
        ("conv_lstm_shi", 7_585_296),
        ("predrnn_pp", 15_390_160),
        ("e3d_lstm", 12_898_832),
        ("e3d_lstm_8", 13_980_224),
    ],
)
def test_the_catalogue_has_the_published_parameters(system, count):
    assert count_parameters(from_catalogue(system)) == count


@pytest.mark.parametrize(
    "name, in_channels, hyper, count",
    [
        ("conv_tt_lstm", 1, {"steps": 5}, 3_263_281),
        ("conv_tt_lstm", 1, {"kernel_size": 3}, 969_009),
        ("conv_tt_lstm", 1, {"kernel_size": 1}, 109_873),
        ("conv_tt_lstm", 1, {"order": 1, "steps": 1}, 2_456_497),
        ("conv_lstm_ttd", 3, {}, 2_208_755),
        ("predrnn_pp", 1, {"patch_size": 1}, 15_053_185),
    ],
)
def test_parameters_of_other_configurations(name, in_channels, hyper, count):
    assert count_parameters(create_model(name, in_channels, **hyper)) == count


@pytest.mark.parametrize(
    "system, size, billions",
    [
        ("conv_lstm", 64, 16.27),
        ("conv_lstm", 120, 57.19),
        ("conv_tt_lstm", 64, 11.00),
        ("conv_tt_lstm", 120, 38.66),
    ],
)
def test_multiplications_per_step(system, size, billions):
    found = step_cost(from_catalogue(system), size).multiplications
    assert round(found / 1e9, 2) == billions


@pytest.mark.parametrize("system", ["conv_tt_lstm", "higher_growing", "conv_lstm_shi", "e3d_lstm"])
def test_each_size_costs_what_it_does_alone(system, tmp_path):
    """Recurrent models are counted on one pixel, and the result is multiplied."""
    settings = load_settings(ROOT / "config/paper.yaml")
    only = settings.model_copy(update={"systems": {system: settings.systems[system]}, "experiments": {}})
    write_complexity({"paper": only}, tmp_path / "costs.csv")
    (found,) = pd.read_csv(tmp_path / "costs.csv").to_dict("records")
    for size in (64, 128):
        cost = step_cost(from_catalogue(system), size)
        assert found[f"multiplications_{size}"] == cost.multiplications
        assert found[f"activation_bytes_{size}"] == cost.activation_bytes


def test_a_model_that_has_several_names_is_counted_under_each(tmp_path):
    """Reports look counts up by name: two entries of the catalogue, and a row of Table 4."""
    settings = load_settings(ROOT / "config/paper.yaml")
    kept, experiment = ["conv_tt_lstm", "conv_tt_n3"], settings.experiments["moving_mnist_2"]
    windows = [
        row for row in experiment.ablations if row.system == "conv_tt_lstm" and row.hyper() == {"steps": 5}
    ]
    only = settings.model_copy(
        update={
            "systems": {name: settings.systems[name] for name in kept}
            | {"again": settings.systems["conv_tt_n3"]},
            "experiments": {"moving_mnist_2": experiment.model_copy(update={"ablations": windows})},
        }
    )
    write_complexity({"paper": only}, tmp_path / "costs.csv")
    counts = pd.read_csv(tmp_path / "costs.csv").set_index("system").drop(columns=["scale", "title"])
    assert list(counts.index) == ["conv_tt_lstm", "conv_tt_n3", "again", "conv_tt_lstm M5"]
    assert counts["parameters"].tolist() == [2_687_281, *[3_263_281] * 3]
    assert len(counts[1:].drop_duplicates()) == 1


@pytest.mark.parametrize(
    "parameters, size, billions",
    [
        (3_973_201, 64, 15.88),
        (2_687_281, 64, 10.76),
        (3_973_201, 120, 55.83),
        (2_687_281, 120, 37.83),
    ],
)
def test_the_papers_flops_column_is_arithmetic_on_parameters(parameters, size, billions):
    assert round(paper_flops(parameters, size) / 1e9, 2) == billions


def test_every_model_of_the_catalogue_is_registered():
    systems = load_settings(ROOT / "config/paper.yaml").systems.values()
    assert {system.model.name for system in systems} == {*list_models(), "recognizer"}


@pytest.mark.parametrize("name", BUILT_IN)
def test_settings_have_the_defaults_of_the_model(name):
    """A recognizer's classes and frame size come from the data set."""
    required = {"cell": "conv_lstm"} if name == "recognizer" else {}
    given = inspect.signature(FACTORIES[name]).parameters.values()
    defaults = {each.name: each.default for each in given if each.kind is each.KEYWORD_ONLY} | required
    defaults = {key: list(value) if isinstance(value, tuple) else value for key, value in defaults.items()}
    from_data = {"classes", "size"} if required else set()
    settings = BUILT_IN[name](name=name, **required).hyper()
    assert settings == {key: value for key, value in defaults.items() if key not in from_data}


@pytest.mark.parametrize("name", ["conv_lsm", "convttlstm"])
def test_an_unknown_model_is_refused_with_the_nearest(name):
    with pytest.raises(UserError, match="did you mean 'conv_"):
        create_model(name)


def test_an_unknown_setting_is_refused():
    with pytest.raises(UserError, match="ordr"):
        create_model("conv_tt_lstm", ordr=3)


def test_every_trained_model_is_tested():
    assert sorted(TINY_MODELS) == TRAINED


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", list_models())
def test_shapes(name, channels):
    if (name, channels) == ("vpn", 3):
        with pytest.raises(ValueError, match="grey"):
            tiny_model(name, channels)
        return
    frames = random_frames(channels=channels)
    predicted = tiny_model(name, channels)(frames, 3, 4)
    n = 6 if name in STEPWISE else 4
    assert predicted.shape == (2, n, channels, 8, 16)
    assert predicted.isfinite().all()


@pytest.mark.parametrize("name", TRAINED)
def test_every_parameter_gets_a_finite_gradient(name):
    model = tiny_model(name)
    outputs(model, random_frames(), 3, 3, MIXED).square().sum().backward()
    for parameter, weight in model.named_parameters():
        assert weight.grad is not None and weight.grad.isfinite().all(), parameter
        assert weight.grad.abs().sum() > 0, parameter


@pytest.mark.parametrize("name", list_models())
def test_sequences_of_a_batch_are_independent(name):
    model, frames = tiny_model(name), random_frames(batch=3)
    together = model(frames, 3, 3)
    alone = torch.cat([model(frames[i : i + 1], 3, 3) for i in range(3)])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", TRAINED)
def test_no_output_depends_on_its_own_or_a_later_frame(name):
    """With all true frames fed back, an output depends on every frame that it may know."""
    model, frames = tiny_model(name), random_frames().requires_grad_()
    result = outputs(model, frames, 3, 3, torch.ones(2, 2, dtype=torch.bool))
    first = 6 - result.shape[1]  # the frame that result[:, 0] predicts, counted from 0
    for k in range(result.shape[1]):
        (gradient,) = torch.autograd.grad(result[:, k].sum(), frames, retain_graph=True)
        seen = (gradient.abs().sum((0, 2, 3, 4)) > 0).tolist()
        if name == "vpn":  # test_vpn.py looks at the pixels of the frame itself
            assert seen[:3] == [True] * 3 and not any(seen[first + k + 1 :])
        elif name in STEPWISE:
            assert seen == [t < first + k for t in range(6)]
        else:
            assert seen == [True, True, True, False, False, False]


@pytest.mark.parametrize("name", STEPWISE)
def test_the_sampling_mask_decides_which_frames_are_fed_back(name):
    """All true equals knowing the frames; none equals not having them; a mix is each sequence's own."""
    model, frames = tiny_model(name), random_frames()
    free = model(frames[:, :3], 3, 3)
    forced = model(frames, 5, 1)
    mixed = model(frames, 3, 3, torch.tensor([[True, True], [False, False]]))
    torch.testing.assert_close(mixed[0], forced[0], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(mixed[1], free[1], rtol=1e-4, atol=1e-5)
    assert not torch.allclose(free, forced)


@pytest.mark.parametrize("name", list_models())
def test_a_longer_horizon_begins_like_a_shorter_one(name):
    model, frames = tiny_model(name), random_frames()
    longer, shorter = model(frames, 3, 5)[:, -5:-2], model(frames, 3, 3)[:, -3:]
    torch.testing.assert_close(longer, shorter, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "name, choice, most",
    [(name, True, 0.6) for name in TRAINED]
    + [(name, [2, 3], 0.8) for name in ("conv_lstm", "conv_lstm_ttd", "conv_tt_lstm", "higher_order")],
)
def test_checkpointing_changes_nothing_but_memory(name, choice, most):
    frames, gradients, results, saved = random_frames(), [], [], []
    for checkpointing in (False, choice):
        model, sizes = tiny_model(name, checkpointing=checkpointing), []

        def note(tensor: Tensor, sizes: list[int] = sizes) -> Tensor:
            sizes.append(tensor.numel())
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
            result = outputs(model, frames, 3, 3, MIXED)
        saved.append(sum(sizes))
        result.square().mean().backward()
        results.append(result.detach())
        gradients.append([weight.grad for weight in model.parameters()])
    torch.testing.assert_close(results[0], results[1], rtol=0, atol=0)
    torch.testing.assert_close(gradients[0], gradients[1])
    assert saved[1] < most * saved[0]


def test_only_the_named_blocks_are_recomputed():
    model, calls = tiny_model("conv_lstm", checkpointing=[1, 3]), Counter[int]()
    for number, block in enumerate(model.stack.blocks, start=1):
        for cell in block:
            cell.register_forward_pre_hook(lambda *_, number=number: calls.update([number]))
    result, layers = outputs(model, random_frames(), 3, 3, MIXED), len(model.stack.blocks[0])
    assert calls == dict.fromkeys([1, 2, 3, 4], 5 * layers)  # 3 + 3 - 1 time steps
    result.sum().backward()
    assert calls == {1: 10 * layers, 2: 5 * layers, 3: 10 * layers, 4: 5 * layers}


@pytest.mark.parametrize("name", TRAINED)
def test_weights_are_saved_and_loaded_exactly(name, tmp_path):
    model, frames = tiny_model(name), random_frames()
    weights = {key: value.contiguous() for key, value in model.state_dict().items()}
    save_file(weights, tmp_path / "weights.safetensors")
    other = create_model(name, **TINY_MODELS[name])
    assert not torch.equal(outputs(other, frames, 3, 3, MIXED), outputs(model, frames, 3, 3, MIXED))
    other.load_state_dict(load_file(tmp_path / "weights.safetensors"))
    torch.testing.assert_close(
        outputs(other, frames, 3, 3, MIXED), outputs(model, frames, 3, 3, MIXED), rtol=0, atol=0
    )


@pytest.mark.parametrize("name", TRAINED)
def test_golden_output(name):
    """As committed; see tests/tiny_models.py."""
    torch.testing.assert_close(
        golden_output(name), json.loads(GOLDEN.read_text())[name], rtol=1e-9, atol=1e-9
    )


@pytest.mark.parametrize("name", TRAINED)
def test_bf16_is_near_float32(name):
    model, frames = tiny_model(name), random_frames()
    exact = outputs(model, frames, 3, 3, MIXED)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = outputs(model, frames, 3, 3, MIXED)
    # Eight bits, through some twenty layers; normalised layers lose most.
    assert (rounded.float() - exact).abs().max() < 0.05 * exact.abs().max()


@pytest.mark.parametrize("name", TRAINED)
def test_gradients_are_those_of_finite_differences(name):
    """In float64, with respect to frames and to the weights along one direction."""
    model = tiny_model(name).double()
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():  # away from zero biases, where norms have kinks
        for weight in model.parameters():
            weight.add_(0.1 * torch.randn(weight.shape, generator=generator, dtype=torch.float64))
    directions = [torch.randn(w.shape, generator=generator, dtype=torch.float64) for w in model.parameters()]
    start = [weight.detach().clone() for weight in model.parameters()]
    frames = random_frames(batch=1).double()
    pattern = torch.randn(frames.shape, generator=generator, dtype=torch.float64)

    def value(way: Tensor, step: Tensor) -> Tensor:
        moved = {
            key: origin + step * direction
            for (key, _), origin, direction in zip(model.named_parameters(), start, directions, strict=True)
        }
        named = {f"model.{key}": weight for key, weight in moved.items()}
        return torch.func.functional_call(Outputs(model), named, (frames + way * pattern,)).sum()

    zero = torch.zeros((), dtype=torch.float64)
    assert torch.autograd.gradcheck(
        value, (zero.clone().requires_grad_(), zero.clone().requires_grad_()), eps=1e-6, atol=1e-5, rtol=1e-4
    )


class Outputs(nn.Module):
    """A model whose call gives the outputs that training differentiates."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, frames: Tensor) -> Tensor:
        return outputs(self.model, frames, 3, 3, MIXED[:1])


def test_skips_lead_from_block_1_to_4_and_from_2_to_the_output():
    """The inputs of the fourth block and of the output are joined from two blocks each."""
    model = tiny_model("conv_lstm")
    stack = model.stack
    assert [block[0].gates.in_channels for block in stack.blocks] == [1 + 3, 3 + 4, 4 + 4, 4 + 3 + 3]
    assert model.output.in_channels == 3 + 4
    seen: dict[str, torch.Tensor] = {}
    for index, block in enumerate(stack.blocks):
        block[-1].register_forward_hook(lambda *call, key=f"out{index}": seen.update({key: call[2][0]}))
    stack.blocks[3][0].register_forward_pre_hook(lambda _, inputs: seen.update(input3=inputs[0]))
    model.output.register_forward_pre_hook(lambda _, inputs: seen.update(features=inputs[0]))
    model(random_frames(), 1, 1)
    torch.testing.assert_close(seen["input3"], torch.cat([seen["out2"], seen["out0"]], 1))
    torch.testing.assert_close(seen["features"], torch.cat([seen["out3"], seen["out1"]], 1))


def test_naive_predictions():
    frames = random_frames()
    torch.testing.assert_close(create_model("copy_last")(frames, 3, 2)[:, 1], frames[:, 2])
    assert create_model("black")(frames, 3, 2).abs().sum() == 0


def test_orders_are_counted_like_the_catalogues_models(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("convttlstm.evaluation.complexity.ORDERS", [3])
    write_orders(tmp_path / "orders.csv")
    _, *lines = (tmp_path / "orders.csv").read_text().splitlines()
    counted = [tuple(map(int, line.rsplit(",", 3)[1:])) for line in lines]
    # Table 2's parameters, and the multiplications of the complexity table.
    assert counted[0] == (3, 2_687_281, 10_997_268_480)
    assert [parameters for _, parameters, _ in counted[1:]] == [7_966_801, 23_941_201]
