"""A real Slurm on this machine: a grid runs to its tables, and jobs that end early lose nothing."""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pandas as pd
import pytest
import yaml

from convttlstm.slurm import Job, jobs_of
from convttlstm.training.locks import is_locked
from tests.conftest import (
    ENVIRONMENT,
    WITH_SLURM,
    Project,
    assert_only_changes_are_made_again,
    make_project,
    make_repository,
)

SCRIPT = Path(__file__).parent / "slurm.sh"
# With tests/workflow/bin/snakemake, which asks Slurm more often.
IMPATIENT = ENVIRONMENT | {"PATH": f"{SCRIPT.with_name('bin')}:{WITH_SLURM}"}
# A model whose training takes its time: seconds for each of 6 steps, until a test wants it to end.
SLOW = """
import time
from pathlib import Path
import torch
from torch import nn

class Slow(nn.Module):
    def __init__(self, in_channels):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(in_channels, 1, 1))

    def forward(self, frames, context, horizon, sampling=None):
        pause = Path("pause")
        if self.training and pause.exists():
            time.sleep(float(pause.read_text()))
        return frames[:, context - 1 : context].repeat(1, horizon, 1, 1, 1) * self.scale
"""
RUNS = ["slow-seed0", "slow-seed1"]
RUN, EPOCHS = RUNS[0], 24
SETTINGS = {
    "systems": {"slow": {"title": "Slow", "model": {"name": "slow.py:Slow"}}},
    "experiments": {
        "moving_mnist_2": {"table": ["slow"], "published": [], "seeds": [0, 1], "ablations": [], "grid": []}
    },
    "training": {"epochs": EPOCHS},
    "compute": {"checkpoint_minutes": 1 / 60},
}
FOLDER = "results/tiny/runs/moving_mnist_2"


def published(*runs: str) -> list[str]:
    return [f"{FOLDER}/{run}/best.safetensors" for run in runs]


pytestmark = pytest.mark.slurm


