"""A figure is added by one new file."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FIGURE = '''
"""The number of runs."""

from matplotlib.figure import Figure

from convttlstm.config import table_runs
from convttlstm.reporting.report import FigureReport, predicted


def draw(scale, dataset, loaded):
    figure = Figure((2, 1))
    figure.subplots().bar([0], [len(loaded)])
    return figure, f"{len(loaded)} runs"


REPORT = FigureReport(
    name="count",
    datasets=predicted,
    runs=table_runs,
    heading="How many",
    place=45,
    title="Number of runs",
    caption="A bar.",
    alternative="One bar.",
    draw=draw,
)
'''
PAGE = """
from pathlib import Path
from tests.made_up_runs import make_results
from tests.reports import write_all
write_all(make_results(Path("results/demo")))
"""
BUNDLE = """
from pathlib import Path
from convttlstm.config import load_settings
from convttlstm.sharing.crate import contents
config = Path("config/demo.yaml")
print(*contents(load_settings(config), config, Path("results/demo")), sep="\\n")
"""


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    for name in ("lib", "workflow", "config", "profiles", "tests"):
        shutil.copytree(
            ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info")
        )
    for name in ("data", "benchmarks"):
        (tmp_path / name).symlink_to(ROOT / name)
    shutil.copy(ROOT / "Snakefile", tmp_path)
    (tmp_path / "lib/convttlstm/reporting/figures/count.py").write_text(FIGURE)
    return tmp_path


def run(copy: Path, *command: str) -> str:
    environment = os.environ | {"PYTHONPATH": f"{copy / 'lib'}:{copy}"}
    done = subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
def test_a_figure_is_added_by_one_file(copy: Path) -> None:
    plan = run(copy, "snakemake", "--config", "scale=demo", "-n", "--", "all")
    assert "results/demo/figures/count_moving_mnist_2.svg" in plan
    run(copy, sys.executable, "-c", PAGE)
    page = (copy / "results/demo/index.html").read_text()
    assert "How many</h3>" in page and "<b>Number of runs.</b> A bar." in page
    assert "results/demo/figures/count_moving_mnist_2.svg" in run(copy, sys.executable, "-c", BUNDLE)
