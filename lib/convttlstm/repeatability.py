"""Conditions under which training again gives the same weights, bit for bit.

- On a CPU: the same processor model, PyTorch version, number of processes and threads, and precision,
  compiled or not, however often the run is interrupted.
- On a GPU: `compute.deterministic: true`, and the same GPU model, driver, PyTorch version, number of GPUs and
  precision. Otherwise the order of some sums varies.

A run that resumes under other conditions gives equivalent weights, but not the same bits. provenance.json
records the conditions, and `bit_exact`: whether they were repeatable and did not change during the run.
"""

import os
from typing import Any

import torch

from convttlstm import provenance
from convttlstm.config import Run
from convttlstm.files import UserError


def device_kind(accelerator: str) -> str:
    """Return the device that a run is computed on, "cuda" or "cpu".

    "auto" is an NVIDIA GPU, or an AMD GPU with ROCm, if PyTorch finds one, else the CPU. Apple's GPUs are not
    used: they lack float64, in which losses are summed.

    Raises:
        UserError: `accelerator` is "cuda", but there is no such device.
    """
    if accelerator == "cpu" or (accelerator == "auto" and not torch.cuda.is_available()):
        return "cpu"
    if not torch.cuda.is_available():
        raise UserError(
            "compute.accelerator is cuda, but PyTorch finds no CUDA device here: check nvidia-smi and the "
            "driver, or set it to cpu or auto"
        )
    return "cuda"


def set_arithmetic(tf32: bool = False, deterministic: bool = False) -> None:
    """Set this process's arithmetic on a GPU.

    Args:
        tf32: whether float32 convolutions and matrix products may round their inputs to 10 bits.
        deterministic: use algorithms that give the same bits each time, and raise an error without one.
    """
    torch.backends.cudnn.allow_tf32 = tf32
    torch.backends.cuda.matmul.allow_tf32 = tf32
    if deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # required by cuBLAS
        torch.backends.cudnn.benchmark = False
        torch.backends.cudnn.deterministic = True
        torch.use_deterministic_algorithms(True)


def conditions(run: Run, kind: str, processes: int) -> dict[str, Any]:
    """Return the conditions, besides settings and data, that decide a run's weights bit for bit.

    Args:
        run: the run's settings.
        kind: kind of device, "cpu" or "cuda".
        processes: number of processes that train the run.
    """
    return {
        "device": provenance.device_name(kind),
        "devices": processes,
        "threads": run.compute.threads,
        "torch": str(torch.__version__),
        "driver": provenance.driver() if kind == "cuda" else None,
        "precision": run.training.precision,
        "deterministic": kind == "cpu" or run.compute.deterministic,
        "compile": run.compute.compile,
    }


def differences(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """Return a phrase for each condition that has changed."""
    before = {"compile": False} | before  # checkpoints of earlier versions do not say
    changed = {name: value for name, value in now.items() if before.get(name) != value}
    return [f"{name} is {value} now and was {before.get(name)}" for name, value in changed.items()]
