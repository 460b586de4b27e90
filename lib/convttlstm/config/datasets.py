"""Settings of each kind of data set."""

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Discriminator, Field, PositiveInt, Tag, model_validator

from convttlstm.config.base import PositiveFloat, Seed, Strict, known


class Split(Strict):
    """How many sequences a split has, and how long they are."""

    sequences: PositiveInt
    frames: PositiveInt


class DatasetSettings(Strict):
    """What all kinds of data sets have; each subclass names itself by `kind`."""

    title: str
    size: PositiveInt = Field(description="height and width of a frame, pixels")
    context: PositiveInt = Field(10, description="input frames")
    horizon: PositiveInt = Field(10, description="frames predicted in training and validation")
    test_horizons: list[PositiveInt] = Field([10, 30], min_length=1)

    recognition: ClassVar[bool] = False  # whether activities are recognised, beside frames predicted

    # Settings that decide no weights, so that a change of them trains nothing anew.
    judged_only: ClassVar[frozenset[str]] = frozenset({"title", "test_horizons"})

    @property
    def channels(self) -> int:
        """Channels of a frame."""
        return 1

    @property
    def test_size(self) -> int:
        """Height and width of a frame in evaluation, pixels."""
        return self.size

    @property
    def stand_in(self) -> str:
        """What the data stand in for, "" if they are what they are called; shown beside every figure."""
        return ""


class MovingMnist(DatasetSettings):
    """Moving-MNIST-2: digits that bounce inside a square frame."""

    kind: Literal["moving_mnist"] = "moving_mnist"
    title: str = "Moving-MNIST-2"
    digits: Literal["mnist", "embedded"] = Field(
        "mnist",
        description="'mnist': the 60,000 training images, downloaded; "
        "'embedded': 10,000 real MNIST images that come with this repository",
    )
    seed: Seed = Field(0, description="seed of the digits' choice and movement")
    size: PositiveInt = Field(64, description="height and width of a frame, pixels")
    digit_size: Literal[7, 14, 28] = Field(28, description="height and width of a digit, pixels")
    digits_per_frame: PositiveInt = 2
    step: PositiveFloat = Field(0.1, lt=1, description="way per frame, in units of the free range")
    disjoint_digits: bool = Field(
        False,
        description="give each split digit images of its own; the paper's splits share them",
    )
    train: Split = Split(sequences=10_000, frames=20)
    validation: Split = Split(sequences=3_000, frames=20)
    test: Split = Split(sequences=5_000, frames=40)

    judged_only: ClassVar[frozenset[str]] = DatasetSettings.judged_only | {"test"}

    @model_validator(mode="after")
    def _fits(self) -> "MovingMnist":
        if self.digit_size >= self.size:
            raise ValueError(f"digit_size {self.digit_size} leaves no room in size {self.size}")
        for name, horizon in [
            ("train", self.horizon),
            ("validation", self.horizon),
            ("test", max(self.test_horizons)),
        ]:
            needed, frames = self.context + horizon, getattr(self, name).frames
            if frames < needed:
                raise ValueError(f"{name}.frames is {frames}, but context + horizon need {needed}")
        return self


class VideoDataset(DatasetSettings):
    """Windows of frames in videos: any in training; in validation and test those that do not overlap."""

    evaluation_size: PositiveInt | None = Field(
        None, description="frames are resized to this height and width in evaluation; null: as trained"
    )
    train_windows: Literal["all", "first_10000"] = Field(
        "all",
        description="'first_10000': only the first 10,000 windows in file order, about 20 of KTH's videos, "
        "which is all that the authors' loader ever saw",
    )
    excluded: list[str] = Field([], description="names of videos to do without, such as corrupt ones")

    judged_only: ClassVar[frozenset[str]] = DatasetSettings.judged_only | {"evaluation_size"}

    @property
    def test_size(self) -> int:
        """Height and width of a frame in evaluation, pixels."""
        return self.evaluation_size or self.size


Action = Literal["boxing", "handclapping", "handwaving", "jogging", "running", "walking"]
ACTIONS: tuple[Action, ...] = ("boxing", "handclapping", "handwaving", "jogging", "running", "walking")


def _distinct(values: list[Any]) -> list[Any]:
    if len(set(values)) < len(values):
        raise ValueError("names one of them twice")
    return values


Person = Annotated[int, Field(ge=1, le=25)]
Persons = Annotated[list[Person], Field(min_length=1), AfterValidator(_distinct)]


class Kth(VideoDataset):
    """The KTH human actions: 25 persons, 6 actions, 4 scenarios, grey."""

    kind: Literal["kth"]
    title: str = "KTH"
    source: Literal["archives", "synthetic"] = Field(
        "archives",
        description="'archives': the public zip files in data/raw/kth, downloaded if they are not there; "
        "'synthetic': drawn figures, encoded alike, for machines without the archives",
    )
    size: PositiveInt = Field(120, description="height and width to which 160 x 120 pixels are squashed")
    evaluation_size: PositiveInt | None = 128
    test_horizons: list[PositiveInt] = Field([20, 40], min_length=1)
    train_persons: Persons = list(range(1, 15))
    validation_persons: Persons = Field(
        [15, 16], description="[I]: of the persons 1-16 that the paper trains on"
    )
    test_persons: Persons = list(range(17, 26))
    actions: Annotated[list[Action], Field(min_length=1), AfterValidator(_distinct)] = list(ACTIONS)
    scenarios: Annotated[
        list[Annotated[int, Field(ge=1, le=4)]], Field(min_length=1), AfterValidator(_distinct)
    ] = [1, 2, 3, 4]
    within: Literal["video", "sequence"] = Field(
        "video", description="'sequence': windows leave out what lies outside the published boundaries"
    )
    seed: Seed = Field(0, description="of the synthetic videos")
    synthetic_frames: int = Field(120, ge=60, description="length of a synthetic video")

    judged_only: ClassVar[frozenset[str]] = VideoDataset.judged_only | {"test_persons"}

    @property
    def stand_in(self) -> str:
        """What the data stand in for."""
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


