"""The one definition of every setting: its type, range, default and meaning.

`config/paper.yaml` holds the paper's catalogue. Every other file in that folder is an overlay: what
it names replaces the paper's value, everything else stays. The scale is the file's name.
"""

import difflib
import hashlib
import itertools
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeInt,
    PositiveInt,
    ValidationError,
    model_validator,
)
from pydantic_core import PydanticCustomError

from convttlstm.files import UserError

PAPER = "paper.yaml"


def _odd(value: int) -> int:
    if value % 2 == 0:
        raise ValueError("must be odd, so that 'same' padding keeps the frame size")
    return value


# YAML reads 1e-3 as text, so numbers with a fraction may be given as text.
PositiveFloat = Annotated[float, Field(gt=0, strict=False)]
Seed = Annotated[int, Field(ge=0, lt=2**64)]
OddInt = Annotated[PositiveInt, AfterValidator(_odd)]


class Strict(BaseModel):
    """A group of settings that refuses unknown names and other types, and cannot be changed."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    @model_validator(mode="before")
    @classmethod
    def _name_the_nearest(cls, data: Any) -> Any:
        if isinstance(data, Mapping):
            for key in data:
                if key not in cls.model_fields:
                    near = difflib.get_close_matches(str(key), cls.model_fields, n=1)
                    known = ", ".join(sorted(cls.model_fields))
                    hint = f"did you mean {near[0]!r}?" if near else f"known are {known}"
                    raise PydanticCustomError(
                        "unknown_setting",
                        "unknown setting; {hint}",
                        {"hint": hint, "key": str(key)},
                    )
        return data


class Split(Strict):
    """How many sequences a split has, and how long they are."""

    sequences: PositiveInt
    frames: PositiveInt


class MovingMnist(Strict):
    """Moving-MNIST-2: digits that bounce inside a square frame."""

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
    context: PositiveInt = Field(10, description="input frames")
    horizon: PositiveInt = Field(10, description="frames predicted in training and validation")
    test_horizons: list[PositiveInt] = Field([10, 30], min_length=1)

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


class ModelChoice(Strict):
    """The settings of one registered model, which each subclass names by `name`."""

    def hyper(self) -> dict[str, Any]:
        """Return the settings that `create_model` takes beside the name."""
        return self.model_dump(exclude={"name"})

    def refusal(self, dataset: MovingMnist) -> str | None:
        """Return why the data set cannot be served, or None if it can."""
        return None


class CopyLastModel(ModelChoice):
    """The last input frame, repeated."""

    name: Literal["copy_last"]


class BlackModel(ModelChoice):
    """Black frames."""

    name: Literal["black"]


class TrainedModel(ModelChoice):
    """A model with weights."""

    checkpointing: bool = Field(
        False, description="recompute activations in the backward pass: less memory, more time"
    )


class StackSettings(TrainedModel):
    """The recurrent stack of the paper's own predictors (Appendix B)."""

    channels: list[PositiveInt] = Field(
        [32, 48, 48, 32], min_length=4, max_length=4, description="channels of each block's layers"
    )
    layers_per_block: PositiveInt = 3
    kernel_size: OddInt = Field(5, description="S, height and width of every kernel")


class ConvLstmModel(StackSettings):
    """The paper's ConvLSTM baseline."""

    name: Literal["conv_lstm"]


class ConvTtLstmModel(StackSettings):
    """The paper's model."""

    name: Literal["conv_tt_lstm"]
    order: PositiveInt = Field(3, description="N, factors of the decomposition")
    steps: PositiveInt = Field(3, description="M, hidden states looked back at")
    rank: PositiveInt = Field(8, description="C(i), channels between the factors")

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

    def refusal(self, dataset: MovingMnist) -> str | None:
        """Return why the data set cannot be served, or None if it can."""
        if dataset.size % self.patch_size:
            return f"frames of {dataset.size} pixels cannot be cut into patches of {self.patch_size}"
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

    def refusal(self, dataset: MovingMnist) -> str | None:
        """Return why the data set cannot be served, or None if it can."""
        if dataset.size % 8:
            return f"its three poolings need frames whose size is a multiple of 8, not {dataset.size}"
        if dataset.context < 2:
            return "it sees motion as differences of input frames, so it needs two of them"
        return None


class VpnModel(TrainedModel):
    """The Video Pixel Network, baseline form."""

    name: Literal["vpn"]
    levels: int = Field(2, ge=2, le=256, description="intensities: 2 is the binary form, 256 all of a byte's")
    channels: PositiveInt = Field(128, description="half a block's channels [M]")
    encoder_blocks: PositiveInt = Field(8, description="[M]")
    decoder_blocks: PositiveInt = Field(12, description="[M]")
    lstm_channels: PositiveInt = Field(256, description="[M]")
    kernel_size: OddInt = Field(3, description="[M]")


