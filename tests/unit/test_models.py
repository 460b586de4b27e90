"""What holds for every registered model, and the paper's parameter counts."""

from pathlib import Path

import pytest
import torch
from torch import nn

from convttlstm.config import load_settings
from convttlstm.evaluation.complexity import (
    count_parameters,
    paper_flops,
    step_cost,
)
from convttlstm.files import UserError
from convttlstm.models import create_model, list_models

ROOT = Path(__file__).parents[2]
RECURRENT = ["conv_lstm", "conv_tt_lstm"]
SMALL = {"channels": [3, 4, 4, 3], "layers_per_block": 1, "kernel_size": 3}


def small_model(name: str, in_channels: int = 1, **hyper: object) -> nn.Module:
    torch.manual_seed(0)
    return create_model(name, in_channels, **(SMALL if name in RECURRENT else {}), **hyper)


def from_catalogue(system: str) -> nn.Module:
    model = load_settings(ROOT / "config/paper.yaml").systems[system].model
    return create_model(model.name, **model.hyper())


def random_frames(batch: int = 2, time: int = 6, channels: int = 1) -> torch.Tensor:
    return torch.rand(batch, time, channels, 9, 10, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("system, count", [("conv_lstm", 3_973_201), ("conv_tt_lstm", 2_687_281)])
def test_the_papers_configuration_has_the_papers_parameters(system, count):
    assert count_parameters(from_catalogue(system)) == count


@pytest.mark.parametrize(
    "hyper, count",
    [
        ({"steps": 5}, 3_263_281),
        ({"kernel_size": 3}, 969_009),
        ({"kernel_size": 1}, 109_873),
        ({"order": 1, "steps": 1}, 2_456_497),
    ],
)
def test_parameters_of_other_configurations(hyper, count):
    assert count_parameters(create_model("conv_tt_lstm", **hyper)) == count


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
    assert {system.model.name for system in systems} == set(list_models())


@pytest.mark.parametrize("name", ["conv_lsm", "convttlstm"])
def test_an_unknown_model_is_refused_with_the_nearest(name):
    with pytest.raises(UserError, match="did you mean 'conv_"):
        create_model(name)


def test_an_unknown_setting_is_refused():
    with pytest.raises(UserError, match="ordr"):
        create_model("conv_tt_lstm", ordr=3)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", list_models())
def test_shapes(name, channels):
    frames = random_frames(channels=channels)
    outputs = small_model(name, channels)(frames, 3, 4)
    n = 6 if name in RECURRENT else 4
    assert outputs.shape == (2, n, channels, 9, 10)
    assert outputs.isfinite().all()


@pytest.mark.parametrize("name", RECURRENT)
def test_every_parameter_gets_a_gradient(name):
    model = small_model(name)
    model(random_frames(), 3, 3, torch.tensor([[True, False], [False, True]])).square().sum().backward()
    for parameter, weight in model.named_parameters():
        assert weight.grad is not None and weight.grad.isfinite().all(), parameter
        assert weight.grad.abs().sum() > 0, parameter


@pytest.mark.parametrize("name", list_models())
def test_sequences_of_a_batch_do_not_meet(name):
    model, frames = small_model(name), random_frames(batch=3)
    together = model(frames, 3, 3)
    alone = torch.cat([model(frames[i : i + 1], 3, 3) for i in range(3)])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", RECURRENT)
def test_no_output_depends_on_its_own_or_a_later_frame(name):
    model = small_model(name)
    frames = random_frames().requires_grad_()
    sampling = torch.ones(2, 2, dtype=torch.bool)
    outputs = model(frames, 3, 3, sampling)  # outputs[:, k] predicts frame k + 1, counted from 0
    for k in range(outputs.shape[1]):
        (gradient,) = torch.autograd.grad(outputs[:, k].sum(), frames, retain_graph=True)
        seen = gradient.abs().sum((0, 2, 3, 4)) > 0
        assert seen.tolist() == [t <= k for t in range(6)]


@pytest.mark.parametrize("name", RECURRENT)
def test_sampling_decides_what_is_fed_back(name):
    """All true equals knowing the frames; none equals not having them; a mix is each sequence's own."""
    model, frames = small_model(name), random_frames()
    free = model(frames[:, :3], 3, 3)
    forced = model(frames, 5, 1)
    mask = torch.tensor([[True, True], [False, False]])
    mixed = model(frames, 3, 3, mask)
    torch.testing.assert_close(mixed[0], forced[0])
    torch.testing.assert_close(mixed[1], free[1])
    assert not torch.allclose(free, forced)


@pytest.mark.parametrize("name", RECURRENT)
def test_checkpointing_changes_nothing_but_memory(name):
    frames, gradients, outputs = random_frames(), [], []
    for checkpointing in (False, True):
        model = small_model(name, checkpointing=checkpointing)
        result = model(frames, 3, 3)
        result.square().mean().backward()
        outputs.append(result.detach())
        gradients.append([weight.grad for weight in model.parameters()])
    torch.testing.assert_close(outputs[0], outputs[1], rtol=0, atol=0)
    torch.testing.assert_close(gradients[0], gradients[1])


@pytest.mark.parametrize("name", RECURRENT)
def test_bf16_is_near_float32(name):
    model, frames = small_model(name), random_frames()
    exact = model(frames, 3, 3)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = model(frames, 3, 3)
    assert (rounded.float() - exact).abs().max() < 0.02 * exact.abs().max()


def test_skips_join_the_first_block_to_the_fourth_and_the_second_to_the_output():
    """Cutting a skip's weights leaves the output unmoved by a change that only travels through it."""
    model = small_model("conv_lstm")
    stack = model.stack
    assert [block[0].gates.in_channels for block in stack.blocks] == [
        1 + 3,
        3 + 4,
        4 + 4,
        4 + 3 + 3,
    ]
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
