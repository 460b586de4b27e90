"""Settings of Something-Something V2, and the list of its activities."""

import csv
import io
import re
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Field, PositiveInt, ValidationError

from convttlstm.config.base import FrameSize, Seed, Title, distinct
from convttlstm.config.dataset import Category, DatasetSettings
from convttlstm.files import UserError, read_text

Share = Annotated[float, Field(gt=0, lt=1)]


class Something(DatasetSettings):
    """Something-Something V2: clips of activities; models see the first part of a clip."""

    kind: Literal["something"]
    title: Title = "Something-Something V2"
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
    size: FrameSize = Field(
        224,
        description="height and width to which frames are resized, pixels [M]: one number, or "
        "[height, width]",
    )
    fractions: Annotated[list[Share], Field(min_length=1), AfterValidator(distinct)] = Field(
        [0.25, 0.5],
        description="shares of a clip's frames that models see; training draws one of them for each sample",
    )
    lengths: Literal["bucket", "resample"] = Field(
        "bucket",
        description="'bucket': a batch has clips with visible parts of similar length, which keeps "
        "the speed of motions [I]; 'resample': all are sampled at `context` instants",
    )
    context: PositiveInt = Field(16, description="frames that are seen where lengths is 'resample'")
    padding: Literal["repeat", "leave_out"] = Field(
        "repeat",
        description="'repeat': the last frame of a clip that ends too early is repeated [I], so that no "
        "short activity is lost; 'leave_out': it is not trained on",
    )
    test_horizons: list[PositiveInt] = Field([10], min_length=1, max_length=1)
    seed: Seed = Field(0, description="of the synthetic clips")
    synthetic_clips: tuple[PositiveInt, PositiveInt] = Field(
        (24, 12), strict=False, description="synthetic clips of each activity in training and in testing"
    )

    recognition: ClassVar[bool] = True
    raw_folder: ClassVar[str] = "data/raw/something"
    evaluation_only: ClassVar[frozenset[str]] = DatasetSettings.evaluation_only | {"test_labels"}

    @property
    def channels(self) -> int:
        """Channels of a frame."""
        return 3

    @property
    def raw_rule(self) -> str | None:
        """The rule that checks or draws the clips."""
        return "synthetic_something" if self.source == "synthetic" else "something"

    @property
    def stand_in(self) -> str:
        """The data set that synthetic data replace."""
        return "synthetic stand-in for Something-Something V2" if self.source == "synthetic" else ""

    def activities(self) -> list[Category]:
        """Return the activities that the file `categories` lists."""
        return read_categories(Path(self.categories))

    def model_arguments(self) -> dict[str, Any]:
        """Return how many activities there are, and the size of a frame."""
        return {"classes": len(self.activities()), "size": self.size}


def plain_template(template: str) -> str:
    """Return a template without the brackets and quotes that some files have."""
    return " ".join(re.sub(r"[\[\]\"“”]", "", template).split())


def read_categories(path: Path) -> list[Category]:
    """Return the activities that a CSV file with the columns group and template lists.

    Raises:
        ValueError: it cannot be read, lacks a column or names an activity twice.
    """
    try:
        rows = list(csv.DictReader(io.StringIO(read_text(path), newline="")))
        found = [Category(group=row["group"], template=row["template"]) for row in rows]
    except (UserError, csv.Error) as error:
        raise ValueError(f"categories: {error}") from None
    except KeyError as error:
        raise ValueError(f"categories {path}: no column {error}") from None
    except ValidationError:
        raise ValueError(f"categories {path}: a line has a group without a template") from None
    templates = [plain_template(category.template) for category in found]
    if twice := [template for template in templates if templates.count(template) > 1]:
        raise ValueError(f"categories {path}: {twice[0]!r} is listed twice")
    if len(found) < 2:
        raise ValueError(f"categories {path}: lists {len(found)} activities; two or more are needed")
    return found
