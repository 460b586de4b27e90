"""When a run's weights can be had again bit for bit.

- On a CPU: with the same processor model, PyTorch version, number of processes and threads, and precision,
  however often the run was interrupted.
- On a GPU: only with `compute.deterministic: true`, and the same GPU model, driver, PyTorch version,
  number of GPUs and precision. Without it some sums are taken in another order each time.

A run that goes on under other conditions gives weights that are as good, but not the same bits.
provenance.json records the conditions, and in `bit_exact` whether the run kept to one set of them that is
repeatable.
"""

import os
from typing import Any

import torch

from convttlstm import provenance
from convttlstm.config import Run
from convttlstm.files import UserError


def device_kind(accelerator: str) -> str:
    """Return where a run is computed, "cuda" or "cpu".

    "auto" is an NVIDIA GPU, or an AMD one by ROCm, if PyTorch sees one, else the CPU. Apple's GPUs have no
    float64, in which losses are summed, and are not used.

    Raises:
        UserError: "cuda" is asked for, and there is no such device.
    """
    if accelerator == "cpu" or (accelerator == "auto" and not torch.cuda.is_available()):
        return "cpu"
    if not torch.cuda.is_available():
        raise UserError(
            "compute.accelerator is cuda, but PyTorch sees no CUDA device here: check nvidia-smi and the "
            "driver, or set it to cpu or auto"
        )
    return "cuda"


def set_arithmetic(tf32: bool = False, deterministic: bool = False) -> None:
    """Choose how this process computes on a GPU.

    Args:
        tf32: whether float32 convolutions and matrix products may round their inputs to 10 bits.
        deterministic: use algorithms that give the same bits each time, and raise an error without one.
    """
    torch.backends.cudnn.allow_tf32 = tf32
    torch.backends.cuda.matmul.allow_tf32 = tf32
    if deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # which cuBLAS asks for
        torch.backends.cudnn.benchmark = False
        torch.backends.cudnn.deterministic = True
        torch.use_deterministic_algorithms(True)


def conditions(run: Run, kind: str, processes: int) -> dict[str, Any]:
    """Return all that decides the bits besides settings and data.

    Args:
        run: its settings.
        kind: of the device, "cpu" or "cuda".
        processes: that train the run together.
    """
    return {
        "device": provenance.device_name(kind),
        "devices": processes,
        "threads": run.compute.threads,
        "torch": str(torch.__version__),
        "driver": provenance.driver() if kind == "cuda" else None,
        "precision": run.training.precision,
        "deterministic": kind == "cpu" or run.compute.deterministic,
    }


def differences(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """Return in words which conditions are no longer the same."""
    changed = {name: value for name, value in now.items() if before.get(name) != value}
    return [f"{name} is {value} now and was {before.get(name)}" for name, value in changed.items()]