ModelSettings = Annotated[
    CopyLastModel
    | BlackModel
    | ConvLstmModel
    | ConvTtLstmModel
    | HigherOrderModel
    | ConvLstmTtdModel
    | ConvLstmShiModel
    | PredRnnPpModel
    | E3dLstmModel
    | McnetModel
    | VpnModel,
    Field(discriminator="name"),
]


class System(Strict):
    """One line of the catalogue: a model under the name that tables show."""

    title: str
    paper_row: str | None = Field(
        None, description="this system's row in data/paper/table2.csv, if it has one"
    )
    model: ModelSettings

    @property
    def trained(self) -> bool:
        """Whether there are weights to train."""
        return isinstance(self.model, TrainedModel)


class ScheduledSampling(Strict):
    """How true frames are replaced by predictions while training (Appendix B)."""

    earliest: NonNegativeInt = Field(20, description="no decay before this many epochs")
    patience: NonNegativeInt = Field(
        20, description="epochs without a better validation loss; 0 waits for `earliest` alone"
    )
    rate: PositiveFloat = Field(2e-3, le=1, description="what the ratio loses each epoch")


class LearningRateDecay(Strict):
    """When the learning rate falls (Appendix B)."""

    patience: NonNegativeInt = Field(20, description="epochs without a better loss, after sampling began")
    factor: PositiveFloat = Field(0.98, le=1)
    interval: PositiveInt = Field(5, description="epochs between two falls")


class LinearSampling(Strict):
    """How PredRNN++'s authors replace true frames by predictions while training."""

    updates: PositiveInt = Field(
        50_000, description="updates in which the share of true frames falls evenly from 1 to 0"
    )


class Adversarial(Strict):
    """MCNet's loss and optimizers."""

    weight: PositiveFloat = Field(0.02, description="of the adversarial term, beside MSE and gradients")
    first_moment: float = Field(0.5, ge=0, lt=1, description="Adam's beta 1, of both networks")


class Training(Strict):
    """The recipe's numbers; a change means another run."""

    recipe: Literal["paper", "predrnn", "adversarial", "likelihood"] = Field(
        "paper",
        description="'paper': L1 + L2 and Appendix B's schedules; 'predrnn': PredRNN++'s, each batch also "
        "reversed in time; 'adversarial': MCNet's; 'likelihood': the Video Pixel Network's",
    )
    epochs: PositiveInt = 500
    samples_per_epoch: PositiveInt = Field(10_000, description="drawn without replacement")
    batch_size: PositiveInt = Field(16, description="over all devices")
    learning_rate: PositiveFloat = 1e-3
    gradient_clip: PositiveFloat | None = Field(
        1.0, description="largest gradient norm (unverified); null: unbounded"
    )
    scheduled_sampling: ScheduledSampling = ScheduledSampling()
    learning_rate_decay: LearningRateDecay = LearningRateDecay()
    linear_sampling: LinearSampling = LinearSampling()
    adversarial: Adversarial = Adversarial()
    precision: Literal["32-true", "bf16-mixed"] = "32-true"

    @model_validator(mode="after")
    def _whole_batches(self) -> "Training":
        if self.samples_per_epoch % self.batch_size:
            raise ValueError(
                f"samples_per_epoch {self.samples_per_epoch} is no multiple of batch_size {self.batch_size}"
            )
        return self


class Compute(Strict):
    """Where and how jobs run; a change does not make another run."""

    accelerator: Literal["auto", "cpu", "cuda"] = "auto"
    devices: PositiveInt = 1
    threads: PositiveInt = Field(
        2, description="CPU threads of each job; results on the CPU depend on it, bit for bit"
    )
    compile: bool = Field(False, description="torch.compile the recurrent cells")
    checkpoint_minutes: PositiveFloat = Field(10.0, description="longest time between checkpoints")


class Evaluation(Strict):
    """How predictions are judged."""

    lpips: bool = Field(True, description="needs AlexNet's weights, which a rule fetches")
    batch_size: PositiveInt = 16
    bootstrap_resamples: PositiveInt = Field(2_000, description="for the 95 % intervals")
    examples: PositiveInt = Field(4, description="test sequences kept for the pictures")


