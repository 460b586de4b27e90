"""Handwritten digits: MNIST's training images, or the sample that comes with this repository."""

import gzip
import zlib
from pathlib import Path
from typing import Literal

import numpy as np

from convttlstm.data.download import download
from convttlstm.files import UserError, sha256_of, shortened

MIRRORS = [
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
]
MNIST = "train-images-idx3-ubyte.gz"
MNIST_SHA256 = "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609"
EMBEDDED = Path("data/embedded")  # from the repository's root
EMBEDDED_SHA256 = "d3ca3edc94479149c931c39d29bea0c74930710546d49c0f007a2743c1436a66"


def fetch_mnist(raw: Path) -> None:
    """Download MNIST's training images into the folder `raw`.

    Raises:
        UserError: no mirror gave the right file.
    """
    download([mirror + MNIST for mirror in MIRRORS], MNIST_SHA256, raw / MNIST)


def load_digits(source: Literal["mnist", "embedded"], raw: Path, embedded: Path) -> np.ndarray:
    """Return grey images of digits, white on black, uint8 (n, 28, 28).

    Args:
        source: "mnist" gives the 60,000 training images, which the paper's data set is made of (its
            validation and test splits too); "embedded" gives 10,000 of MNIST's images.
        raw: the folder that `fetch_mnist` filled.
        embedded: the repository's folder data/embedded.

    Raises:
        UserError: the file is missing or is not the expected one.
    """
    if source == "mnist":
        path = raw / MNIST
        sha256, fix = MNIST_SHA256, "delete it if it is there and let snakemake fetch it"
    else:
        path = embedded / "images-idx3-ubyte.gz"
        sha256, fix = EMBEDDED_SHA256, f"restore it with: git checkout -- {path}"
    if not path.is_file():
        raise UserError(f"{path}: no such file; {fix}")
    found = sha256_of(path)
    if found != sha256:
        raise UserError(f"{path}: expected SHA-256 {sha256}, found {found}; {fix}")
    return read_idx(path)


def read_idx(path: Path) -> np.ndarray:
    """Return the array in a gzipped IDX file of unsigned bytes (MNIST's format).

    Raises:
        UserError: it is not such a file, or its length is not what its header says.
    """
    try:
        content = gzip.decompress(path.read_bytes())
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"{path}: cannot be unpacked ({error})") from error
    # Two zero bytes, the type (8: unsigned byte), the number of axes; each axis' size, big-endian.
    if len(content) < 4 or content[:3] != b"\0\0\x08":
        raise UserError(f"{path}: not an IDX file of bytes (starts with {content[:4].hex()})")
    start = 4 + 4 * content[3]
    shape = [int.from_bytes(content[at : at + 4], "big") for at in range(4, start, 4)]
    if len(content) != start + int(np.prod(shape, dtype=object)):
        raise UserError(f"{path}: {len(content)} bytes do not fit its header, shape {shortened(shape)}")
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)
