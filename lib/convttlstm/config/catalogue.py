"""The settings of a scale: its models, its experiments on each data set, and its files."""

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import Field, ValidationError, field_validator, model_validator

from convttlstm.config.base import Strict, Title, merge, require_known
from convttlstm.config.datasets import Dataset
from convttlstm.config.experiment import Experiment
from convttlstm.config.models import ModelSettings, refusal
from convttlstm.config.text import read_yaml
from convttlstm.config.training import Compute, Evaluation, Training
from convttlstm.files import UserError, cut, shortened

PAPER = "paper.yaml"
LPIPS_SIZE = 31  # pixels; AlexNet's poolings leave nothing of smaller frames

Group = TypeVar("Group", Training, Evaluation)

# A run's name joins these with dashes.
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_]+$")]


class System(Strict):
    """A model with the name that tables show and its own training settings."""

    title: Title
    paper_row: str | None = Field(None, description="its row in data/paper, if there is one")
    model: ModelSettings
    training: dict[str, Any] = Field({}, description="settings that differ from the scale's training")
    evaluation: dict[str, Any] = Field({}, description="settings that differ from the scale's evaluation")

    @property
    def trained(self) -> bool:
        """Whether there are weights to train."""
        return self.model.trained


class Settings(Strict):
    """Everything that can be set."""

    label: Title = Field(description="shown with every result of this scale")
    decides_claims: bool = Field(
        False, description="whether the paper's claims are decided by this scale's results"
    )
    datasets: dict[Name, Dataset]
    systems: dict[Name, System]
    experiments: dict[str, Experiment] = Field(
        description="by the name of the data set; null leaves out one that paper.yaml has"
    )
    training: Training = Training()
    evaluation: Evaluation = Evaluation()
    compute: Compute = Compute()

    def training_of(self, dataset: str, system: str | None = None) -> Training:
        """Return the scale's training settings with changes of the experiment, then of the model.

        Raises:
            ValueError: the changes are not possible.
        """
        experiment = self.experiments.get(dataset)
        changes = experiment.training if experiment else {}
        usual = _changed(self.training, changes, f"experiments.{dataset}.training")
        if system is None:
            return usual
        return _changed(usual, self.systems[system].training, f"systems.{system}.training")

    def evaluation_of(self, system: str) -> Evaluation:
        """Return the scale's evaluation settings with the model's changes; see `training_of`."""
        return _changed(self.evaluation, self.systems[system].evaluation, f"systems.{system}.evaluation")

    @field_validator("experiments", mode="before")
    @classmethod
    def _without_those_left_out(cls, experiments: Any) -> Any:
        if isinstance(experiments, Mapping):
            return {name: value for name, value in experiments.items() if value is not None}
        return experiments

    @model_validator(mode="after")
    def _experiments_are_possible(self) -> "Settings":
        if not self.experiments:
            raise ValueError("experiments: none is left; give at least one data set a table")
        for name, experiment in self.experiments.items():
            require_known(name, self.datasets, f"experiments.{name}: data set")
            for system, where in experiment.systems().items():
                require_known(system, self.systems, f"experiments.{name}.{where}: system")
                self._check_pair(name, system)
            for system in [*experiment.published, *(grid.system for grid in experiment.grid)]:
                if not self.systems[system].trained:
                    raise ValueError(f"experiments.{name}: {system} has no weights to search for or publish")
            if unknown := set(experiment.published) - set(experiment.table):
                raise ValueError(f"experiments.{name}.published: {min(unknown)} is not in `table`")
            for role in experiment.roles() if experiment.halving else ():
                own = [grid.system for grid in experiment.grid if role == (grid.role or grid.system)]
                if len({self.training_of(name, system).epochs for system in own}) > 1:
                    raise ValueError(f"experiments.{name}.halving: {role}'s models differ in training.epochs")
            for grid in experiment.grid:
                self._check_models(f"experiments.{name}.grid", grid.system, list(grid.points()))
            for row in experiment.ablations:
                self._check_models(f"experiments.{name}.ablations", row.system, [row.hyper()])
        return self

    def _check_pair(self, name: str, system: str) -> None:
        dataset, training = self.datasets[name], self.training_of(name, system)
        if reason := refusal(self.systems[system].model, dataset):
            raise ValueError(f"experiments.{name}: {system} cannot be used on this data set: {reason}")
        if training.batch_size % (self.compute.devices * self.compute.nodes):
            raise ValueError(
                f"{system}: training.batch_size must be a multiple of compute.devices times compute.nodes"
            )
        if dataset.recognition != (training.recipe == "recognition"):
            raise ValueError(
                f"experiments.{name}: {system}: training.recipe is {training.recipe!r}; it must be "
                "'recognition' for data sets of activities, and for no others"
            )
        evaluation, shortest = self.evaluation_of(system), min(dataset.test_horizons)
        if not dataset.recognition and (first := evaluation.first_frame) > shortest:
            raise ValueError(f"experiments.{name}: evaluation.first_frame {first} is after {shortest}")
        lpips_size = evaluation.lpips_size or min(dataset.test_shape)
        if evaluation.lpips and not dataset.recognition and lpips_size < LPIPS_SIZE:
            raise ValueError(
                f"experiments.{name}: LPIPS needs frames of at least {LPIPS_SIZE} pixels, not "
                f"{lpips_size}; set evaluation.lpips_size: {2 * LPIPS_SIZE + 2}, or evaluation.lpips: false"
            )
        dataset.activities()  # raises where the list cannot be read
        # The number of windows in videos is known once they are prepared; training checks it.
        train = dataset.split("train")
        if train and training.samples_per_epoch > train.sequences:
            raise ValueError(
                f"{system}: training.samples_per_epoch is {training.samples_per_epoch}, "
                f"but {name} trains on {train.sequences} sequences"
            )

    def _check_models(self, where: str, system: str, points: list[dict[str, int]]) -> None:
        model = self.systems[system].model
        if not points:
            raise ValueError(f"{where}: no point of {system}'s grid has steps (M) >= order (N)")
        for point in points:
            for name in point:
                if name not in type(model).model_fields:
                    raise ValueError(f"{where}: {system} has no setting {name!r}")
            try:
                type(model).model_validate(model.model_dump() | point)
            except ValidationError as error:
                raise ValueError(f"{where}: {system}: {first_error(error)}") from None


