"""Progress of a scale's runs, read from their folders and Slurm's queue; changes nothing."""

import contextlib
import datetime
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from convttlstm.config import Run, Settings, evaluated_runs, grid_runs, is_selected, planned_run, read_run
from convttlstm.files import UserError, listed, read_json
from convttlstm.provenance import changed_sources
from convttlstm.slurm import Job
from convttlstm.training.history import read_history
from convttlstm.training.locks import is_locked

STATES = ["done", "running", "waiting", "failed", "to do"]
SHOWN = 30  # runs listed; the others are only counted


@dataclass(frozen=True)
class Line:
    """The progress of one run.

    Attributes:
        dataset: its data set.
        run: its name.
        state: one of STATES; "waiting" is in Slurm's queue.
        epoch: number of finished epochs.
        epochs: number of epochs in total.
        loss: the lowest validation loss so far, None before the end of the first epoch.
        ends: when training should end, in seconds since 1970; None if unknown.
        note: why it waits or failed; or which source files have changed since it was trained.
    """

    dataset: str
    run: str
    state: str
    epoch: int
    epochs: int
    loss: float | None
    ends: float | None
    note: str


def status(settings: Settings, scale: str, results: Path, queue: list[Job]) -> list[Line]:
    """Return the progress of each trained run of a scale.

    Args:
        settings: the scale's settings.
        scale: the scale's name.
        results: the scale's results; the current folder is the one that Snakemake runs in.
        queue: Snakemake's jobs in Slurm's queue.

    Raises:
        UserError: a run's settings are not valid together.
    """
    jobs = {job.comment: job for job in queue}
    lines = []
    for dataset in settings.experiments:
        for name in dict.fromkeys(evaluated_runs(settings, dataset) + grid_runs(settings, dataset)):
            run = planned_run(settings, scale, dataset, name)
            if run.trained:
                job = jobs.get(f"rule_train_wildcards_{dataset}_{name}")
                lines.append(_line(run, name, results, job))
    return lines


def _line(run: Run, name: str, results: Path, job: Job | None) -> Line:
    folder = results / "runs" / run.dataset_name / name
    history = read_history(folder)
    if is_selected(name):
        with contextlib.suppress(UserError):  # the winner's settings, once they are known
            run = read_run(folder)
    epochs = run.training.epochs
    epoch = 0 if history is None else len(history)
    loss = None if history is None else float(history["validation_loss"].min())
    ends = None
    if (folder / "best.safetensors").is_file() and (history is None or epoch >= epochs):
        evaluated = (folder / "metrics.json").is_file()
        state, note = "done", _other_source(folder / "provenance.json")
        if not evaluated and (failure := _failure(results, run, name, "evaluate")):
            state, note = "failed", f"trained, not evaluated: {failure}"
    elif is_locked(folder) or (job and job.state == "RUNNING"):
        state, note = "running", ""
        if history is not None and (folder / "history.partial.csv").is_file():
            saved = (folder / "history.partial.csv").stat().st_mtime
            ends = saved + (epochs - epoch) * float(history["seconds"].tail(5).mean())
    elif job:
        state, note = "waiting", job.reason
    elif failure := _failure(results, run, name, "train"):
        state, note = "failed", failure
    else:
        state, note = "to do", "settings chosen by the search" if is_selected(name) else ""
    return Line(run.dataset_name, name, state, epoch, epochs, loss, ends, note)


def _other_source(provenance: Path) -> str:
    """Return which source files have changed since a run was trained, "" if none has."""
    recorded = read_json(provenance).get("sources", {}) if provenance.is_file() else {}
    changed = changed_sources(recorded)
    return f"by other versions of {listed(changed)}" if changed else ""


def _failure(results: Path, run: Run, name: str, what: str) -> str:
    """Return the error line of a run's last job to "train" or "evaluate", or "".

    If a job was killed, for its memory for example, Slurm writes the reason to a log of its own.
    """
    own = results / "logs" / what / run.dataset_name / f"{name}.log"
    rule = "evaluate_recognizer" if what == "evaluate" and run.dataset.recognition else what
    slurms = Path(f".snakemake/slurm_logs/rule_{rule}", f"{run.dataset_name}_{name}").glob("*.log")
    logs = [*sorted(slurms, key=lambda path: path.stat().st_mtime)[-1:], own]
    lines = [
        line for path in logs if path.is_file() for line in path.read_text(errors="replace").splitlines()
    ]
    return next(
        (line for line in reversed(lines) if line.startswith(("convttlstm: error:", "slurmstepd"))), ""
    )


def to_text(lines: list[Line], queue: list[Job], now: float | None = None) -> str:
    """Return one screen of text: counts by state, unfinished runs, and other jobs in the queue."""
    now = time.time() if now is None else now
    parts = []
    for dataset in dict.fromkeys(line.dataset for line in lines):
        own = [line for line in lines if line.dataset == dataset]
        counts = Counter(line.state for line in own)
        said = ", ".join(f"{counts[state]} {state}" for state in STATES if counts[state])
        older = Counter(line.note for line in own if line.state == "done" and line.note)
        said += "".join(f"\n  {number} trained {note}; kept" for note, number in older.items())
        parts.append(f"{dataset}: {len(own)} runs: {said}")
    open_ones = [line for line in lines if line.state in ("running", "waiting", "failed")]
    width = max((len(line.run) for line in open_ones), default=0)
    for line in sorted(open_ones, key=lambda line: STATES.index(line.state))[:SHOWN]:
        loss = "" if line.loss is None else f"  best {line.loss:.5f}"
        ends = "" if line.ends is None else f"  ends {_when(line.ends, now)}"
        epochs = f"epoch {line.epoch:>4}/{line.epochs}"
        said = f"{line.state:8} {line.run:{width}}  {line.dataset}  {epochs}{loss}{ends}  {line.note}"
        parts.append(said.rstrip())
    if len(open_ones) > SHOWN:
        parts.append(f"and {len(open_ones) - SHOWN} more")
    rules = Counter(job.comment.removeprefix("rule_").partition("_wildcards_")[0] for job in queue)
    others = [f"{count} {rule}" for rule, count in rules.items() if rule != "train"]
    if others:
        parts.append(f"other jobs in Slurm's queue: {', '.join(others)}")
    return "\n".join(parts)


def _when(moment: float, now: float) -> str:
    if moment < now:
        return "soon"
    local = datetime.datetime.fromtimestamp(moment)
    return local.strftime("%a %H:%M" if moment - now < 6 * 86_400 else "%d %b %H:%M")
