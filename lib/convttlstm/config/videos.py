"""Settings of data sets of videos: KTH and your own files."""

import operator
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field, PositiveInt, model_validator

from convttlstm.config.base import FrameSize, Seed, Title, distinct, sides, unset
from convttlstm.config.dataset import DatasetSettings

SUFFIXES = frozenset(
    ".3gp .avi .flv .m2ts .m4v .mkv .mov .mp4 .mpeg .mpg .mts .ogv .ts .webm .wmv".split()  # noqa: SIM905
)
IMAGES = frozenset([".jpeg", ".jpg", ".png"])
HDF5 = frozenset([".h5", ".hdf5"])
ARRAYS = HDF5 | {".npy", ".npz"}
AXES = {"s": "sequences", "t": "time", "c": "channels", "h": "height", "w": "width"}


def image_files(folder: Path) -> list[Path]:
    """Return the pictures in a folder by the numbers in their names, 2 before 10; no hidden ones."""
    paths = [path for path in folder.glob("[!.]*") if path.suffix.lower() in IMAGES]
    return sorted(paths, key=lambda path: ([int(part) for part in re.findall(r"\d+", path.stem)], path.name))


def walk(folder: Path) -> Iterator[tuple[Path, list[Path]]]:
    """Yield a folder and each below it, with its files; links are followed, hidden names left out."""
    seen = set[str]()
    for place, folders, names in os.walk(folder, followlinks=True):
        if (real := os.path.realpath(place)) in seen:
            folders.clear()  # a link that leads back
            continue
        seen.add(real)
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield Path(place), [Path(place, name) for name in names if not name.startswith(".")]


def sequence_files(folder: Path) -> list[Path]:
    """Return all video files, arrays and folders of pictures below a folder, in order.

    A folder of pictures contains neither videos nor arrays.
    """
    found = []
    for place, paths in walk(folder):
        files = [path for path in paths if path.suffix.lower() in SUFFIXES | ARRAYS]
        pictures = not files and place != folder and image_files(place)
        found += [place] if pictures else files
    return sorted(found)


class VideoDataset(DatasetSettings):
    """Windows of frames in videos: any in training; in validation and test those that do not overlap."""

    size: FrameSize = Field(
        description="height and width to which frames are brought, pixels: one number, or [height, width]"
    )
    evaluation_size: FrameSize | None = Field(
        None,
        description="frames are resized to this height and width in evaluation, given as `size` is; "
        "null: as trained",
    )
    train_windows: Literal["all", "first_10000"] = Field(
        "all",
        description="'first_10000': only the first 10,000 windows in file order, about 20 of KTH's videos, "
        "which is all that the authors' loader ever saw",
    )
    excluded: list[str] = Field([], description="names of videos to leave out, such as corrupt ones")

    evaluation_only: ClassVar[frozenset[str]] = DatasetSettings.evaluation_only | {"evaluation_size"}
    places: ClassVar[frozenset[str]] = frozenset({"excluded"})

    @property
    def test_shape(self) -> tuple[int, int]:
        """Height and width of a frame in evaluation, pixels."""
        return sides(self.evaluation_size or self.size)


Action = Literal["boxing", "handclapping", "handwaving", "jogging", "running", "walking"]
ACTIONS: tuple[Action, ...] = ("boxing", "handclapping", "handwaving", "jogging", "running", "walking")


Person = Annotated[int, Field(ge=1, le=25)]
Persons = Annotated[list[Person], Field(min_length=1), AfterValidator(distinct)]


