"""Decode the first parts of labelled clips on demand."""

import signal
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from convttlstm.config import Dataset as Settings
from convttlstm.config import Something
from convttlstm.data.clips import FIX, as_floats
from convttlstm.data.decoding import frames_of, picture
from convttlstm.data.something import frames_seen
from convttlstm.files import UserError, read_json


@dataclass(frozen=True)
class Part:
    """The first part of a clip, to be seen, and the frames after it, to be predicted.

    Attributes:
        clip: its number in the split.
        seen: frames in the first part.
        context: number of its frames that the model gets: the last ones or, with `lengths: resample`, evenly
            spaced ones.
    """

    clip: int
    seen: int
    context: int


@dataclass(frozen=True)
class PartBatch:
    """Parts of one length.

    Attributes:
        frames: float32 (batch, context + horizon, channel, height, width) in [0, 1].
        labels: int64 (batch,), each activity's number.
        parts: the part of each sequence.
    """

    frames: Tensor
    labels: Tensor
    parts: Sequence[Part]


class Activities:
    """The labelled clips of a split.

    Attributes:
        sha256: checksum of the split's clips and labels.
        skipped: clips that could not be decoded and were left out.
        names: each clip's id.
        labels: each clip's activity, int64.
    """

    def __init__(self, dataset: Settings, folder: Path, split: str) -> None:
        """Read `<folder>/manifest.json`.

        Raises:
            UserError: it is missing, or another version wrote it.
        """
        assert isinstance(dataset, Something)  # no other kind has labelled clips
        path = folder / "manifest.json"
        if not path.is_file():
            raise UserError(f"{path}: no such file; {FIX}")
        manifest = read_json(path)
        try:
            entry, self._folder = manifest["splits"][split], Path(manifest["folder"])
            self.sha256: str = entry["sha256"]
            self.skipped: int = entry["skipped"]
            own = [clip for clip in manifest["clips"] if clip["split"] == split]
            self.names = [clip["clip"] for clip in own]
            self.labels = np.array([clip["label"] for clip in own])
            self._lengths = [clip["frames"] for clip in own]
        except (KeyError, TypeError) as error:
            raise UserError(f"{path}: no list of labelled clips ({error}); {FIX} again") from None
        self.dataset = dataset

    def __len__(self) -> int:
        """Return the number of clips."""
        return len(self.names)

    def part(self, clip: int, fraction: float) -> Part:
        """Return the first `fraction` of a clip."""
        seen = frames_seen(self._lengths[clip], fraction)
        return Part(clip, seen, self.dataset.context if self.dataset.lengths == "resample" else seen)

    def serves(self, clip: int, fraction: float) -> bool:
        """Return whether a clip may be trained on: where padding is 'leave_out', short ones may not."""
        enough = frames_seen(self._lengths[clip], fraction) + self.dataset.horizon
        return self.dataset.padding == "repeat" or self._lengths[clip] >= enough

    def read(self, part: Part) -> np.ndarray:
        """Return a part as uint8 (context + horizon, channel, height, width).

        Raises:
            UserError: the clip is missing or cannot be decoded.
        """
        shape, horizon = self.dataset.frame_shape, self.dataset.horizon
        path = self._folder / f"{self.names[part.clip]}.webm"
        if self.dataset.lengths == "resample":
            instants = np.linspace(0, part.seen - 1, part.context).round().astype(int).tolist()
        else:
            instants = list(range(part.seen - part.context, part.seen))
        wanted = set(instants) | set(range(part.seen, part.seen + horizon))
        frames: dict[int, np.ndarray] = {}
        try:
            for number, frame in enumerate(islice(frames_of(path), part.seen + horizon)):
                if number in wanted:
                    frames[number] = picture(frame, shape, colour=True)
        except UserError as error:
            raise UserError(f"{path}: {error}") from None
        if number < part.seen - 1:
            raise UserError(f"{path}: has {number + 1} frames, fewer than it had; {FIX} again")
        last = min(number, part.seen + horizon - 1)
        future = [min(part.seen + i, last) for i in range(horizon)]
        return np.stack([frames[i] for i in [*instants, *future]])

    def batches(
        self, plan: Sequence[Sequence[Part]], device: torch.device | str = "cpu", workers: int = 0
    ) -> Generator[PartBatch]:
        """Yield the batches of `plan`, each of parts with equally many context frames; see `Activities.read`.

        `workers` processes decode, 0 for this one. Their number does not change the batches, and they end
        with the iteration.
        """
        loader = DataLoader(
            _Batches(self, plan),
            batch_size=None,
            num_workers=min(workers, len(plan)),
            worker_init_fn=_leave_signals_to_the_parent,
        )
        for (frames, failure), parts in zip(loader, plan, strict=True):
            if failure:
                raise UserError(failure)
            labels = torch.from_numpy(self.labels[[part.clip for part in parts]])
            yield PartBatch(as_floats(frames, device), labels.to(device), parts)


class _Batches(Dataset[tuple[Tensor, str]]):
    """Whole batches by number, each with a line of error: a worker's exception would be a traceback."""

    def __init__(self, activities: Activities, plan: Sequence[Sequence[Part]]) -> None:
        self.activities, self.plan = activities, plan

    def __len__(self) -> int:
        return len(self.plan)

    def __getitem__(self, number: int) -> tuple[Tensor, str]:
        try:
            return torch.from_numpy(np.stack([self.activities.read(part) for part in self.plan[number]])), ""
        except UserError as error:
            return torch.empty(0), str(error)


def _leave_signals_to_the_parent(worker: int) -> None:
    torch.set_num_threads(1)
    for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)


def training_plan(clips: Activities, chosen: np.ndarray, draws: np.ndarray, size: int) -> list[list[Part]]:
    """Return batches of clips with visible parts of similar length.

    The batch's context is the shortest part's; longer parts lose their first frames, rarely more than one.

    Args:
        clips: the split.
        chosen: the clips of an epoch, (batches x size), in the order drawn.
        draws: a number in [0, 1) for each, which chooses its fraction.
        size: of a batch.
    """
    fractions = clips.dataset.fractions
    parts = [
        clips.part(int(clip), fractions[int(draw * len(fractions))])
        for clip, draw in zip(chosen, draws, strict=True)
    ]
    by_length = sorted(parts, key=lambda part: part.context)  # stable: the order drawn decides among equals
    plan = []
    for start in range(0, len(by_length), size):
        batch = by_length[start : start + size]
        shortest = batch[0].context
        plan.append([Part(part.clip, part.seen, shortest) for part in batch])
    # In the order in which the first clip of each was drawn, so that lengths come mixed.
    place = {int(clip): i for i, clip in enumerate(chosen)}
    return sorted(plan, key=lambda batch: min(place[part.clip] for part in batch))


def evaluation_plan(clips: Activities, fraction: float, size: int) -> list[list[Part]]:
    """Return all clips of a split in batches of equal context, exactly the first `fraction` of each."""
    by_context: dict[int, list[Part]] = {}
    for clip in range(len(clips)):
        part = clips.part(clip, fraction)
        by_context.setdefault(part.context, []).append(part)
    return [
        parts[start : start + size]
        for _, parts in sorted(by_context.items())
        for start in range(0, len(parts), size)
    ]
