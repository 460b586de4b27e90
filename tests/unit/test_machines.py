"""Users' machines: devices, memory, surrounding jobs, faulty disks."""

import errno
from pathlib import Path

import numpy as np
import pytest
import torch

from convttlstm.data.clips import Clips
from convttlstm.faults import remedy
from convttlstm.files import UserError
from convttlstm.repeatability import device_kind
from tests.conftest import ENVIRONMENT, RUN, Project

HUNGRY = """
import torch
class Hungry(torch.nn.Module):
    def __init__(self, in_channels):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.ones(()))
    def forward(self, frames, context, horizon, sampling=None):
        return torch.empty(2**50) * self.scale
"""


def test_an_apple_gpu_is_not_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert device_kind("auto") == device_kind("cpu") == "cpu"
    with pytest.raises(UserError, match="finds no CUDA device here"):
        device_kind("cuda")


def test_a_cuda_device_is_chosen_unless_the_cpu_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert (device_kind("auto"), device_kind("cuda"), device_kind("cpu")) == ("cuda", "cuda", "cpu")


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), "training.batch_size"),
        (MemoryError(), "training.batch_size"),
        (RuntimeError("CUDA error: no kernel image is available for execution"), "not built for this GPU"),
        (RuntimeError("The NVIDIA driver on your system is too old (found 9010)"), "update the driver"),
        (RuntimeError("x does not have a deterministic implementation"), "compute.deterministic: false"),
        (RuntimeError("shapes cannot be multiplied"), ""),
        (ValueError("out of memory"), ""),
        (OSError(errno.ENAMETOOLONG, "File name too long", "x"), "a path cannot be used"),
        (OSError(errno.EIO, "Input/output error", "x"), ""),
    ],
)
def test_errors_that_users_can_fix_say_how(error: BaseException, says: str) -> None:
    assert says in remedy(error) and bool(says) == bool(remedy(error))


@pytest.mark.slow
def test_a_lack_of_memory_is_reported_in_one_line(project: Project) -> None:
    project.prepare()
    (project.folder / "x.py").write_text(HUNGRY)
    arguments = project.run_arguments(project.run_folder("hungry-seed0"), "hungry-seed0")
    done = project.call("train", *arguments, "--model", "x.py:Hungry")
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    assert "out of memory; lower training.batch_size" in done.stderr


@pytest.mark.slow
def test_a_run_ignores_the_tasks_of_a_surrounding_job(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.prepare()
    slurm = {"SLURM_NTASKS": "8", "SLURM_JOB_ID": "1", "SLURM_JOB_NAME": "head", "SLURM_NTASKS_PER_NODE": "8"}
    done = project.spawn("train", *project.run_arguments(project.run_folder(), RUN), env=ENVIRONMENT | slurm)
    assert done.returncode == 0, done.stderr
    assert (project.run_folder() / "best.safetensors").is_file()


def test_arrays_are_verified_once_and_again_after_changes(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.prepare()
    path = project.data / "train.npy"
    Clips(project.data, "train")
    record = project.data / ".train.npy.verified"
    assert record.is_file()
    with monkeypatch.context() as patched:
        patched.setattr("convttlstm.data.clips.hashlib.sha256", None)  # would fail if it were called
        Clips(project.data, "train")
    content = bytearray(path.read_bytes())
    content[-1000] ^= 1
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"train\.npy: SHA-256 .* was prepared"):
        Clips(project.data, "train")
    block = np.load(path)
    block[3] = 0
    np.save(path, block)
    record.write_bytes(b"\xff")
    with pytest.raises(UserError, match="was prepared"):
        Clips(project.data, "train")


def test_data_are_read_where_no_record_can_be_written(project: Project) -> None:
    project.prepare()
    (project.data / ".train.npy.verified").mkdir()
    assert len(Clips(Path(project.data), "train")) == 24
