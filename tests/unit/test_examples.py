"""The models in examples/ agree with their papers, and are trained like your own model."""

import json
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from convttlstm.evaluation.complexity import count_parameters, step_cost
from convttlstm.models import create_model
from tests.conftest import ROOT, Project

SIMVP, PREDRNN = "examples/simvp.py:SimVP", "examples/predrnn_v2.py:PredRnnV2"
TINY = {
    SIMVP: {"frames": 3, "channels": 4, "layers": 2, "hidden": 8, "blocks": 2, "groups": 2},
    PREDRNN: {"channels": 3, "layers": 2, "kernel_size": 3, "patch_size": 2},
}
STEPWISE = pytest.mark.parametrize("name, stepwise", [(SIMVP, False), (PREDRNN, True)])


@pytest.fixture(autouse=True)
def _at_the_root(monkeypatch):
    monkeypatch.chdir(ROOT)


def tiny(name, in_channels=1, **settings):
    torch.manual_seed(0)
    return create_model(name, in_channels, **TINY[name] | settings)


@pytest.mark.parametrize(
    "name, count, printed",
    [
        # OpenSTL's model zoo. For SimVP it prints 58.0, seemingly rounded twice: its code has 57.946.
        (SIMVP, 57_946_113, 57.9),
        (PREDRNN, 23_855_104, 23.9),
    ],
)
def test_parameters_are_as_many_as_published(name, count, printed):
    with torch.device("meta"):
        model = create_model(name)
    assert count_parameters(model) == count
    assert round(count / 1e6, 1) == printed


@pytest.mark.parametrize(
    "name, frames, billions",
    [
        (SIMVP, 10, 19.4),  # of all frames that are computed, as OpenSTL prints them
        (PREDRNN, 19, 116.6),
    ],
)
def test_multiplications_are_as_many_as_published(name, frames, billions):
    with torch.device("meta"):
        model = create_model(name).eval()
    found = frames * step_cost(model, 64, context=10, horizon=10).multiplications
    assert found / 1e9 == pytest.approx(billions, rel=0.01)


def test_predrnn_v2_has_one_small_convolution_more_than_predrnn():
    with torch.device("meta"):
        model = create_model(PREDRNN)
    assert round((count_parameters(model) - count_parameters(model.decouple)) / 1e6, 1) == 23.8


def test_simvp_has_the_parameters_that_its_equations_give():
    def conv(inputs, outputs, size, groups=1):
        return inputs * outputs * size**2 // groups + outputs

    def inception(inputs, outputs):
        branches = (conv(4, outputs, size, 2) + 2 * outputs for size in (3, 5, 7, 11))
        return conv(inputs, 4, 1) + sum(branches)

    layers = [conv(1, 4, 3), conv(4, 4, 3), conv(4, 16, 3), conv(4, 4, 3)]  # 16 to be shuffled
    translator = inception(12, 8) + inception(8, 8) + inception(8, 8) + inception(16, 12)
    assert count_parameters(tiny(SIMVP)) == sum(layers) + 4 * 2 * 4 + translator + conv(4, 1, 1)


@STEPWISE
@pytest.mark.parametrize("in_channels, horizon", [(1, 2), (3, 3), (1, 7)])
def test_shapes(name, stepwise, in_channels, horizon):
    frames = torch.rand(2, 10, in_channels, 8, 16)
    predicted = tiny(name, in_channels)(frames, 3, horizon)
    assert predicted.shape == (2, horizon + 2 * stepwise, in_channels, 8, 16)
    assert predicted.isfinite().all()


@STEPWISE
def test_the_prediction_follows_from_the_input_frames_alone(name, stepwise):
    frames = torch.rand(1, 8, 1, 8, 8, requires_grad=True)
    tiny(name)(frames, 3, 5)[:, -5:].sum().backward()
    needed = frames.grad.abs().amax(dim=(0, 2, 3, 4)) > 0
    assert needed.tolist() == [True] * 3 + [False] * 5


def test_predrnn_v2_reconstructs_each_frame_from_those_before():
    frames = torch.rand(1, 5, 1, 8, 8, requires_grad=True)
    outputs = tiny(PREDRNN)(frames, 5, 1)
    for t in range(5):
        (gradient,) = torch.autograd.grad(outputs[:, t].sum(), frames, retain_graph=True)
        assert (gradient.abs().amax(dim=(0, 2, 3, 4)) > 0).tolist() == [True] * (t + 1) + [False] * (4 - t)


def test_predrnn_v2_is_fed_true_frames_where_the_mask_says_so():
    model, frames = tiny(PREDRNN), torch.rand(2, 5, 1, 8, 8)
    fed = model(frames, 3, 2, torch.tensor([[True], [False]]))
    torch.testing.assert_close(fed[:1], model(frames[:1], 4, 1))
    torch.testing.assert_close(fed[1:], model(frames[1:], 3, 2))


