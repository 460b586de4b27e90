"""Weights of the authors' layout against the oracle, and through files and commands; model cards."""

import hashlib
import json
import resource
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from benchmarks import oracle
from convttlstm import hub
from convttlstm.config import load_settings, read_run, resolve_run
from convttlstm.evaluation.predict import predict
from convttlstm.files import UserError
from convttlstm.models import create_model
from convttlstm.sharing.exchange import _metrics
from convttlstm.sharing.released import from_released
from tests.conftest import RUN, Project, make_project
from tests.tiny_models import windows_of
from tests.video_files import write_video

CHANNELS = [2, 3, 3, 2]
INPUTS = [1, 2, 3, 3 + 2]  # of the four blocks, one layer each; the last has the first's output too
SETTINGS = [(3, 1, 2, 1), (3, 2, 3, 4), (5, 3, 2, 3), (3, 3, 2, 5), (1, 3, 2, 3), (3, 4, 1, 4)]  # S, N, C, M


def released(size: int, order: int, rank: int, steps: int, three_d: bool = False) -> dict[str, Tensor]:
    """Random weights by the names and shapes of the release."""
    draw = torch.Generator().manual_seed(100 * size + 10 * order + steps)
    lags, weights = steps - order + 1, {}

    def convolution(name: str, *shape: int) -> None:
        weights[f"{name}.weight"] = 0.3 * torch.randn(shape, generator=draw, dtype=torch.float64)
        weights[f"{name}.bias"] = 0.3 * torch.randn(shape[0], generator=draw, dtype=torch.float64)

    for block, (inputs, hidden) in enumerate(zip(INPUTS, CHANNELS, strict=True)):
        for j in range(order):
            window = (hidden, size, size, lags) if three_d else (lags * hidden, size, size)
            convolution(f"layers.b{block}l0.layers_.{j}", rank, *window)
        for j in range(order - 1):
            convolution(f"layers.b{block}l0.layers.{j}", rank, rank, size, size)
        convolution(f"layers.b{block}l0.layers.{order - 1}", 4 * hidden, inputs + rank, size, size)
    convolution("layers.output", 1, CHANNELS[3] + CHANNELS[1], 1, 1)
    return weights


def model_of(weights: dict[str, Tensor], size: int, order: int, rank: int, steps: int) -> torch.nn.Module:
    hyper = {"kernel_size": size, "order": order, "rank": rank, "steps": steps}
    model = create_model("conv_tt_lstm", channels=CHANNELS, layers_per_block=1, **hyper).double()
    model.load_state_dict(from_released(weights))
    return model


@pytest.mark.parametrize("three_d", [False, True])
@pytest.mark.parametrize("size, order, rank, steps", SETTINGS)
def test_imported_layers_equal_the_oracle_on_the_authors_arrays(size, order, rank, steps, three_d):
    """The oracle reads the authors' arrays itself: windows and factors from the oldest, inputs first."""
    weights = released(size, order, rank, steps, three_d)
    model, lags = model_of(weights, size, order, rank, steps), steps - order + 1
    for block, (inputs, hidden) in enumerate(zip(INPUTS, CHANNELS, strict=True)):
        own = {name.removeprefix(f"layers.b{block}l0."): value.numpy() for name, value in weights.items()}
        p = []
        for i in range(1, order + 1):
            window = own[f"layers_.{order - i}.weight"]
            oldest_first = (
                [window[..., lag] for lag in range(lags)]
                if three_d
                else [window[:, lag * hidden : (lag + 1) * hidden] for lag in range(lags)]
            )
            p.append(np.concatenate(oldest_first[::-1], axis=1))
        last = own[f"layers.{order - 1}.weight"]
        factors = [own[f"layers.{order - i}.weight"] for i in range(2, order + 1)]
        factor_biases = [own[f"layers.{order - i}.bias"] for i in range(1, order + 1)]
        cell, margin = model.stack.blocks[block][0], oracle.border(size, order)
        history = [torch.randn(1, hidden, 20, 21, dtype=torch.float64) for _ in range(steps)]
        x = torch.randn(1, inputs, 20, 21, dtype=torch.float64)
        found = cell.preactivations(x, windows_of(cell, history))[0].detach().numpy()
        arrays = [state[0].numpy() for state in history]
        expected = oracle.preactivations(
            x[0].numpy(),
            oracle.windows(arrays, p, [own[f"layers_.{order - i}.bias"] for i in range(1, order + 1)]),
            last[:, :inputs],
            [last[:, inputs:], *factors],
            factor_biases,
        )
        inside = np.s_[:, margin : 20 - margin, margin : 21 - margin]
        assert found[inside].size
        np.testing.assert_allclose(found[inside], expected[inside], atol=1e-10)


