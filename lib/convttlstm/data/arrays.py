"""Open arrays in NumPy and HDF5 files, with axes in any order."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from convttlstm.config.videos import AXES, HDF5
from convttlstm.faults import remedy
from convttlstm.files import UserError, listed, shortened


def map_array(path: Path, fix: str) -> Any:
    """Return the numpy array of a .npy file, mapped into memory.

    Raises:
        UserError: it is no such file, or cannot be read; `fix`, what to do, ends the message.
    """
    try:
        return np.load(path, mmap_mode="r")
    except Exception as error:  # a damaged header raises many kinds, from ValueError to SyntaxError
        raise UserError(f"{path}: damaged, not an array ({shortened(error)}); {fix}") from None


def record_of(path: Path) -> Path:
    """Return the file next to an array that says which one was verified; see `stamp`."""
    return path.with_name(f".{path.name}.verified")


def stamp(path: Path, sha256: str) -> str:
    """Return the SHA-256 of an array's values, and size, time and inode of its file."""
    found = path.stat()
    return f"{sha256} {found.st_size} {found.st_mtime_ns} {found.st_ino}\n"


def recorded_sha256(path: Path) -> str:
    """Return the SHA-256 that an array's values had when they were written or verified, "" if unknown."""
    try:
        return record_of(path).read_text().partition(" ")[0]
    except (OSError, UnicodeDecodeError):
        return ""


def values_sha256(path: Path) -> str:
    """Return the SHA-256 of an array's values, "" if there is no such array or it is damaged."""
    try:
        return hashlib.sha256(map_array(path, "")).hexdigest()
    except UserError:
        return ""


@dataclass(frozen=True)
class StoredArray:
    """Sequences of frames in a file, which are read when they are asked for.

    Attributes:
        array: numpy's, or h5py's data set.
        axes: the letters of its axes in their order, of s, t, c, h, w.
    """

    array: Any
    axes: str

    @property
    def shape(self) -> tuple[int, ...]:
        """Sequences, time, channels, height, width."""
        lengths = dict(zip(self.axes, self.array.shape, strict=True))
        return tuple(lengths.get(letter, 1) for letter in "stchw")

    def read(self, sequence: int, time: slice = slice(None)) -> np.ndarray:
        """Return frames of a sequence, (time, channel, height, width), of whatever type.

        Raises:
            UserError: the file is damaged.
        """
        place = {"s": sequence, "t": time}
        try:
            part = np.asarray(self.array[tuple(place.get(letter, slice(None)) for letter in self.axes)])
        except Exception as error:  # HDF5 raises many kinds
            raise UserError(f"sequence {sequence + 1} cannot be read ({shortened(error)})") from None
        letters = self.axes.replace("s", "")
        ordered = part.transpose([letters.index(letter) for letter in "tchw" if letter in letters])
        return ordered if "c" in letters else ordered[:, None]


def open_array(path: Path, axes: str | None) -> StoredArray:
    """Return the array in a file; nothing is unpickled.

    Args:
        path: of a .npy file, which is mapped into memory, or of a .npz or HDF5 file with one array.
        axes: the letters of its axes in their order, of s, t, c, h, w; None if it is (time, height, width).

    Raises:
        UserError: it is damaged, has other axes, or is not uint8, uint16 or float.
    """
    array = _hdf5(path) if path.suffix.lower() in HDF5 else _numpy(path)
    letters = axes or "thw"
    shape = array.shape or ()  # None for an HDF5 data set without values
    if len(shape) != len(letters) or 0 in shape:
        raise UserError(
            f"its shape is {shape}, which is not {', '.join(AXES[letter] for letter in letters)}; "
            "say what its axes are, such as axes: tshw for mnist_test_seq.npy"
        )
    if array.dtype not in (np.uint8, np.uint16, np.float32, np.float64):
        raise UserError(f"its type is {array.dtype}; store uint8, uint16, or floats in [0, 1]")
    stored = StoredArray(array, letters)
    if stored.shape[2] not in (1, 3):
        raise UserError(f"it has {stored.shape[2]} channels; 1 and 3 are known")
    return stored


def _numpy(path: Path) -> np.ndarray:
    array: np.ndarray
    try:
        with path.open("rb") as file:  # NumPy would leave a damaged .npz file open
            if file.read(2) != b"PK":
                array = np.load(path, mmap_mode="r", allow_pickle=False)
                return array
            file.seek(0)
            with np.load(file, allow_pickle=False) as loaded:
                if len(loaded.files) != 1:
                    raise UserError(f"it holds {len(loaded.files)} arrays; keep one")
                array = loaded[loaded.files[0]]
                return array
    except UserError:
        raise
    except Exception as error:  # as in map_array; and of a .npz file those of zip and of memory
        raise UserError(f"it is not an array of numbers ({shortened(error)})") from None


def _hdf5(path: Path) -> Any:
    try:
        import h5py
    except ModuleNotFoundError as error:
        raise UserError(f"{remedy(error)} ({error})") from None

    arrays: list[Any] = []
    try:
        file = h5py.File(path, "r")
        file.visititems(lambda _, item: arrays.append(item) if isinstance(item, h5py.Dataset) else None)
        [array.dtype for array in arrays]  # raises for types that NumPy lacks
    except Exception as error:  # HDF5 raises many kinds
        raise UserError(f"it is not a readable HDF5 file ({shortened(error)})") from None
    if len(arrays) != 1:
        names = listed([array.name.lstrip("/") for array in arrays])
        raise UserError(f"it holds {len(arrays)} arrays{f' ({names})' if arrays else ''}; keep one")
    return arrays[0]