def test_simvp_continues_from_its_own_prediction():
    model, frames = tiny(SIMVP), torch.rand(2, 4, 1, 8, 8)
    first = model(frames, 4, 3)
    torch.testing.assert_close(first, model(frames[:, 1:], 3, 3))
    torch.testing.assert_close(model(frames, 4, 5), torch.cat([first, model(first, 3, 2)], dim=1))


def test_simvp_refuses_too_few_input_frames():
    with pytest.raises(ValueError, match="settings for 3 input frames, not 2"):
        tiny(SIMVP)(torch.rand(1, 4, 1, 8, 8), 2, 2)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def test_predrnn_v2_follows_its_papers_equations():
    """On frames of one pixel, in float64, with the kernels' middles as numbers."""
    model = tiny(PREDRNN, channels=1, patch_size=1).double().eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.copy_(torch.randn(weight.shape, dtype=torch.float64))
    frames = torch.rand(1, 3, 1, 1, 1, dtype=torch.float64)
    middles = {
        name: w[:, :, w.shape[2] // 2, w.shape[3] // 2].numpy() for name, w in model.state_dict().items()
    }
    h, c, m, outputs, x = [0.0, 0.0], [0.0, 0.0], 0.0, [], 0.0
    for t in range(4):
        x = frames[0, t].item() if t < 3 else outputs[-1]
        for k in (0, 1):
            w = {name: middles[f"layers.{k}.{name}.weight"] for name in ("from_x", "from_h", "from_m")}
            g, i, f, g2, i2, f2, o = (w["from_x"] * x)[:, 0]
            g_h, i_h, f_h, o_h = (w["from_h"] * h[k])[:, 0]
            g_m, i_m, f_m = (w["from_m"] * m)[:, 0]
            c[k] = sigmoid(f + f_h + 1) * c[k] + sigmoid(i + i_h) * np.tanh(g + g_h)
            m = sigmoid(f2 + f_m + 1) * m + sigmoid(i2 + i_m) * np.tanh(g2 + g_m)
            (from_c, from_m), (join_c, join_m) = (
                middles[f"layers.{k}.{name}.weight"][0] for name in ("from_memories", "join")
            )
            o = sigmoid(o + o_h + from_c * c[k] + from_m * m)
            x = h[k] = o * np.tanh(join_c * c[k] + join_m * m)
        outputs.append((middles["output.weight"] * x).item())
    np.testing.assert_allclose(model(frames, 3, 2)[0, :, 0, 0, 0].detach().numpy(), outputs, rtol=1e-12)


def test_predrnn_v2_adds_the_decoupling_loss_in_training_only():
    model, frames, entered = tiny(PREDRNN), torch.rand(2, 4, 1, 4, 8), []
    for layer in model.layers:
        layer.register_forward_hook(lambda _layer, _input, output: entered.append(output[3:]))
    model.eval()(frames, 3, 2)
    assert not hasattr(model, "extra_loss")
    entered.clear()
    model.train()(frames, 3, 2)
    kernel = model.decouple.weight[:, :, 0, 0].detach().double().numpy()
    cosines = []
    for pair in entered:
        into_c, into_m = (np.einsum("oc,bchw->bohw", kernel, new.detach().double()) for new in pair)
        for b in range(2):
            for channel in range(3):
                one, other = into_c[b, channel].ravel(), into_m[b, channel].ravel()
                cosines.append(abs(one @ other) / (np.linalg.norm(one) * np.linalg.norm(other)))
    assert len(cosines) == 4 * 2 * 2 * 3  # steps, layers, sequences, channels
    assert model.extra_loss.item() == pytest.approx(0.1 * np.mean(cosines), rel=1e-5)


@pytest.mark.slow
def test_examples_are_trained_and_evaluated_like_other_models(project: Project):
    """The decoupling loss alone reaches the convolution that it is made with."""
    shutil.copytree(ROOT / "examples", project.folder / "examples", ignore=shutil.ignore_patterns("__*"))
    systems = {
        key: {"title": key.upper(), "model": {"name": name, "settings": TINY[name]}}
        for key, name in (("simvp", SIMVP), ("predrnn_v2", PREDRNN))
    }
    experiment = {"table": ["copy_last", *systems], "published": [], "ablations": [], "grid": []}
    project.configure(systems=systems, experiments={"moving_mnist_2": experiment})
    runs = "results/tiny/runs/moving_mnist_2"
    done = project.snakemake("--", *(f"{runs}/{key}-seed0/metrics.json" for key in systems))
    assert done.returncode == 0, done.stdout
    runs = project.folder / runs
    for key, name in (("simvp", SIMVP), ("predrnn_v2", PREDRNN)):
        metrics = json.loads((runs / f"{key}-seed0/metrics.json").read_text())
        assert metrics["parameters"] == count_parameters(tiny(name))
    trained = load_file(runs / "predrnn_v2-seed0/best.safetensors")["decouple.weight"]
    assert not torch.equal(trained, tiny(PREDRNN).decouple.weight)