def test_baseline_weights_of_several_gpus_are_imported():
    theirs = {}
    for block, (inputs, hidden) in enumerate(zip(INPUTS, CHANNELS, strict=True)):
        theirs[f"module.layers.b{block}l0.conv.weight"] = torch.randn(4 * hidden, inputs + hidden, 3, 3)
        theirs[f"module.layers.b{block}l0.conv.bias"] = torch.randn(4 * hidden)
    theirs["module.layers.output.weight"] = torch.zeros(1, 5, 1, 1)
    theirs["module.layers.output.bias"] = torch.ones(1)
    model = create_model("conv_lstm", channels=CHANNELS, layers_per_block=1, kernel_size=3)
    model.load_state_dict(from_released(theirs))
    assert torch.equal(model.stack.blocks[3][0].gates.weight, theirs["module.layers.b3l0.conv.weight"])


@pytest.mark.parametrize(
    "change, reason",
    [
        (lambda w: w.pop("layers.b1l0.layers_.1.bias"), "holds no layers.b1l0.layers_.1.bias"),
        (lambda w: w.update({"layers.extra": torch.zeros(1)}), "holds layers.extra"),
        (lambda w: w.clear(), "no weights named layers.b0l0"),
    ],
)
def test_other_layouts_are_named(change, reason):
    weights = released(3, 2, 2, 2)
    change(weights)
    with pytest.raises(UserError, match=reason):
        from_released(weights)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A prepared project with a checkpoint for its Conv-TT-LSTM."""
    project = make_project(tmp_path_factory.mktemp("exchange"))
    project.prepare()
    torch.save({"epoch": 7, "model_state_dict": released(3, 3, 8, 3)}, project.folder / "release.pt")
    return project


def import_weights(
    project: Project, output: Path, run: str = RUN, file: str = "release.pt", digest: str = ""
) -> subprocess.CompletedProcess[str]:
    path = project.folder / file
    digest = digest or hashlib.sha256(path.read_bytes()).hexdigest()
    config = ["--config", project.config, "--dataset", "moving_mnist_2"]
    return project.call("import-weights", *config, run, path, "--sha256", digest, "-o", output)


def test_imported_weights_are_evaluated_and_exported_with_a_card(project: Project, tmp_path: Path):
    run, exported = tmp_path / "run", tmp_path / "model"
    assert import_weights(project, run).returncode == 0
    assert project.evaluate(run).returncode == 0
    metrics = json.loads((run / "metrics.json").read_text())["horizons"]["5"]
    assert {"ssim_paper", "ssim_standard"} <= set(metrics)

    assert project.call("export-weights", run, "-o", exported).returncode == 0
    model = hub.load(exported)
    expected = model_of(released(3, 3, 8, 3), 3, 3, 8, 3)
    frames = torch.rand(1, 3, 1, 16, 16)
    with torch.no_grad():
        found, exact = model(frames, 3, 3), expected(frames.double(), 3, 3)
    torch.testing.assert_close(found.double(), exact, atol=1e-4, rtol=0)
    card = (exported / "README.md").read_text()
    assert "tiny scale" in card and "imported from release.pt" in card
    assert f"| 5 | mse | {metrics['mse']['mean']:.6g} |" in card


@pytest.mark.parametrize("name", ["conv_lstm", "conv_tt_lstm"])
def test_an_output_sigmoid_applies_to_every_frame_and_to_feedback(name: str):
    sizes = {"channels": [2, 2, 2, 2], "layers_per_block": 1, "kernel_size": 3}
    linear, sigmoid = create_model(name, **sizes), create_model(name, **sizes, output="sigmoid")
    sigmoid.load_state_dict(linear.state_dict())
    frames = torch.rand(2, 3, 1, 8, 8)
    with torch.no_grad():
        found = sigmoid(frames, 3, 2)[:, -2:]
        first = torch.sigmoid(linear(frames, 3, 1)[:, -1:])
        second = torch.sigmoid(linear(torch.cat([frames, first], dim=1), 4, 1)[:, -1:])
    torch.testing.assert_close(found, torch.cat([first, second], dim=1))


def test_importing_says_how_to_set_an_output_sigmoid(project: Project, tmp_path: Path):
    said = import_weights(project, tmp_path / "run").stdout
    assert "set systems.conv_tt_lstm.model.output: sigmoid and import it again" in said
    project.configure(systems={"conv_tt_lstm": {"model": {"output": "sigmoid"}}})
    try:
        assert "sigmoid" not in import_weights(project, tmp_path / "other").stdout
        assert project.evaluate(tmp_path / "other").returncode == 0
        refused = project.evaluate(tmp_path / "run")
        assert "with other settings (model.output is 'sigmoid', was 'linear')" in refused.stderr
    finally:
        project.configure()


def test_published_weights_predict_as_the_run_does(project: Project, tmp_path: Path):
    run, exported, video = tmp_path / "run", tmp_path / "model", tmp_path / "video.avi"
    assert import_weights(project, run).returncode == 0
    assert project.call("export-weights", run, "-o", exported).returncode == 0
    write_video(video, np.random.default_rng(0).integers(0, 256, (12, 16, 16), np.uint8))
    outputs = [tmp_path / "run.npy", tmp_path / "model.npy"]
    for folder, output in zip((run, exported), outputs, strict=True):
        assert project.call("predict", folder, video, "--horizon", 5, "-o", output).returncode == 0
    np.testing.assert_array_equal(*map(np.load, outputs))


def test_pictures_and_arrays_are_predicted_like_videos(project: Project, tmp_path: Path):
    run, frames = tmp_path / "run", np.random.default_rng(0).integers(0, 256, (9, 16, 16), np.uint8)
    assert import_weights(project, run).returncode == 0
    inputs = [tmp_path / name for name in ("video.avi", "array.npy", "pictures")]
    write_video(inputs[0], frames)
    np.save(inputs[1], frames)
    inputs[2].mkdir()
    for number, frame in enumerate(frames):
        Image.fromarray(frame).save(inputs[2] / f"{number}.png")
    found = [predict(run, path, 5).prediction for path in inputs]
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])
    with pytest.raises(UserError, match=r"nowhere: no such file, and no folder of pictures"):
        predict(run, tmp_path / "nowhere", 5)


def test_a_full_disk_leaves_no_weights_and_one_line(project: Project, tmp_path: Path):
    """safetensors has an error of its own for it."""
    path = project.folder / "release.pt"
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    arguments = ["--config", project.config, "--dataset", "moving_mnist_2", RUN, path, "--sha256", digest]

    def full() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))  # less than the weights

    done = project.spawn("import-weights", *arguments, "-o", tmp_path, preexec_fn=full)
    assert done.returncode == 1 and done.stderr.count("\n") == 1, done.stderr
    assert "best.safetensors: cannot be written" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["config.json"]


def test_without_a_video_the_first_test_sequence_is_predicted(project: Project, tmp_path: Path):
    run, output = tmp_path / "run", tmp_path / "prediction.npy"
    assert import_weights(project, run).returncode == 0
    assert project.call("predict", run, "--horizon", 4, "-o", output).returncode == 0
    model, settings = model_of(released(3, 3, 8, 3), 3, 3, 8, 3), read_run(run)
    context = settings.dataset.context
    first = torch.from_numpy(np.load(project.data / "test.npy")[:1, :context])[:, :, None] / 255
    with torch.no_grad():
        expected = model(first.double(), context, 4)[0, -4:].clamp(0, 1)
    assert np.abs(np.load(output) / 255 - expected.numpy()).max() < 1 / 255


def test_without_a_video_a_test_file_is_not_replaced_by_drawn_digits(project: Project, tmp_path: Path):
    run = tmp_path / "run"
    assert import_weights(project, run).returncode == 0
    config = json.loads((run / "config.json").read_text())
    config["dataset"]["test_file"] = "mnist_test_seq.npy"
    (run / "config.json").write_text(json.dumps(config))
    done = project.call("predict", run, "--horizon", 4, "-o", tmp_path / "prediction.npy")
    assert done.returncode == 1
    assert "its test sequences are in mnist_test_seq.npy; name a video" in done.stderr


def test_metrics_of_other_weights_are_not_published(project: Project, tmp_path: Path):
    """The second file's weights share their memory, and its epoch is a tensor."""
    run, exported = tmp_path / "run", tmp_path / "model"
    assert import_weights(project, run).returncode == 0
    (run / "metrics.json").write_text(json.dumps({"horizons": {}}))
    assert import_weights(project, run).returncode == 0 and (run / "metrics.json").exists()
    shared = torch.zeros(10_000)
    shapes = {name: tensor.shape for name, tensor in released(3, 3, 8, 3).items()}
    others = {name: shared[: shape.numel()].view(shape) for name, shape in shapes.items()}
    torch.save({"epoch": torch.tensor(3), "model_state_dict": others}, project.folder / "others.pt")
    done = import_weights(project, run, file="others.pt")
    assert done.returncode == 0, done.stderr
    assert project.call("export-weights", run, "-o", exported).returncode == 0
    assert "Not evaluated on the test split." in (exported / "README.md").read_text()


