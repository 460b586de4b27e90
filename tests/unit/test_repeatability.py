"""A run records the conditions that decide its bits, and says when they change."""

import json
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
