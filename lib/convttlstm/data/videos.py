"""Decode videos into arrays, in parallel; each array is written to a file of its own, by rename."""

import csv
import hashlib
import io
import os
import zipfile
import zlib
from abc import abstractmethod
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TypeVar

import numpy as np
from tqdm import tqdm

from convttlstm.config import VideoDataset, Videos
from convttlstm.config.videos import ARRAYS, SUFFIXES, sequence_files
from convttlstm.data.arrays import map_array, record_of, recorded_sha256, stamp, values_sha256
from convttlstm.data.frames import boundaries_of, decode, digest_of, is_sequence
from convttlstm.data.kinds import SPLITS, DataKind, Preparation
from convttlstm.files import UserError, atomic_path, read_text, shortened, write_json, write_text

if TYPE_CHECKING:
    from convttlstm.data.source import ClipSource

DELETE = "delete it and run the same command again"
# Errors of reading a zip file that is damaged, encrypted or packed in an unknown way.
DAMAGED_ZIP = (zipfile.BadZipFile, zlib.error, EOFError, KeyError, ValueError, RuntimeError)

VideoSettings = TypeVar("VideoSettings", bound=VideoDataset)


@dataclass(frozen=True)
class Source:
    """A video file, or a video in a zip archive, with its labels.

    Attributes:
        name: unique among the videos of a data set.
        split: "train", "validation" or "test".
        path: the file or the archive.
        member: its name in the archive; None for a file.
        labels: such as its action.
        boundaries: the first and the last frame of each sequence in it, counted from 1.
        within_boundaries: whether windows may lie in these sequences only.
    """

    name: str
    split: str
    path: Path
    member: str | None = None
    labels: dict[str, Any] = field(default_factory=dict)
    boundaries: tuple[tuple[int, int], ...] = ()
    within_boundaries: bool = False

    def open(self) -> tuple[str | IO[bytes], str]:
        """Return the file, and its SHA-256.

        Raises:
            UserError: it is missing, or the archive is damaged.
        """
        try:
            if self.member is None:
                return str(self.path), digest_of(self.path)
            with zipfile.ZipFile(self.path) as archive:
                content = archive.read(self.member)
        except (OSError, *DAMAGED_ZIP) as error:
            raise UserError(f"{self.path}: {self.name} cannot be read ({shortened(error)})") from None
        return io.BytesIO(content), hashlib.sha256(content).hexdigest()

    def ranges(self, frames: int) -> list[tuple[int, int]]:
        """Return where windows may lie in so many frames: (start, end), counted from 0, end excluded."""
        if not self.within_boundaries:
            return [(0, frames)]
        return [(first - 1, min(last, frames)) for first, last in self.boundaries]


def folder_sources(dataset: Videos) -> list[Source]:
    """Return the videos in the folder that the settings name.

    Raises:
        UserError: there is no such folder, a split has no video, or the split file is wrong.
    """
    folder = Path(dataset.folder)
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; it must hold {', '.join(SPLITS)}, each with video files")
    if dataset.split_file:
        listed = _read_split_file(folder, Path(dataset.split_file))
    else:
        listed = [(split, path) for split in SPLITS for path in sequence_files(folder / split)]
    for _, path in listed:
        try:
            str(path).encode()
        except UnicodeEncodeError:
            raise UserError(f"{str(path)!r}: its name is not UTF-8; rename it") from None
    sources = [Source(path.relative_to(folder).as_posix(), split, path) for split, path in listed]
    refuse_unknown(dataset.excluded, [source.name for source in sources])
    sources = [_bounded(dataset, source) for source in sources if source.name not in dataset.excluded]
    for split in SPLITS:
        if not any(source.split == split for source in sources):
            where = dataset.split_file or folder / split
            known = ", ".join([*sorted(SUFFIXES | ARRAYS), "folders of .png or .jpg"])
            raise UserError(f"{where}: no video for the split {split!r} ({known})")
    return sources


def _bounded(dataset: Videos, source: Source) -> Source:
    """Return a source with the sequences in it, if it is an array: windows lie within one of them."""
    boundaries = boundaries_of(source.path, dataset.axes, dataset.frame_step)
    return replace(source, boundaries=boundaries, within_boundaries=bool(boundaries))


