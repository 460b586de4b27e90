"""The real Snakemake: plans of all scales, and tiny workflows through failures and back."""

import json
import os
import shutil
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from benchmarks.halving import outcome
from convttlstm.config import Halving, load_settings
from convttlstm.data.frames import decode
from tests.conftest import ENVIRONMENT, RUN, Project, dry_run
from tests.video_files import noise, write_video

RUNS = "results/tiny/runs/moving_mnist_2"


def test_the_slurm_profile_plans_the_papers_scale(project):
    """With three seeds each: Table 2's seven trained models on both data sets, Table 4's thirteen rows of
    which two are Table 2's, and three recognizers for each share of the frames. Two more find lambda.

    On both data sets the grid's 48 points with M >= N are searched in rounds of 48, 12 and 3, and the
    baseline with S = 3 and 5 in rounds of 2 and 1; all but the last round are ranked. Both winners have three
    seeds, and one recognizer won. Evaluated are all but the search's, and the predictions without weights.
    """
    shown, ablations, recognizers, winners = 2 * 7 * 3, (13 - 2) * 3, 2 * 3 * 3, 2 * 2 * 3
    found = dry_run(project, "--profile", "slurm", "-n", "all")
    assert found == {
        "mnist": 1,
        "lpips_weights": 1,
        "prepare": 1,
        "kth": 1,
        "prepare_videos": 1,
        "something": 1,
        "index_clips": 2,
        "train": shown + ablations + winners + recognizers + 2 + 1,
        "try_place": 2 * (48 + 12 + 3 + 2 + 1),
        "rank": 2 * (2 + 1),
        "select": 3,
        "grid": 3,
        "evaluate_recognizer": recognizers + 1,
        "heat_map": 2,
        **dict.fromkeys(["table1", "table3", "figure4", "activities", "confusion"], 1),
        "evaluate": shown + 2 * 2 + ablations + winners,
        "count_costs": 1,
        **dict.fromkeys(["complexity", "orders", "runtime", "ratios"], 1),
        **dict.fromkeys(["claims", "replication", "replication_costs", "article"], 1),
        "table2": 2,
        "table4": 1,
        **dict.fromkeys(
            ["figure2", "loss", "per_frame", "per_frame_differences", "figure3", "appendix_gallery"], 2
        ),
        "seeds": 2,
        "protocols": 2,
        "groups": 1,
        "example": 2,
        "weights": 1,
        "summary": 1,
        "page": 1,
        "all": 1,
        "total": 412,
    }


def test_runs_that_were_trained_elsewhere_are_not_trained_again(project):
    """As benchmarks/README.md says of scale h100: data first, then the runs."""
    data = project.folder / "data/processed/h100/moving_mnist_2"
    runs = project.folder / "results/h100/runs/moving_mnist_2"
    names = [f"{model}-seed{seed}" for model in ("conv_lstm", "conv_tt_lstm") for seed in range(3)]
    made = [data / f"{name}.npy" for name in ("train", "validation", "test")] + [data / "manifest.json"]
    carried = ("best.safetensors", "history.csv", "provenance.json")
    for path in made + [runs / name / file for name in names for file in carried]:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    planned = dry_run(project, "-n", "--config", "scale=h100")
    assert planned.keys().isdisjoint({"prepare", "train"}) and planned["evaluate"] == 2 + 6


def test_any_scale_runs_under_any_profile(project):
    assert dry_run(project, "-n")["train"] == 11 + 7 + 3
    assert dry_run(project, "-n", "--config", "scale=paper")["train"] == 108
    assert dry_run(project, "-n", "--config", "scale=h100")["train"] == 2 * 3
    assert (
        dry_run(project, "--profile", "slurm", "-n", "all", "--config", "scale=demo")["train"] == 11 + 7 + 3
    )


def test_a_misspelt_setting_stops_before_any_job(project):
    project.configure(training={"epoch": 3})
    done = project.snakemake()
    assert done.returncode != 0
    assert "config/tiny.yaml: training.epoch: unknown setting; did you mean 'epochs'?" in done.stdout
    assert "Traceback" not in done.stdout
    assert not (project.folder / "results/tiny").exists()


