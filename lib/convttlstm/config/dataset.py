"""Settings that all kinds of data sets share."""

from typing import Any, ClassVar

from pydantic import Field, PositiveInt

from convttlstm.config.base import FrameSize, Strict, Title, sides


class Category(Strict):
    """An activity: a template of Something-Something V2, and its group in Table 1."""

    group: str
    template: str


class Split(Strict):
    """The number and length of a split's sequences."""

    sequences: PositiveInt
    frames: PositiveInt


class DatasetSettings(Strict):
    """The base of all kinds of data sets; `kind` names the subclass."""

    title: Title
    size: FrameSize = Field(description="height and width of a frame, pixels")
    context: PositiveInt = Field(10, description="input frames")
    horizon: PositiveInt = Field(10, description="frames predicted in training and validation")
    test_horizons: list[PositiveInt] = Field([10, 30], min_length=1)

    generated: ClassVar[bool] = False  # sequences are generated, not cut from videos
    recognition: ClassVar[bool] = False  # activities are recognized as well as frames predicted
    grouped: ClassVar[bool] = False  # results are also reported by action
    main_metric: ClassVar[str] = "mse"  # with SSIM and LPIPS, the metric of the paper's Table 2
    raw_folder: ClassVar[str] = ""  # the default for --raw

    # Settings that do not influence the weights; changing them needs no new training.
    evaluation_only: ClassVar[frozenset[str]] = frozenset({"title", "test_horizons"})
    # Settings of paths and exclusions; runs are identified by the data's checksums instead.
    places: ClassVar[frozenset[str]] = frozenset()

    def stated(self) -> dict[str, Any]:
        """Return the settings that differ from their defaults, without `places`."""
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
        """Distance between two used frames of a video."""
        return 1

    @property
    def cropped(self) -> bool:
        """Whether frames of another aspect ratio are cropped to the centre instead of stretched."""
        return False

    @property
    def array_axes(self) -> str | None:
        """The order of arrays' axes; see `Videos.axes`."""
        return None

    @property
    def stand_in(self) -> str:
        """The data set that synthetic data replace, "" for real data; shown with every result."""
        return ""

    @property
    def raw_rule(self) -> str | None:
        """The workflow's rule that makes the raw files; None if no rule does."""
        return None

    def raw_files(self) -> list[str]:
        """Return the raw files that no rule makes."""
        return []

    def split(self, name: str) -> Split | None:
        """Return the size of a split; None if it is known only after preparation."""
        return None

    def activities(self) -> list[Category]:
        """Return the activities; an activity's number is its place in the list.

        Raises:
            ValueError: the file that lists them cannot be read or is no such list.
        """
        return []

    @property
    def predicted_frames(self) -> int:
        """Frames that are predicted and shown at evaluation, the longest horizon at least."""
        return max(self.test_horizons)

    def model_arguments(self) -> dict[str, Any]:
        """Return the arguments that a model takes from the data set, besides the channels of a frame.

        Raises:
            ValueError: see `activities`.
        """
        return {}
