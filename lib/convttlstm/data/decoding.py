"""Videos as pictures that stand upright: the one decoder of everything that reads a video."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING

import numpy as np
from PIL import Image, ImageOps

from convttlstm.files import UserError

if TYPE_CHECKING:
    from av import VideoFrame

# Matroska's (and WebM's) element that holds all others.
SEGMENT = b"\x18\x53\x80\x67"


def frames_of(video: str | Path | IO[bytes]) -> Iterator["VideoFrame"]:
    """Yield a video's frames.

    Raises:
        UserError: it is no video, has no frame, is damaged, or ends before what its container announces; the
            message does not name it.
    """
    import av  # a quarter of a second, which jobs without videos need not lose

    number = 0
    try:
        file = str(video) if isinstance(video, Path) else video
        with av.open(file, "r", metadata_errors="replace") as container:  # titles may be in Latin-1
            if not container.streams.video:
                raise UserError("it has no video stream")
            stream = container.streams.video[0]
            if stream.codec_context is None:
                raise UserError("its codec is not known")
            stream.codec_context.thread_count = 1  # videos are decoded side by side
            for frame in container.decode(stream):
                if frame.is_corrupt:
                    raise UserError(f"frame {number + 1} is damaged")
                number += 1
                yield frame
            # Chunks without bytes, which say that the last picture is shown again, count as frames in AVI.
            declared = stream.frames
    except av.FFmpegError as error:
        raise UserError(f"it cannot be decoded after frame {number} ({error.strerror})") from None
    if not number:
        raise UserError("it has no frame")
    if missing := _missing_bytes(video):
        of = f" of {declared}" if declared > number else ""
        raise UserError(f"it ends after {number}{of} frames: {missing:,} bytes are missing")


def picture(frame: "VideoFrame", shape: tuple[int, int], colour: bool, crop: bool = False) -> np.ndarray:
    """Return a frame as uint8 (channel, height, width), upright, squashed or cut if its proportions differ.

    Args:
        frame: as it is stored, with what the container says of its rotation.
        shape: height and width, pixels; bilinear, averaging where frames shrink.
        colour: red, green and blue; else grey, black 0 and white 255.
        crop: the largest part of these proportions around the middle is cut out; else all is squashed.
    """
    image = Image.fromarray(frame.to_ndarray(format="rgb24" if colour else "gray"))
    quarters = round(frame.rotation / 90)
    stored = shape[::-1] if quarters % 2 else shape  # turned afterwards
    return np.rot90(fitted(image, stored, colour, crop), quarters, axes=(1, 2))


def fitted(image: Image.Image, shape: tuple[int, int], colour: bool, crop: bool) -> np.ndarray:
    """Return a picture of 8 bits as uint8 (channel, height, width); see `picture`."""
    image = image.convert("RGB" if colour else "L")
    size, bilinear = shape[::-1], Image.Resampling.BILINEAR
    pixels = np.asarray(ImageOps.fit(image, size, bilinear) if crop else image.resize(size, bilinear))
    return pixels.transpose(2, 0, 1) if colour else pixels[None]


def _missing_bytes(video: str | Path | IO[bytes]) -> int:
    """Return how many bytes a file lacks of those that its container announces; 0 where that is not said."""
    if isinstance(video, str | Path):
        with open(video, "rb") as file:
            return _missing_bytes(file)
    video.seek(0, os.SEEK_END)
    size = video.tell()
    video.seek(0)
    head = video.read(4096)
    if head[:4] == b"RIFF" and head[8:12] == b"AVI ":
        return max(0, 8 + int.from_bytes(head[4:8], "little") - size)
    if head[4:8] == b"ftyp":
        return max(0, _end_of_boxes(video, size) - size)
    if head[:4] == b"\x1a\x45\xdf\xa3" and (place := head.find(SEGMENT)) > 0:
        length = 9 - head[place + 4].bit_length()  # of the number itself
        content = int.from_bytes(head[place + 4 : place + 4 + length], "big") - (1 << 7 * length)
        unknown = content == (1 << 7 * length) - 1  # of a live recording
        return 0 if unknown else max(0, place + 4 + length + content - size)
    return 0


def _end_of_boxes(file: IO[bytes], size: int) -> int:
    """Return where the last box of an MP4 file ends, there or not."""
    place = 0
    while place + 8 <= size:
        file.seek(place)
        head = file.read(16)
        length = int.from_bytes(head[:4], "big")
        if length == 1:  # the length follows
            length = int.from_bytes(head[8:16], "big")
        if length < 8:  # 0: to the end of the file
            return size
        place += length
    return place