@pytest.mark.parametrize(
    ("run", "says"),
    [("conv_ltsm-seed0", "did you mean 'conv_lstm'"), (f"conv_lstm-seed{2**64}", "must be less than")],
)
def test_a_misspelt_run_is_refused_in_one_line(project, run, says):
    done = project.snakemake("-n", "--quiet", "all", "--", f"{RUNS}/{run}/metrics.json")
    assert done.returncode == 1 and "Traceback" not in done.stdout
    assert next(line for line in done.stdout.splitlines() if "rror" in line).startswith("Error: ")
    assert says in done.stdout


KTH = {
    "kind": "kth",
    "source": "synthetic",
    "title": "KTH (synthetic stand-in)",
    "size": [12, 16],
    "evaluation_size": [18, 24],
    "train_persons": [1],
    "validation_persons": [15],
    "test_persons": [17, 18],
    "actions": ["boxing", "walking"],
    "scenarios": [1],
    "context": 3,
    "horizon": 3,
    "test_horizons": [5, 8],
    "excluded": [],
}


@pytest.mark.slow
def test_kth_archives_become_tables_figures_and_a_prediction(project):
    """Through the real zip files, decoder and rules; everything made of drawn videos says so."""
    experiment = {"table": ["copy_last", "conv_lstm"], "grid": []}
    project.configure(datasets={"kth": KTH}, experiments={"moving_mnist_2": None, "kth": experiment})
    folder = project.folder / "results/tiny"
    names = ["tables/table2_kth.md", "figures/figure3_kth.svg", "figures/groups_kth.csv"]
    done = project.snakemake("--cores", "2", "--", *(f"results/tiny/{name}" for name in names))
    assert done.returncode == 0, done.stdout
    assert "synthetic" in (folder / names[0]).read_text()
    groups = pd.read_csv(folder / names[2])
    assert set(groups["action"]) == {"boxing", "walking"} and set(groups["horizon"]) == {8}
    run = folder / "runs/kth/conv_lstm-seed0"
    metrics = json.loads((run / "metrics.json").read_text())
    # Two persons' videos of 120 frames, cut into windows of 3 + 5 and 3 + 8.
    assert metrics["sequences"] == {"5": 4 * 15, "8": 4 * 10}
    assert metrics["stand_in"] == "synthetic stand-in for KTH"

    video = project.folder / "own.avi"
    write_video(video, noise(12, 40, seed=0))
    for name, start in [("ahead.gif", []), ("known.mp4", ["--start", 6]), ("array.npy", [])]:
        done = project.call("predict", run, video, "--horizon", 4, *start, "-o", project.folder / name)
        assert done.returncode == 0, done.stderr
    with Image.open(project.folder / "ahead.gif") as gif:
        assert gif.n_frames == 3 + 4
    assert len(list(decode(str(project.folder / "known.mp4"), (16, 16)))) == 3 + 4
    assert np.load(project.folder / "array.npy").shape == (4, 1, 18, 24)
    done = project.call("predict", run, video, "--horizon", 4, "--start", 3, "-o", project.folder / "x.gif")
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    assert "the first predicted frame can be 4 to 13" in done.stderr


