"""Settings of each model, by the name under which it is registered.

Defaults are those of the model's factory in `convttlstm.models`, as a test checks: this module must not
import torch.
"""

import hashlib
import importlib.metadata
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Discriminator, Field, PositiveInt, Tag, model_validator

from convttlstm import ENTRY_POINTS
from convttlstm.config.base import OddInt, Strict, require_known
from convttlstm.config.dataset import DatasetSettings

# The paper's symbols, in the paper's order; they name a run where it differs from the catalogue.
SYMBOLS = {"kernel_size": "S", "factor_size": "G", "order": "N", "rank": "C", "steps": "M"}


class ModelChoice(Strict):
    """The settings of one registered model, which each subclass names by `name`."""

    trained: ClassVar[bool] = True  # has weights
    recognizes: ClassVar[bool] = False  # whether it names an activity as well

    def hyper(self) -> dict[str, Any]:
        """Return the arguments of `create_model`, without the name."""
        return self.model_dump(exclude={"name"})

    def refusal(self, dataset: DatasetSettings) -> str | None:
        """Return why the model cannot be used on the data set, or None if it can."""
        return None


class CopyLastModel(ModelChoice):
    """The last input frame, repeated."""

    name: Literal["copy_last"]
    trained: ClassVar[bool] = False


class BlackModel(ModelChoice):
    """Black frames."""

    name: Literal["black"]
    trained: ClassVar[bool] = False


class TrainedModel(ModelChoice):
    """A model with weights."""

    checkpointing: bool = Field(
        False, description="recompute activations in the backward pass: less memory, more time"
    )


Block = Annotated[int, Field(ge=1, le=4)]
Checkpointing = Annotated[
    Annotated[bool, Tag("all")] | Annotated[list[Block], Field(min_length=1), Tag("blocks")],
    Discriminator(lambda value: "blocks" if isinstance(value, list) else "all"),
]


class StackSettings(ModelChoice):
    """The recurrent stack of the paper's own predictors (Appendix B)."""

    checkpointing: Checkpointing = Field(
        False,
        description="recompute activations in the backward pass, less memory for more time: true for all, or "
        "the blocks, such as [1, 4], whose layers do so",
    )
    channels: list[PositiveInt] = Field(
        [32, 48, 48, 32], min_length=4, max_length=4, description="channels of each block's layers"
    )
    layers_per_block: PositiveInt = 3
    kernel_size: OddInt = Field(5, description="S, height and width of every kernel")


Output = Annotated[
    Literal["linear", "sigmoid"],
    Field(description="'sigmoid': frames go through one, an option of the authors' training scripts"),
]


class ConvLstmModel(StackSettings):
    """The paper's ConvLSTM baseline."""

    name: Literal["conv_lstm"]
    factor_size: OddInt | None = Field(None, description="size of K, on the hidden state; null for S")
    output: Output = "linear"


class ConvTtLstmModel(StackSettings):
    """The paper's model."""

    name: Literal["conv_tt_lstm"]
    order: PositiveInt = Field(3, description="N, factors of the decomposition")
    steps: PositiveInt = Field(3, description="M, hidden states looked back at")
    rank: PositiveInt = Field(8, description="C(i), channels between the factors")
    factor_size: OddInt | None = Field(
        None, description="size of every G(i), null for S; 1 leaves the train without convolutions (Table 4)"
    )
    output: Output = "linear"

    @model_validator(mode="after")
    def _order_within_steps(self) -> "ConvTtLstmModel":
        if self.order > self.steps:
            raise ValueError(f"order {self.order} > steps {self.steps}; steps (M) must be at least order (N)")
        return self


class HigherOrderModel(StackSettings):
    """Eq. 7's higher-order ConvLSTMs, and Section 5's other ways to prepare hidden states."""

    name: Literal["higher_order"]
    transition: Literal["equal", "growing", "reduce", "tube", "raw"] = Field(
        "equal",
        description="'equal', 'growing': Eq. 7 with kernels of one size, or of size i(S-1)+1; 'reduce', "
        "'tube', 'raw': the tensor train on reduced single states, on all states together, on raw states",
    )
    order: PositiveInt = Field(3, description="N, terms of Eq. 7 or factors of the decomposition")
    steps: PositiveInt = Field(3, description="M, hidden states looked back at; N but for 'tube'")
    rank: PositiveInt = Field(8, description="C(i); 'equal', 'growing' and 'raw' have none")

    @model_validator(mode="after")
    def _steps_serve(self) -> "HigherOrderModel":
        if self.steps != self.order and self.transition != "tube":
            raise ValueError(f"{self.transition!r} needs steps (M) equal to order (N)")
        return self


