"""Small projects in temporary folders, on which tests run the real commands."""

import atexit
import os
import re
import select
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.preloaded.client import call
from tests.scales import TINY, overlay

ROOT = Path(__file__).parents[1]
RUN = "conv_tt_lstm-seed0"
# The file that saves Snakemake's records, and the folders that they cover.
KEPT = "results/tiny/records.json"
TRAVELS = KEPT, ["results/tiny", "data/processed/tiny", "data/raw"]
# The commands of the environment that runs the tests, active or not.
WITH_SLURM = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
# Tests that do not start Slurm run without it.
WITHOUT_SLURM = Path(__file__).parent / "without_slurm"
os.environ["PATH"] = f"{WITHOUT_SLURM}:{WITH_SLURM}"
ENVIRONMENT = dict(os.environ)
# Files that DVC needs and `make_project` does not copy.
DVC = ["dvc.yaml", ".dvc/config", ".dvc/.gitignore", ".dvc/plots", ".dvcignore", ".gitignore"]
DVC += ["benchmarks/results"]
# Skips that FAIL_ON_SKIP, which CI sets, allows: these files are in no package.
MAY_BE_SKIPPED = ("of the LPIPS authors in data/raw/lpips",)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """With FAIL_ON_SKIP, fail where a test was skipped for a reason that is not listed."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if not os.environ.get("FAIL_ON_SKIP") or reporter is None:
        return
    skipped = [str(report.longrepr) for report in reporter.stats.get("skipped", [])]
    if unlisted := [text for text in skipped if not any(reason in text for reason in MAY_BE_SKIPPED)]:
        reporter.write_line(f"\n{len(unlisted)} skipped tests count as failures, such as {unlisted[0]}")
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with files that have slow tests, so that no worker is left alone with one of them at the end."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@cache
def preloaded() -> dict[str, str]:
    """Start the server of preloaded commands; return the environment in which they are used.

    Starting Python and importing torch or Snakemake takes longer than most commands here.
    """
    folder, address = Path(__file__).parent / "preloaded", tempfile.mkdtemp(prefix="preloaded-") + "/socket"
    command = [sys.executable, folder / "server.py", address]
    server = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE)
    atexit.register(server.communicate)
    while not os.path.exists(address):
        assert server.poll() is None
        time.sleep(0.01)
    path = f"{folder / 'bin'}:{ENVIRONMENT['PATH']}"
    found = {"PATH": path, "PRELOADED_SOCKET": address, "PRELOADED_BIN": str(Path(sys.executable).parent)}
    return ENVIRONMENT | found


@dataclass
class Project:
    """A working folder with a configuration, prepared data, and the real command."""

    folder: Path

    @property
    def config(self) -> Path:
        return self.folder / "config/tiny.yaml"

    @property
    def data(self) -> Path:
        return self.folder / "data/processed/tiny/moving_mnist_2"

    def run_folder(self, run: str = RUN, name: str = "runs") -> Path:
        return self.folder / name / run

    def configure(self, **changes: Any) -> None:
        self.config.write_text(yaml.safe_dump(overlay(TINY, changes)))

    def command(self, *arguments: object) -> list[str]:
        return [sys.executable, "-m", "convttlstm", *map(str, arguments)]

    def start(self, *arguments: object) -> "Command":
        return Command([str(argument) for argument in arguments], self.folder)

    def call(self, *arguments: object) -> subprocess.CompletedProcess[str]:
        command = self.start(*arguments)
        stdout, stderr = command.communicate()
        return subprocess.CompletedProcess(arguments, command.poll() or 0, stdout, stderr)

    def spawn(self, *arguments: object, **options: Any) -> subprocess.CompletedProcess[str]:
        """Run the command as a shell would."""
        return subprocess.run(
            self.command(*arguments),
            cwd=self.folder,
            text=True,
            capture_output=True,
            timeout=1800,
            **options,
        )

    def prepare(self) -> None:
        done = self.call("prepare", "--config", self.config, "--dataset", "moving_mnist_2", "-o", self.data)
        assert done.returncode == 0, done.stderr

    def run_arguments(self, folder: Path, run: str) -> list[object]:
        config = ["--config", self.config, "--dataset", "moving_mnist_2", "--data", self.data]
        return [*config, run, "-o", folder]

    def train(self, folder: Path, run: str = RUN) -> subprocess.CompletedProcess[str]:
        return self.call("train", *self.run_arguments(folder, run))

    def evaluate(self, folder: Path, run: str = RUN) -> subprocess.CompletedProcess[str]:
        return self.call("evaluate", *self.run_arguments(folder, run))

    def snakemake(self, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
        return self.run("snakemake", "--config", "scale=tiny", *arguments, **options)

    def run(self, *command: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            cwd=self.folder,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=3600,
            env=env or preloaded(),
        )


class Command:
    """`convttlstm` under way, in a process of its own that is forked off one that has imported everything."""

    def __init__(self, arguments: list[str], folder: Path) -> None:
        printed = tempfile.mkdtemp(prefix="printed-", dir=folder)
        self.stdout, self.stderr = (Path(printed, name) for name in ("stdout", "stderr"))
        address, command = preloaded()["PRELOADED_SOCKET"], ["python", "-m", "convttlstm", *arguments]
        with open(os.devnull) as nothing, self.stdout.open("w") as out, self.stderr.open("w") as err:
            files = [nothing.fileno(), out.fileno(), err.fileno()]
            self.answer = call(address, command, str(folder), dict(os.environ), files)
        self.lines = self.answer.makefile()
        self.pid = int(self.lines.readline())
        self.status: int | None = None

    def poll(self) -> int | None:
        """Return the exit status, minus the signal of a killed process; None while it runs."""
        if self.status is None and select.select([self.answer], [], [], 0)[0]:
            self.wait()
        return self.status

    def wait(self) -> None:
        """Wait for the end."""
        if self.status is None:
            with self.answer, self.lines:
                self.status = int(self.lines.readline())

    def send_signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def communicate(self) -> tuple[str, str]:
        """Wait for the end, and return what was printed."""
        self.wait()
        return self.stdout.read_text(), self.stderr.read_text()


def planned_jobs(output: str) -> Counter[str]:
    """Return the numbers of jobs by rule that a dry run announces."""
    table = output.split("Job stats:")[-1]
    return Counter({rule: int(count) for rule, count in re.findall(r"^(\w+) +(\d+)$", table, re.M)})


def dry_run(project: Project, *arguments: str) -> Counter[str]:
    """Return the numbers of jobs by rule that such a `snakemake -n` announces."""
    command = ["snakemake", *arguments]
    done = subprocess.run(command, cwd=project.folder, text=True, capture_output=True, env=preloaded())
    assert done.returncode == 0, done.stdout + done.stderr
    return planned_jobs(done.stdout)


def assert_only_changes_are_made_again(project: Project, trained: int, evaluated: int) -> None:
    """A comment and more devices change nothing; settings of evaluation evaluate; those of training train."""
    assert "Nothing to be done" in project.snakemake("--cores", "2").stdout
    settings = yaml.safe_load(project.config.read_text())
    project.config.write_text("# a comment\n" + project.config.read_text())
    assert planned_jobs(project.snakemake("-n").stdout)["train"] == 0
    settings["compute"]["devices"] = 2
    project.config.write_text(yaml.safe_dump(settings))
    planned = planned_jobs(project.snakemake("-n").stdout)
    assert planned["train"] == planned["evaluate"] == 0
    settings["compute"]["devices"] = 1
    settings["evaluation"]["examples"] += 1
    project.config.write_text(yaml.safe_dump(settings))
    planned = planned_jobs(project.snakemake("-n").stdout)
    assert planned["train"] == 0 and planned["evaluate"] == evaluated
    settings["training"]["learning_rate"] = 0.002
    project.config.write_text(yaml.safe_dump(settings))
    assert planned_jobs(project.snakemake("-n").stdout)["train"] == trained


def make_project(folder: Path) -> Project:
    """Return a copy of the files that the pipeline needs, with the tiny scale."""
    for name in ("lib", "workflow", "profiles", "config", "data/embedded", "data/paper", "data/categories"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "Snakefile", folder)
    (folder / "slurm").symlink_to("profiles/slurm")
    project = Project(folder)
    project.configure()
    return project


def git(project: Project, *arguments: str) -> None:
    done = project.run("git", "-c", "user.name=x", "-c", "user.email=x@example.org", *arguments)
    assert done.returncode == 0, done.stdout


def make_repository(folder: Path, **changes: Any) -> Project:
    """The tiny scale in a git repository with DVC's files, everything committed."""
    project = make_project(folder)
    project.configure(**changes)
    for name in DVC:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        (folder / name).parent.mkdir(exist_ok=True)
        copy(ROOT / name, folder / name)
    (folder / "params.yaml").write_text("scales: [tiny]\n")
    git(project, "init", "--quiet")
    git(project, "add", ".")
    git(project, "commit", "--quiet", "-m", "before")
    return project


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return make_project(tmp_path)
