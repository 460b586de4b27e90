"""Runs: their names, and their fully resolved settings."""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import PositiveInt, ValidationError

from convttlstm.config.base import Seed, Strict, flattened, require_known
from convttlstm.config.catalogue import Settings, first_error
from convttlstm.config.datasets import Dataset
from convttlstm.config.experiment import Halving
from convttlstm.config.models import SYMBOLS, ModelSettings, refusal
from convttlstm.config.run_id import RunId, is_selected
from convttlstm.config.training import Compute, Evaluation, Training
from convttlstm.files import UserError, cut, read_json, read_text, shortened, write_text


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
    dataset: Dataset
    training: Training
    usual_samples: PositiveInt  # seen in training by systems that change nothing of the scale's training
    evaluation: Evaluation
    compute: Compute
    decides_claims: bool = False

    @property
    def name(self) -> RunId:
        """The id in its parts."""
        return RunId.parse(self.id)

    @property
    def trained(self) -> bool:
        """Whether there are weights to train."""
        return self.model.trained

    @property
    def short(self) -> bool:
        """Whether it is trained on fewer samples than most systems of its scale."""
        return self.trained and self.training.samples < self.usual_samples

    def model_arguments(self) -> dict[str, Any]:
        """Return the arguments of `create_model` after the name."""
        return {"in_channels": self.dataset.channels} | self.model.hyper() | self.dataset.model_arguments()

    def deciding(self, exclude_defaults: bool = False) -> dict[str, Any]:
        """Return the settings that decide the weights after any number of epochs.

        Left out: the number of epochs, paths, and settings that only save memory.
        """
        return self.model_dump(
            mode="json",
            include={"seed", "model", "dataset", "training"},
            exclude={
                "dataset": set(self.dataset.evaluation_only | self.dataset.places),
                "model": {"checkpointing"},
                "training": {"epochs"},
            },
            exclude_defaults=exclude_defaults,
        )

    def identity(self) -> str:
        """Return the settings that decide the weights, without the epochs, as canonical JSON.

        Only settings that differ from their defaults are in it, so new settings change no identity.
        """
        return json.dumps(self.deciding(exclude_defaults=True), sort_keys=True)

    def digest(self, epochs: int | None = None) -> str:
        """Return eight hexadecimal digits that identify the weights after `epochs`, by default all."""
        epochs = epochs or self.training.epochs
        return hashlib.sha256(f"{self.identity()} {epochs} epochs".encode()).hexdigest()[:8]

    def changes_since(self, earlier: Mapping[str, Any]) -> list[str]:
        """Return the changed settings that decide the weights, such as "seed is 1, was 0".

        Args:
            earlier: the settings as `deciding` returned them; a missing one had today's default.
        """
        defaults = {
            name: type(getattr(self, name)).model_construct().model_dump(mode="json", warnings=False)
            for name in ("model", "dataset", "training")
        }
        now, was = flattened(self.deciding()), flattened(earlier)
        usual = flattened(defaults)
        return [
            f"{name} is {shortened(new)}, was {shortened(old)}"
            for name in sorted(now | was)
            if (new := now.get(name)) != (old := was.get(name, usual.get(name)))
        ]


def run_id(settings: Settings, system: str, hyper: Mapping[str, int], seed: int) -> str:
    """Return a run's name: its system, what differs from the catalogue, and the seed.

    A model without weights has one run, named after it.
    """
    defaults = settings.systems[system].model
    if not settings.systems[system].trained:
        return system
    differs = {
        symbol: hyper[name]
        for name, symbol in SYMBOLS.items()
        if name in hyper and hyper[name] != getattr(defaults, name)
    }
    return str(RunId(system, differs, seed))


def as_named_now(run: Run, settings: Settings) -> Run:
    """Return a run with the names and labels of the current settings, which decide nothing of its results."""
    now = {"label": settings.label, "decides_claims": settings.decides_claims}
    now |= {"usual_samples": settings.training_of(run.dataset_name).samples}
    if (entry := settings.systems.get(run.system)) and not is_selected(run.id):
        now |= {"title": entry.title, "paper_row": entry.paper_row}
    return run.model_copy(update=now)


def resolve_run(
    settings: Settings,
    scale: str,
    dataset: str,
    identifier: str,
    winners: Mapping[str, str] | None = None,
) -> Run:
    """Return the full settings of the run that `identifier` names, listed in the catalogue or not.

    Args:
        settings: of the scale.
        scale: its name.
        dataset: the data set's name.
        identifier: such as conv_tt_lstm-N2-M5-seed0, or conv_tt_lstm-selected-seed0.
        winners: the winning run of each role, for selected runs; see `convttlstm select`.

    Raises:
        UserError: the data set or the system is unknown, or the name has no such form.
    """
    if is_selected(identifier):
        name = RunId.parse(identifier)
        if winners is None or name.system not in winners:
            raise UserError(
                f"run {identifier!r}: needs the selection of {dataset}, a file written by `convttlstm select`"
            )
        twin = RunId.parse(winners[name.system]).with_seed(name.seed)
        run = resolve_run(settings, scale, dataset, str(twin))
        values = run.model.hyper()
        symbols = {symbol: values[key] for key, symbol in SYMBOLS.items() if values.get(key)}
        title = f"{run.title} {RunId(run.system, symbols).variant}"
        return run.model_copy(update={"id": identifier, "title": title, "paper_row": None})
    try:
        require_known(dataset, settings.datasets, "data set")
        system = identifier.split("-")[0]  # checked first, as the likelier mistake
        require_known(system, settings.systems, "system")
        entry, name = settings.systems[system], RunId.parse(identifier)
        found, seed = name.hyper(), name.seed or 0
        model = type(entry.model).model_validate(entry.model.model_dump() | found)
        if reason := refusal(model, settings.datasets[dataset]):
            raise ValueError(f"{system} cannot be used on {dataset}: {reason}")
        training, evaluation = settings.training_of(dataset, system), settings.evaluation_of(system)
    except ValidationError as error:
        raise UserError(f"run {identifier!r}: {first_error(error)}") from None
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
        training=training,
        usual_samples=settings.training_of(dataset).samples,
        evaluation=evaluation,
        compute=settings.compute,
        decides_claims=settings.decides_claims,
    )