class Kth(VideoDataset):
    """The KTH human actions: 25 persons, 6 actions, 4 scenarios, grey."""

    kind: Literal["kth"]
    title: Title = "KTH"
    source: Literal["archives", "synthetic"] = Field(
        "archives",
        description="'archives': the public zip files in data/raw/kth, downloaded if they are not there; "
        "'synthetic': drawn figures, encoded alike, for machines without the archives",
    )
    size: FrameSize = Field(
        120,
        description="height and width to which 160 x 120 pixels are resized: one number, or [height, width]",
    )
    evaluation_size: FrameSize | None = 128
    test_horizons: list[PositiveInt] = Field([20, 40], min_length=1)
    train_persons: Persons = list(range(1, 15))
    validation_persons: Persons = Field(
        [15, 16], description="[I]: of the persons 1-16 that the paper trains on"
    )
    test_persons: Persons = list(range(17, 26))
    actions: Annotated[list[Action], Field(min_length=1), AfterValidator(distinct)] = list(ACTIONS)
    scenarios: Annotated[
        list[Annotated[int, Field(ge=1, le=4)]], Field(min_length=1), AfterValidator(distinct)
    ] = [1, 2, 3, 4]
    within: Literal["video", "sequence"] = Field(
        "video", description="'sequence': windows leave out what lies outside the published boundaries"
    )
    seed: Seed = Field(0, description="of the synthetic videos")
    synthetic_frames: int = Field(120, ge=60, description="length of a synthetic video")

    grouped: ClassVar[bool] = True
    main_metric: ClassVar[str] = "psnr"
    raw_folder: ClassVar[str] = "data/raw/kth"
    evaluation_only: ClassVar[frozenset[str]] = VideoDataset.evaluation_only | {"test_persons"}

    @property
    def raw_rule(self) -> str | None:
        """The rule that fetches or draws the archives."""
        return "synthetic_kth" if self.source == "synthetic" else "kth"

    @property
    def stand_in(self) -> str:
        """The data set that synthetic data replace."""
        return "synthetic stand-in for KTH" if self.source == "synthetic" else ""

    @property
    def persons(self) -> dict[str, list[int]]:
        """The persons of each split."""
        return {
            "train": self.train_persons,
            "validation": self.validation_persons,
            "test": self.test_persons,
        }

    @model_validator(mode="after")
    def _splits_share_no_person(self) -> "Kth":
        seen: dict[int, str] = {}
        for split, persons in self.persons.items():
            for person in persons:
                if person in seen:
                    raise ValueError(f"person {person} is in {seen[person]}_persons and in {split}_persons")
                seen[person] = split
        return self


def _axes(letters: str) -> str:
    if len(set(letters)) < len(letters) or not set("thw") <= set(letters) <= set(AXES):
        raise ValueError("must be t, h, w and, where there are several, s and c, in the array's order")
    return letters


class Videos(VideoDataset):
    """Your own sequences: video files, folders of numbered pictures, arrays."""

    kind: Literal["videos"]
    title: Title
    folder: str = Field(
        description="holds videos, arrays or folders of pictures, in folders train, validation and test "
        "unless `split_file` is set"
    )
    split_file: str | None = Field(
        None, description="CSV file with the columns video, a path below `folder`, and split"
    )
    colour: bool = Field(False, description="three channels, red, green and blue; else grey")
    axes: Annotated[str, AfterValidator(_axes)] | None = Field(
        None,
        exclude_if=unset,
        description="of arrays, the letters of their axes in order: s sequences, t time, c channels, "
        "h height, w width, such as tshw for mnist_test_seq.npy; null: thw",
    )
    crop: bool = Field(
        False,
        exclude_if=operator.not_,
        description="crop frames of another aspect ratio than `size` to their centre; else stretch them",
    )
    frame_step: PositiveInt = Field(1, description="use every n-th frame")

    places: ClassVar[frozenset[str]] = VideoDataset.places | {"folder", "split_file"}

    @property
    def channels(self) -> int:
        """Channels of a frame."""
        return 3 if self.colour else 1

    @property
    def array_axes(self) -> str | None:
        """The order of arrays' axes."""
        return self.axes

    @property
    def cropped(self) -> bool:
        """Whether frames of another aspect ratio are cropped instead of stretched."""
        return self.crop

    @property
    def frame_interval(self) -> int:
        """Distance between two used frames of a video."""
        return self.frame_step