class Grid(Strict):
    """All combinations of the listed values for one system; those with M < N are left out."""

    system: str
    kernel_size: list[OddInt] | None = None
    order: list[PositiveInt] | None = None
    rank: list[PositiveInt] | None = None
    steps: list[PositiveInt] | None = None

    def points(self) -> Iterator[dict[str, int]]:
        """Yield the settings of each grid point."""
        axes = {name: values for name in HYPER if (values := getattr(self, name)) is not None}
        for values in itertools.product(*axes.values()):
            point = dict(zip(axes, values, strict=True))
            if not ("order" in point and "steps" in point) or point["order"] <= point["steps"]:
                yield point


class Experiment(Strict):
    """What is done with one data set."""

    table: list[str] = Field(min_length=1, description="systems of Table 2, judged on the test split")
    grid: list[Grid] = Field([], description="searched by validation loss")
    seeds: list[Seed] = Field([0], min_length=1)


class Settings(Strict):
    """Everything that can be set."""

    label: str = Field(description="shown beside every figure of this scale")
    datasets: dict[str, MovingMnist]
    systems: dict[str, System]
    experiments: dict[str, Experiment] = Field(description="by the name of the data set")
    training: Training = Training()
    evaluation: Evaluation = Evaluation()
    compute: Compute = Compute()

    @model_validator(mode="after")
    def _names_exist(self) -> "Settings":
        for name, experiment in self.experiments.items():
            _known(name, self.datasets, f"experiments.{name}: data set")
            for system in experiment.table:
                _known(system, self.systems, f"experiments.{name}.table: system")
            for grid in experiment.grid:
                _known(grid.system, self.systems, f"experiments.{name}.grid: system")
        if self.training.batch_size % self.compute.devices:
            raise ValueError("training.batch_size must be a multiple of compute.devices")
        for name, dataset in self.datasets.items():
            if self.training.samples_per_epoch > dataset.train.sequences:
                raise ValueError(
                    f"training.samples_per_epoch is {self.training.samples_per_epoch}, "
                    f"but {name} trains on {dataset.train.sequences} sequences"
                )
        return self


# The paper's symbols, in the paper's order; they name a run where it differs from the catalogue.
HYPER = {"kernel_size": "S", "order": "N", "rank": "C", "steps": "M"}


class Run(Strict):
    """The fully resolved settings of one run, saved as its config.json."""

    id: str
    scale: str
    label: str
    system: str
    title: str
    paper_row: str | None
    dataset_name: str
    seed: Seed
    model: ModelSettings
    dataset: MovingMnist
    training: Training
    evaluation: Evaluation
    compute: Compute

    @property
    def trained(self) -> bool:
        """Whether there are weights to train."""
        return isinstance(self.model, TrainedModel)

    def identity(self) -> str:
        """Return what decides the trained weights, as canonical JSON; if it changes, so must they."""
        resolved = self.model_dump(
            mode="json",
            include={"seed", "model", "dataset", "training"},
            exclude={"dataset": {"title", "test", "test_horizons"}},
        )
        return json.dumps(resolved, sort_keys=True)

    def digest(self) -> str:
        """Return eight hexadecimal digits that stand for the identity."""
        return hashlib.sha256(self.identity().encode()).hexdigest()[:8]


def load_settings(path: Path) -> Settings:
    """Return the settings of a scale, its file laid over paper.yaml beside it.

    Raises:
        UserError: a file is missing, is not YAML, or a setting is wrong; the line names the file,
            the setting and what was expected.
    """
    base_path = path.with_name(PAPER)
    overlay = _read_yaml(path)
    merged = overlay if path.name == PAPER else _merge(_read_yaml(base_path), overlay)
    try:
        return Settings.model_validate(merged)
    except ValidationError as error:
        raise UserError(_one_line(error, path, overlay)) from None


def settings_of_scale(scale: str) -> Settings:
    """Return the settings of config/<scale>.yaml, below the working folder; see `load_settings`."""
    return load_settings(Path("config", f"{scale}.yaml"))


def _one_line(error: ValidationError, path: Path, overlay: dict[str, Any]) -> str:
    first = error.errors()[0]
    location = [str(part) for part in first["loc"]]
    # Pydantic adds the name of the model's class of settings, which is no key of the file.
    keys = [key for i, key in enumerate(location) if i == 0 or location[i - 1] != "model"]
    keys += [first["ctx"]["key"]] if first["type"] == "unknown_setting" else []
    file = path if _mentions(overlay, keys) else path.with_name(PAPER)
    said_by_us = first["type"] in ("value_error", "unknown_setting", "missing")
    given = "" if said_by_us else f", not {first['input']!r}"
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    message = first["msg"].removeprefix("Value error, ")
    return f"{file}: {'.'.join(keys) or 'settings'}: {message}{given}{more}"


