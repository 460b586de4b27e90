"""Frames of whatever holds them: a video, a folder of pictures, an array; resized, as bytes."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np
from PIL import Image, ImageOps

from convttlstm.config.videos import ARRAYS, AXES, image_files
from convttlstm.data.decoding import fitted, frames_of, picture
from convttlstm.files import UserError, sha256_of


def decode(
    video: str | IO[bytes],
    size: int,
    colour: bool = False,
    step: int = 1,
    crop: bool = False,
    axes: str | None = None,
) -> Iterator[np.ndarray]:
    """Yield frames as uint8 (channel, size, size), squashed or cut to a square where they are none.

    Args:
        video: path or open file of a video; path of an array, or of a folder of pictures.
        size: height and width, pixels; bilinear, averaging where frames shrink.
        colour: red, green and blue; else grey, black 0 and white 255.
        step: every how many-th frame is used.
        crop: a square around the middle is cut out; else whole frames are squashed.
        axes: of an array; see `open_array`.

    Raises:
        UserError: it is none of these, is damaged, or ends too early; the message does not name it.
    """
    path = Path(video) if isinstance(video, str) else None
    if path and path.is_dir():
        images = _pictures(path, step)
    elif path and path.suffix.lower() in ARRAYS:
        images = _array_frames(open_array(path, axes), step)
    else:
        for number, frame in enumerate(frames_of(video)):
            if number % step == 0:
                yield picture(frame, size, colour, crop)
        return
    for image in images:
        yield fitted(image, size, colour, crop)


def is_sequence(path: Path) -> bool:
    """Return whether a path is a file, or a folder of pictures."""
    return path.is_file() or bool(image_files(path))


def digest_of(path: Path) -> str:
    """Return the SHA-256 of a file, or of the pictures in a folder, whatever they are called."""
    if path.is_file():
        return sha256_of(path)
    checksums = "".join(sha256_of(image) for image in image_files(path))
    return hashlib.sha256(checksums.encode()).hexdigest()


def _pictures(folder: Path, step: int) -> Iterator[Image.Image]:
    """Yield every `step`-th picture of a folder, by their numbers.

    Raises:
        UserError: one of them cannot be read, or has another size than the first.
    """
    first = (0, 0)
    for number, path in enumerate(image_files(folder)):
        try:
            with Image.open(path) as file:
                image = ImageOps.exif_transpose(file)
                image.load()
        except (OSError, ValueError, SyntaxError) as error:
            raise UserError(f"{path.name} cannot be read ({error})") from None
        if number == 0:
            first = image.size
        if image.size != first:
            raise UserError(f"{path.name} has {image.size} pixels, but the first picture {first}")
        if number % step == 0:
            yield _in_8_bits(image)


def open_array(path: Path, axes: str | None) -> np.ndarray:
    """Return an array as (sequence, time, channel, height, width), of whatever type; nothing is unpickled.

    Args:
        path: of a .npy file, which is mapped into memory, or of a .npz file with one array.
        axes: the letters of its axes in their order, of s, t, c, h, w; None if it is (time, height, width).

    Raises:
        UserError: it is damaged, has other axes, or is neither of bytes nor 16 bits nor fractions.
    """
    try:
        loaded = np.load(path, mmap_mode="r", allow_pickle=False)
        if not isinstance(loaded, np.ndarray):
            if len(loaded.files) != 1:
                raise UserError(f"it holds {len(loaded.files)} arrays; keep one")
            loaded = loaded[loaded.files[0]]
    except (OSError, ValueError, EOFError) as error:
        raise UserError(f"it is no array of numbers ({error})") from None
    array: np.ndarray = loaded
    letters = axes or "thw"
    if array.ndim != len(letters) or 0 in array.shape:
        raise UserError(
            f"its shape is {array.shape}, which is not {', '.join(AXES[letter] for letter in letters)}; "
            "say what its axes are, such as axes: tshw for mnist_test_seq.npy"
        )
    if array.dtype not in (np.uint8, np.uint16, np.float32, np.float64):
        raise UserError(f"its type is {array.dtype}; store uint8, uint16, or floats in [0, 1]")
    missing = [letter for letter in "sc" if letter not in letters]
    array = array.reshape(array.shape + (1,) * len(missing))
    ordered: np.ndarray = np.transpose(array, [[*letters, *missing].index(letter) for letter in "stchw"])
    if ordered.shape[2] not in (1, 3):
        raise UserError(f"it has {ordered.shape[2]} channels; 1 and 3 are known")
    return ordered


def _array_frames(array: np.ndarray, step: int) -> Iterator[Image.Image]:
    """Yield every `step`-th frame of each sequence of `open_array`, one after the other.

    Raises:
        UserError: fractions lie outside [0, 1].
    """
    for number, sequence in enumerate(array, start=1):
        for frame in _as_bytes(np.asarray(sequence[::step]), number):
            yield Image.fromarray(frame.transpose(1, 2, 0) if len(frame) == 3 else frame[0])


def boundaries_of(path: Path, axes: str | None, step: int) -> tuple[tuple[int, int], ...]:
    """Return the first and the last frame, from 1, of each sequence in a file; none if it is no array.

    Raises:
        UserError: see `open_array`.
    """
    if path.suffix.lower() not in ARRAYS:
        return ()
    try:
        sequences, frames, *_ = open_array(path, axes).shape
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    length = -(-frames // step)
    return tuple((1 + start, start + length) for start in range(0, sequences * length, length))


def _in_8_bits(image: Image.Image) -> Image.Image:
    """Return a picture whose numbers have 8 bits; black stays black and white white."""
    if image.mode.startswith("I"):  # 16 bits, whatever the order of their bytes
        return Image.fromarray(_as_bytes(np.asarray(image, np.uint16), 1))
    return image


def _as_bytes(frames: np.ndarray, number: int) -> np.ndarray:
    """Return numbers of 16 bits, or fractions, as uint8, rounded."""
    if frames.dtype == np.uint8:
        return np.ascontiguousarray(frames)
    if frames.dtype == np.uint16:
        return ((frames.astype(np.uint32) + 128) // 257).astype(np.uint8)
    if not (frames.min() >= 0 and frames.max() <= 1):
        raise UserError(f"sequence {number} has values outside [0, 1]; scale it, or store uint8")
    return (frames * 255).round().astype(np.uint8)
