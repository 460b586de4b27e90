"""A finished workflow has all files, remakes only what a change affects, and prints its runs' numbers."""

import hashlib
import json
import shlex
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from safetensors.torch import load_file

from convttlstm import hub
from tests.conftest import Project, assert_only_changes_are_made_again, make_project
from tests.outputs import undescribed
from tests.scales import RECOGNITION, RECOGNIZER, TINY, overlay

pytestmark = pytest.mark.slow

DATASET = "moving_mnist_2"
TRAINED = {"conv_lstm-seed0", "conv_lstm-seed1", "conv_tt_lstm-seed0", "conv_tt_lstm-seed1"}
RECOGNIZERS = {"recognizer_cnn3d-seed0", "recognizer_conv_tt-seed0"}
REPORT = ["tables", "figures", "plots", "index.html", "report.md", "codecheck.yml"]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Two seeds of each of two models, a grid, two recognizers of one seed, and their report."""
    project = make_project(tmp_path_factory.mktemp("made") / "checkout")
    own = TINY["experiments"][DATASET] | {"seeds": [0, 1]}
    project.configure(**overlay(RECOGNITION, {"experiments": {DATASET: own}}))
    done = project.snakemake("--cores", "2")
    assert done.returncode == 0, done.stdout
    return project


def copied(made: Project, folder: Path, *left_out: str) -> Project:
    ignore = shutil.ignore_patterns(*left_out, "printed-*")
    return Project(shutil.copytree(made.folder, folder, symlinks=True, ignore=ignore))


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
    """Delete the report, and make it from the runs."""
    for name in REPORT:
        path = project.folder / "results/tiny" / name
        path.unlink() if path.is_file() else shutil.rmtree(path)
    done = project.snakemake("--cores", "2")
    assert done.returncode == 0, done.stdout
    assert "Training" not in done.stdout and "Evaluating" not in done.stdout
    assert "Nothing to be done" in project.snakemake("-n", "all").stdout


def test_digits_become_tables_figures_and_a_page(made: Project) -> None:
    results = made.folder / "results/tiny"
    names = {str(path.relative_to(results)) for path in results.rglob("*") if path.is_file()}
    for stem, suffixes in {
        "tables/table2_moving_mnist_2": ["csv", "md", "tex"],
        "tables/table4_moving_mnist_2": ["csv", "md", "tex"],
        "tables/complexity": ["md", "tex"],
        "tables/claims": ["csv", "md", "tex"],
        "figures/figure2_moving_mnist_2": ["svg", "pdf"],
        "figures/loss_moving_mnist_2": ["svg", "pdf"],
        "figures/per_frame_moving_mnist_2": ["svg", "pdf"],
        "figures/seeds_moving_mnist_2": ["svg", "pdf"],
        "figures/protocols_moving_mnist_2": ["svg", "pdf"],
        "figures/orders": ["svg", "pdf"],
        "figures/ratios": ["svg", "pdf"],
        "tables/runtime": ["csv", "md", "tex"],
        "figures/example_moving_mnist_2": ["gif"],
        "selection/moving_mnist_2": ["json"],
        "tables/grid_moving_mnist_2": ["csv", "md", "tex"],
    }.items():
        assert {f"{stem}.{suffix}" for suffix in suffixes} <= names
    assert {"index.html", "report.md", "codecheck.yml", "figures/figure2_moving_mnist_2.txt"} <= names
    prepared = (path for path in made.data.rglob("*") if path.is_file())
    written = [*results.rglob("*"), *prepared]
    files = [str(path.relative_to(made.folder)) for path in written if path.is_file()]
    assert undescribed(files) == []
    # Two grid points were trained, one of which is Table 2's; only Table 2's runs met the test split.
    folders = {path.parent.name for path in results.rglob("best.safetensors")}
    assert folders == TRAINED | RECOGNIZERS | {"conv_tt_lstm-C2-seed0"}
    published = results / "models/moving_mnist_2/conv_tt_lstm-seed0"
    assert hub.load(published).state_dict().keys() == load_file(published / hub.WEIGHTS).keys()
    assert "On the test split, for this run alone." in (published / "README.md").read_text()
    evaluated = {path.parent.name for path in results.rglob("metrics.json")}
    assert evaluated == TRAINED | RECOGNIZERS | {"black", "copy_last"}

    reported = made.snakemake("--report", "results/tiny/report.html")
    assert reported.returncode == 0, reported.stdout
    assert "SSIM against LPIPS (moving_mnist_2)." in (results / "report.html").read_text()


def test_only_what_changes_is_made_again(made: Project, tmp_path: Path) -> None:
    assert_only_changes_are_made_again(copied(made, tmp_path / "copy"), trained=7, evaluated=6)


def test_drawn_clips_become_tables_and_figures(made: Project) -> None:
    results = made.folder / "results/tiny"
    metrics = json.loads((results / f"runs/something/{RECOGNIZER}/metrics.json").read_text())
    assert metrics["stand_in"] and metrics["clips"] == 20 and set(metrics["fractions"]) == {"0.25", "0.5"}
    predictions = pd.read_csv(results / f"runs/something/{RECOGNIZER}/predictions.csv")
    for fraction, own in predictions.groupby("fraction"):
        found = metrics["fractions"][str(fraction)]
        assert len(own) == 20 and found["top1"]["mean"] == (own["label"] == own["predicted"]).mean()
    table1, table3 = (pd.read_csv(results / f"tables/table{number}.csv") for number in (1, 3))
    ours = table3[table3["origin"] == "reproduced"]
    assert ours["label"].str.contains("synthetic stand-in for Something-Something V2").all()
    assert len(ours) == 2 * 2 and (table3["origin"] == "paper").sum() == 10
    assert (table1["origin"] == "paper").sum() == 60
    made.call("export-weights", results / "runs/something" / RECOGNIZER, "-o", results / "card")
    card = (results / "card/README.md").read_text()
    assert "outputs, logits = model(" in card and "convttlstm predict" not in card
    page = (results / "index.html").read_text()
    for name in ("figure4", "activities", "confusion"):
        assert f"figures/{name}.svg" in page and (results / f"figures/{name}.pdf").is_file()
    assert "chance, 10.0 %" in page


def test_the_report_has_the_same_bytes_each_time_and_everywhere(made: Project, tmp_path: Path) -> None:
    first = report(made)
    assert {"index.html", "tables/table1.csv", f"tables/table2_{DATASET}.tex"} <= set(first)
    assert {Path(name).suffix for name in first} >= {".csv", ".md", ".tex", ".svg", ".pdf", ".html", ".gif"}
    other = copied(made, tmp_path / "elsewhere/another", ".snakemake")
    make_again(other)
    assert report(other) == first


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
        # MSE leads, although the paper prints none at these horizons.
        for metric, factor, digits in (("mse", 1e3, 2), ("ssim_paper", 1, 3)):
            ends = (factor * metrics[metric][key] for key in ("mean", "low", "high"))
            mean, low, high = (f"{end:.{digits}f}" for end in ends)
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