def _read_split_file(folder: Path, path: Path) -> list[tuple[str, Path]]:
    try:
        reader = csv.DictReader(io.StringIO(read_text(path), newline=""))
        rows = [(reader.line_num, row) for row in reader]
    except csv.Error as error:
        raise UserError(f"{path}: not a valid CSV ({error})") from None
    listed: list[tuple[str, Path]] = []
    seen: dict[Path, int] = {}
    for line, row in rows:
        video, split = row.get("video"), row.get("split")
        if not video or "\0" in video or split not in SPLITS:
            raise UserError(
                f"{path}: line {line}: expected the columns video and split ({', '.join(SPLITS)})"
            )
        # Links may point outside the folder, as they may without a split file.
        if os.path.isabs(video) or os.path.normpath(video).split(os.sep)[0] == os.pardir:
            raise UserError(f"{path}: line {line}: {video} lies outside {folder}")
        if not is_sequence(folder / video):
            raise UserError(f"{path}: line {line}: no file {folder / video}, and no folder of pictures")
        if (first := seen.setdefault((folder / video).resolve(), line)) != line:
            raise UserError(f"{path}: line {line}: {video} is in line {first} already; keep one of them")
        listed.append((split, folder / video))
    return listed


def refuse_unknown(excluded: Sequence[str], names: Sequence[str]) -> None:
    """Check that all excluded videos exist.

    Raises:
        UserError: one of them does not.
    """
    if unknown := sorted(set(excluded) - set(names)):
        raise UserError(f"excluded: there is no video {unknown[0]!r}")


def prepare_videos(
    name: str, dataset: VideoDataset, sources: Sequence[Source], output: Path, processes: int
) -> None:
    """Decode all videos into arrays below `output`, and write, last, manifest.json.

    An array's name holds a checksum of the video file and of all settings that decide its frames, and it
    appears by rename when it is whole. The same call, repeated, decodes the videos that are left.

    Args:
        name: the data set's name in the settings.
        dataset: its settings.
        sources: the videos, in the order that windows are numbered in.
        output: the folder, made if need be.
        processes: how many videos are decoded at a time.

    Raises:
        UserError: videos cannot be used, all of them named, or a file cannot be written.
    """
    manifest = output / "manifest.json"
    manifest.unlink(missing_ok=True)  # without it, what follows is known to be unfinished
    entries = _decode_all(name, dataset, sources, output, processes)
    _refuse_shared(output, entries)
    splits = {}
    for split in SPLITS:
        own = [entry for entry in entries if entry["split"] == split]
        lines = "".join(f"{entry['name']} {entry['sha256']} {entry['ranges']}\n" for entry in own)
        splits[split] = {
            "sha256": hashlib.sha256(lines.encode()).hexdigest(),
            "videos": len(own),
            "frames": sum(entry["shape"][0] for entry in own),
        }
        counts = f"{len(own)} videos, {splits[split]['frames']:,} frames"
        print(f"{output}: {split}: {counts}, {_windows_in_words(name, dataset, split, own)}")
    kept = {output / entry["file"] for entry in entries}
    kept |= {record_of(path) for path in kept}
    for path in (output / "videos").iterdir():  # of other settings, or left by a killed process
        if path not in kept and path.is_file():
            path.unlink(missing_ok=True)
    write_json(manifest, {"dataset": dataset.stated(), "splits": splits, "videos": entries})


def _decode_all(
    name: str, dataset: VideoDataset, sources: Sequence[Source], output: Path, processes: int
) -> list[dict[str, Any]]:
    """Return the manifest's entries of all videos."""
    entries: dict[str, dict[str, Any]] = {}
    failures: list[str] = []
    with ProcessPoolExecutor(processes) as pool:
        waiting = {pool.submit(prepare_video, dataset, source, output): source for source in sources}
        # disable=None: a bar on a terminal only.
        for future in tqdm(
            as_completed(waiting), f"prepare {name}", len(waiting), unit="video", disable=None
        ):
            source = waiting[future]
            try:
                entries[source.name] = future.result()
            except UserError as error:
                failures.append(f"{source.name} ({error})")
            except BrokenProcessPool:
                raise UserError(
                    f"{output}: a process that decodes videos was killed, perhaps for its memory; "
                    "run the same command again for the videos that are left"
                ) from None
    if failures:
        raise UserError(
            f"{output}: {len(failures)} of {len(sources)} videos cannot be used: "
            f"{'; '.join(sorted(failures))}; put the right files there, "
            f"or list them in datasets.{name}.excluded"
        )
    return [entries[source.name] for source in sources]


