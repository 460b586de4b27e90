"""What the settings of all kinds of data sets have."""

from typing import Any, ClassVar

from pydantic import Field, PositiveInt

from convttlstm.config.base import FrameSize, Strict, Title, sides


class Category(Strict):
    """An activity: a template of Something-Something V2, and the group that Table 1 counts it in."""

    group: str
    template: str


class Split(Strict):
    """How many sequences a split has, and how long they are."""

    sequences: PositiveInt
    frames: PositiveInt


class DatasetSettings(Strict):
    """What all kinds of data sets have; each subclass names itself by `kind`."""

    title: Title
    size: FrameSize = Field(description="height and width of a frame, pixels")
    context: PositiveInt = Field(10, description="input frames")
    horizon: PositiveInt = Field(10, description="frames predicted in training and validation")
    test_horizons: list[PositiveInt] = Field([10, 30], min_length=1)

    generated: ClassVar[bool] = False  # whether sequences of one length are made, not windows in videos
    recognition: ClassVar[bool] = False  # whether activities are recognised, beside frames predicted
    grouped: ClassVar[bool] = False  # whether videos are of actions, which results are told apart by
    main_metric: ClassVar[str] = "mse"  # beside SSIM and LPIPS, what the paper's Table 2 judges by
    raw_folder: ClassVar[str] = ""  # where raw files are looked for if nobody says where

    # Settings that decide no weights, so that a change of them trains nothing anew.
    evaluation_only: ClassVar[frozenset[str]] = frozenset({"title", "test_horizons"})
    # Settings that say where files are, or which to do without: the data's checksums stand for those.
    places: ClassVar[frozenset[str]] = frozenset()

    def stated(self) -> dict[str, Any]:
        """Return the settings that differ from their defaults, but for those that say where files are."""
        return self.model_dump(mode="json", exclude=set(self.places), exclude_defaults=True)

    @property
    def channels(self) -> int:
        """Channels of a frame."""
        return 1

    @property
    def frame_shape(self) -> tuple[int, int]:
        """Height and width of a frame in training, pixels."""
        return sides(self.size)

    @property
    def test_shape(self) -> tuple[int, int]:
        """Height and width of a frame in evaluation, pixels."""
        return self.frame_shape

    @property
    def frame_interval(self) -> int:
        """Every how many-th frame of a video is used."""
        return 1

    @property
    def cropped(self) -> bool:
        """Whether frames of other proportions are cut around their middle; else squashed."""
        return False

    @property
    def array_axes(self) -> str | None:
        """What the axes of arrays are; see `Videos.axes`."""
        return None

    @property
    def stand_in(self) -> str:
        """What the data stand in for, "" if they are what they are called; shown beside every figure."""
        return ""

    @property
    def raw_rule(self) -> str | None:
        """The workflow's rule that fetches or draws the raw files; None if they are there: `raw_files`."""
        return None

    def raw_files(self) -> list[str]:
        """Return the raw files that no rule makes."""
        return []

    def split(self, name: str) -> Split | None:
        """Return how many sequences a split has; None if preparation alone tells."""
        return None

    def activities(self) -> list[Category]:
        """Return the activities to tell apart; an activity's number is its place in the list.

        Raises:
            ValueError: the file that lists them cannot be read or is no such list.
        """
        return []

    @property
    def predicted_frames(self) -> int:
        """Frames that are predicted and shown at evaluation, the longest horizon at least."""
        return max(self.test_horizons)

    def model_arguments(self) -> dict[str, Any]:
        """Return what a model takes beside its own settings and the channels of a frame.

        Raises:
            ValueError: see `activities`.
        """
        return {}
