"""Provenance of a result: command, commit, source, versions and device."""

import hashlib
import importlib.metadata
import platform
import shlex
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from convttlstm.files import UserError, read_json, sha256_of

PACKAGE = Path(__file__).parent
_VERSIONED = ["convttlstm", "torch", "numpy", "lightning-fabric", "lpips", "torchvision"]


def source_digest() -> str:
    """Return a SHA-256 over names and contents of the package's source files."""
    digest = hashlib.sha256()
    for path in sorted(PACKAGE.rglob("*.py")):
        digest.update(f"{path.relative_to(PACKAGE).as_posix()}\0".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def sources() -> dict[str, str]:
    """Return a checksum for each source file of the package that this process has imported."""
    found = [getattr(module, "__file__", None) for module in list(sys.modules.values())]
    files = {Path(file) for file in found if file}
    own = sorted(path.relative_to(PACKAGE) for path in files if path.is_relative_to(PACKAGE))
    return {path.as_posix(): sha256_of(PACKAGE / path)[:12] for path in own}


def changed_sources(recorded: Mapping[str, str]) -> list[str]:
    """Return the recorded `sources` of a run that have changed or no longer exist."""
    return [
        name
        for name, checksum in recorded.items()
        if not (PACKAGE / name).is_file() or sha256_of(PACKAGE / name)[:12] != checksum
    ]


def check_weights(folder: Path) -> str:
    """Return the SHA-256 of a run's best.safetensors; check it against provenance.json.

    Raises:
        UserError: they differ, or one of the files is missing.
    """
    path, made_by = folder / "best.safetensors", read_json(folder / "provenance.json")
    if not path.is_file():
        raise UserError(f"{path}: no such file; train the run first")
    found, recorded = sha256_of(path), made_by.get("weights_sha256")
    if found != recorded:
        raise UserError(
            f"{path}: has changed since training (SHA-256 {found}, was {recorded}); "
            "restore it with `dvc checkout`, or delete it and run the same command again"
        )
    return found


def discard_other_metrics(folder: Path, weights_sha256: str) -> None:
    """Delete a run's metrics.json unless it belongs to weights with this checksum, by provenance.json."""
    path = folder / "provenance.json"
    if not path.is_file() or read_json(path).get("weights_sha256") != weights_sha256:
        (folder / "metrics.json").unlink(missing_ok=True)


def origin() -> dict[str, Any]:
    """Return the command as typed, the commit, whether there are uncommitted changes, and versions.

    Outside a git checkout the commit is None; the source's digest still identifies the version.
    """
    # An installed package may lie inside another project's git checkout; that commit is not ours.
    ours = _git("ls-files", "--error-unmatch", __file__) is not None
    commit = _git("rev-parse", "HEAD") if ours else None
    changes = _git("status", "--porcelain", "--", str(PACKAGE))
    installed = {name: _version(name) for name in _VERSIONED}
    return {
        "command": shlex.join(["convttlstm", *sys.argv[1:]]),
        "commit": commit,
        "uncommitted_changes": bool(changes) if commit else None,
        "source_digest": source_digest(),
        "versions": {"python": platform.python_version()}
        | {name: version for name, version in installed.items() if version},
    }


def device_name(kind: str) -> str:
    """Return the name of the processor, for `kind` "cpu", or of the GPU."""
    if kind == "cuda":
        import torch

        return torch.cuda.get_device_name()
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def driver() -> str | None:
    """Return the version of the NVIDIA driver, None if there is none."""
    try:
        return Path("/sys/module/nvidia/version").read_text().strip()
    except OSError:
        return None


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _git(*arguments: str) -> str | None:
    command = ["git", "-C", str(PACKAGE), *arguments]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None
