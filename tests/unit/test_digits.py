"""The embedded sample and the reading of MNIST's format."""

import functools
import gzip
import hashlib
import http.server
import struct
import threading
from pathlib import Path

import numpy as np
import pytest

from convttlstm.data import digits
from convttlstm.data.digits import fetch_mnist, load_digits, read_idx
from convttlstm.files import UserError

EMBEDDED = Path(__file__).parents[2] / "data" / "embedded"


def test_embedded_digits_are_the_first_ten_thousand_training_images() -> None:
    images = load_digits("embedded", Path("unused"), EMBEDDED)
    assert images.shape == (10_000, 28, 28)
    assert images.dtype == np.uint8
    assert (images.min(), images.max()) == (0, 255)
    labels = read_idx(EMBEDDED / "labels-idx1-ubyte.gz")
    counts = [1001, 1127, 991, 1032, 980, 863, 1014, 1070, 944, 978]
    assert np.bincount(labels).tolist() == counts
    # MNIST centres each digit's mass in the frame, within the rounding to whole pixels.
    weight = images.sum((1, 2), dtype=float)
    for axis in (1, 2):
        centre = images.sum(3 - axis, dtype=float) @ np.arange(28) / weight
        assert abs(centre.mean() - 14) < 0.5


def test_labels_fit_the_images() -> None:
    """A digit is nearer to its own class' mean than to the others' in most cases."""
    images = load_digits("embedded", Path("unused"), EMBEDDED).reshape(-1, 784).astype(float)
    labels = read_idx(EMBEDDED / "labels-idx1-ubyte.gz")
    means = np.array([images[labels == digit].mean(0) for digit in range(10)])
    nearest = ((means**2).sum(1) - 2 * images @ means.T).argmin(1)
    assert (nearest == labels).mean() > 0.8


def test_readme_states_the_checksums() -> None:
    readme = (EMBEDDED / "README.md").read_text()
    for name in ("images-idx3-ubyte.gz", "labels-idx1-ubyte.gz"):
        assert hashlib.sha256((EMBEDDED / name).read_bytes()).hexdigest() in readme


def test_mnist_is_fetched_from_the_mirrors_and_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # MNIST itself cannot be had in a test: small files stand in for it, under their own checksums.
    images = np.arange(5 * 784, dtype=np.uint32).astype(np.uint8).reshape(5, 28, 28)
    content = gzip.compress(struct.pack(">4I", 2051, 5, 28, 28) + images.tobytes())
    sha256 = hashlib.sha256(content).hexdigest()
    monkeypatch.setattr(digits, "MNIST_SHA256", sha256)
    mirror = tmp_path / "mirror"
    mirror.mkdir()
    (mirror / digits.MNIST).write_bytes(content)
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=mirror)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        monkeypatch.setattr(digits, "MIRRORS", [f"{address}/gone/", f"{address}/"])
        fetch_mnist(tmp_path / "raw")
        server.shutdown()
    assert [path.name for path in (tmp_path / "raw").iterdir()] == [digits.MNIST]
    assert np.array_equal(load_digits("mnist", tmp_path / "raw", Path("unused")), images)


@pytest.mark.parametrize("source", ["mnist", "embedded"])
def test_missing_and_wrong_files_are_refused(source: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file"):
        load_digits(source, tmp_path, tmp_path)  # type: ignore[arg-type]
    for name in ("train-images-idx3-ubyte.gz", "images-idx3-ubyte.gz"):
        (tmp_path / name).write_bytes(b"wrong")
    with pytest.raises(UserError, match=r"expected SHA-256 [0-9a-f]{64}, found [0-9a-f]{64}"):
        load_digits(source, tmp_path, tmp_path)  # type: ignore[arg-type]


IDX = struct.pack(">4I", 0x803, 1, 2, 3) + bytes(range(6))


def test_an_idx_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.gz"
    path.write_bytes(gzip.compress(IDX))
    assert read_idx(path).tolist() == [[[0, 1, 2], [3, 4, 5]]]


def zipped(content: bytes) -> bytes:
    """Compress without the time of day, which would name the tests differently in each process."""
    return gzip.compress(content, mtime=0)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (IDX, "cannot be unpacked"),
        (zipped(IDX)[:-12], "cannot be unpacked"),
        (zipped(b""), "not an IDX file"),
        (zipped(b"\0\0\x0d" + IDX[3:]), "not an IDX file"),
        (zipped(IDX[:-1]), "21 bytes do not fit"),
        (zipped(IDX + b"\0"), "23 bytes do not fit"),
        (zipped(IDX[:10]), "10 bytes do not fit"),
    ],
)
def test_damaged_idx_is_refused(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "a.gz"
    path.write_bytes(content)
    with pytest.raises(UserError, match=message):
        read_idx(path)
