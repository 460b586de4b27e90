"""Read frames from videos, folders of pictures and arrays; resized, as bytes."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np
from PIL import Image, ImageOps

from convttlstm.config.videos import ARRAYS, image_files
from convttlstm.data.arrays import StoredArray, open_array
from convttlstm.data.decoding import fitted, frames_of, picture
from convttlstm.files import UserError, sha256_of, shortened

AT_ONCE = 64  # frames of an array


def decode(
    video: str | IO[bytes],
    shape: tuple[int, int],
    colour: bool = False,
    step: int = 1,
    crop: bool = False,
    axes: str | None = None,
) -> Iterator[np.ndarray]:
    """Yield frames as uint8 (channel, height, width), resized.

    Args:
        video: path or open file of a video; path of an array, or of a folder of pictures.
        shape: height and width, pixels; bilinear, averaging where frames shrink.
        colour: red, green and blue; else grey, black 0 and white 255.
        step: every how many-th frame is used.
        crop: cut out the largest central part with this aspect ratio; else stretch whole frames.
        axes: of an array; see `arrays.open_array`.

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
                yield picture(frame, shape, colour, crop)
        return
    for image in images:
        yield fitted(image, shape, colour, crop)


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
        except Exception as error:  # Pillow raises many kinds, also for sizes that only an attack has
            raise UserError(f"{path.name} cannot be read ({shortened(error)})") from None
        if number == 0:
            first = image.size
        if image.size != first:
            raise UserError(f"{path.name} has {image.size} pixels, but the first picture {first}")
        if number % step == 0:
            yield _in_8_bits(image)


def _array_frames(array: StoredArray, step: int) -> Iterator[Image.Image]:
    """Yield every `step`-th frame of each sequence, one after the other; few are in memory at a time.

    Raises:
        UserError: float values lie outside [0, 1], or the file is damaged.
    """
    sequences, length, *_ = array.shape
    for sequence in range(sequences):
        for start in range(0, length, AT_ONCE * step):
            part = array.read(sequence, slice(start, start + AT_ONCE * step, step))
            for frame in _as_bytes(part, sequence + 1):
                yield Image.fromarray(frame.transpose(1, 2, 0) if len(frame) == 3 else frame[0])


def boundaries_of(path: Path, axes: str | None, step: int) -> tuple[tuple[int, int], ...]:
    """Return the first and the last frame, from 1, of each sequence in a file; none if it is no array.

    Raises:
        UserError: see `arrays.open_array`.
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
    """Return uint8, uint16 or float frames as uint8, rounded."""
    if frames.dtype == np.uint8:
        return np.ascontiguousarray(frames)
    if frames.dtype == np.uint16:
        return ((frames.astype(np.uint32) + 128) // 257).astype(np.uint8)
    if not (frames.min() >= 0 and frames.max() <= 1):
        raise UserError(f"sequence {number} has values outside [0, 1]; scale it, or store uint8")
    return (frames * 255).round().astype(np.uint8)
