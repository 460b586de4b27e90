"""The real DVC, Snakemake and git: results are restored elsewhere, and neither engine redoes them."""

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from tests.conftest import ENVIRONMENT, Project, git, make_repository
from tests.scales import overlay

pytestmark = pytest.mark.slow

RUNS = "results/tiny/runs/moving_mnist_2"
TRAINED = {"conv_lstm-seed0", "conv_tt_lstm-seed0", "conv_tt_lstm-C2-seed0"}
EVALUATED = {"black", "copy_last", "conv_lstm-seed0", "conv_tt_lstm-seed0"}
REMOTE = "convttlstm-data"  # next to the repository, as .dvc/config says


def trained_runs(output: str) -> list[str]:
    return sorted(re.findall(r"Training (\S+) on", output))


def evaluated_runs(output: str) -> list[str]:
    return sorted(re.findall(r"Evaluating (\S+) on", output))


def dvc(project: Project, *arguments: str) -> str:
    done = project.run("dvc", *arguments)
    assert done.returncode == 0, done.stdout
    return done.stdout


def assert_idle(project: Project) -> None:
    assert "Data and pipelines are up to date" in dvc(project, "status")
    assert "Nothing to be done" in project.snakemake("-n", "all").stdout


def weights(project: Project) -> dict[str, bytes]:
    return {run: (project.folder / RUNS / run / "best.safetensors").read_bytes() for run in TRAINED}


def clone(pushed: Project, folder: Path, link: str = "copy") -> Project:
    """A clone next to the original, with the same remote, and nothing pulled yet."""
    folder.mkdir()
    project = Project(folder / "clone")
    (folder / REMOTE).symlink_to(pushed.folder.parent / REMOTE)
    subprocess.run(["git", "clone", "--quiet", pushed.folder, project.folder], check=True)
    dvc(project, "config", "--local", "cache.type", link)
    return project


def pulled(pushed: Project, folder: Path, link: str = "copy") -> Project:
    project = clone(pushed, folder, link)
    dvc(project, "pull")
    return project


@pytest.fixture(scope="module")
def pushed(tmp_path_factory) -> Project:
    """A repository whose `dvc repro` was killed, resumed and pushed, after a push that was killed."""
    folder = tmp_path_factory.mktemp("dvc") / "project"
    project = make_repository(folder)
    kill_when(project, ["dvc", "repro"], f"{RUNS}/*/last.ckpt")
    assert project.snakemake("--unlock").returncode == 0
    output = dvc(project, "repro")
    assert trained_runs(output) == sorted(TRAINED)
    assert_idle(project)
    git(project, "add", ".")
    git(project, "commit", "--quiet", "-m", "after")
    kill_when(project, ["dvc", "push"], f"../{REMOTE}/files/md5/*/*")
    # DVC tries to clone a file before it copies it, which can leave an empty one; docs/reproducibility.md.
    subprocess.run(["find", f"../{REMOTE}", "-type", "f", "-size", "0", "-delete"], cwd=folder, check=True)
    dvc(project, "push")
    return project