def test_a_card_says_where_there_is_no_interval(tmp_path: Path):
    metrics = tmp_path / "metrics.json"
    metrics.write_text(json.dumps({"horizons": {"5": {"mse": {"mean": 0.25, "low": None, "high": None}}}}))
    run = resolve_run(load_settings(Path("config/demo.yaml")), "demo", "moving_mnist_2", "conv_lstm-seed0")
    assert "| 5 | mse | 0.25 | none |" in _metrics(run, metrics)


def test_published_weights_that_are_not_as_described_are_refused(project: Project, tmp_path: Path):
    run, exported = tmp_path / "run", tmp_path / "model"
    assert import_weights(project, run).returncode == 0
    assert project.call("export-weights", run, "-o", exported).returncode == 0
    weights, description = exported / "model.safetensors", exported / "model.json"
    good, described = weights.read_bytes(), json.loads(description.read_text())

    weights.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    with pytest.raises(UserError, match="has SHA-256"):
        hub.load(exported)
    weights.write_bytes(good)
    description.write_text(json.dumps(described | {"arguments": described["arguments"] | {"rank": 5}}))
    with pytest.raises(UserError, match="not the weights of the model in model"):
        hub.load(exported)
    description.write_text("{}")
    with pytest.raises(UserError, match="not a valid description of a model"):
        hub.load(exported)
    weights.unlink()
    with pytest.raises(UserError, match="no such file"):
        hub.load(exported)