class Videos(VideoDataset):
    """Video files of one's own."""

    kind: Literal["videos"]
    title: str
    folder: str = Field(
        description="holds the video files, in folders train, validation and test unless `split_file` is set"
    )
    split_file: str | None = Field(
        None, description="CSV file with the columns video, a path below `folder`, and split"
    )
    colour: bool = Field(False, description="three channels, red, green and blue; else grey")
    frame_step: PositiveInt = Field(1, description="every how many-th frame is used")

    @property
    def channels(self) -> int:
        """Channels of a frame."""
        return 3 if self.colour else 1


class Category(Strict):
    """An activity: a template of Something-Something V2, and the group that Table 1 counts it in."""

    group: str
    template: str


Share = Annotated[float, Field(gt=0, lt=1)]


class Something(DatasetSettings):
    """Something-Something V2: clips of activities, of which a first part is seen."""

    kind: Literal["something"]
    title: str = "Something-Something V2"
    source: Literal["licensed", "synthetic"] = Field(
        "licensed",
        description="'licensed': the clips and labels that you put into data/raw/something; "
        "'synthetic': drawn clips, encoded alike, for machines without them",
    )
    categories: str = Field(
        "data/categories/ssv2_41.csv", description="CSV file with the columns group and template; unverified"
    )
    train_labels: str = Field("something-something-v2-train.json", description="file in the raw folder")
    test_labels: str = Field(
        "something-something-v2-validation.json",
        description="file in the raw folder; the official validation split [M], since the labels of the "
        "official test split were not public",
    )
    validation_share: Share = Field(
        0.1, description="of the training clips, chosen by a hash of their ids; they validate"
    )
    skip_unreadable: bool = Field(False, description="leave out clips that cannot be decoded, and count them")
    size: PositiveInt = Field(224, description="height and width to which frames are squashed, pixels [M]")
    fractions: Annotated[list[Share], Field(min_length=1), AfterValidator(_distinct)] = Field(
        [0.25, 0.5],
        description="shares of a clip's frames that are seen: all are judged; in training a sample draws one",
    )
    lengths: Literal["bucket", "resample"] = Field(
        "bucket",
        description="'bucket': clips with about as many frames to see share a batch, which keeps the speed "
        "of motions [I]; 'resample': all are sampled at `context` instants",
    )
    context: PositiveInt = Field(16, description="frames that are seen where lengths is 'resample'")
    padding: Literal["repeat", "leave_out"] = Field(
        "repeat",
        description="'repeat': a clip that ends within the frames to predict stands still [I], so that no "
        "short activity is lost; 'leave_out': it is not trained on",
    )
    test_horizons: list[PositiveInt] = Field([10], min_length=1, max_length=1)
    seed: Seed = Field(0, description="of the synthetic clips")
    synthetic_clips: tuple[PositiveInt, PositiveInt] = Field(
        (24, 12), strict=False, description="synthetic clips of each activity in training and in testing"
    )

    recognition: ClassVar[bool] = True

    @property
    def channels(self) -> int:
        """Channels of a frame."""
        return 3

    @property
    def stand_in(self) -> str:
        """What the data stand in for."""
        return "synthetic stand-in for Something-Something V2" if self.source == "synthetic" else ""

    def activities(self) -> list[Category]:
        """Return the activities to tell apart; an activity's number is its place in the list.

        Raises:
            ValueError: the file cannot be read or is no such list.
        """
        return read_categories(Path(self.categories))


def read_categories(path: Path) -> list[Category]:
    """Return the activities that a CSV file with the columns group and template lists.

    Raises:
        ValueError: it cannot be read, lacks a column or names an activity twice.
    """
    try:
        with path.open(newline="") as file:
            rows = list(csv.DictReader(file))
        found = [Category(group=row["group"], template=row["template"]) for row in rows]
    except OSError as error:
        raise ValueError(f"categories {path}: cannot be read ({error.strerror})") from None
    except KeyError as error:
        raise ValueError(f"categories {path}: no column {error}") from None
    templates = [category.template for category in found]
    if twice := [template for template in templates if templates.count(template) > 1]:
        raise ValueError(f"categories {path}: {twice[0]!r} is there twice")
    if len(found) < 2:
        raise ValueError(f"categories {path}: lists {len(found)} activities; at least two can be told apart")
    return found


KINDS: dict[str, type[DatasetSettings]] = {
    "moving_mnist": MovingMnist,
    "kth": Kth,
    "videos": Videos,
    "something": Something,
}


def _kind(dataset: Any) -> str:
    if not isinstance(dataset, Mapping):
        return getattr(dataset, "kind", "moving_mnist")
    kind = dataset.get("kind", "moving_mnist")
    known(str(kind), KINDS, "kind of data set")
    return str(kind)


Dataset = Annotated[
    Annotated[MovingMnist, Tag("moving_mnist")]
    | Annotated[Kth, Tag("kth")]
    | Annotated[Videos, Tag("videos")]
    | Annotated[Something, Tag("something")],
    Discriminator(_kind),
]
