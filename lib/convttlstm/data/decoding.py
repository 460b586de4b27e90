"""Decode videos into upright pictures; everything that reads a video does so here."""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from convttlstm.data.containers import missing_bytes
from convttlstm.files import UserError

if TYPE_CHECKING:
    from av import VideoFrame
    from av.video.reformatter import VideoReformatter


@dataclass(frozen=True)
class Frame:
    """A decoded frame.

    Attributes:
        stored: as the file has it.
        aspect: width of a pixel divided by its height.
        turned: whether rows become columns.
        flips: axes (1: height, 2: width) that are flipped after that.
        converter: of the pixel formats of this video's frames.
    """

    stored: "VideoFrame"
    aspect: Fraction
    turned: bool
    flips: tuple[int, ...]
    converter: "VideoReformatter"


def frames_of(video: str | Path | IO[bytes]) -> Iterator[Frame]:
    """Yield a video's frames.

    Raises:
        UserError: it is no video, has no frame, is damaged, or ends before what its container announces; the
            message does not name it.
    """
    import av  # a quarter of a second, which jobs without videos need not lose
    from av.video.reformatter import VideoReformatter

    number = 0
    try:
        # The name of a file may hold a colon.
        file = f"file:{video}" if isinstance(video, str | Path) else video
        with av.open(file, "r", metadata_errors="replace") as container:  # titles may be in Latin-1
            stream: Any = container.streams.best("video")  # not a cover picture, which is a stream too
            if stream is None:
                raise UserError("it has no video stream")
            if stream.codec_context is None:
                raise UserError("its codec is not known")
            stream.codec_context.thread_count = 1  # videos are decoded side by side
            aspect, converter = stream.sample_aspect_ratio or Fraction(1), VideoReformatter()
            for number, frame in enumerate(container.decode(stream), start=1):
                if frame.is_corrupt:
                    raise UserError(f"frame {number} is damaged")
                if number == 1:
                    orientation = _orientation(frame)
                yield Frame(frame, aspect, *orientation, converter)
            # Chunks without bytes, which say that the last picture is shown again, count as frames in AVI.
            declared = stream.frames
    except av.FFmpegError as error:
        raise UserError(f"it cannot be decoded after frame {number} ({error.strerror})") from None
    if not number:
        raise UserError("it has no frame")
    if missing := missing_bytes(video):
        of = f" of {declared}" if declared > number else ""
        raise UserError(f"it ends after {number}{of} frames: {missing:,} bytes are missing")


def picture(frame: Frame, shape: tuple[int, int], colour: bool, crop: bool = False) -> np.ndarray:
    """Return a frame as uint8 (channel, height, width), upright and resized.

    Args:
        frame: as it is stored, with what the container says of its rotation and its pixels.
        shape: height and width, pixels; bilinear, averaging where frames shrink.
        colour: red, green and blue; else grey, black 0 and white 255.
        crop: cut out the largest central part with this aspect ratio; else stretch the whole frame.
    """
    # Not by the frame's own converter: the garbage collector frees frames with side data, and where it runs
    # in a forked process, their converters' threads wait for each other forever.
    converted = frame.converter.reformat(frame.stored, format="rgb24" if colour else "gray")
    stored = shape[::-1] if frame.turned else shape
    pixels = fitted(Image.fromarray(converted.to_ndarray()), stored, colour, crop, float(frame.aspect))
    return np.flip(pixels.swapaxes(1, 2) if frame.turned else pixels, frame.flips)


def _orientation(frame: "VideoFrame") -> tuple[bool, tuple[int, ...]]:
    """Return `turned` and `flips`; see `Frame`.

    The display matrix (a b u, c d v, x y w) moves a pixel (x, y) to (ax + cy, bx + dy).
    """
    found: Any = frame.side_data
    matrix = next((data for data in found if data.type.name == "DISPLAYMATRIX"), None)
    if matrix is None:
        return False, ()
    a, b, _, c, d = np.frombuffer(matrix, np.int32)[:5].tolist()
    turned = abs(b) > abs(a)
    across, down = (c, b) if turned else (a, d)
    return turned, tuple(axis for axis, sign in ((1, down), (2, across)) if sign < 0)


def fitted(
    image: Image.Image, shape: tuple[int, int], colour: bool, crop: bool, aspect: float = 1
) -> np.ndarray:
    """Return a picture of 8 bits as uint8 (channel, height, width); see `picture`."""
    image = image.convert("RGB" if colour else "L")
    box = _middle(image.size, shape, aspect) if crop else None
    pixels = np.asarray(image.resize(shape[::-1], Image.Resampling.BILINEAR, box))
    return pixels.transpose(2, 0, 1) if colour else pixels[None]


def _middle(
    size: tuple[int, int], shape: tuple[int, int], aspect: float
) -> tuple[float, float, float, float]:
    """Return the borders (left, top, right, bottom) of the largest part with the proportions of `shape`."""
    width, height = size
    scale = min(width * aspect / shape[1], height / shape[0])
    left, top = (width - scale * shape[1] / aspect) / 2, (height - scale * shape[0]) / 2
    return left, top, width - left, height - top
