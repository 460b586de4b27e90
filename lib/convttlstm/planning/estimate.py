"""An estimate of jobs, hours and storage of a scale, by stage."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from convttlstm.config import (
    Halving,
    Run,
    RunId,
    Settings,
    ablation_runs,
    evaluated_runs,
    grid_runs,
    planned_run,
    rungs,
    selected_runs,
    table_runs,
)
from convttlstm.planning.clock import Clock, Counts, read_times

ROUNDS = Halving(epochs=32)  # compared with a full search if a scale sets no rounds
# Copies of each weight, four bytes each: two checkpoints hold weights, Adam's two moments and the best
# weights; best.safetensors is one more.
COPIES_KEPT = 2 * 4 + 1


@dataclass(frozen=True)
class Stage:
    """Jobs of one kind on one data set.

    Attributes:
        dataset: the data set's name.
        name: what the jobs do.
        jobs: number of jobs.
        hours: device hours of all jobs together.
        gigabytes: size of the files that they leave in the runs' folders.
        unknown: number of jobs whose time is not known and not in `hours`.
    """

    dataset: str
    name: str
    jobs: int
    hours: float
    gigabytes: float
    unknown: int = 0


@dataclass(frozen=True)
class Estimate:
    """The estimate for a scale.

    Attributes:
        stages: the stages, in the order in which they can run.
        copied: number of selected runs whose files are copied from a run of the search.
        searches: device hours of searching all grids, in rounds and with every point trained fully.
    """

    stages: list[Stage]
    copied: int
    searches: dict[str, float]


def estimate(
    settings: Settings, scale: str, times: Path, counts: Counts, minutes: float | None = None
) -> Estimate:
    """Estimate the cost of each stage, and of both ways to search the grids.

    Args:
        settings: the scale's settings.
        scale: the scale's name.
        times: a CSV file that `benchmarks.system_times` wrote on some device.
        counts: counts of the scale's models.
        minutes: see `Clock`.

    Raises:
        UserError: the file is missing or lacks columns.
    """
    clock = Clock(read_times(times), counts, minutes)

    def resolved(dataset: str, names: list[str]) -> list[Run]:
        runs = [planned_run(settings, scale, dataset, name) for name in names]
        return [run for run in runs if run.trained]

    stages: list[Stage] = []
    searches, copied = {"in rounds": 0.0, "every point to its end": 0.0}, 0
    for dataset in settings.experiments:
        seen: set[str] = set()
        kinds = {"Table 2": table_runs, "ablations": ablation_runs, "grid": grid_runs}
        for name, runs in kinds.items():
            own = [run for run in runs(settings, dataset) if run not in seen]
            seen |= set(own)
            if name == "grid":
                rounds = settings.experiments[dataset].halving or ROUNDS
                in_rounds = list(_rounds(settings, dataset, rounds, clock, resolved))
                whole = [_training("train: grid", dataset, resolved(dataset, own), clock)]
                searches["in rounds"] += sum(stage.hours for stage in in_rounds)
                searches["every point to its end"] += sum(stage.hours for stage in whole)
                stages += in_rounds if settings.experiments[dataset].halving else whole
            else:
                stages.append(_training(f"train: {name}", dataset, resolved(dataset, own), clock))
        # The winner's run with the first seed is a run of the grid already.
        first, selected = settings.experiments[dataset].seeds[0], selected_runs(settings, dataset)
        own = [run for run in selected if RunId.parse(run).seed != first]
        copied += len(selected) - len(own)
        stages.append(_training("train: winners", dataset, resolved(dataset, own), clock))
        own = evaluated_runs(settings, dataset)
        stages.append(_evaluating(dataset, len(own), resolved(dataset, own), clock))
    return Estimate([stage for stage in stages if stage.jobs], copied, searches)


def to_text(found: Estimate, times: Path, minutes: float | None) -> str:
    """Return the stages as a table with a total, and notes about the estimate."""
    stages = found.stages
    columns = ["data set", "stage", "jobs", "device hours", "GB"]
    rows = [[s.dataset, s.name, s.jobs, s.hours, s.gigabytes] for s in stages]
    jobs, hours, gigabytes = (sum(row[i] for row in rows) for i in (2, 3, 4))  # type: ignore[misc]
    table = pd.DataFrame([*rows, ["all", "", jobs, hours, gigabytes]], columns=columns)
    text = table.to_string(index=False, formatters={"device hours": "{:,.1f}".format, "GB": "{:.2f}".format})
    device = "a device of the given speed" if minutes else pd.read_csv(times)["device"].iloc[0]
    notes = [
        f"Hours of {device}, from times measured in {times}; scaled for other configurations.",
        "Models far smaller than the paper's take several times as long, since overhead dominates.",
        "GB: checkpoints and weights. Preparation and reports are not included.",
    ]
    if found.searches["every point to its end"]:
        said = " and ".join(f"{hours:,.0f} {name}" for name, hours in found.searches.items())
        notes.append(f"Searching all grids takes {said}; `halving` chooses for each data set.")
    if found.copied:
        notes.append(f"{found.copied} selected runs are copies of runs of the search and take no time.")
    if unknown := sum(stage.unknown for stage in stages):
        notes.append(
            f"Not included: {unknown} evaluations, of videos or of models that predict pixel by pixel."
        )
    return "\n".join([text, "", *notes])


def _training(name: str, dataset: str, runs: list[Run], clock: Clock) -> Stage:
    seconds = sum(run.training.samples * clock.training(run) for run in runs)
    weights = sum(map(clock.counts.parameters, runs))
    return Stage(dataset, name, len(runs), seconds / 3600, 4 * COPIES_KEPT * weights / 1e9)


def _rounds(
    settings: Settings,
    dataset: str,
    halving: Halving,
    clock: Clock,
    resolved: Callable[[str, list[str]], list[Run]],
) -> Iterator[Stage]:
    """Yield the rounds of successive halving; each run is assumed to have the grid's mean cost."""
    for role in settings.experiments[dataset].roles():
        runs = resolved(dataset, grid_runs(settings, dataset, role))
        epoch = sum(run.training.samples_per_epoch * clock.training(run) for run in runs) / len(runs)
        weights, before = sum(map(clock.counts.parameters, runs)), 0
        for number, rung in enumerate(rungs(settings, dataset, role, halving)):
            hours = rung.places * (rung.epochs - before) * epoch / 3600
            kept = 0 if number else 4 * COPIES_KEPT * weights / 1e9
            yield Stage(dataset, f"search: {role}, round {number + 1}", rung.places, hours, kept)
            before = rung.epochs


def _evaluating(dataset: str, jobs: int, runs: list[Run], clock: Clock) -> Stage:
    seconds = [clock.evaluating(run) for run in runs]
    known = [value for value in seconds if value is not None]
    return Stage(dataset, "evaluate", jobs, sum(known) / 3600, 0, len(seconds) - len(known))
