"""Decode one video into an array, frame by frame, unless the array is there already."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from convttlstm.config import VideoDataset
from convttlstm.data.arrays import map_array
from convttlstm.data.frames import decode
from convttlstm.files import atomic_path

if TYPE_CHECKING:
    from convttlstm.data.videos import Source

DELETE = "delete it and run the same command again"


def prepare_video(
    dataset: VideoDataset, source: "Source", output: Path, checksums: Mapping[str, str] = MappingProxyType({})
) -> dict[str, Any]:
    """Decode a video into an array, unless that is there already, and return its entry in the manifest.

    Frame by frame: memory does not grow with the video's length.

    Args:
        dataset: the settings.
        source: the video.
        output: the data set's folder.
        checksums: recorded SHA-256 of arrays, by file; an array that has another is decoded again.

    Raises:
        UserError: the video cannot be used, or the array cannot be written.
    """
    video, source_sha256 = source.open()
    settings = f"{source_sha256} size{dataset.size} channels{dataset.channels} step{dataset.frame_interval}"
    settings += " cropped" if dataset.cropped else ""
    settings += f" axes {dataset.array_axes}" if dataset.array_axes else ""
    key = hashlib.sha256(settings.encode()).hexdigest()[:12]
    # Most file systems take names of 255 bytes at most.
    readable = source.name.replace("/", "__").encode()[-150:].decode(errors="ignore")
    path = output / "videos" / f"{readable}-{key}.npy"
    there = path.is_file()
    if not there:
        _write_array(dataset, video, path)
    array = map_array(path, DELETE)
    sha256 = hashlib.sha256(array).hexdigest()
    if there and sha256 != checksums.get(path.relative_to(output).as_posix(), sha256):
        _write_array(dataset, video, path)
        array = map_array(path, DELETE)
        sha256 = hashlib.sha256(array).hexdigest()
    return {
        "name": source.name,
        "split": source.split,
        "file": path.relative_to(output).as_posix(),
        "shape": list(array.shape),
        "bytes": path.stat().st_size,
        "sha256": sha256,
        "source_sha256": source_sha256,
        "boundaries": [list(pair) for pair in source.boundaries],
        "ranges": source.ranges(len(array)),
        "labels": source.labels,
    }


def _write_array(dataset: VideoDataset, video: Any, path: Path) -> None:
    shape, count = (dataset.channels, *dataset.frame_shape), 0
    how = dataset.channels == 3, dataset.frame_interval, dataset.cropped, dataset.array_axes
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        _write_header(file, (0, *shape))
        for frame in decode(video, dataset.frame_shape, *how):
            file.write(frame.tobytes())
            count += 1
        file.seek(0)
        _write_header(file, (count, *shape))


def _write_header(file: IO[bytes], shape: tuple[int, ...]) -> None:
    # NumPy pads the header so that its first axis may grow without moving what follows.
    np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})
