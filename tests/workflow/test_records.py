"""records.py in another workflow, under the real Snakemake: this one, and the oldest that is promised."""

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from tests.conftest import ROOT, WITHOUT_SLURM

pytestmark = pytest.mark.slow

SNAKEFILE = """
import sys
from pathlib import Path
sys.path.insert(0, "workflow")
from records import keep, restore

RECORDS = Path.cwd(), "results/records.json", ["results"]
if workflow.is_main_process:
    restore(*RECORDS)

onsuccess:
    keep(*RECORDS)

rule table:
    input: "results/weights.txt"
    output: "results/table.txt"
    shell: "sed s/trained/reached/ {input} > {output}"

rule train:
    input: "data.txt"
    output: "results/weights.txt"
    params: rate=config.get("rate", 1)
    shell: "(echo trained with {params.rate} on; cat {input}) > {output}"
"""
OPTIONS = ["--cores", "1", "--rerun-triggers", "mtime", "params", "input"]
OLDEST = "9.14.0"  # as pyproject.toml says


@pytest.fixture(scope="module", params=["this", OLDEST])
def snakemake(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The command, of the environment that runs the tests or of one that is made."""
    if request.param == "this":
        return Path(sys.executable).with_name("snakemake")
    folder = os.environ.get("OLDEST_SNAKEMAKE") or tmp_path_factory.mktemp("oldest")
    command = Path(folder, "bin/snakemake")
    if not command.exists():
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        (site,) = Path(folder).glob("lib/python*/site-packages")
        (site / "shared.pth").write_text(sysconfig.get_path("purelib"))  # what Snakemake needs
        pip = [command.with_name("pip"), "install", "--quiet", f"snakemake=={OLDEST}"]
        if subprocess.run(pip).returncode:
            pytest.skip("no package index")
    return command


def run(snakemake: Path, folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        [str(snakemake), *OPTIONS, *arguments],
        cwd=folder,
        env={"PATH": f"{snakemake.parent}:{WITHOUT_SLURM}:/usr/bin:/bin", "HOME": str(folder)},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def planned(output: str) -> set[str]:
    return {rule for rule in ("train", "table") if f"rule {rule}:" in output}


def project(folder: Path) -> Path:
    (folder / "workflow").mkdir(parents=True)
    (folder / "workflow/Snakefile").write_text(SNAKEFILE)
    shutil.copy(ROOT / "lib/convttlstm/records.py", folder / "workflow")
    (folder / "data.txt").write_text("what weights are made from\n")
    return folder


def test_copied_results_are_not_made_again_and_changed_ones_are(snakemake: Path, tmp_path: Path) -> None:
    here, there = project(tmp_path / "here"), project(tmp_path / "there")
    assert planned(run(snakemake, here)) == {"train", "table"}
    (there / "results").mkdir()
    for name in ("table.txt", "weights.txt", "records.json"):  # the weights look newer than the table
        (there / "results" / name).write_bytes((here / "results" / name).read_bytes())
    os.utime(there / "results/table.txt", (1e9, 1e9))

    assert "Nothing to be done" in run(snakemake, there, "-n")
    assert "train" in planned(run(snakemake, there, "-n", "--config", "rate=2"))
    weights = there / "results/weights.txt"
    found = weights.read_text()
    weights.write_text("not what was trained")
    assert "table" in planned(run(snakemake, there, "-n"))
    weights.write_text(found)
    assert "Nothing to be done" in run(snakemake, there, "-n")


def test_copied_results_without_records_look_outdated(snakemake: Path, tmp_path: Path) -> None:
    """The test above would find this if nothing was restored."""
    here, there = project(tmp_path / "here"), project(tmp_path / "there")
    run(snakemake, here)
    (there / "results").mkdir()
    for name in ("table.txt", "weights.txt"):
        (there / "results" / name).write_bytes((here / "results" / name).read_bytes())
    os.utime(there / "results/table.txt", (1e9, 1e9))
    assert planned(run(snakemake, there, "-n"))
