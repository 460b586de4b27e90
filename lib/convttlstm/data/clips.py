"""Read prepared frames as batches of float sequences: whole sequences, or windows in videos."""

import contextlib
import functools
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from convttlstm.config import Dataset, VideoDataset
from convttlstm.data.arrays import map_array, record_of, stamp
from convttlstm.data.kinds import data_kind
from convttlstm.data.source import ClipSource
from convttlstm.files import UserError, read_json, write_text

FIX = "run snakemake or `convttlstm prepare` to make it"
FIRST = 10_000  # windows that the authors' loader saw
OPEN_AT_ONCE = 512  # each mapped file counts against the process's limit of open files, often 1,024


class NoWindow(UserError):
    """No video of a split is as long as a window."""


def open_clips(dataset: Dataset, folder: Path, split: str, horizon: int | None = None) -> ClipSource:
    """Return the sequences of a split of a prepared data set.

    In videos these are windows of context + horizon frames: for training all of them, or the first 10,000
    (`train_windows`); otherwise consecutive windows that do not overlap.

    Args:
        dataset: its settings.
        folder: where it was prepared.
        split: "train", "validation" or "test".
        horizon: frames to predict in evaluation; None in training and validation.

    Raises:
        UserError: files are missing or do not belong together, or no video is long enough.
    """
    return data_kind(dataset.kind).open(dataset, folder, split, horizon)


def open_windows(dataset: VideoDataset, folder: Path, split: str, horizon: int | None) -> ClipSource:
    """Return windows in the videos of a split; see `open_clips`."""
    frames = dataset.context + (horizon or dataset.horizon)
    shape = dataset.test_shape if horizon and dataset.test_shape != dataset.frame_shape else None
    trains = split == "train" and horizon is None
    windows = Windows(folder, split, frames, stride=1 if trains else frames, shape=shape)
    if split != "train" or dataset.train_windows != "first_10000":
        return windows
    length = dataset.context + dataset.horizon
    return _seen(windows, windows if trains else Windows(folder, split, length, stride=1))


def _seen(windows: "Windows", trained: "Windows") -> "Subset":
    """Return the windows within the frames of the first 10,000 training windows."""
    video, start = trained.places[:FIRST][-1]
    own, ends = windows.places[:, 0], windows.places[:, 1] + windows.frames
    chosen = np.flatnonzero((own < video) | ((own == video) & (ends <= start + trained.frames)))
    if not len(chosen):
        raise NoWindow(
            f"no window of {windows.frames} frames lies within the first {FIRST:,} training windows"
        )
    return Subset(windows, chosen)


class Clips:
    """One split of a prepared data set; frames stay on disk until they are asked for.

    Attributes:
        sha256: checksum of the split's frames, from the manifest.
        shape: sequences, frames, height, width.
        labels: none.
    """

    def __init__(self, folder: Path, split: str) -> None:
        """Open `<folder>/<split>.npy`.

        Raises:
            UserError: the array or the manifest is missing, or they do not belong together.
        """
        entry, _ = _read_manifest(folder, split)
        self.sha256: str = entry["sha256"]
        self.shape: tuple[int, ...] = tuple(entry["shape"])
        self.labels: dict[str, np.ndarray] = {}
        path = folder / f"{split}.npy"
        _verify(path, entry)
        self._frames = _open_array(path, self.shape)

    def __len__(self) -> int:
        """Return the number of sequences."""
        return len(self._frames)

    def batch(self, indices: Sequence[int] | np.ndarray, device: torch.device | str = "cpu") -> Tensor:
        """Return sequences as float32 (batch, time, 1, height, width) in [0, 1]."""
        return as_floats(self._frames[np.asarray(indices, dtype=int)], device).unsqueeze(2)


@dataclass(frozen=True, eq=False)
class Video:
    """One prepared video.

    Attributes:
        name: such as person01_boxing_d1.
        path: the array, uint8 (time, channel, height, width).
        shape: of the array.
        ranges: (start, end) of the frames in which windows may lie, end excluded.
        labels: such as its person and action.
    """

    name: str
    path: Path
    shape: tuple[int, ...]
    ranges: list[tuple[int, int]]
    labels: dict[str, Any]


