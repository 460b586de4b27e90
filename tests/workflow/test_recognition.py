"""Recognizers through the real commands: processes that decode clips end with the run, however it ends."""

import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import Project
from tests.scales import RECOGNITION, RECOGNIZER, overlay


def configure(project: Project, **changes: Any) -> None:
    settings = yaml.safe_load(project.config.read_text())
    project.config.write_text(yaml.safe_dump(overlay(overlay(settings, RECOGNITION), changes)))


def arguments(project: Project, folder: Path) -> list[object]:
    config = ["--config", project.config, "--dataset", "something", "--data", "data/clips"]
    return [*config, RECOGNIZER, "-o", folder]


@pytest.fixture
def prepared(project: Project) -> Project:
    configure(project)
    common = ["--config", project.config, "--dataset", "something"]
    for command in (["synthesize", "-o", "raw"], ["prepare", "--raw", "raw", "-o", "data/clips"]):
        done = project.call(*command, *common)
        assert done.returncode == 0, done.stderr
    return project


def children(process: int) -> list[int]:
    path = Path(f"/proc/{process}/task/{process}/children")
    return [int(child) for child in path.read_text().split()] if path.exists() else []


@pytest.mark.slow
def test_an_interrupted_run_leaves_no_process_and_ends_with_the_same_weights(prepared):
    """Ctrl-C goes to the whole group, to the processes that decode too; they are two here, none there."""
    configure(prepared, compute={"workers": 0})
    undisturbed = prepared.run_folder(RECOGNIZER, "undisturbed")
    assert prepared.call("train", *arguments(prepared, undisturbed)).returncode == 0

    long = {"something": {"training": {"epochs": 2}}}
    configure(prepared, compute={"workers": 2, "checkpoint_minutes": 0.1 / 60}, experiments=long)
    folder = prepared.run_folder(RECOGNIZER, "interrupted")
    command = prepared.command("train", *arguments(prepared, folder))
    process = subprocess.Popen(
        command, cwd=prepared.folder, text=True, stderr=subprocess.PIPE, start_new_session=True
    )
    deadline = time.monotonic() + 600
    workers: list[int] = []
    while not (workers and (folder / "last.ckpt").exists()):
        assert process.poll() is None and time.monotonic() < deadline
        workers = children(process.pid) or workers
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 75, errors
    assert "all saved; run the same command again to resume" in errors and "Traceback" not in errors
    assert not any(Path(f"/proc/{worker}").exists() for worker in workers)

    assert prepared.call("train", *arguments(prepared, folder)).returncode == 0
    weights = [(path / "best.safetensors").read_bytes() for path in (folder, undisturbed)]
    assert weights[0] == weights[1]
