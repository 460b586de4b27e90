"""A run records the conditions that decide its bits, and says when they change."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from convttlstm.config import Run, load_settings, resolve_run
from convttlstm.provenance import device_name
from convttlstm.repeatability import conditions, differences, set_arithmetic

ROOT = Path(__file__).parents[2]


def demo_run(**compute: object) -> Run:
    settings = load_settings(ROOT / "config/demo.yaml")
    changed = settings.model_copy(update={"compute": settings.compute.model_copy(update=compute)})
    return resolve_run(changed, "demo", "moving_mnist_2", "conv_lstm-seed0")


def test_the_commit_of_another_project_is_not_recorded(tmp_path: Path) -> None:
    """The package is installed into an ignored folder of somebody's git project."""
    package = tmp_path / ".venv/convttlstm"
    shutil.copytree(ROOT / "lib/convttlstm", package, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / ".gitignore").write_text(".venv\n")
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b"]
    for command in (["init", "-q"], ["add", ".gitignore"], ["commit", "-qm", "Begin"]):
        subprocess.run([*git, *command], check=True)
    code = (
        "from convttlstm.provenance import origin; print(origin()['commit'], origin()['uncommitted_changes'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": str(package.parent)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "None None\n"


def test_conditions_name_device_threads_versions_and_precision() -> None:
    found = conditions(demo_run(threads=3), "cpu", processes=2)
    assert found == {
        "device": device_name("cpu"),
        "devices": 2,
        "threads": 3,
        "torch": torch.__version__,
        "driver": None,
        "precision": "32-true",
        "deterministic": True,
        "compile": False,
    }
    json.dumps(found)  # provenance.json holds it


@pytest.mark.parametrize(
    "name, before",
    [("device", "Another CPU"), ("devices", 2), ("threads", 7), ("torch", "2.9.0"), ("driver", "580.1")],
)
def test_every_changed_condition_is_reported(name: str, before: object) -> None:
    now = conditions(demo_run(), "cpu", processes=1)
    assert differences(now, now) == []
    assert differences(now | {name: before}, now) == [f"{name} is {now[name]} now and was {before}"]


def test_determinism_does_not_change_a_runs_digest() -> None:
    assert demo_run(deterministic=True).digest() == demo_run().digest()


def test_arithmetic_is_float32_unless_tf32_is_asked_for() -> None:
    before = torch.are_deterministic_algorithms_enabled()
    try:
        set_arithmetic(tf32=True)
        assert torch.backends.cudnn.allow_tf32 and torch.backends.cuda.matmul.allow_tf32
        set_arithmetic()
        assert not torch.backends.cudnn.allow_tf32 and not torch.backends.cuda.matmul.allow_tf32
        assert torch.are_deterministic_algorithms_enabled() == before
        set_arithmetic(deterministic=True)
        assert torch.are_deterministic_algorithms_enabled()
        assert torch.backends.cudnn.deterministic and not torch.backends.cudnn.benchmark
    finally:
        torch.use_deterministic_algorithms(before)
        torch.backends.cudnn.deterministic = False
