"""Real processes, really killed: nothing is lost, and the weights come out the same, bit for bit."""

import json
import os
import random
import re
import resource
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import pandas as pd
import pytest
import torch
from safetensors.torch import save_file

from convttlstm.config import load_settings, resolve_run
from convttlstm.training.checkpoints import load_checkpoint, save_checkpoint
from convttlstm.training.publishing import reuse
from tests.conftest import RUN, Command, Project, make_project
from tests.scales import overlay

ROOT = Path(__file__).parents[2]
LONG = {
    "datasets": {"moving_mnist_2": {"train": {"sequences": 48, "frames": 6}}},
    "training": {"epochs": 4, "samples_per_epoch": 48},
    # A checkpoint every 0.1 seconds, so that kills fall into the middle of epochs too.
    "compute": {"checkpoint_minutes": 0.1 / 60},
}


@pytest.fixture(scope="module")
def undisturbed_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, Path]:
    """A prepared project and the folder of a run that nothing has disturbed."""
    project = make_project(tmp_path_factory.mktemp("resume"))
    project.configure(**LONG)
    project.prepare()
    folder = project.run_folder(name="undisturbed")
    done = project.train(folder)
    assert done.returncode == 0, done.stderr
    return project, folder


@pytest.fixture
def trained(
    undisturbed_run: tuple[Project, Path], request: pytest.FixtureRequest
) -> tuple[Project, Path, Path]:
    """The project, the undisturbed run's folder, and one for a run of the test's own."""
    project, undisturbed = undisturbed_run
    project.configure(**LONG)
    return project, undisturbed, project.run_folder(name=request.node.name)


def weights(folder: Path) -> bytes:
    return (folder / "best.safetensors").read_bytes()


def last_weights(folder: Path) -> dict[str, torch.Tensor]:
    return torch.load(folder / "last.ckpt", weights_only=True)["model"]


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        MemoryError(),
        RuntimeError("CUDA error: an illegal memory access was encountered"),
    ],
    ids=["device memory", "memory", "device"],
)
def test_checkpoints_stay_where_the_machine_fails(tmp_path: Path, error: Exception) -> None:
    for epoch in (1, 2):
        save_checkpoint(tmp_path, {"epoch": epoch})
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def restore(saved: dict) -> None:
        raise error

    with pytest.raises(type(error)):
        load_checkpoint(tmp_path, restore)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before and len(before) == 2


def test_a_twin_is_copied_if_it_was_trained_on_the_same_data(tmp_path: Path) -> None:
    run = resolve_run(
        load_settings(ROOT / "config/demo.yaml"), "demo", "moving_mnist_2", "conv_tt_lstm-seed0"
    )
    twin, folder, data = (tmp_path / name for name in ("conv_tt_lstm-seed0", "selected", "data"))
    twin.mkdir()
    save_file({"w": torch.zeros(1)}, twin / "best.safetensors", {"digest": run.digest()})
    (twin / "history.csv").write_text("epoch\n")
    (twin / "provenance.json").write_text(json.dumps({"data": {"train": "a", "validation": "b"}}))
    data.mkdir()
    for train, copied in (("other", False), ("a", True)):
        splits = {"train": {"sha256": train}, "validation": {"sha256": "b"}, "test": {"sha256": "c"}}
        (data / "manifest.json").write_text(json.dumps({"splits": splits}))
        assert reuse(run, folder, data) is copied
        assert (folder / "best.safetensors").exists() is copied


def assert_same_run(folder: Path, undisturbed: Path) -> None:
    assert weights(folder) == weights(undisturbed)
    expected = last_weights(undisturbed)
    for name, value in last_weights(folder).items():
        assert torch.equal(value, expected[name]), name
    history, other = pd.read_csv(folder / "history.csv"), pd.read_csv(undisturbed / "history.csv")
    pd.testing.assert_frame_equal(
        history.drop(columns="seconds"), other.drop(columns="seconds"), check_exact=True
    )


