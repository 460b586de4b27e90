"""Snakemake's records travel with the results, and files that DVC has copied get their times back."""

import json
import os
import shutil
from base64 import urlsafe_b64encode
from pathlib import Path
from typing import Any

import pytest

from convttlstm.files import sha256_of
from convttlstm.records import keep, restore
from tests.conftest import KEPT, TRAVELS

DRAWN = "data/raw/synthetic/tiny/d/labels.json"  # whose own inputs count although DVC does not carry it
WEIGHTS, METRICS = "results/tiny/runs/d/r/best.safetensors", "results/tiny/runs/d/r/metrics.json"
TABLE, OTHER = "results/tiny/tables/table2.csv", "results/other/tables/table2.csv"
MADE = {DRAWN: 500.0, WEIGHTS: 1000.5, METRICS: 2000.25, TABLE: 3000.125, OTHER: 4000.0}


def record_path(project: Path, subject: str) -> Path:
    return project / ".snakemake/metadata" / urlsafe_b64encode(subject.encode()).decode()


def write_record(project: Path, subject: str, inputs: list[str], **more: Any) -> None:
    checksums = {path: f"sha256:{sha256_of(project / path)}" for path in inputs}
    record = {"endtime": MADE[subject], "input_checksums": checksums} | more
    path = record_path(project, subject)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record))


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Weights, their metrics, a table made of these; and a file of another scale."""
    for subject, inputs in {DRAWN: [], WEIGHTS: [], METRICS: [WEIGHTS], TABLE: [METRICS], OTHER: []}.items():
        path = tmp_path / subject
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(subject)
        os.utime(path, (MADE[subject], MADE[subject]))
        write_record(tmp_path, subject, inputs, params=[subject])
    return tmp_path


def times(project: Path) -> list[float]:
    return [(project / subject).stat().st_mtime for subject in (WEIGHTS, METRICS)]


def test_copied_files_get_their_records_and_times(project: Path, tmp_path_factory) -> None:
    keep(project, *TRAVELS)
    copy = tmp_path_factory.mktemp("copy")
    for subject in (WEIGHTS, METRICS, TABLE, KEPT):
        (copy / subject).parent.mkdir(parents=True, exist_ok=True)
        (copy / subject).write_bytes((project / subject).read_bytes())
    restore(copy, *TRAVELS)
    for subject in (DRAWN, WEIGHTS, METRICS, TABLE):
        assert record_path(copy, subject).read_text() == record_path(project, subject).read_text()
    assert not record_path(copy, OTHER).exists()
    assert times(copy) == [MADE[WEIGHTS], MADE[METRICS]]


def test_a_first_run_that_made_nothing_leaves_usable_records(tmp_path: Path) -> None:
    (tmp_path / "results").mkdir()
    keep(tmp_path, *TRAVELS)
    shutil.rmtree(tmp_path / ".snakemake", ignore_errors=True)
    restore(tmp_path, *TRAVELS)
    assert (tmp_path / ".snakemake/incomplete").is_dir()


@pytest.mark.parametrize("time", ["NaN", "1e999", "1e300", "-1"])
def test_records_with_impossible_times_are_set_aside(tmp_path: Path, time: str) -> None:
    name = record_path(tmp_path, WEIGHTS).name
    kept = tmp_path / TRAVELS[0]
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.write_text(f'{{"{name}": {{"endtime": {time}}}}}')
    restore(tmp_path, *TRAVELS)
    assert kept.with_name(f"{kept.name}.damaged").exists() and not (tmp_path / ".snakemake/metadata").exists()


def test_changed_files_keep_their_times(project: Path) -> None:
    (project / WEIGHTS).write_text("tampered with")
    (project / METRICS).touch()
    restore(project, *TRAVELS)
    weights, metrics = times(project)
    assert weights > MADE[TABLE] and metrics == MADE[METRICS]


def test_new_weights_stay_newer_than_the_old_ones_metrics(project: Path) -> None:
    """Otherwise files that DVC has copied meanwhile would look newer than the weights."""
    (project / WEIGHTS).write_text("trained again")
    (project / METRICS).touch()
    restore(project, *TRAVELS)
    weights, metrics = times(project)
    assert weights > metrics == MADE[METRICS]


def test_links_and_their_targets_get_the_time(project: Path) -> None:
    cached = project / "cached"
    (project / METRICS).replace(cached)
    cached.touch()
    (project / METRICS).symlink_to(cached)
    restore(project, *TRAVELS)
    assert (project / METRICS).stat().st_mtime == (project / METRICS).lstat().st_mtime == MADE[METRICS]


def test_only_records_from_elsewhere_replace_local_ones(project: Path) -> None:
    keep(project, *TRAVELS)
    kept = project / KEPT
    write_record(project, TABLE, [METRICS], params=["changed since, by a job of a killed Snakemake"])
    own = record_path(project, TABLE).read_text()
    restore(project, *TRAVELS)
    assert record_path(project, TABLE).read_text() == own
    kept.write_text(json.dumps(json.loads(kept.read_text())))  # another form: not the file that was left here
    restore(project, *TRAVELS)
    assert json.loads(record_path(project, TABLE).read_text())["params"] == [TABLE]
    assert record_path(project, OTHER).exists()


def test_unchanged_records_are_not_written_again(project: Path) -> None:
    keep(project, *TRAVELS)
    before = (project / KEPT).stat().st_mtime_ns
    keep(project, *TRAVELS)
    assert (project / KEPT).stat().st_mtime_ns == before