class ConvLstmTtdModel(StackSettings):
    """ConvLSTM with a classic tensor train for its input kernels (Section 5, Eq. 12 and 13)."""

    name: Literal["conv_lstm_ttd"]
    rank: PositiveInt = Field(8, description="R, rank of the tensor train")


class PatchedModel(TrainedModel):
    """A model that sees square patches of pixels as channels."""

    patch_size: PositiveInt

    def refusal(self, dataset: DatasetSettings) -> str | None:
        """Return why the model cannot be used on the data set, or None if it can."""
        for side in (*dataset.frame_shape, *dataset.test_shape):
            if side % self.patch_size:
                return f"frames of {side} pixels cannot be cut into patches of {self.patch_size}"
        return None


class ConvLstmShiModel(PatchedModel):
    """Shi et al.'s encoder-forecaster with peepholes."""

    name: Literal["conv_lstm_shi"]
    channels: list[PositiveInt] = Field([128, 64, 64], min_length=1)
    kernel_size: OddInt = 5
    patch_size: PositiveInt = 4


class PredRnnPpModel(PatchedModel):
    """PredRNN++: causal LSTMs with a gradient highway."""

    name: Literal["predrnn_pp"]
    channels: list[PositiveInt] = Field([128, 64, 64, 64], min_length=2)
    kernel_size: OddInt = 5
    patch_size: PositiveInt = 4


class E3dLstmModel(PatchedModel):
    """E3D-LSTM: 3D convolutions, and attention over all past cell states."""

    name: Literal["e3d_lstm"]
    channels: list[PositiveInt] = Field([64, 64, 64, 64], min_length=1)
    kernel_size: OddInt = Field(5, description="height and width of every kernel")
    depth: PositiveInt = Field(2, description="every kernel's size in time")
    window: PositiveInt = Field(2, description="frames in each step's input; steps advance by one")
    patch_size: PositiveInt = 4
    memory: Literal["updated", "published"] = Field(
        "updated", description="'published' hands the memory on un-updated, as the published code does"
    )
    history: PositiveInt | None = Field(
        None, description="cell states that the recall attends over; null: all past ones"
    )


class McnetModel(TrainedModel):
    """MCNet: motion and content encoders."""

    name: Literal["mcnet"]
    channels: PositiveInt = Field(64, description="channels of the first convolutions; others follow")

    def refusal(self, dataset: DatasetSettings) -> str | None:
        """Return why the model cannot be used on the data set, or None if it can."""
        for side in (*dataset.frame_shape, *dataset.test_shape):
            if side % 8:
                return f"its three poolings need frames whose size is a multiple of 8, not {side}"
        if dataset.context < 2:
            return "it sees motion as differences of input frames, so it needs two of them"
        return None


class VpnModel(TrainedModel):
    """The Video Pixel Network, baseline form."""

    name: Literal["vpn"]
    levels: int = Field(2, ge=2, le=256, description="intensities: 2 is the binary form, 256 all of a byte's")
    channels: PositiveInt = Field(128, description="half a block's channels [M]")
    encoder_blocks: PositiveInt = Field(8, description="residual multiplicative blocks in the encoder [M]")
    decoder_blocks: PositiveInt = Field(12, description="masked blocks in the decoder [M]")
    lstm_channels: PositiveInt = Field(256, description="hidden channels of the ConvLSTM [M]")
    kernel_size: OddInt = Field(3, description="side of all kernels except 1x1 ones [M]")

    def refusal(self, dataset: DatasetSettings) -> str | None:
        """Return why the model cannot be used on the data set, or None if it can."""
        return "it predicts grey frames only" if dataset.channels > 1 else None