def start(project: Project, folder: Path, run: str = RUN) -> Command:
    """Start training and return once it has written a checkpoint of its own."""
    before = (folder / "last.ckpt").stat().st_mtime_ns if (folder / "last.ckpt").exists() else 0
    process = project.start("train", *project.run_arguments(folder, run))
    while process.poll() is None:
        path = folder / "last.ckpt"
        if path.exists() and path.stat().st_mtime_ns > before:
            break
        time.sleep(0.002)
    return process


def interrupt(project: Project, folder: Path, run: str = RUN) -> None:
    """Start training and stop it by SIGTERM after its first checkpoint."""
    process = start(project, folder, run)
    process.send_signal(signal.SIGTERM)
    process.communicate()


@pytest.mark.slow
def test_a_run_killed_at_random_moments_ends_with_identical_weights(trained):
    project, undisturbed, folder = trained
    moments = random.Random(0)
    kills = 0
    for _ in range(6):
        process = start(project, folder)
        time.sleep(moments.uniform(0, 0.3))
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            kills += 1
        process.communicate()
    assert kills >= 3, "training ends too soon to be killed"
    done = project.train(folder)
    assert done.returncode == 0, done.stderr
    assert_same_run(folder, undisturbed)
    assert not list(folder.glob("*.partial.csv"))


@pytest.mark.slow
@pytest.mark.parametrize("system, samples", [("predrnn_pp", 48), ("mcnet", 16), ("vpn", 48)])
def test_every_recipe_resumes_with_identical_weights(project, system, samples):
    """The paper's is tested above; these are PredRNN++'s, the adversarial one and the likelihood's."""
    run = f"{system}-seed0"
    project.configure(**overlay(LONG, {"training": {"samples_per_epoch": samples}}))
    project.prepare()
    undisturbed, folder = project.run_folder(run, "undisturbed"), project.run_folder(run)
    done = project.train(undisturbed, run)
    assert done.returncode == 0, done.stderr
    for _ in range(3):
        interrupt(project, folder, run)
    assert not (folder / "best.safetensors").exists(), "training ends too soon to be interrupted"
    done = project.train(folder, run)
    assert done.returncode == 0, done.stderr
    assert_same_run(folder, undisturbed)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1, signal.SIGINT])
def test_a_signal_saves_and_exits_with_75(trained, number):
    project, undisturbed, folder = trained
    process = start(project, folder)
    process.send_signal(number)
    _, stderr = process.communicate()
    assert process.poll() == 75
    assert re.fullmatch(
        rf".*stopped by {number.name} after .* run the same command again to resume\n", stderr
    )
    assert not (folder / "best.safetensors").exists()
    done = project.train(folder)
    assert done.returncode == 0
    assert "resumes after epoch" in done.stdout
    assert_same_run(folder, undisturbed)