def _changed(base: Group, changes: dict[str, Any], where: str) -> Group:
    try:
        return type(base).model_validate(merge(base.model_dump(), changes))
    except ValidationError as error:
        raise ValueError(f"{where}: {first_error(error)}") from None


def load_settings(path: Path) -> Settings:
    """Return the settings of a scale, its file laid over paper.yaml in the same folder.

    Raises:
        UserError: a file is missing, is not YAML, or a setting is wrong; the line names the file,
            the setting and what was expected.
    """
    overlay = _read_yaml(path)
    try:
        merged = overlay if path.name == PAPER else merge(_read_yaml(path.with_name(PAPER)), overlay)
        settings = Settings.model_validate(merged)
    except ValidationError as error:
        raise UserError(_one_line(error, path, overlay)) from None
    except RecursionError:
        raise UserError(f"{path}: a setting contains itself; write it out") from None
    for name, experiment in settings.experiments.items():
        for search in ("halving", "finalists"):
            if not experiment.grid and overlay.get("experiments", {}).get(name, {}).get(search):
                raise UserError(f"{path}: experiments.{name}: {search} without a grid: nothing is searched")
    return settings


def settings_of_scale(scale: str) -> Settings:
    """Return the settings of config/<scale>.yaml, below the working folder; see `load_settings`.

    Raises:
        UserError: the name is no plain file name, or as `load_settings`.
    """
    if not re.fullmatch(r"[A-Za-z0-9_.-]+", scale) or scale.startswith("."):
        raise UserError(f"scale {scale!r}: a scale's name has letters, digits, '_', '.' and '-' only")
    return load_settings(Path("config", f"{scale}.yaml"))


def _one_line(error: ValidationError, path: Path, overlay: dict[str, Any]) -> str:
    first = error.errors()[0]
    location = [str(part) for part in first["loc"]]
    # Pydantic adds "[key]" and the kind of a union, which are no keys of the file.
    kinds = {location.index(key) + 1 for key in ("model", "checkpointing") if key in location}
    kinds |= {2} if location[0:1] == ["datasets"] else set()
    keys = [key for i, key in enumerate(location) if key != "[key]" and i not in kinds]
    keys += [first["ctx"]["key"]] if first["type"] == "unknown_setting" else []
    file = path if _mentions(overlay, keys) else path.with_name(PAPER)
    said_by_us = first["type"] in ("value_error", "unknown_setting", "missing")
    given = "" if said_by_us else f", not {shortened(first['input'])}"
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    message = cut(first["msg"].removeprefix("Value error, "), 200)
    setting = cut(".".join(keys), 80) or "settings"
    return f"{file}: {setting}: {cut(message + given, 200)}{more}"


def _mentions(overlay: Any, keys: list[str]) -> bool:
    for key in keys:
        if isinstance(overlay, list):  # replaces the base's list
            return True
        if not isinstance(overlay, dict) or key not in overlay:
            return False
        overlay = overlay[key]
    return True


def _read_yaml(path: Path) -> dict[str, Any]:
    if not os.path.exists(path):  # Path.exists raises for very long names
        scales = ", ".join(sorted(p.stem for p in path.parent.glob("*.yaml")))
        raise UserError(f"{cut(str(path), 150)}: no such scale; there are {scales or 'none'}")
    content = read_yaml(path)
    if not isinstance(content, dict):
        raise UserError(f"{path}: expected settings as 'name: value' lines")
    return content


def with_model(settings: Settings, name: str) -> Settings:
    """Return the settings with your own model as another row of every Table 2.

    Args:
        settings: of a scale.
        name: 'path/to/file.py:Class', or an entry point of the group convttlstm.models. The class's
            name in lower case, or the entry point's, names the row.

    Raises:
        UserError: there is no such file or entry point, or the catalogue has a system of that name.
    """
    title = name.rpartition(":")[2]
    system = re.sub(r"\W", "_", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", title)).lower()
    if system in settings.systems:
        raise UserError(f"model {name!r}: the catalogue has a system {system!r}; give yours another name")
    content = settings.model_dump()
    content["systems"][system] = {"title": title, "model": {"name": name}}
    for dataset, experiment in content["experiments"].items():
        if not settings.datasets[dataset].recognition:
            experiment["table"].append(system)
    try:
        return Settings.model_validate(content)
    except ValidationError as error:
        raise UserError(first_error(error)) from None


def json_schema() -> str:
    """Return the JSON schema of the settings, as committed in config/schema.json."""
    return json.dumps(Settings.model_json_schema(), indent=2) + "\n"


def first_error(error: ValidationError) -> str:
    """Return the first error in one line."""
    first = error.errors()[0]
    keys = [*first["loc"], first["ctx"]["key"]] if first["type"] == "unknown_setting" else first["loc"]
    path = ".".join(map(str, keys))
    message = first["msg"].removeprefix("Value error, ")
    return f"{path}: {message}" if path else message
