"""The real Snakemake on a tiny scale: from digits to the page, through failures and back."""

import os
import re
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.conftest import ENVIRONMENT, RUN, Project

RUNS = "results/tiny/runs/moving_mnist_2"


def jobs(output: str) -> Counter[str]:
    """The numbers of jobs by rule that a dry run announces."""
    table = output.split("Job stats:")[-1]
    return Counter({rule: int(count) for rule, count in re.findall(r"^(\w+) +(\d+)$", table, re.M)})


def dry_run(project: Project, *arguments: str) -> Counter[str]:
    command = ["snakemake", *arguments]
    done = subprocess.run(command, cwd=project.folder, text=True, capture_output=True, env=ENVIRONMENT)
    assert done.returncode == 0, done.stdout + done.stderr
    return jobs(done.stdout)


def test_the_slurm_profile_plans_the_papers_scale(project):
    """48 grid points with M >= N and the baseline with S = 3 and 5; Table 2's five other systems with
    weights; of Table 4 seven runs that are not in the grid. Judged: Table 2's nine and Table 4's eleven,
    two of which are the same.
    """
    found = dry_run(project, "--profile", "slurm", "-n", "all")
    assert found == {
        "mnist": 1,
        "lpips_weights": 1,
        "prepare": 1,
        "train": 48 + 2 + 5 + 7,
        "select": 1,
        "evaluate": 9 + 11 - 2,
        "complexity": 1,
        "complexity_table": 1,
        "table2": 1,
        "table4": 1,
        "figure2": 1,
        "loss_curves": 1,
        "per_frame": 1,
        "example": 1,
        "page": 1,
        "all": 1,
        "total": 94,
    }


def test_any_scale_runs_under_any_profile(project):
    assert dry_run(project, "-n")["train"] == 11
    assert dry_run(project, "-n", "--config", "scale=paper")["train"] == 62
    assert dry_run(project, "--profile", "slurm", "-n", "all", "--config", "scale=demo")["train"] == 11


def test_a_misspelt_setting_stops_before_any_job(project):
    project.configure(training={"epoch": 3})
    done = project.snakemake()
    assert done.returncode != 0
    assert "config/tiny.yaml: training.epoch: unknown setting; did you mean 'epochs'?" in done.stdout
    assert "Traceback" not in done.stdout
    assert not (project.folder / "results/tiny").exists()


@pytest.mark.slow
def test_from_digits_to_the_page_and_then_nothing_to_do(project):
    done = project.snakemake("--cores", "2")
    assert done.returncode == 0, done.stdout
    results = project.folder / "results/tiny"
    made = {str(path.relative_to(results)) for path in results.rglob("*") if path.is_file()}
    for stem, suffixes in {
        "tables/table2_moving_mnist_2": ["csv", "md", "tex"],
        "tables/table4_moving_mnist_2": ["csv", "md", "tex"],
        "tables/complexity": ["md", "tex"],
        "figures/figure2_moving_mnist_2": ["svg", "png"],
        "figures/loss_moving_mnist_2": ["svg", "png"],
        "figures/per_frame_moving_mnist_2": ["svg", "png"],
        "figures/example_moving_mnist_2": ["gif"],
        "selection/moving_mnist_2": ["json"],
    }.items():
        assert {f"{stem}.{suffix}" for suffix in suffixes} <= made
    assert "index.html" in made
    # Two grid points were trained, one of which is Table 2's; only Table 2's runs met the test split.
    folders = {path.parent.name for path in results.rglob("best.safetensors")}
    assert folders == {"conv_lstm-seed0", "conv_tt_lstm-seed0", "conv_tt_lstm-C2-seed0"}
    judged = {path.parent.name for path in results.rglob("metrics.json")}
    assert judged == {"black", "copy_last", "conv_lstm-seed0", "conv_tt_lstm-seed0"}

    again = project.snakemake("--cores", "2")
    assert again.returncode == 0
    assert "Nothing to be done" in again.stdout

    # A comment changes nothing; a setting of the evaluation evaluates; one of training trains.
    project.config.write_text("# a comment\n" + project.config.read_text())
    assert jobs(project.snakemake("-n").stdout)["train"] == 0
    project.configure(evaluation={"bootstrap_resamples": 60})
    planned = jobs(project.snakemake("-n").stdout)
    assert planned["train"] == 0 and planned["evaluate"] == 4
    project.configure(training={"learning_rate": 0.002})
    assert jobs(project.snakemake("-n").stdout)["train"] == 3


@pytest.mark.slow
def test_a_killed_job_loses_nothing_and_the_same_command_goes_on(project):
    """The training process dies by SIGKILL under Snakemake; the next call ends with the same weights."""
    project.configure(
        training={"epochs": 30},
        compute={"checkpoint_minutes": 0.1 / 60},
        experiments={"moving_mnist_2": {"grid": []}},
    )
    target = f"{RUNS}/{RUN}/best.safetensors"
    last = project.folder / RUNS / RUN / "last.ckpt"
    running = subprocess.Popen(
        ["snakemake", "--config", "scale=tiny", "--cores", "1", "--", target],
        cwd=project.folder,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=ENVIRONMENT,
    )
    while running.poll() is None and not last.exists():
        time.sleep(0.01)
    os.kill(training_process(project), signal.SIGKILL)
    output, _ = running.communicate(timeout=120)
    assert running.returncode != 0
    assert "Error in rule train" in output
    assert last.exists() and not (project.folder / target).exists()

    done = project.snakemake("--cores", "1", "--", target)
    assert done.returncode == 0, done.stdout
    assert "goes on after epoch" in done.stdout
    undisturbed = project.run_folder(name="undisturbed")
    assert project.train(undisturbed).returncode == 0
    assert (project.folder / target).read_bytes() == (undisturbed / "best.safetensors").read_bytes()


@pytest.mark.slow
def test_a_signal_to_all_processes_of_a_job_saves_and_is_logged(project):
    """A scheduler signals the whole group: Snakemake, the shell, the training and what writes its log."""
    project.configure(training={"epochs": 200}, experiments={"moving_mnist_2": {"grid": []}})
    running = subprocess.Popen(
        ["snakemake", "--config", "scale=tiny", "--cores", "1", "--", f"{RUNS}/{RUN}/best.safetensors"],
        cwd=project.folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        env=ENVIRONMENT,
    )
    log = project.folder / f"results/tiny/logs/train/moving_mnist_2/{RUN}.log"
    while running.poll() is None and not (log.exists() and "epoch 2/200" in log.read_text()):
        time.sleep(0.01)
    os.killpg(running.pid, signal.SIGTERM)
    assert running.wait(timeout=120) != 0
    deadline = time.monotonic() + 60
    while "stopped by" not in log.read_text() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert "stopped by SIGTERM after" in log.read_text()
    assert (project.folder / RUNS / RUN / "last.ckpt").exists()


def training_process(project: Project) -> int:
    """The number of the process that trains in this project's folder."""
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            try:
                command = (process / "cmdline").read_bytes().split(b"\0")
                if command[1:4] == [b"-m", b"convttlstm", b"train"]:
                    if (process / "cwd").resolve() == project.folder:
                        return int(process.name)
            except OSError:
                continue
    raise AssertionError("no training process found")
