"""The workflow used from another folder, as Snakemake's workflow catalogue describes."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.conftest import ROOT, dry_run, planned_jobs, preloaded

# As snakedeploy writes it, for a clone on this machine.
SNAKEFILE = """
configfile: "config/config.yml"

module convttlstm:
    snakefile: "{clone}/workflow/Snakefile"
    config: config

use rule * from convttlstm
"""


@pytest.fixture
def deployed(tmp_path: Path) -> Path:
    """A folder with a module's declaration, and the settings and profiles that snakedeploy copies."""
    folder = tmp_path / "deployed"
    (folder / "workflow").mkdir(parents=True)
    (folder / "workflow/Snakefile").write_text(SNAKEFILE.format(clone=ROOT))
    for name in ("config", "profiles"):
        shutil.copytree(ROOT / name, folder / name)
    return folder


def snakemake(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = ["snakemake", *arguments]
    return subprocess.run(command, cwd=folder, env=preloaded(), capture_output=True, text=True)


def test_a_deployed_workflow_plans_the_jobs_of_a_clone(deployed: Path, project) -> None:
    done = snakemake(deployed, "-n", "--", "all")
    assert done.returncode == 0, done.stdout + done.stderr
    here = planned_jobs(done.stdout)
    assert here == dry_run(project, "-n", "all") and here["train"] > 10
    assert (deployed / "data/paper/table2.csv").read_bytes() == (ROOT / "data/paper/table2.csv").read_bytes()


def test_a_deployed_workflow_plans_the_paper_on_a_cluster(deployed: Path, project) -> None:
    done = snakemake(deployed, "--profile", "profiles/slurm", "-n", "all")
    assert done.returncode == 0, done.stdout + done.stderr
    assert planned_jobs(done.stdout) == dry_run(project, "--profile", "slurm", "-n", "all")


@pytest.mark.slow
def test_a_deployed_workflow_prepares_data_from_the_package(deployed: Path) -> None:
    done = snakemake(deployed, "--", "data/processed/demo/moving_mnist_2/manifest.json")
    assert done.returncode == 0, done.stdout + done.stderr
    assert (deployed / "data/processed/demo/moving_mnist_2/train.npy").is_file()


def test_existing_files_are_not_replaced(deployed: Path) -> None:
    (deployed / "data/paper").mkdir(parents=True)
    (deployed / "data/paper/table2.csv").write_text("mine")
    snakemake(deployed, "-n", "--", "prepared")
    assert (deployed / "data/paper/table2.csv").read_text() == "mine"
    # Those that are missing are added, as paper.yaml is to a scale of your own.
    assert (deployed / "data/paper/claims.yaml").read_bytes() == (
        ROOT / "data/paper/claims.yaml"
    ).read_bytes()
