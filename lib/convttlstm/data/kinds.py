"""Fetch, draw, prepare and open data sets: one object per kind, defined in the kind's module."""

import contextlib
import importlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from convttlstm.config import DatasetSettings
from convttlstm.files import UserError

if TYPE_CHECKING:  # jobs that prepare data need no torch
    from convttlstm.data.source import ClipSource

Kind = TypeVar("Kind", bound=DatasetSettings)

SPLITS = ("train", "validation", "test")
# Imported on first use; each module has an object KIND.
MODULES = {
    "moving_mnist": "convttlstm.data.prepare",
    "kth": "convttlstm.data.kth",
    "videos": "convttlstm.data.videos",
    "something": "convttlstm.data.something",
}


@contextlib.contextmanager
def deleted_on_refusal(receipt: Path) -> Iterator[None]:
    """Delete the receipt of raw files if they are refused, so that Snakemake looks for them again."""
    try:
        yield
    except UserError:
        receipt.unlink(missing_ok=True)
        raise


@dataclass(frozen=True)
class Preparation:
    """Where a data set is prepared from and to.

    Attributes:
        name: the data set's, in the settings.
        raw: the folder of the raw files.
        output: the folder to fill, made if need be.
        embedded: the folder of the digits in git.
        checksums: a JSON file, data/checksums.json in the repository.
        processes: how many videos are decoded at a time.
    """

    name: str
    raw: Path
    output: Path
    embedded: Path
    checksums: Path
    processes: int


class DataKind(ABC, Generic[Kind]):
    """The steps for data sets of one kind."""

    @abstractmethod
    def prepare(self, dataset: Kind, job: Preparation) -> None:
        """Make the train, validation and test splits, and write, last, manifest.json.

        Raises:
            UserError: raw files are missing or damaged, or a file cannot be written.
        """

    def fetch(self, raw: Path, lock: Path, labels: Sequence[str] = ()) -> None:
        """Get the raw files into a folder, or check those that are there.

        Args:
            raw: the folder.
            lock: a JSON file of checksums, data/archives.lock.json in the repository.
            labels: names of files of labels, for clips; the official ones if empty.

        Raises:
            UserError: a file cannot be downloaded, or differs from its recorded checksum.
        """
        raise NotImplementedError

    def synthesize(self, dataset: Kind, output: Path) -> list[Path]:
        """Draw and encode a stand-in for the raw files; return what was written, nothing if there is none.

        Raises:
            UserError: a file cannot be written.
        """
        return []

    def open(self, dataset: Kind, folder: Path, split: str, horizon: int | None) -> "ClipSource":
        """Return the sequences of a split; see `clips.open_clips`."""
        raise NotImplementedError


def data_kind(kind: str) -> DataKind[Any]:
    """Return the object of a kind, such as "kth"; `kind` in a data set's settings names it."""
    found: DataKind[Any] = importlib.import_module(MODULES[kind]).KIND
    return found