@pytest.mark.slow
def test_a_truncated_checkpoint_falls_back_to_the_previous_one(trained):
    project, undisturbed, folder = trained
    process = start(project, folder)
    while not (folder / "previous.ckpt").exists():
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    process.communicate()
    os.truncate(folder / "last.ckpt", (folder / "last.ckpt").stat().st_size // 2)
    done = project.train(folder)
    assert done.returncode == 0
    assert done.stdout.count("unusable checkpoint") == 1
    assert "renamed to last.ckpt.corrupt" in done.stdout
    assert_same_run(folder, undisturbed)


@pytest.mark.slow
def test_flipped_bits_are_noticed(trained):
    project, undisturbed, folder = trained
    folder.mkdir(parents=True)
    content = bytearray((undisturbed / "last.ckpt").read_bytes())
    content[len(content) // 2] ^= 0xFF
    (folder / "last.ckpt").write_bytes(content)
    first = project.train(folder)
    assert first.returncode == 1
    assert first.stderr.count("\n") == 1 and "no readable checkpoint is left" in first.stderr
    assert project.train(folder).returncode == 0
    assert_same_run(folder, undisturbed)


@pytest.mark.slow
def test_a_full_disk_leaves_the_previous_checkpoint_intact(trained):
    """A file-size limit makes writing fail as a full disk does, in the middle of the checkpoint."""
    project, undisturbed, folder = trained
    interrupt(project, folder)
    before = (folder / "last.ckpt").read_bytes()
    limit = len(before) // 2

    def full() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    failed = project.spawn("train", *project.run_arguments(folder, RUN), preexec_fn=full)
    assert failed.returncode == 1
    assert failed.stderr.count("\n") == 1
    assert "last.ckpt: cannot be written" in failed.stderr
    assert (folder / "last.ckpt").read_bytes() == before
    assert not list(folder.glob(".*.tmp"))
    assert project.train(folder).returncode == 0
    assert_same_run(folder, undisturbed)


@pytest.mark.slow
def test_a_full_disk_while_publishing_weights_gives_one_line(trained):
    """safetensors has an error of its own for it."""
    project, undisturbed, folder = trained
    shutil.copytree(undisturbed, folder)
    (folder / "best.safetensors").unlink()
    limit = len(weights(undisturbed)) // 2

    def full() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    failed = project.spawn("train", *project.run_arguments(folder, RUN), preexec_fn=full)
    assert failed.returncode == 1 and failed.stderr.count("\n") == 1
    assert "best.safetensors: cannot be written" in failed.stderr
    assert not (folder / "best.safetensors").exists() and not list(folder.glob(".*.tmp"))
    assert project.train(folder).returncode == 0
    assert_same_run(folder, undisturbed)


@pytest.mark.slow
def test_a_finished_run_is_published_again_or_restarted_by_new_settings(trained):
    project, undisturbed, folder = trained
    shutil.copytree(undisturbed, folder)
    first = weights(folder)
    (folder / "best.safetensors").unlink()
    trained_by = (folder / "provenance.json").read_bytes()
    project.configure(**LONG | {"compute": LONG["compute"] | {"threads": 2}})
    done = project.train(folder)
    assert done.returncode == 0
    assert "epoch 1/" not in done.stdout
    assert weights(folder) == first
    # It says who trained the run, and under which conditions, not who published it again.
    assert (folder / "provenance.json").read_bytes() == trained_by
    project.configure(**LONG | {"training": {"epochs": 1, "learning_rate": 0.01}})
    done = project.train(folder)
    assert done.returncode == 0
    changed = "training.learning_rate is 0.01, was 0.001, training.samples_per_epoch is 24, was 48"
    assert f"other settings or data ({changed}); kept as superseded-" in done.stdout
    (kept,) = folder.glob("superseded-*.ckpt")
    assert kept.read_bytes() == (undisturbed / "last.ckpt").read_bytes()
    assert weights(folder) != first


def with_epochs(epochs: int) -> dict:
    return LONG | {"training": LONG["training"] | {"epochs": epochs}}


@pytest.mark.slow
def test_more_epochs_give_the_weights_of_one_long_run(trained):
    """The weights of a finished run are not taken for the longer one's; no epoch is trained twice."""
    project, undisturbed, folder = trained
    project.configure(**with_epochs(2))
    assert project.train(folder).returncode == 0
    shorter = (folder / "best.safetensors").read_bytes()
    project.configure(**LONG)
    refused = project.evaluate(folder)
    assert refused.returncode == 1 and refused.stderr.count("\n") == 1
    assert "trained to epoch 2, but training.epochs is 4; train the run again" in refused.stderr
    assert (folder / "best.safetensors").read_bytes() == shorter and not (folder / "metrics.json").exists()
    done = project.train(folder)
    assert done.returncode == 0, done.stderr
    assert "resumes after epoch 2, step 0" in done.stdout and "epoch 2/4" not in done.stdout
    assert_same_run(folder, undisturbed)
    assert project.evaluate(folder).returncode == 0


@pytest.mark.slow
def test_fewer_epochs_than_already_trained_are_refused(trained):
    project, undisturbed, folder = trained
    shutil.copytree(undisturbed, folder)
    project.configure(**with_epochs(3))
    done = project.train(folder)
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    assert "has 4 epochs already, but training.epochs is 3; set it to 4, or" in done.stderr
    assert weights(folder) == weights(undisturbed)
    (folder / "best.safetensors").unlink()  # as Snakemake does before the job
    project.configure(**LONG)
    assert project.train(folder).returncode == 0
    assert weights(folder) == weights(undisturbed)


@pytest.mark.slow
def test_another_number_of_threads_is_reported(trained):
    project, _, folder = trained
    interrupt(project, folder)
    project.configure(**LONG | {"compute": {"accelerator": "cpu", "threads": 2}})
    done = project.train(folder)
    assert done.returncode == 0
    assert "threads is 2 now and was 1; the result is no longer bit-identical" in done.stdout
    assert '"bit_exact": false' in (folder / "provenance.json").read_text()


@pytest.mark.slow
@pytest.mark.parametrize(
    "recorded, exact", [({}, True), ({"torch": "2.9.0"}, False), ({"deterministic": False}, False)]
)
def test_a_run_is_bit_exact_if_its_conditions_stay_the_same(trained, recorded, exact):
    """As if another version had trained the first steps, or a GPU without deterministic algorithms."""
    project, _, folder = trained
    interrupt(project, folder)
    content = torch.load(folder / "last.ckpt", weights_only=True)
    content["progress"]["conditions"] |= recorded
    torch.save(content, folder / "last.ckpt")
    done = project.train(folder)
    assert done.returncode == 0, done.stderr
    assert json.loads((folder / "provenance.json").read_text())["bit_exact"] is exact
    assert ("no longer bit-identical" in done.stdout) is not exact


@pytest.mark.slow
def test_two_interrupted_processes_keep_the_epochs_loss(project):
    """Each has seen other samples by then; the epoch's mean loss is over those of both."""
    plain = {"model": {"channels": [2, 2, 2, 2]}}
    two = {"accelerator": "cpu", "threads": 1, "devices": 2, "checkpoint_minutes": 0.1 / 60}
    project.configure(**LONG | {"compute": two, "systems": {"conv_lstm": plain}})
    project.prepare()
    folders = [project.run_folder(name=name) for name in ("undisturbed", "stopped")]
    done = project.spawn("train", *project.run_arguments(folders[0], RUN))
    assert done.returncode == 0, done.stderr
    for _ in range(2):
        process = subprocess.Popen(
            project.command("train", *project.run_arguments(folders[1], RUN)),
            cwd=project.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        before = (folders[1] / "last.ckpt").stat().st_mtime_ns if (folders[1] / "last.ckpt").exists() else 0
        while process.poll() is None:
            path = folders[1] / "last.ckpt"
            if path.exists() and path.stat().st_mtime_ns > before:
                process.send_signal(signal.SIGTERM)
                break
            time.sleep(0.01)
        said, _ = process.communicate()
        assert "all saved" in said
    done = project.spawn("train", *project.run_arguments(folders[1], RUN))
    assert done.returncode == 0, done.stderr
    whole, parts = (pd.read_csv(folder / "history.csv").drop(columns="seconds") for folder in folders)
    pd.testing.assert_frame_equal(whole, parts, rtol=1e-12)


@pytest.mark.slow
def test_temporary_files_of_killed_processes_are_removed(trained):
    project, undisturbed, folder = trained
    shutil.copytree(undisturbed, folder)
    left = [folder / name for name in (".last.ckpt.x1.tmp", ".history.partial.csv.x2.tmp")]
    [path.write_bytes(b"begun") for path in left]
    done = project.train(folder)
    assert done.returncode == 0, done.stderr
    assert not any(path.exists() for path in left)
    assert_same_run(folder, undisturbed)


@pytest.mark.slow
def test_only_one_process_trains_a_run(trained):
    """The second process waits, and resumes where the first was killed."""
    project, undisturbed, folder = trained
    first = start(project, folder)
    second = project.start("train", *project.run_arguments(folder, RUN))
    waits = f"process {first.pid} on {socket.gethostname()} is training this run; waiting until it ends\n"
    while waits not in (second.stdout.read_text() if second.stdout.exists() else ""):
        assert first.poll() is None and second.poll() is None
        time.sleep(0.002)
    first.send_signal(signal.SIGKILL)
    first.communicate()
    said, _ = second.communicate()
    assert second.poll() == 0 and "resumes after epoch" in said
    assert_same_run(folder, undisturbed)


def test_missing_data_are_refused_in_one_line(project):
    done = project.train(project.run_folder())
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1 and "manifest.json: no such file" in done.stderr
