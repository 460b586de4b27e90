"""The report made again, here and on another checkout, and its numbers followed back to the runs."""

import hashlib
import json
import shlex
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.conftest import TINY, Project, make_project, overlay
from tests.workflow.test_recognition import SCALE

pytestmark = pytest.mark.slow

DATASET = "moving_mnist_2"
REPORT = ["tables", "figures", "plots", "index.html", "report.md", "codecheck.yml"]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Two seeds of each of two models, a recognizer, and their report."""
    project = make_project(tmp_path_factory.mktemp("made") / "checkout")
    recognition = SCALE["experiments"]["something"] | {"table": ["recognizer_cnn3d"]}
    own = TINY["experiments"][DATASET] | {"seeds": [0, 1], "grid": []}
    project.configure(**overlay(SCALE, {"experiments": {DATASET: own, "something": recognition}}))
    done = project.snakemake("--cores", "2")
    assert done.returncode == 0, done.stdout
    return project


def report(project: Project) -> dict[str, str]:
    """Return the SHA-256 of each file of the report."""
    results = project.folder / "results/tiny"
    files = [path for name in REPORT for path in (results / name, *(results / name).rglob("*"))]
    return {
        str(path.relative_to(results)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(files)
        if path.is_file()
    }


def make_again(project: Project) -> None:
    done = project.snakemake("--cores", "2")
    assert done.returncode == 0, done.stdout
    assert "Training" not in done.stdout and "Evaluating" not in done.stdout
    assert "Nothing to be done" in project.snakemake("-n", "all").stdout


def test_the_report_has_the_same_bytes_each_time(made: Project) -> None:
    first = report(made)
    assert {"index.html", "tables/table1.csv", f"tables/table2_{DATASET}.tex"} <= set(first)
    assert {Path(name).suffix for name in first} >= {".csv", ".md", ".tex", ".svg", ".pdf", ".html", ".gif"}
    for name in REPORT:
        path = made.folder / "results/tiny" / name
        path.unlink() if path.is_file() else shutil.rmtree(path)
    make_again(made)
    assert report(made) == first


def test_another_checkout_makes_the_same_bytes(made: Project, tmp_path: Path) -> None:
    other = Project(tmp_path / "elsewhere/another")
    shutil.copytree(
        made.folder, other.folder, symlinks=True, ignore=shutil.ignore_patterns(".snakemake", "printed-*")
    )
    for name in REPORT:
        path = other.folder / "results/tiny" / name
        path.unlink() if path.is_file() else shutil.rmtree(path)
    make_again(other)
    assert report(other) == report(made)


def evaluate_again(made: Project, run: Path, command: str, folder: Path) -> dict[str, Any]:
    """Evaluate a run's weights by the command that it names, in another folder; return the metrics."""
    folder.mkdir()
    for name in ("config.json", "best.safetensors", "provenance.json"):
        shutil.copy(run / name, folder / name)
    arguments = shlex.split(command)
    assert arguments[:2] == ["convttlstm", "evaluate"]
    arguments[arguments.index("--output") + 1] = str(folder)
    done = made.call(*arguments[1:])
    assert done.returncode == 0, done.stderr
    metrics: dict[str, Any] = json.loads((folder / "metrics.json").read_text())
    return metrics


def test_a_printed_metric_is_reproduced_from_its_run(made: Project, tmp_path: Path) -> None:
    results = made.folder / "results/tiny"
    table = pd.read_csv(results / f"tables/table2_{DATASET}.csv", dtype=str, keep_default_na=False)
    row = table[table["run"] == "conv_tt_lstm-seed1"].iloc[0]
    run = results / "runs" / DATASET / row["run"]
    again = evaluate_again(made, run, row["evaluation_command"], tmp_path / "again")
    each = (results / f"tables/table2_{DATASET}.md").read_text().split("## Seed by seed")[1]
    printed = next(line for line in each.splitlines() if line.startswith(f"| {row['method']} "))
    for metrics in again["horizons"].values():
        # PSNR in place of MSE, as at these horizons the paper prints none.
        for metric, digits in (("psnr", 2), ("ssim_paper", 3)):
            mean, low, high = (f"{metrics[metric][key]:.{digits}f}" for key in ("mean", "low", "high"))
            assert f" {mean} [{low}, {high}] |" in printed


def test_a_printed_accuracy_is_reproduced_from_its_run(made: Project, tmp_path: Path) -> None:
    results = made.folder / "results/tiny"
    table = pd.read_csv(results / "tables/table3.csv", dtype=str, keep_default_na=False)
    row = table[table["origin"] == "reproduced"].iloc[0]
    run = results / "runs" / row["dataset"] / row["run"]
    command = json.loads((run / "metrics.json").read_text())["evaluated_by"]["command"]
    again = evaluate_again(made, run, command, tmp_path / "again")
    lines = (results / "tables/table3.md").read_text().splitlines()
    printed = next(line for line in lines if line.startswith(f"| {row['method']} ") and "| here" in line)
    for found in again["fractions"].values():
        for metric in ("top1", "top5"):
            mean, low, high = (f"{100 * found[metric][key]:.1f}" for key in ("mean", "low", "high"))
            assert f" {mean} [{low}, {high}] |" in printed
