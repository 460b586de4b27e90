"""docs/outputs.md lists the files that are written, and no others."""

import subprocess

from convttlstm.reporting import find_reports
from tests.conftest import ROOT
from tests.outputs import described, undescribed


def test_an_unknown_file_is_found() -> None:
    run = "results/demo/runs/kth/conv_lstm-seed0"
    unknown = [f"{run}/weights.bin", f"{run}/a/metrics.json", "results/demo/tables/table9.csv"]
    assert undescribed([*unknown, f"{run}/metrics.json", "results/demo/tables/table1.tex"]) == sorted(unknown)


def test_all_results_in_git_are_described() -> None:
    listed = subprocess.run(["git", "ls-files", "results"], cwd=ROOT, capture_output=True, text=True)
    files = listed.stdout.splitlines()
    assert files and undescribed(files) == []


def test_every_report_has_a_line_and_every_line_a_report() -> None:
    reports = [report for report in find_reports().values() if report.folder]
    stems = {f"results/<scale>/{report.stem('<dataset>')}" for report in reports}
    lines = {path.removesuffix(".*") for path in described() if path.endswith(".*")}
    assert lines == stems


def test_the_source_names_each_listed_file() -> None:
    sources = [
        *ROOT.glob("lib/**/*.py"),
        *ROOT.glob("workflow/**/*.smk"),
        ROOT / "Makefile",
        ROOT / "dvc.yaml",
    ]
    text = "".join(path.read_text() for path in sources)
    names = {path.rpartition("/")[2] for path in described()}
    plain = {name for name in names if not set("<{*") & set(name)}
    assert {"metrics.json", "last.ckpt"} < plain
    assert [name for name in plain if name not in text] == []