class Windows:
    """Windows of `frames` frames in a split's videos, numbered video by video; each is one read.

    Attributes:
        sha256: checksum of the split's frames.
        labels: each window's video, its first frame, and what is known of the video.
    """

    def __init__(
        self,
        folder: Path,
        split: str,
        frames: int,
        stride: int,
        shape: tuple[int, int] | None = None,
    ) -> None:
        """Open the videos of a split.

        Args:
            folder: the prepared data set.
            split: "train", "validation" or "test".
            frames: length of a window.
            stride: frames from the start of one window to the next in the same range of a video.
            shape: height and width that frames are resized to, bilinear; None leaves them.

        Raises:
            UserError: files are missing or do not belong together.
            NoWindow: no video is long enough.
        """
        entry, videos = _read_manifest(folder, split)
        self.sha256: str = entry["sha256"]
        self.frames, self.shape = frames, shape
        self.videos = [_find_video(folder, video) for video in videos if video["split"] == split]
        places = [
            (number, start)
            for number, video in enumerate(self.videos)
            for first, end in video.ranges
            for start in range(first, end - frames + 1, stride)
        ]
        if not places:
            raise NoWindow(
                f"{folder}: no video of split {split!r} has a window of {frames} frames; "
                "use longer videos or smaller context and horizons"
            )
        self.places = np.array(places)
        video, start = self.places.T
        self.labels = {"video": np.array([v.name for v in self.videos])[video], "start": start}
        for name in self.videos[0].labels:
            self.labels[name] = np.array([v.labels[name] for v in self.videos])[video]

    def __len__(self) -> int:
        """Return the number of windows."""
        return len(self.places)

    def read(self, indices: Sequence[int] | np.ndarray) -> np.ndarray:
        """Return windows as they are stored, uint8 (batch, time, channel, height, width)."""
        places = self.places[np.asarray(indices, dtype=int)]
        return np.stack([_mapped(self.videos[video])[start : start + self.frames] for video, start in places])

    def batch(self, indices: Sequence[int] | np.ndarray, device: torch.device | str = "cpu") -> Tensor:
        """Return windows as float32 (batch, time, channel, height, width) in [0, 1]."""
        batch = as_floats(self.read(indices), device)
        if self.shape is None:
            return batch
        resized = interpolate(batch.flatten(0, 1), self.shape, mode="bilinear", align_corners=False)
        return torch.unflatten(resized, 0, batch.shape[:2])


class Subset:
    """Some sequences of a source, by their numbers in it."""

    def __init__(self, clips: ClipSource, chosen: np.ndarray) -> None:
        self.clips, self.chosen = clips, chosen
        self.sha256 = clips.sha256
        self.labels = {name: values[chosen] for name, values in clips.labels.items()}

    def __len__(self) -> int:
        """Return the number of sequences."""
        return len(self.chosen)

    def batch(self, indices: Sequence[int] | np.ndarray, device: torch.device | str = "cpu") -> Tensor:
        """Return these sequences, as the source does."""
        return self.clips.batch(self.chosen[np.asarray(indices, dtype=int)], device)


def as_floats(frames: np.ndarray | Tensor, device: torch.device | str) -> Tensor:
    """Return frames of bytes as float32 in [0, 1]."""
    # Bytes are a quarter the size of floats: copy them to the device, and convert there.
    return torch.as_tensor(frames).to(device) / 255


def as_bytes(frames: Tensor) -> np.ndarray:
    """Return frames in [0, 1] as uint8, rounded."""
    return (frames * 255).round().byte().cpu().numpy()


def _read_manifest(folder: Path, split: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return a split's entry in the manifest, and the entries of all videos if there are any."""
    path = folder / "manifest.json"
    if not path.is_file():
        raise UserError(f"{path}: no such file; {FIX}")
    manifest = read_json(path)
    try:
        entry, videos = manifest["splits"][split], manifest.get("videos", [])
        entry["sha256"]
    except (KeyError, TypeError, AttributeError):
        raise UserError(f"{path}: no entry for split {split!r}; {FIX} again") from None
    return entry, videos


def _find_video(folder: Path, entry: dict[str, Any]) -> Video:
    path = folder / entry["file"]
    _verify(path, entry)
    ranges = [(start, end) for start, end in entry["ranges"]]
    return Video(entry["name"], path, tuple(entry["shape"]), ranges, entry["labels"])


def _verify(path: Path, entry: dict[str, Any]) -> None:
    """Check an array by its size and, unless that was done for this very file, by its checksum."""
    if not path.is_file():
        raise UserError(f"{path}: no such file; {FIX}")
    found = path.stat()
    if found.st_size != entry["bytes"]:
        raise UserError(f"{path}: {found.st_size} bytes, but its manifest says {entry['bytes']}; {FIX} again")
    record, verified = record_of(path), stamp(path, entry["sha256"])
    with contextlib.suppress(OSError, UnicodeDecodeError):
        if record.read_text() == verified:
            return
    checksum = hashlib.sha256(map_array(path, f"{FIX} again")).hexdigest()
    if checksum != entry["sha256"]:
        raise UserError(f"{path}: SHA-256 {checksum}, but {entry['sha256']} was prepared; {FIX} again")
    with contextlib.suppress(UserError):  # the folder may be read only
        write_text(record, verified)


@functools.lru_cache(maxsize=OPEN_AT_ONCE)
def _mapped(video: Video) -> np.ndarray:
    return _open_array(video.path, video.shape)


def _open_array(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    """Return an array of bytes, mapped into memory, after a look at its shape."""
    array: np.ndarray = map_array(path, f"{FIX} again")
    if array.shape != shape or array.dtype != np.uint8:
        raise UserError(
            f"{path}: {array.dtype} {array.shape}, but its manifest says uint8 {shape}; {FIX} again"
        )
    return array
