"""Slurm's output, and a grid's winners and rounds; Slurm itself: workflow/test_slurm.py."""

import subprocess
import sys
from pathlib import Path

import pytest

from convttlstm.config import (
    Settings,
    evaluated_runs,
    grid_runs,
    load_settings,
    planned_run,
    resolve_run,
    rungs,
    selected_runs,
)
from convttlstm.files import UserError
from convttlstm.slurm import cancel_orphans, jobs_of, parse_duration, requeue, seconds_left

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def paper() -> Settings:
    return load_settings(ROOT / "config/paper.yaml")


@pytest.mark.parametrize(
    "text, seconds",
    [
        ("2:59", 179),
        ("1:00:00", 3600),
        ("1-02:03:04", 86_400 + 7384),
        ("UNLIMITED", None),
        ("INVALID", None),
        ("", None),
    ],
)
def test_durations_are_read_as_squeue_prints_them(text, seconds):
    assert parse_duration(text) == seconds


def test_outside_slurm_there_is_no_time_limit_and_no_job(monkeypatch, tmp_path):
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert seconds_left() is None and not requeue() and jobs_of(tmp_path) == []


def test_a_job_that_slurm_does_not_know_is_not_requeued(monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "999999")
    assert not requeue()


def test_jobs_of_a_killed_snakemake_are_cancelled_and_those_of_another_one_are_not(monkeypatch, tmp_path):
    """Stand-ins for squeue and scancel; the other Snakemake is a process that submits a job."""
    commands, project, job, cancelled = (tmp_path / name for name in ("bin", "project", "job", "cancelled"))
    commands.mkdir()
    project.mkdir()
    line = f"7|RUNNING|convttlstm-1|None|rule train|{project}"
    (commands / "squeue").write_text(f"#!/bin/sh\ntest ! -e {job} || echo '{line}'\n")
    (commands / "scancel").write_text(f'#!/bin/sh\necho "$@" > {cancelled}\nrm {job}\n')
    for command in commands.iterdir():
        command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{commands}:/usr/bin:/bin")
    code = "import sys, pathlib, convttlstm.slurm as slurm; slurm.cancel_orphans(pathlib.Path(sys.argv[1]))"
    code += "; pathlib.Path(sys.argv[2]).touch(); print('submitted', flush=True); input()"
    command = [sys.executable, "-c", code, project, job]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout.readline() == b"submitted\n"
        cancel_orphans(project)
        assert job.exists() and not cancelled.exists()
        other.kill()
    cancel_orphans(project)
    assert cancelled.read_text() == "7\n" and not job.exists()


def test_winners_are_named_by_role_and_resolve_to_their_runs(paper):
    runs = selected_runs(paper, "kth")
    assert runs == [
        f"{role}-selected-seed{seed}" for role in ("conv_tt_lstm", "conv_lstm") for seed in (0, 1, 2)
    ]
    assert set(runs) < set(evaluated_runs(paper, "kth"))
    winners = {"conv_tt_lstm": "conv_tt_lstm-S3-N2-C4-M5-seed0"}
    run = resolve_run(paper, "paper", "kth", runs[1], winners)
    twin = resolve_run(paper, "paper", "kth", "conv_tt_lstm-S3-N2-C4-M5-seed1")
    assert run.id == "conv_tt_lstm-selected-seed1" and run.identity() == twin.identity()
    assert run.title == "Conv-TT-LSTM S3 N2 C4 M5" and run.paper_row is None
    assert planned_run(paper, "paper", "kth", runs[1]).id == "conv_tt_lstm-seed1"
    with pytest.raises(UserError, match="needs the selection of kth"):
        resolve_run(paper, "paper", "kth", runs[1])


def test_lambdas_are_searched_for_one_role(paper):
    assert selected_runs(paper, "something_50") == ["recognizer_conv_tt-selected-seed0"]
    assert len(grid_runs(paper, "something_50", "recognizer_conv_tt")) == 3


def test_rounds_of_successive_halving(paper):
    """48 points, a quarter of which continue, for four times the epochs; by hand."""
    content = paper.model_dump()
    content["experiments"]["kth"]["halving"] = None
    settings = Settings.model_validate(content)
    rounds = rungs(paper, "kth", "conv_tt_lstm")
    assert [(rung.places, rung.epochs) for rung in rounds] == [(48, 32), (12, 128), (3, 500)]
    assert [(r.places, r.epochs) for r in rungs(paper, "kth", "conv_lstm")] == [(2, 32), (1, 500)]
    assert [(r.places, r.epochs) for r in rungs(settings, "kth", "conv_tt_lstm")] == [(48, 500)]