@pytest.fixture(scope="module", autouse=True)
def slurm() -> Iterator[None]:
    """Slurm's daemons, for as long as this module's tests take."""
    if os.geteuid() or not shutil.which("slurmctld"):
        pytest.skip("needs root and Slurm: `tests/install.sh`")
    subprocess.run([SCRIPT, "start"], check=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", WITH_SLURM)
        yield
    subprocess.run([SCRIPT, "stop"], check=True)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A prepared project, with runs that nothing has disturbed in the folder "undisturbed"."""
    project = make_project(tmp_path_factory.mktemp("slurm"))
    (project.folder / "slow.py").write_text(SLOW)
    project.configure(**SETTINGS)
    project.prepare()
    for run in RUNS:
        assert project.train(project.run_folder(run, "undisturbed"), run).returncode == 0
    return project


@pytest.fixture
def project(undisturbed: Project, tmp_path: Path) -> Project:
    """A copy of the prepared project, whose runs are still to be trained."""
    shutil.copytree(undisturbed.folder, tmp_path / "project", symlinks=True)
    project = Project(tmp_path / "project")
    pause(project, 1)
    return project


def pause(project: Project, seconds: float) -> None:
    written = project.folder / "pause.new"
    written.write_text(str(seconds))
    written.replace(project.folder / "pause")


class Snakemake:
    """`snakemake --profile slurm` under way; its output goes to a file."""

    def __init__(self, project: Project, *arguments: str) -> None:
        self.project, self.log = project, project.folder / "snakemake.log"
        command = ["snakemake", *arguments, "--profile", "slurm", "--latency-wait", "5"]
        command += ["--config", "scale=tiny"]
        with self.log.open("a") as file:
            self.process = subprocess.Popen(
                command, cwd=project.folder, stdout=file, stderr=subprocess.STDOUT, env=IMPATIENT
            )

    def jobs(self, rule: str = "train") -> list[Job]:
        return [job for job in jobs_of(self.project.folder) if job.comment.startswith(f"rule_{rule}")]

    def until_trained_further(self, *runs: str) -> None:
        """Wait until each of these runs has a running job that saves."""
        for run in runs:
            checkpoint = self.project.folder / FOLDER / run / "last.ckpt"
            self.until(partial(self.is_running, run))
            since = time.time()
            self.until(partial(is_newer, checkpoint, since))

    def is_running(self, run: str) -> bool:
        return any(job.comment.endswith(run) and job.state == "RUNNING" for job in self.jobs())

    def until(self, condition: Callable[[], bool]) -> None:
        """Wait for something, starting at once jobs that wait after being put back into the queue."""
        deadline = time.monotonic() + 3600
        while not condition():
            assert self.process.poll() is None and time.monotonic() < deadline, self.log.read_text()
            for job in self.jobs():
                if job.reason == "BeginTime":  # Slurm would wait for two minutes
                    scontrol("update", f"JobId={job.number}", "StartTime=now")
            time.sleep(0.5)

    def finish(self) -> str:
        """Wait for the end and return all that was printed."""
        with contextlib.suppress(AssertionError):
            self.until(lambda: self.process.poll() is not None)
        output = self.log.read_text()
        assert self.process.poll() == 0, output
        return output


def is_newer(path: Path, since: float) -> bool:
    return path.exists() and path.stat().st_mtime > since


def scontrol(*arguments: str) -> None:
    subprocess.run(["scontrol", *arguments], check=False)


def job_of(snakemake: Snakemake, run: str) -> str:
    return next(job.number for job in snakemake.jobs() if job.comment.endswith(run))


def assert_nothing_lost(project: Project, run: str) -> str:
    """Compare the weights with an undisturbed run's, and return the run's log."""
    weights = (project.folder / FOLDER / run / "best.safetensors").read_bytes()
    assert weights == (project.run_folder(run, "undisturbed") / "best.safetensors").read_bytes()
    log = (project.folder / FOLDER / run / "train.log").read_text()
    assert log.count(": finished;") == 1 and log.count(f"epoch {EPOCHS}/{EPOCHS}:") == 1
    assert "resumes after epoch" in log
    return log


def test_jobs_that_end_early_are_resumed(project: Project):
    """One is cancelled, one killed; then both are preempted, and then their node fails."""
    snakemake = Snakemake(project, *published(*RUNS))
    snakemake.until_trained_further(*RUNS)
    said = project.call("status", "--config", project.config).stdout
    assert "2 runs: 2 running" in said and said.count("running  slow-seed") == 2, said
    subprocess.run(["scancel", job_of(snakemake, RUNS[0])], check=True)
    holder = (project.folder / FOLDER / RUNS[1] / ".lock").read_text().split()[1]
    os.kill(int(holder), signal.SIGKILL)
    snakemake.until(lambda: snakemake.log.read_text().count("Trying to restart") == 2)

    # From here on Slurm starts the same jobs again.
    snakemake.until_trained_further(*RUNS)
    urgent = ["sbatch", "--partition=urgent", "--exclusive", "--output=/dev/null", "--wrap=sleep 3"]
    subprocess.run(urgent, check=True)
    snakemake.until(lambda: not any(map(snakemake.is_running, RUNS)))

    snakemake.until_trained_further(*RUNS)
    node = f"NodeName={os.uname().nodename}"
    scontrol("update", node, "State=down", "Reason=test")
    # A node comes back without the processes that it had.
    snakemake.until(lambda: not any(is_locked(project.folder / FOLDER / run) for run in RUNS))
    time.sleep(15)
    scontrol("update", node, "State=resume")

    pause(project, 0)
    output = snakemake.finish()
    logs = [assert_nothing_lost(project, run) for run in RUNS]
    assert output.count("has been submitted") == 4, output
    assert all("stopped by SIGTERM" in log for log in logs)


def test_jobs_short_of_time_or_memory_are_resumed(project: Project):
    """The first job is killed for its memory; of the second's 144 seconds the limit leaves 108 at most."""
    limits = ["train:mem_mb=150*attempt**4", "train:runtime=2"]
    snakemake = Snakemake(project, *published(RUN), "--set-resources", *limits)
    log = project.folder / FOLDER / RUN / "train.log"
    snakemake.until(lambda: log.exists() and "the job is back in Slurm's queue" in log.read_text())
    pause(project, 0)
    output = snakemake.finish()
    assert output.count("has been submitted") == 2, output
    assert "stopped by the job's time limit" in assert_nothing_lost(project, RUN)


def test_a_job_that_always_fails_is_submitted_once_and_for_each_retry(project: Project):
    retries = yaml.safe_load((project.folder / "profiles/slurm/config.yaml").read_text())["retries"]
    (project.folder / "slow.py").write_text(
        SLOW.replace("pause = ", "raise RuntimeError('a fault')\n        ")
    )
    snakemake = Snakemake(project, *published(RUN))
    assert snakemake.process.wait() == 1
    output = snakemake.log.read_text()
    assert output.count("has been submitted") == 1 + retries, output
    assert "a fault" in output, output
    assert not snakemake.jobs()


def test_jobs_of_a_killed_snakemake_are_cancelled_first(project: Project):
    """The second Snakemake's job runs on a node that is drained then: it is finished there."""
    snakemake = Snakemake(project, *published(RUN))
    snakemake.until_trained_further(RUN)
    orphan = job_of(snakemake, RUN)
    snakemake.process.kill()
    snakemake.process.wait()
    assert [job.number for job in jobs_of(project.folder)] == [orphan]
    assert project.snakemake("--profile", "slurm", "--unlock").returncode == 0

    snakemake = Snakemake(project, *published(RUN), f"{FOLDER}/{RUN}/metrics.json")
    snakemake.until(lambda: [job.number for job in snakemake.jobs()] != [orphan])
    snakemake.until_trained_further(RUN)
    node = f"NodeName={os.uname().nodename}"
    scontrol("update", node, "State=drain", "Reason=test")
    pause(project, 0)
    try:
        snakemake.until(lambda: any(job.state == "PENDING" for job in snakemake.jobs("evaluate")))
    finally:
        scontrol("update", node, "State=resume")
    output = snakemake.finish()
    assert "1 jobs of an earlier Snakemake are still in the queue, 1 of them running: cancelling" in output
    assert "stopped by SIGTERM" in assert_nothing_lost(project, RUN)
    assert output.count("has been submitted") == 1 + 2, output


def test_two_tasks_of_a_job_train_like_one_process(project: Project):
    project.configure(training={"epochs": 2})
    one = project.run_folder("conv_lstm-seed0", "one")
    assert project.train(one, "conv_lstm-seed0").returncode == 0
    project.configure(training={"epochs": 2}, compute={"devices": 2})
    Snakemake(project, f"{FOLDER}/conv_lstm-seed0/history.csv").finish()
    two = project.folder / FOLDER / "conv_lstm-seed0"
    losses = [pd.read_csv(folder / "history.csv").drop(columns="seconds") for folder in (one, two)]
    pd.testing.assert_frame_equal(*losses, rtol=1e-4)
    assert json.loads((two / "provenance.json").read_text())["devices"] == 2


def test_a_grid_runs_to_its_tables(project: Project):
    """As README.md types it, with another scale's name; results are a link to a scratch folder."""
    scratch = project.folder.parent / "scratch"
    scratch.mkdir()
    (project.folder / "results").symlink_to(scratch)
    point = {"system": "conv_tt_lstm", "kernel_size": [1, 3], "order": [1, 2], "rank": [2, 3, 4]}
    experiment = {"table": ["conv_tt_lstm"], "ablations": [], "grid": [point], "finalists": [0, 1]}
    project.configure(training={"epochs": 2}, experiments={"moving_mnist_2": experiment})
    Snakemake(project, "all").finish()
    results = project.folder / "results/tiny"
    grid = pd.read_csv(results / "tables/grid_moving_mnist_2.csv")
    assert len(grid) == 12 and grid["won"].sum() == 1 and grid["won"].iloc[0]
    # The first seed of the winner is the grid's own run; the second is trained.
    runs = results / "runs/moving_mnist_2"
    first, second = (runs / f"conv_tt_lstm-selected-seed{seed}/best.safetensors" for seed in (0, 1))
    assert first.read_bytes() == (runs / grid["run"].iloc[0] / "best.safetensors").read_bytes()
    assert first.read_bytes() != second.read_bytes()
    evaluated = {path.parent.name for path in runs.glob("*/metrics.json")}
    assert evaluated == {"conv_tt_lstm-seed0", first.parent.name, second.parent.name}
    table2 = pd.read_csv(results / "tables/table2_moving_mnist_2.csv")
    assert set(table2["run"].dropna()) == evaluated and (results / "index.html").is_file()
    assert_idle_elsewhere(project)
    # The grid's 12 points, the table's own run, and the winner's two seeds.
    assert_only_changes_are_made_again(project, trained=12 + 1 + 2, evaluated=3)


def test_dvc_submits_its_jobs_to_the_cluster(tmp_path: Path):
    """Its stages submit their jobs where Snakemake's own variable says so, and end with all results."""
    experiment = {"table": ["copy_last", "conv_lstm"], "published": [], "ablations": [], "grid": []}
    project = make_repository(tmp_path / "project", experiments={"moving_mnist_2": experiment})
    done = project.run("dvc", "repro", env=IMPATIENT | {"SNAKEMAKE_PROFILE": "slurm"})
    assert done.returncode == 0, done.stdout
    # The data; the training; two evaluations and the complexity; the report's figures.
    submitted = re.findall(r"Job \d+ has been submitted", done.stdout)
    assert len(submitted) >= 1 + 1 + 3, done.stdout
    assert "Data and pipelines are up to date" in project.run("dvc", "status").stdout
    assert "Nothing to be done" in project.snakemake("-n", "all").stdout


def assert_idle_elsewhere(project: Project) -> None:
    """Copied without their times, as DVC does, the results of Slurm's jobs leave nothing to do."""
    copy = make_project(project.folder.parent / "elsewhere")
    copy.config.write_text(project.config.read_text())
    for name in ("results", "data/processed"):
        shutil.copytree(project.folder / name, copy.folder / name, copy_function=shutil.copyfile)
    assert "Nothing to be done" in copy.snakemake("-n", "all").stdout