class RecognizerModel(StackSettings):
    """Recurrent layers between an encoder and a decoder, and a classifier on the last layer's outputs."""

    name: Literal["recognizer"]
    cell: Literal["conv_lstm", "conv_tt_lstm", "cnn3d"]
    layers_per_block: PositiveInt = 2
    order: PositiveInt = Field(3, description="N, of conv_tt_lstm")
    steps: PositiveInt = Field(3, description="M, of conv_tt_lstm")
    rank: PositiveInt = Field(8, description="C(i), of conv_tt_lstm")
    depth: PositiveInt = Field(3, description="of cnn3d's kernels in time [I]")
    encoder_channels: PositiveInt = Field(64, description="channels of encoder and decoder [M]")
    classifier_channels: PositiveInt = Field(64, description="channels of the classifier's convolutions [I]")
    classified: PositiveInt = Field(16, description="last outputs that the classifier sees [M]")

    recognizes: ClassVar[bool] = True

    def refusal(self, dataset: DatasetSettings) -> str | None:
        """Return why the model cannot be used on the data set, or None if it can."""
        for side in dataset.frame_shape:
            if side % 4:
                return f"its encoder halves frames twice, so {side} pixels must be a multiple of 4"
        return None

    @model_validator(mode="after")
    def _order_within_steps(self) -> "RecognizerModel":
        if self.order > self.steps:
            raise ValueError(f"order {self.order} > steps {self.steps}; steps (M) must be at least order (N)")
        return self


def refusal(model: ModelChoice, dataset: DatasetSettings) -> str | None:
    """Return why a model cannot be used on a data set, or None if it can."""
    if model.recognizes and not dataset.recognition:
        return "it names activities, and these sequences have none"
    if dataset.recognition and not model.recognizes:
        return "it predicts frames only, and this data set needs a recognizer"
    return model.refusal(dataset)


BUILT_IN: dict[str, type[ModelChoice]] = {
    "black": BlackModel,
    "copy_last": CopyLastModel,
    "conv_lstm": ConvLstmModel,
    "conv_tt_lstm": ConvTtLstmModel,
    "higher_order": HigherOrderModel,
    "conv_lstm_ttd": ConvLstmTtdModel,
    "conv_lstm_shi": ConvLstmShiModel,
    "predrnn_pp": PredRnnPpModel,
    "e3d_lstm": E3dLstmModel,
    "mcnet": McnetModel,
    "vpn": VpnModel,
    "recognizer": RecognizerModel,
}


class ExternalModel(ModelChoice):
    """Your own predictor: a class in a file, or an entry point of the group convttlstm.models."""

    name: str = Field(description="'path/to/file.py:Class', or the entry point's name")
    settings: dict[str, Any] = Field({}, description="keyword arguments of the class")
    source: str = Field("", description="set by the program: the file's SHA-256, or package and version")

    def hyper(self) -> dict[str, Any]:
        """Return the keyword arguments of the class."""
        return self.settings

    @model_validator(mode="before")
    @classmethod
    def _with_source(cls, data: Any) -> Any:
        if isinstance(data, Mapping) and isinstance(data.get("name"), str) and not data.get("source"):
            return {**data, "source": source_of(data["name"])}
        return data


def source_of(name: str) -> str:
    """Return a file's SHA-256 or a package's version, so that changed code makes another run.

    Raises:
        ValueError: there is no such file, class or entry point.
    """
    path, colon, _ = name.rpartition(":")
    if colon:
        if not Path(path).is_file():
            raise ValueError(f"model {name!r}: no file {path}; write path/to/file.py:Class")
        return hashlib.sha256(Path(path).read_bytes()).hexdigest()
    points = {point.name: point for point in importlib.metadata.entry_points(group=ENTRY_POINTS)}
    require_known(name, BUILT_IN | points, "model")
    package = points[name].dist
    return f"{package.name} {package.version}" if package else points[name].value


def _kind(model: Any) -> str | None:
    name = model.get("name") if isinstance(model, Mapping) else getattr(model, "name", None)
    if not isinstance(name, str):
        return None
    return name if name in BUILT_IN else "external"


ModelSettings = Annotated[
    Annotated[CopyLastModel, Tag("copy_last")]
    | Annotated[BlackModel, Tag("black")]
    | Annotated[ConvLstmModel, Tag("conv_lstm")]
    | Annotated[ConvTtLstmModel, Tag("conv_tt_lstm")]
    | Annotated[HigherOrderModel, Tag("higher_order")]
    | Annotated[ConvLstmTtdModel, Tag("conv_lstm_ttd")]
    | Annotated[ConvLstmShiModel, Tag("conv_lstm_shi")]
    | Annotated[PredRnnPpModel, Tag("predrnn_pp")]
    | Annotated[E3dLstmModel, Tag("e3d_lstm")]
    | Annotated[McnetModel, Tag("mcnet")]
    | Annotated[VpnModel, Tag("vpn")]
    | Annotated[RecognizerModel, Tag("recognizer")]
    | Annotated[ExternalModel, Tag("external")],
    Discriminator(_kind),
]
