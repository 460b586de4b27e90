"""Batches for training and validation, the same whatever the number of processes."""

from collections.abc import Generator, Sequence
from pathlib import Path

import numpy as np
from lightning_fabric import Fabric

from convttlstm.config import Run
from convttlstm.data.activities import Activities, Part, evaluation_plan, training_plan
from convttlstm.data.clips import open_clips
from convttlstm.files import UserError
from convttlstm.randomness import Stream, uniform
from convttlstm.training.recipes.base import Batch


def epoch_order(seed: int, epoch: int, sequences: int, samples: int) -> np.ndarray:
    """Return the indices of an epoch's training sequences, drawn without replacement."""
    return np.argsort(uniform(seed, Stream.ORDER, epoch, count=sequences), kind="stable")[:samples]


def _refuse_too_few(run: Run, data: Path, sequences: int) -> None:
    if run.training.samples_per_epoch > sequences:
        raise UserError(
            f"{run.id}: {data} has {sequences:,} training sequences, but "
            f"training.samples_per_epoch is {run.training.samples_per_epoch:,}; lower it"
        )


class ClipLoader:
    """This process's share of sequences of equal length, read in the process itself.

    Attributes:
        sources: checksums of the training and the validation split.
        validated: number of sequences in the validation split, over all processes.
    """

    def __init__(self, run: Run, data: Path, fabric: Fabric) -> None:
        self.run, self.fabric = run, fabric
        self.train = open_clips(run.dataset, data, "train")
        self.held_out = open_clips(run.dataset, data, "validation")
        self.validated = len(self.held_out)
        self.sources = {"train": self.train.sha256, "validation": self.held_out.sha256}
        _refuse_too_few(run, data, len(self.train))

    def epoch(self, number: int, first: int) -> Generator[Batch]:
        """Yield an epoch's batches from the step `first` on; epochs count from 1, steps from 0."""
        training = self.run.training
        order = epoch_order(self.run.seed, number, len(self.train), training.samples_per_epoch)
        for samples in order.reshape(-1, training.batch_size)[first:]:
            share = samples[self.fabric.global_rank :: self.fabric.world_size]
            yield Batch(self.train.batch(share, self.fabric.device), share, number)

    def validation(self) -> Generator[Batch]:
        """Yield the validation split."""
        own = np.arange(self.fabric.global_rank, self.validated, self.fabric.world_size)
        size = self.run.training.batch_size
        for start in range(0, len(own), size):
            share = own[start : start + size]
            yield Batch(self.held_out.batch(share, self.fabric.device), share, 0)


class ActivityLoader:
    """This process's share of labelled clips, each cut to its first part; worker processes decode them.

    It has the attributes of `ClipLoader`.
    """

    def __init__(self, run: Run, data: Path, fabric: Fabric) -> None:
        self.run, self.fabric = run, fabric
        self.train = Activities(run.dataset, data, "train")
        self.held_out = Activities(run.dataset, data, "validation")
        self.fractions = self.train.dataset.fractions
        self.validated = len(self.held_out) * len(self.fractions)
        self.sources = {"train": self.train.sha256, "validation": self.held_out.sha256}
        self.serving = np.array(
            [i for i in range(len(self.train)) if all(self.train.serves(i, f) for f in self.fractions)]
        )
        _refuse_too_few(run, data, len(self.serving))

    def epoch(self, number: int, first: int) -> Generator[Batch]:
        """Yield an epoch's batches from the step `first` on."""
        training = self.run.training
        order = epoch_order(self.run.seed, number, len(self.serving), training.samples_per_epoch)
        draws = uniform(self.run.seed, Stream.FRACTION, number, count=len(order))
        plan = training_plan(self.train, self.serving[order], draws, training.batch_size)
        yield from self._batches(self.train, plan[first:], number)

    def validation(self) -> Generator[Batch]:
        """Yield the validation split at each fraction."""
        size = self.run.training.batch_size
        plan = [batch for f in self.fractions for batch in evaluation_plan(self.held_out, f, size)]
        yield from self._batches(self.held_out, plan, 0)

    def _batches(self, clips: Activities, plan: Sequence[Sequence[Part]], epoch: int) -> Generator[Batch]:
        rank, processes = self.fabric.global_rank, self.fabric.world_size
        shares = [share for batch in plan if (share := batch[rank::processes])]
        for part in clips.batches(shares, self.fabric.device, self.run.compute.workers):
            yield Batch(part.frames, np.array([p.clip for p in part.parts]), epoch, part.labels)


Loader = ClipLoader | ActivityLoader


def open_loader(run: Run, data: Path, fabric: Fabric) -> Loader:
    """Return the loader of a run's batches.

    Raises:
        UserError: the prepared data are missing or damaged, or there are too few for an epoch.
    """
    return (ActivityLoader if run.dataset.recognition else ClipLoader)(run, data, fabric)