def _windows_in_words(name: str, dataset: VideoDataset, split: str, entries: Sequence[dict[str, Any]]) -> str:
    """Return how many windows a split has, of each length that is asked for.

    Raises:
        UserError: it has none of one of them.
    """
    horizons = dataset.test_horizons if split == "test" else [dataset.horizon]
    said = []
    for horizon in horizons:
        length = dataset.context + horizon
        stride = 1 if split == "train" else length
        count = sum(
            len(range(first, end - length + 1, stride)) for entry in entries for first, end in entry["ranges"]
        )
        if not count:
            setting = "test_horizons" if split == "test" else "horizon"
            raise UserError(
                f"{name}: no video of the split {split!r} has a window of {length} frames "
                f"({dataset.context} + {horizon}); use longer videos, or lower datasets.{name}.{setting} or "
                ".context"
            )
        said.append(f"{count:,} windows of {length}")
    return ", ".join(said)


def _refuse_shared(output: Path, entries: Sequence[dict[str, Any]]) -> None:
    """Refuse a video that is in two splits, by its checksum: it would be tested after it was trained on."""
    first: dict[str, dict[str, Any]] = {}
    for entry in entries:
        other = first.setdefault(entry["source_sha256"], entry)
        if other["split"] != entry["split"]:
            raise UserError(
                f"{output}: {other['name']} ({other['split']}) and {entry['name']} ({entry['split']}) are "
                "the same video; take one of them out, or list it in `excluded`"
            )


def prepare_video(dataset: VideoDataset, source: Source, output: Path) -> dict[str, Any]:
    """Decode a video into an array, and return its entry in the manifest.

    An array that is there already is kept, unless its values have changed since. Memory does not grow with
    the video's length.

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
    sha256 = values_sha256(path)
    if not sha256 or sha256 != (recorded_sha256(path) or sha256):
        _write_array(dataset, video, path)
        sha256 = values_sha256(path)
    array = map_array(path, DELETE)
    write_text(record_of(path), stamp(path, sha256))
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
    header = {"descr": "|u1", "fortran_order": False}
    how = dataset.channels == 3, dataset.frame_interval, dataset.cropped, dataset.array_axes
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        # NumPy pads the header so that its first axis may grow without moving what follows.
        np.lib.format.write_array_header_1_0(file, header | {"shape": (0, *shape)})
        for frame in decode(video, dataset.frame_shape, *how):
            file.write(frame.tobytes())
            count += 1
        file.seek(0)
        np.lib.format.write_array_header_1_0(file, header | {"shape": (count, *shape)})


class VideoKind(DataKind[VideoSettings]):
    """Windows of frames in videos; subclasses list the videos."""

    @abstractmethod
    def sources(self, dataset: VideoSettings, raw: Path) -> list[Source]:
        """Return the videos, in the order that windows are numbered in.

        Raises:
            UserError: videos are missing or unknown.
        """

    def prepare(self, dataset: VideoSettings, job: Preparation) -> None:
        """Decode the videos."""
        prepare_videos(job.name, dataset, self.sources(dataset, job.raw), job.output, job.processes)

    def open(self, dataset: VideoSettings, folder: Path, split: str, horizon: int | None) -> "ClipSource":
        """Return windows of context + horizon frames."""
        from convttlstm.data.clips import open_windows

        return open_windows(dataset, folder, split, horizon)


class VideosKind(VideoKind[Videos]):
    """Your own videos, pictures and arrays."""

    def sources(self, dataset: Videos, raw: Path) -> list[Source]:
        """Return the videos in the folder that the settings name."""
        return folder_sources(dataset)


KIND = VideosKind()
