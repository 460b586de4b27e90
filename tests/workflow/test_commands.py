"""The commands on a tiny scale: files record their origin, and wrong input is refused in one line."""

import json
import subprocess
import sys

import numpy as np
import pytest

from tests.conftest import ENVIRONMENT, ROOT, RUN, Project


@pytest.fixture
def trained(project: Project) -> Project:
    project.configure(training={"epochs": 1})
    project.prepare()
    assert project.train(project.run_folder()).returncode == 0
    return project


def assert_one_line(done, said: str) -> None:
    assert done.returncode == 1
    assert done.stderr.startswith("convttlstm: error: ") and done.stderr.count("\n") == 1, done.stderr
    assert said in done.stderr


def test_the_estimate_counts_a_scales_jobs(project: Project) -> None:
    """Two models and another point of the grid are trained; two naive predictions are evaluated as well."""
    times = ROOT / "benchmarks/results/system_times-AMD_EPYC-torch2.13.0.csv"
    done = project.call("estimate", "--config", project.config, "--times", times)
    assert done.returncode == 0, done.stderr
    total = next(line.split() for line in done.stdout.splitlines() if line.split()[:1] == ["all"])
    assert int(total[1]) == 3 + 4


@pytest.mark.slow
def test_evaluation_is_repeatable_and_runs_record_their_origin(trained):
    folder = trained.run_folder()
    assert trained.evaluate(folder).returncode == 0
    first = json.loads((folder / "metrics.json").read_text())
    assert trained.evaluate(folder).returncode == 0
    second = json.loads((folder / "metrics.json").read_text())
    assert second["horizons"] == first["horizons"]
    assert first["evaluated_by"]["command"].startswith("convttlstm evaluate --config")
    provenance = json.loads((folder / "provenance.json").read_text())
    assert RUN in provenance["command"]
    assert len(provenance["source_digest"]) == 64
    assert provenance["versions"].keys() >= {"python", "torch", "numpy", "lightning-fabric"}
    manifest = json.loads((trained.data / "manifest.json").read_text())
    assert provenance["data"] == {
        split: manifest["splits"][split]["sha256"] for split in ("train", "validation")
    }


@pytest.mark.slow
def test_trained_weights_are_evaluated_on_a_test_file_unchanged(trained: Project):
    """As docs/moving_mnist_public.md describes; copying the last frame has the MSE computed here."""
    frames = np.random.default_rng(0).integers(256, size=(8, 5, 16, 16), dtype=np.uint8)
    np.save(trained.folder / "seq.npy", frames)
    weights = (trained.run_folder() / "best.safetensors").read_bytes()
    dataset = {"test_file": "seq.npy", "test": {"sequences": 5, "frames": 8}}
    trained.configure(training={"epochs": 1}, datasets={"moving_mnist_2": dataset})
    trained.prepare()
    done = trained.evaluate(trained.run_folder())
    assert done.returncode == 0, done.stderr
    assert (trained.run_folder() / "best.safetensors").read_bytes() == weights
    assert trained.evaluate(trained.folder / "copy", "copy_last").returncode == 0
    reached = json.loads((trained.folder / "copy/metrics.json").read_text())["horizons"]["5"]["mse"]["mean"]
    expected = ((frames[3:8] / 255 - frames[2] / 255) ** 2).mean()
    assert reached == pytest.approx(expected, rel=1e-5)


@pytest.mark.slow
def test_damaged_and_mismatched_weights_are_refused(trained):
    folder = trained.run_folder()
    trained.configure(training={"epochs": 2})
    assert_one_line(trained.evaluate(folder), "trained to epoch 1, but training.epochs is 2; train the run")
    trained.configure(training={"epochs": 1, "learning_rate": 0.5})
    assert_one_line(trained.evaluate(folder), "(training.learning_rate is 0.5, was 0.001); train the run")
    trained.configure(training={"epochs": 1})
    content = (folder / "best.safetensors").read_bytes()
    (folder / "best.safetensors").write_bytes(content[: len(content) // 2])
    assert_one_line(trained.evaluate(folder), "best.safetensors: damaged")
    assert not (folder / "metrics.json").exists()


@pytest.mark.slow
def test_missing_files_are_named(project):
    folder = project.run_folder()
    assert_one_line(project.train(folder), "manifest.json: no such file")
    project.prepare()
    assert_one_line(project.evaluate(folder), "best.safetensors: no such file; train the run first")
    assert_one_line(project.train(folder, "copy_last"), "copy_last: has no weights to train")
    assert_one_line(project.train(folder, "conv_ltsm-seed0"), "did you mean 'conv_lstm'?")
    (project.data / "train.npy").write_bytes(b"short")
    assert_one_line(project.train(folder), "but its manifest says")


def test_output_that_is_no_longer_read_ends_a_command_quietly(project: Project):
    command = [sys.executable, "-m", "convttlstm", "status", "--config", project.config]
    with subprocess.Popen(command, cwd=project.folder, env=ENVIRONMENT, stdout=-1, stderr=-1) as process:
        process.stdout.close()
        assert process.wait() == 1
        assert process.stderr.read() == b""
    assert not list(project.folder.glob("convttlstm-error-*"))