def kill_when(project: Project, command: list[str], appears: str) -> None:
    """Start a command, and kill it and all that it has started once such a file exists."""
    running = subprocess.Popen(
        command,
        cwd=project.folder,
        env=ENVIRONMENT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    while running.poll() is None and not list(project.folder.glob(appears)):
        time.sleep(0.001)
    os.killpg(running.pid, signal.SIGKILL)
    running.wait()


def test_the_lock_agrees_with_weights_and_manifests(pushed: Project) -> None:
    """Files that dvc.lock names have, in the remote, the checksums of weights.json and the manifest."""
    stages = yaml.safe_load((pushed.folder / "dvc.lock").read_text())["stages"].values()
    named = {out["path"]: out["md5"] for stage in stages for out in stage.get("outs", [])}

    def stored(digest: str) -> Path:
        return pushed.folder.parent / REMOTE / "files/md5" / digest[:2] / digest[2:]

    def inside(folder: str) -> dict[str, Path]:
        entries = json.loads(stored(named[folder]).read_text())
        return {entry["relpath"]: stored(entry["md5"]) for entry in entries}

    kept = pushed.folder / "results/tiny/weights.json"
    assert named["results/tiny/weights.json"] == hashlib.md5(kept.read_bytes()).hexdigest()
    weights, runs = json.loads(kept.read_text())["moving_mnist_2"], inside("results/tiny/runs")
    assert weights.keys() == TRAINED
    for run, entry in weights.items():
        held = runs[f"moving_mnist_2/{run}/best.safetensors"].read_bytes()
        assert hashlib.sha256(held).hexdigest() == entry["sha256"]
    data = inside("data/processed/tiny")
    manifest = json.loads(data["moving_mnist_2/manifest.json"].read_text())
    for split, entry in manifest["splits"].items():
        array = np.load(data[f"moving_mnist_2/{split}.npy"])
        assert hashlib.sha256(array).hexdigest() == entry["sha256"]
        used = {run["data"].get(split, entry["sha256"]) for run in weights.values()}
        assert used == {entry["sha256"]}


def digests_of(project: Project, scale: str) -> dict[str, Any]:
    return json.loads((project.folder / f"results/{scale}/settings.json").read_text())


def test_an_experiment_sets_training_seeds_and_scale(tmp_path: Path) -> None:
    """By DVC's own `-S`; digests that do not depend on the setting stay."""
    project = make_repository(tmp_path / "project")
    dvc(project, "repro", "settings")
    before = digests_of(project, "tiny")
    dvc(project, "exp", "run", "-S", "config/tiny.yaml:training.epochs=2", "settings")
    shorter = digests_of(project, "tiny")
    assert shorter["data"] == before["data"] and shorter["train"] != before["train"]
    seeds = ["-S", "config/tiny.yaml:experiments.moving_mnist_2.seeds=[7]"]
    dvc(project, "exp", "run", *seeds, "settings")
    assert "conv_lstm-seed7" in json.dumps(digests_of(project, "tiny"))
    dvc(project, "exp", "run", "-S", "scales=[demo]", "settings")
    assert digests_of(project, "demo")["data"]
    unknown = project.run("dvc", "exp", "run", "-S", "config/demo.yaml:+training.epohcs=2", "settings")
    assert unknown.returncode and "did you mean 'epochs'" in unknown.stdout
    places = [dvc(project, "dag").index(f" {stage}@demo ") for stage in ("settings", "train", "report")]
    assert places == sorted(places)


@pytest.mark.parametrize("link", ["copy", "hardlink", "symlink", "reflink,copy"])
def test_a_clone_that_pulls_has_nothing_to_do(pushed, tmp_path, link):
    project = pulled(pushed, tmp_path / "here", link)
    assert_idle(project)
    assert weights(project) == weights(pushed)
    assert (project.folder / RUNS / "conv_lstm-seed0/metrics.json").is_symlink() == (link == "symlink")


def test_a_killed_pull_loses_nothing(pushed, tmp_path):
    project = clone(pushed, tmp_path / "here")
    kill_when(project, ["dvc", "pull"], ".dvc/cache/files/md5/*/*")
    dvc(project, "pull")
    assert_idle(project)


def test_metrics_and_plots_are_shown(pushed):
    shown = dvc(pushed, "metrics", "show")
    assert all(f"moving_mnist_2/{run}.json" in shown for run in EVALUATED) and "mse.5" in shown
    curves = dvc(pushed, "plots", "show", "--show-vega", "results/tiny/plots/loss.csv")
    assert all(f'"run": "{run}"' in curves for run in ("conv_lstm-seed0", "conv_tt_lstm-seed0"))
    assert "vega-lite" in curves and "DVC_METRIC" not in curves


def test_results_alone_leave_nothing_to_do(pushed, tmp_path):
    """Data, weights and checkpoints were not pulled."""
    project = pulled(pushed, tmp_path / "here")
    shutil.rmtree(project.folder / "data/processed")
    for pattern in ("*.safetensors", "*.ckpt"):
        for path in (project.folder / RUNS).rglob(pattern):
            path.unlink()
    assert "Nothing to be done" in project.snakemake("-n", "all").stdout


def test_only_results_that_were_not_pulled_are_planned(pushed, tmp_path):
    project = clone(pushed, tmp_path / "here")
    run = f"{RUNS}/conv_tt_lstm-seed0"
    dvc(project, "pull", "results/tiny/records.json", "data/processed/tiny", run)
    planned = project.snakemake("-n", "all").stdout
    assert evaluated_runs(planned) == sorted(EVALUATED - {"conv_tt_lstm-seed0"})
    assert trained_runs(planned) == sorted(TRAINED - {"conv_tt_lstm-seed0"})


@pytest.mark.parametrize("first", ["dvc", "snakemake"])
def test_a_changed_setting_redoes_its_run_in_one_engine_only(pushed, tmp_path, first):
    """Weights are linked to DVC's cache, which must not change either."""
    project = pulled(pushed, tmp_path / "here", "hardlink")
    before = weights(project)
    config = yaml.safe_load(project.config.read_text())
    config = overlay(config, {"systems": {"conv_lstm": {"training": {"learning_rate": 0.002}}}})
    project.config.write_text(yaml.safe_dump(config))
    planned = project.snakemake("-n").stdout
    assert trained_runs(planned) == ["conv_lstm-seed0"] and "Counting" not in planned

    def snakemake() -> str:
        done = project.snakemake()
        assert done.returncode == 0, done.stdout
        return done.stdout

    engines = [lambda: dvc(project, "repro"), snakemake]
    done, again = (engine() for engine in (engines if first == "dvc" else reversed(engines)))
    assert trained_runs(done) == evaluated_runs(done) == ["conv_lstm-seed0"]
    assert not trained_runs(again) and not evaluated_runs(again)
    assert_idle(project)
    assert {run for run, content in weights(project).items() if content != before[run]} == {"conv_lstm-seed0"}

    git(project, "checkout", "--quiet", ".")
    dvc(project, "checkout", "--force")
    assert weights(project) == before
    assert_idle(project)


def test_a_comment_redoes_nothing(pushed, tmp_path):
    project = pulled(pushed, tmp_path / "here")
    project.config.write_text("# a comment\n" + project.config.read_text())
    assert "Nothing to be done" in project.snakemake("-n", "all").stdout
    output = dvc(project, "repro")
    assert "Running stage 'settings@tiny'" in output
    assert "Running stage" not in output.replace("Running stage 'settings@tiny'", "")


def test_changed_weights_are_noticed_by_both_engines(pushed, tmp_path):
    project = pulled(pushed, tmp_path / "here")
    path = project.folder / RUNS / "conv_lstm-seed0/best.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    locked = (project.folder / "dvc.lock").read_text()
    assert re.search(r"modified: +results/tiny/runs", dvc(project, "status"))
    for command in (["snakemake", "--config", "scale=tiny"], ["dvc", "repro"]):
        done = project.run(*command)
        assert done.returncode != 0
        assert f"{RUNS}/conv_lstm-seed0/best.safetensors: has changed since training" in done.stdout
    assert (project.folder / "dvc.lock").read_text() == locked
    # Snakemake has deleted the outputs of the failed jobs: a matter of seconds.
    dvc(project, "checkout", "--force")
    output = dvc(project, "repro")
    assert not trained_runs(output) and not evaluated_runs(output)
    assert_idle(project)
    assert weights(project) == weights(pushed)


def test_changed_data_are_noticed(pushed, tmp_path):
    project = pulled(pushed, tmp_path / "here")
    path = project.folder / "data/processed/tiny/moving_mnist_2/test.npy"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    done = project.run("dvc", "repro")
    assert done.returncode != 0 and "test.npy: SHA-256" in done.stdout


def test_a_run_by_other_source_is_kept_until_it_is_archived(pushed, tmp_path):
    project = pulled(pushed, tmp_path / "here")
    with (project.folder / "lib/convttlstm/models/conv_lstm.py").open("a") as file:
        file.write("# another version\n")
    assert_idle(project)
    status = [sys.executable, "-m", "convttlstm", "status", "--config", "config/tiny.yaml"]
    shown = subprocess.check_output(
        status, cwd=project.folder, text=True, env=ENVIRONMENT | {"PYTHONPATH": "lib"}
    )
    assert "3 trained by other versions of models/conv_lstm.py; kept" in shown
    done = project.call("archive", f"{RUNS}/conv_lstm-seed0")
    assert done.returncode == 0, done.stderr
    assert trained_runs(project.snakemake("-n").stdout) == ["conv_lstm-seed0"]
    assert (project.folder / "results/tiny/archived/moving_mnist_2/conv_lstm-seed0-1/last.ckpt").is_file()


def test_garbage_collection_keeps_the_files_of_commits(pushed, tmp_path):
    project = pulled(pushed, tmp_path / "here")
    dvc(project, "gc", "--all-commits", "--force")
    shutil.rmtree(project.folder / RUNS)
    dvc(project, "checkout")
    assert_idle(project)


def test_a_server_that_speaks_s3_serves_as_remote(pushed, tmp_path):
    moto = pytest.importorskip("moto.server")
    server = moto.ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    try:
        import boto3

        access = {"aws_access_key_id": "x", "aws_secret_access_key": "x"}
        url = f"http://{host}:{port}"
        boto3.client("s3", endpoint_url=url, region_name="us-east-1", **access).create_bucket(Bucket="bucket")
        first, second = pulled(pushed, tmp_path / "here"), clone(pushed, tmp_path / "there")
        (tmp_path / "there" / REMOTE).unlink()
        for project in (first, second):
            dvc(project, "remote", "add", "--local", "--default", "store", "s3://bucket/convttlstm")
            for name, value in {"endpointurl": url, "access_key_id": "x", "secret_access_key": "x"}.items():
                dvc(project, "remote", "modify", "--local", "store", name, value)
        dvc(first, "push")
        dvc(second, "pull")
        assert_idle(second)
    finally:
        server.stop()
