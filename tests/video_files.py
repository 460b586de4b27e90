"""Video files for tests, encoded without loss."""

import struct
from pathlib import Path

import av
import numpy as np

ONE = 1 << 16  # 1.0 in a track's matrix


def write_video(path: Path, frames: np.ndarray) -> None:
    """Write uint8 (time, height, width), or (time, height, width, 3) in red, green and blue."""
    path.parent.mkdir(parents=True, exist_ok=True)
    colour = frames.ndim == 4
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "bgr0" if colour else "gray"
        for frame in frames:
            picture = av.VideoFrame.from_ndarray(frame, format="rgb24" if colour else "gray")
            container.mux(stream.encode(picture))
        container.mux(stream.encode())


def noise(frames: int, size: int, seed: int, colour: bool = False) -> np.ndarray:
    """Frames of which no two are alike."""
    shape = (frames, size, size, 3) if colour else (frames, size, size)
    return np.random.default_rng(seed).integers(256, size=shape, dtype=np.uint8)


def turn(path: Path, matrix: tuple[int, ...]) -> None:
    """Write a rotation into an MP4's track header."""
    content = bytearray(path.read_bytes())
    at = content.index(b"tkhd") + 4 + 40
    content[at : at + 36] = struct.pack(">9i", *matrix)
    path.write_bytes(content)