def read_winners(selection: Path) -> dict[str, str]:
    """Return the winning run of each role from a file written by `convttlstm select`.

    Raises:
        UserError: the file is missing or has another form.
    """
    content = read_json(selection)
    try:
        return {role: winner["run"] for role, winner in content["winners"].items()}
    except (KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{selection}: not a selection ({error}); delete it and select again") from None


def planned_run(settings: Settings, scale: str, dataset: str, identifier: str) -> Run:
    """Return a run's settings as far as they are known before any selection, else as `resolve_run`."""
    if is_selected(identifier):
        identifier = str(replace(RunId.parse(identifier), selected=False))
    return resolve_run(settings, scale, dataset, identifier)


def table_runs(settings: Settings, dataset: str) -> list[str]:
    """Return the runs that Table 2 shows, seed by seed."""
    experiment = settings.experiments[dataset]
    return _runs_of(settings, experiment.table, experiment.seeds)


def first_runs(settings: Settings, dataset: str) -> list[str]:
    """Return the first seed's run of each model that Table 2 shows."""
    experiment = settings.experiments[dataset]
    return _runs_of(settings, experiment.table, experiment.seeds[:1])


def _runs_of(settings: Settings, systems: list[str], seeds: list[int]) -> list[str]:
    """Return the runs of models as the catalogue has them; naive predictions have no seeds."""
    names = [run_id(settings, system, {}, seed) for system in systems for seed in seeds]
    return list(dict.fromkeys(names))


def ablation_runs(settings: Settings, dataset: str) -> list[str]:
    """Return the runs of Table 4, seed by seed."""
    experiment = settings.experiments[dataset]
    names = [
        run_id(settings, row.system, row.hyper(), seed)
        for row in experiment.ablations
        for seed in experiment.seeds
    ]
    return list(dict.fromkeys(names))


def published_runs(settings: Settings, dataset: str) -> list[str]:
    """Return the runs whose weights are published with the results."""
    experiment = settings.experiments[dataset]
    return _runs_of(settings, experiment.published, experiment.seeds[:1])


def selected_runs(settings: Settings, dataset: str) -> list[str]:
    """Return the runs of the grid's winners, seed by seed."""
    experiment = settings.experiments[dataset]
    return [
        str(RunId(role, seed=seed, selected=True))
        for role in experiment.roles()
        for seed in experiment.finalists
    ]


def shown_runs(settings: Settings, dataset: str) -> list[str]:
    """Return Table 2's runs, and the grid's winners."""
    return table_runs(settings, dataset) + selected_runs(settings, dataset)


def evaluated_runs(settings: Settings, dataset: str) -> list[str]:
    """Return the runs that are evaluated on the test split."""
    return list(dict.fromkeys(shown_runs(settings, dataset) + ablation_runs(settings, dataset)))


def grid_runs(settings: Settings, dataset: str, role: str | None = None) -> list[str]:
    """Return the runs that compete by validation loss, or those for a role, all with the first seed."""
    experiment = settings.experiments[dataset]
    names = [
        run_id(settings, grid.system, point, experiment.seeds[0])
        for grid in experiment.grid
        for point in grid.points()
        if role in (None, grid.role or grid.system)
    ]
    return list(dict.fromkeys(names))


def trained_runs(settings: Settings, dataset: str) -> list[str]:
    """Return the runs that are trained to the end; of a grid searched by halving only the evaluated ones."""
    searched = [] if settings.experiments[dataset].halving else grid_runs(settings, dataset)
    names = dict.fromkeys(evaluated_runs(settings, dataset) + searched)
    return [name for name in names if settings.systems[RunId.parse(name).system].trained]


@dataclass(frozen=True)
class Rung:
    """A round of successive halving.

    Attributes:
        places: its number of runs.
        epochs: after which the round ends; runs resume from the previous round.
    """

    places: int
    epochs: int


def rungs(settings: Settings, dataset: str, role: str, halving: Halving | None = None) -> list[Rung]:
    """Return the rounds of a grid search; the last one trains to the end."""
    halving = halving or settings.experiments[dataset].halving
    runs = grid_runs(settings, dataset, role)
    full = settings.training_of(dataset, RunId.parse(runs[0]).system).epochs
    if halving is None:
        return [Rung(len(runs), full)]
    places, epochs, found = len(runs), halving.epochs, []
    while places > 1 and epochs < full:
        found.append(Rung(places, epochs))
        places = math.ceil(places / halving.factor)
        epochs *= halving.factor
    return [*found, Rung(places, full)]


def write_run(folder: Path, run: Run) -> None:
    """Write a run's settings to its folder, as config.json."""
    write_text(folder / "config.json", run.model_dump_json(indent=2) + "\n")


def read_run(folder: Path) -> Run:
    """Return the settings that a run's config.json holds.

    Raises:
        UserError: there is no such file, or another version of this package wrote it.
    """
    path = folder / "config.json"
    try:
        if not path.exists():
            raise UserError(f"{path}: no such file; train the run first")
        return Run.model_validate_json(read_text(path))
    except ValidationError as error:
        raise UserError(f"{path}: {cut(first_error(error), 200)}") from None
