"""Settings of Moving-MNIST-2."""

from typing import ClassVar, Literal

from pydantic import Field, PositiveInt, model_validator

from convttlstm.config.base import PositiveFloat, Seed, Title, unset
from convttlstm.config.dataset import DatasetSettings, Split


class MovingMnist(DatasetSettings):
    """Moving-MNIST-2: digits that bounce inside a square frame."""

    kind: Literal["moving_mnist"] = "moving_mnist"
    title: Title = "Moving-MNIST-2"
    digits: Literal["mnist", "embedded"] = Field(
        "mnist",
        description="'mnist': the 60,000 training images, downloaded; "
        "'embedded': 10,000 real MNIST images that come with this repository",
    )
    seed: Seed = Field(0, description="seed of the digits' choice and movement")
    size: PositiveInt = Field(64, description="height and width of a frame, pixels")
    digit_size: Literal[7, 14, 28] = Field(28, description="height and width of a digit, pixels")
    digits_per_frame: PositiveInt = 2
    step: PositiveFloat = Field(0.1, lt=1, description="distance per frame, in units of the free range")
    disjoint_digits: bool = Field(
        False,
        description="each split has its own digit images; the paper's splits share them",
    )
    train: Split = Split(sequences=10_000, frames=20)
    validation: Split = Split(sequences=3_000, frames=20)
    test: Split = Split(sequences=5_000, frames=40)
    test_file: str | None = Field(
        None,
        exclude_if=unset,
        description="a .npy file (time, sequences, height, width) of bytes that test sequences are taken "
        "from, such as the public mnist_test_seq.npy; null: they are drawn",
    )

    generated: ClassVar[bool] = True
    raw_folder: ClassVar[str] = "data/raw/mnist"
    evaluation_only: ClassVar[frozenset[str]] = DatasetSettings.evaluation_only | {"test", "test_file"}

    @property
    def raw_rule(self) -> str | None:
        """The rule that fetches MNIST, unless the embedded digits are used."""
        return "mnist" if self.digits == "mnist" else None

    @property
    def predicted_frames(self) -> int:
        """Frames that are predicted and shown at evaluation: all that test sequences have."""
        return self.test.frames - self.context

    def raw_files(self) -> list[str]:
        """Return the embedded digits unless MNIST is fetched, and the test file if there is one."""
        files = [f"data/embedded/{kind}-ubyte.gz" for kind in ("images-idx3", "labels-idx1")]
        digits = [] if self.raw_rule else files
        return [*digits, self.test_file] if self.test_file else digits

    def split(self, name: str) -> Split:
        """Return how many sequences a split has, and how long they are."""
        return {"train": self.train, "validation": self.validation, "test": self.test}[name]

    @model_validator(mode="after")
    def _fits(self) -> "MovingMnist":
        if self.digit_size >= self.size:
            raise ValueError(f"digit_size {self.digit_size} leaves no room in size {self.size}")
        for name, horizon in [
            ("train", self.horizon),
            ("validation", self.horizon),
            ("test", max(self.test_horizons)),
        ]:
            needed, frames = self.context + horizon, self.split(name).frames
            if frames < needed:
                raise ValueError(f"{name}.frames is {frames}, but context + horizon need {needed}")
        return self