@pytest.mark.slow
def test_videos_may_be_moved_or_deleted_and_more_epochs_resume(project):
    """Only the checksums of the videos count, and the files that were made from them."""
    places = {name: project.folder / name for name in ("here", "there")}
    for number, split in enumerate(("train", "validation", "test")):
        write_video(places["here"] / split / "take {1}.avi", noise(9, 32, seed=number))
    target = "results/tiny/runs/clips/conv_lstm-seed0/metrics.json"

    def planned(place: str, epochs: int = 2) -> Counter[str]:
        clips = {"kind": "videos", "title": "Clips", "size": 8, "context": 3, "horizon": 2}
        clips |= {"folder": str(places[place]), "test_horizons": [2]}
        project.configure(
            datasets={"clips": clips},
            experiments={"moving_mnist_2": None, "clips": {"table": ["conv_lstm"]}},
            training={"epochs": epochs, "samples_per_epoch": 4, "batch_size": 2},
        )
        return dry_run(project, "-n", "--config", "scale=tiny", "--", target)

    whole = {"prepare_videos": 1, "train": 1, "evaluate": 1, "total": 3}
    assert planned("here") == whole
    done = project.snakemake("--cores", "1", "--", target)
    assert done.returncode == 0, done.stdout
    (places["here"] / "train/.DS_Store").write_text("x")
    assert planned("here") == {}
    shutil.copytree(places["here"], places["there"], copy_function=shutil.copyfile)
    assert planned("there") == {}
    shutil.rmtree(places["here"])
    assert planned("here") == {}
    elsewhere = Project(project.folder / "elsewhere")  # as after a pull: neither videos nor Snakemake's own
    left = shutil.ignore_patterns(".snakemake", "elsewhere", "there")
    shutil.copytree(project.folder, elsewhere.folder, copy_function=shutil.copyfile, ignore=left)
    assert dry_run(elsewhere, "-n", "--config", "scale=tiny", "--", target) == {}
    assert planned("there", epochs=3) == {"train": 1, "evaluate": 1, "total": 2}
    done = project.snakemake("--cores", "1", "--", target)
    assert done.returncode == 0 and "resumes after epoch 2" in done.stdout
    assert planned("here", epochs=3) == {}
    replaced = places["there"] / "test/take {1}.avi"
    found = replaced.stat()
    replaced.write_bytes(replaced.read_bytes()[:-1] + b"x")
    os.utime(replaced, ns=(found.st_atime_ns, found.st_mtime_ns + 1))
    assert planned("there", epochs=3) == whole


@pytest.mark.slow
def test_a_killed_job_is_resumed_by_the_same_command(project):
    """The training process dies by SIGKILL under Snakemake; the next call ends with the same weights."""
    project.configure(
        training={"epochs": 10},
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
    output, _ = running.communicate(timeout=600)
    assert running.returncode != 0
    assert "Error in rule train" in output
    assert last.exists() and not (project.folder / target).exists()

    done = project.snakemake("--cores", "1", "--", target)
    assert done.returncode == 0, done.stdout
    assert "resumes after epoch" in done.stdout
    undisturbed = project.run_folder(name="undisturbed")
    assert project.train(undisturbed).returncode == 0
    assert (project.folder / target).read_bytes() == (undisturbed / "best.safetensors").read_bytes()


@pytest.mark.slow
def test_a_signal_to_all_processes_of_a_job_saves_and_is_logged(project):
    """A scheduler signals the whole group: Snakemake, the shell, the training and the writer of its log."""
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
    assert running.wait(timeout=600) != 0
    deadline = time.monotonic() + 60
    while "stopped by" not in log.read_text() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert "stopped by SIGTERM after" in log.read_text()
    assert (project.folder / RUNS / RUN / "last.ckpt").exists()


@pytest.mark.slow
def test_a_full_search_resumes_points_that_halving_dropped(project):
    """Three points for an epoch, the best one for two more; then all, from where they are."""
    grid = [{"system": "conv_tt_lstm", "order": [3], "rank": [2, 4, 8]}]
    searches = [{"epochs": 1, "factor": 3}, None]
    selection, winners, epochs = "results/tiny/selection/moving_mnist_2.json", [], []
    for halving in searches:
        project.configure(experiments={"moving_mnist_2": {"grid": grid, "halving": halving}})
        done = project.snakemake("--cores", "2", "--", selection)
        assert done.returncode == 0, done.stdout
        found = json.loads((project.folder / selection).read_text())
        winners.append(found["winners"]["conv_tt_lstm"]["run"])
        epochs.append({point["run"]: point["epochs"] for point in found["ranking"]})
    assert sorted(epochs[0].values()) == [1, 1, 3] and epochs[0][winners[0]] == 3
    assert list(epochs[1].values()) == [3, 3, 3]

    settings = load_settings(project.config)
    runs = project.folder / RUNS
    histories = {run: pd.read_csv(runs / run / "history.csv") for run in epochs[1]}
    halved = Halving.model_validate(searches[0])
    assert outcome(settings, "moving_mnist_2", "conv_tt_lstm", halved, histories)[0] == winners[0]
    assert outcome(settings, "moving_mnist_2", "conv_tt_lstm", None, histories)[0] == winners[1]
    other = next(run for run in epochs[1] if run != winners[0])
    assert project.train(project.run_folder(other, "undisturbed"), other).returncode == 0
    weights = project.run_folder(other, "undisturbed") / "best.safetensors"
    assert (runs / other / "best.safetensors").read_bytes() == weights.read_bytes()


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