class Harmful:
    def __reduce__(self):
        return print, ("harm",)


def test_unusable_weights_are_refused_in_one_line(project: Project, tmp_path: Path):
    torch.save({"model_state_dict": Harmful()}, project.folder / "harmful.pt")
    misshapen = released(3, 3, 8, 3)
    misshapen["layers.b0l0.layers_.0.weight"] = torch.zeros(5, 7, 3, 3)
    torch.save({"model_state_dict": misshapen}, project.folder / "misshapen.pt")
    whole = released(3, 3, 8, 3)
    torch.save(dict.fromkeys(whole, 1.5), project.folder / "numbers.pt")
    torch.save(
        {name: tensor.to(torch.complex64) for name, tensor in whole.items()}, project.folder / "complex.pt"
    )
    torch.save(whole | {b"a": torch.zeros(1)}, project.folder / "bytes.pt")
    for options, reason in [
        ({"digest": "0" * 64}, "it was not read"),
        ({"file": "harmful.pt"}, "holds more than weights"),
        ({"file": "misshapen.pt"}, "do not have the authors' layout"),
        ({"file": "numbers.pt"}, "is not a dense tensor of real numbers"),
        ({"file": "complex.pt"}, "is not a dense tensor of real numbers"),
        ({"file": "bytes.pt"}, "b'a' is not a name of weights"),
        ({"run": "conv_tt_lstm-N2-seed0"}, "needs"),
        ({"run": "conv_lstm-seed0"}, "needs"),
    ]:
        done = import_weights(project, tmp_path / "run", **options)
        assert done.returncode == 1 and reason in done.stderr
        assert done.stderr.count("\n") == 1 and "harm\n" not in done.stdout
    assert not (tmp_path / "run").exists()
    (tmp_path / "run").mkdir()
    (tmp_path / "run/last.ckpt").touch()
    assert "holds a run that was trained here" in import_weights(project, tmp_path / "run").stderr