def _mentions(overlay: Any, keys: list[str]) -> bool:
    for key in keys:
        if not isinstance(overlay, dict) or key not in overlay:
            return False
        overlay = overlay[key]
    return True


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text())
    except FileNotFoundError:
        scales = ", ".join(sorted(p.stem for p in path.parent.glob("*.yaml")))
        raise UserError(f"{path}: no such scale; there are {scales or 'none'}") from None
    except yaml.YAMLError as error:
        raise UserError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict):
        raise UserError(f"{path}: expected settings as 'name: value' lines")
    return content


def _merge(base: dict[str, Any], overlay: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in overlay.items():
        old = merged.get(key)
        if isinstance(old, dict) and isinstance(value, dict):
            value = _merge(old, value)
        merged[key] = value
    return merged


def _known(name: str, names: Mapping[str, Any], what: str) -> None:
    if name not in names:
        near = difflib.get_close_matches(name, names, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(names)}"
        raise ValueError(f"{what} {name!r} is not defined; {hint}")


def run_id(settings: Settings, system: str, hyper: Mapping[str, int], seed: int) -> str:
    """Return a run's name: its system, what differs from the catalogue, and the seed.

    Systems without weights have one run only, which bears their name.
    """
    defaults = settings.systems[system].model
    if not settings.systems[system].trained:
        return system
    differs = [
        f"{symbol}{hyper[name]}"
        for name, symbol in HYPER.items()
        if name in hyper and hyper[name] != getattr(defaults, name)
    ]
    return "-".join([system, *differs, f"seed{seed}"])


def resolve_run(settings: Settings, scale: str, dataset: str, identifier: str) -> Run:
    """Return the full settings of the run that `identifier` names, listed in the catalogue or not.

    Raises:
        UserError: the data set or the system is unknown, or the name has no such form.
    """
    try:
        _known(dataset, settings.datasets, "data set")
        system, *parts = identifier.split("-")
        _known(system, settings.systems, "system")
        entry = settings.systems[system]
        found = dict(_parse_part(part, identifier) for part in parts)
        seed = found.pop("seed", 0)
        model = type(entry.model).model_validate(entry.model.model_dump() | found)
    except ValidationError as error:
        raise UserError(f"run {identifier!r}: {error.errors()[0]['msg']}") from None
    except ValueError as error:
        raise UserError(str(error)) from None
    canonical = run_id(settings, system, found, seed)
    if canonical != identifier:
        raise UserError(f"run {identifier!r} is called {canonical!r}")
    return Run(
        id=identifier,
        scale=scale,
        label=settings.label,
        system=system,
        title=entry.title,
        paper_row=entry.paper_row,
        dataset_name=dataset,
        seed=seed,
        model=model,
        dataset=settings.datasets[dataset],
        training=settings.training,
        evaluation=settings.evaluation,
        compute=settings.compute,
    )


def _parse_part(part: str, identifier: str) -> tuple[str, int]:
    names = {symbol: name for name, symbol in HYPER.items()} | {"seed": "seed"}
    match = re.fullmatch(r"([A-Za-z]+)(\d+)", part)
    if match is None or match[1] not in names:
        raise ValueError(f"run {identifier!r}: expected SYSTEM[-S5][-N3][-C8][-M3]-seed0")
    return names[match[1]], int(match[2])


def table_runs(settings: Settings, dataset: str) -> list[str]:
    """Return the runs that the tables of a data set show, seed by seed."""
    experiment = settings.experiments[dataset]
    names = [run_id(settings, system, {}, seed) for system in experiment.table for seed in experiment.seeds]
    return list(dict.fromkeys(names))


def grid_runs(settings: Settings, dataset: str) -> list[str]:
    """Return the runs that compete by validation loss, all with the first seed."""
    experiment = settings.experiments[dataset]
    names = [
        run_id(settings, grid.system, point, experiment.seeds[0])
        for grid in experiment.grid
        for point in grid.points()
    ]
    return list(dict.fromkeys(names))


def read_run(folder: Path) -> Run:
    """Return the settings that a run's config.json holds.

    Raises:
        UserError: there is no such file, or another version of this package wrote it.
    """
    path = folder / "config.json"
    try:
        return Run.model_validate_json(path.read_text())
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; train the run first") from None
    except ValidationError as error:
        raise UserError(f"{path}: {error.errors()[0]['msg']} at {error.errors()[0]['loc']}") from None


def json_schema() -> str:
    """Return the JSON schema of the settings, as committed in config/schema.json."""
    return json.dumps(Settings.model_json_schema(), indent=2) + "\n"
