"""Prepare Moving-MNIST-2: write its splits as arrays and compare them with the recorded checksums."""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from convttlstm.config import MovingMnist
from convttlstm.data.arrays import open_array
from convttlstm.data.digits import fetch_mnist, load_digits
from convttlstm.data.kinds import SPLITS, DataKind, Preparation
from convttlstm.data.moving_mnist import generate
from convttlstm.files import UserError, atomic_path, read_json, write_json

if TYPE_CHECKING:
    from convttlstm.data.source import ClipSource

CHUNK = 50  # sequences in memory at a time


def prepare(name: str, dataset: MovingMnist, digits: np.ndarray, output: Path, checksums: Path) -> None:
    """Write train.npy, validation.npy, test.npy and, last, manifest.json into the folder `output`.

    A checksum is the SHA-256 of a split's frames, without the header that NumPy puts before them. A
    split that is on record must have the recorded one; any other is recorded.

    Args:
        name: the data set's name in the settings.
        dataset: its settings.
        digits: images to choose from, uint8 (images, 28, 28).
        output: the folder, made if need be.
        checksums: a JSON file, data/checksums.json in the repository; need not exist.

    Raises:
        UserError: a split has another checksum than the recorded one, or the disk is full.
    """
    recorded = read_json(checksums) if checksums.exists() else {}
    manifest_path = output / "manifest.json"
    manifest_path.unlink(missing_ok=True)  # without it, what follows is known to be unfinished
    new, splits = {}, {}
    for split in SPLITS:
        key = checksum_key(name, dataset, split)
        path = output / f"{split}.npy"
        splits[split] = _write_split(dataset, split, digits, path, recorded.get(key))
        found = splits[split]["sha256"]
        if key in recorded:
            print(f"{path}: SHA-256 {found}, as recorded")
        else:
            new[key] = found
            print(f"{path}: SHA-256 {found}, recorded now in {checksums}, compared from now on")
    if new:  # another data set may have been recorded in the meantime
        recorded = read_json(checksums) if checksums.exists() else {}
        write_json(checksums, dict(sorted((recorded | new).items())))
    manifest = {
        "dataset": dataset.stated(),
        "digits_sha256": hashlib.sha256(digits.tobytes()).hexdigest(),
        "splits": splits,
    }
    write_json(manifest_path, manifest)


def checksum_key(name: str, dataset: MovingMnist, split: str) -> str:
    """Return a readable name made of every setting that decides the frames of a split."""
    frames = dataset.split(split)
    if split == "test" and dataset.test_file:
        return f"{name}/{Path(dataset.test_file).name}/{split}-{frames.sequences}x{frames.frames}"
    return (
        f"{name}/{dataset.digits}-size{dataset.size}-digit{dataset.digit_size}"
        f"-x{dataset.digits_per_frame}-step{dataset.step}"
        f"-{'disjoint' if dataset.disjoint_digits else 'shared'}-seed{dataset.seed}"
        f"/{split}-{frames.sequences}x{frames.frames}"
    )


def _write_split(
    dataset: MovingMnist, split: str, digits: np.ndarray, path: Path, expected: str | None
) -> dict[str, Any]:
    """Write one array and return its entry in the manifest."""
    count, frames = dataset.split(split).sequences, dataset.split(split).frames
    shape = (count, frames, dataset.size, dataset.size)
    read = _reader(dataset, split, digits)
    digest = hashlib.sha256()
    with atomic_path(path) as temporary:
        with temporary.open("wb") as file:
            np.lib.format.write_array_header_1_0(
                file, {"descr": "|u1", "fortran_order": False, "shape": shape}
            )
            for start in range(0, count, CHUNK):
                indices = np.arange(start, min(start + CHUNK, count))
                content = read(indices).tobytes()
                digest.update(content)
                file.write(content)
            size = file.tell()
        found = digest.hexdigest()
        if expected not in (None, found):
            path.unlink(missing_ok=True)
            raise UserError(
                f"{path}: split {split!r}: expected SHA-256 {expected}, found {found}; "
                "the digits, the generator or the file differ from those that the record was made with"
            )
    return {"sha256": found, "shape": list(shape), "bytes": size}


def _reader(dataset: MovingMnist, split: str, digits: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """Return a function that gives sequences by index: drawn, or read from the test file.

    Raises:
        UserError: the file is missing, or holds other sequences than the settings say.
    """
    if split != "test" or not dataset.test_file:
        return lambda indices: generate(dataset, split, digits, indices)
    try:
        array = open_array(Path(dataset.test_file), "tshw")
    except UserError as error:
        raise UserError(f"{dataset.test_file}: {error}") from None
    count, frames, _, height, width = array.shape
    kind = array.array.dtype
    said = (dataset.test.sequences, dataset.test.frames, 1, dataset.size, dataset.size)
    if array.shape != said or kind != np.uint8:
        raise UserError(
            f"{dataset.test_file}: {count:,} sequences of {frames} frames, {height} x {width}, "
            f"{kind}; `test` and `size` say {said[0]:,} of {said[1]}, {said[3]} x {said[4]}, uint8"
        )
    return lambda indices: np.stack([array.read(int(index))[:, 0] for index in indices])


class MovingMnistKind(DataKind[MovingMnist]):
    """Sequences that are drawn from digits."""

    def fetch(self, raw: Path, lock: Path, labels: Sequence[str] = ()) -> None:
        """Download MNIST; its checksum is in the code, not in the lock."""
        fetch_mnist(raw)

    def prepare(self, dataset: MovingMnist, job: Preparation) -> None:
        """Draw the sequences."""
        digits = load_digits(dataset.digits, job.raw, job.embedded)
        prepare(job.name, dataset, digits, job.output, job.checksums)

    def open(self, dataset: MovingMnist, folder: Path, split: str, horizon: int | None) -> "ClipSource":
        """Return the whole sequences, whatever the horizon."""
        from convttlstm.data.clips import Clips

        return Clips(folder, split)


KIND = MovingMnistKind()
