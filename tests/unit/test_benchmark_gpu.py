"""The program for a few minutes of a GPU, tried on a CPU, and the archives of it and its results."""

import json
import os
import re
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import pandas as pd
import pytest
import torch

from benchmarks import gpu_pack
from benchmarks.gpu import Options, Step, pieces, timing
from benchmarks.gpu.__main__ import main, run
from benchmarks.gpu.steps import plan
from benchmarks.gpu.tables import with_shares
from benchmarks.gpu.worker import Worker
from convttlstm.files import UserError
from tests.conftest import ROOT

SOME = [
    "check conv_tt_lstm, float64",
    "step 64, bf16, conv_tt_lstm, ours, inputs",
    "profile conv_tt",
    "training",
]


def options(folder: Path, kind: str = "cpu") -> Options:
    return Options(kind, True, folder, folder / "runs")


@pytest.mark.slow
def test_the_packed_program_runs_without_the_repository(tmp_path: Path) -> None:
    """The packages are the environment's; benchmarks/README.md has the command with wheels of their own."""
    wheels, archive = tmp_path / "wheels", tmp_path / "gpu.tar.xz"
    wheels.mkdir()
    (wheels / "some-1.0-py3-none-any.whl").write_bytes(b"")
    assert gpu_pack.main([str(archive), "--wheels", str(wheels)]) == 0
    with tarfile.open(archive) as tar:
        tar.extractall(tmp_path, filter="data")
    there, output = tmp_path / "convttlstm", tmp_path / "output"
    (there / "site").mkdir()
    (there / "site/.installed").touch()  # as after the wheels were installed
    command = [str(there / "benchmarks/gpu/run.sh"), "--device", "cpu", "--small", "--minutes", "30"]
    command += ["--output", str(output), "--only", *SOME]
    environment = os.environ | {"PYTHON": sys.executable}
    done = subprocess.run(command, cwd=tmp_path, env=environment, text=True, capture_output=True)
    assert done.returncode == 0, done.stdout + done.stderr
    records = json.loads((output / "results.json").read_text())
    assert len(records) == 4 and {record["status"] for record in records.values()} == {"done"}
    (steps,) = output.glob("gpu_steps-*.csv")
    assert pd.read_csv(steps)["ms"].min() > 0
    (training,) = output.glob("gpu_training-*.csv")
    assert pd.read_csv(training)["samples"].tolist() == [32, 32]
    assert (there / "results/h100/runs/moving_mnist_2/conv_tt_lstm-seed0/best.safetensors").exists()
    assert not list(output.glob(".*"))
    # All is there: nothing is made again.
    again = subprocess.run(command, cwd=tmp_path, env=environment, text=True, capture_output=True)
    assert (again.returncode, again.stdout) == (0, "")


@pytest.mark.slow
def test_a_step_that_fails_is_recorded_and_tried_again_last(tmp_path: Path, capsys) -> None:
    begin = ["--device", "cpu", "--small", "--output", str(tmp_path), "--only"]
    # Nothing was measured that could be profiled.
    assert main([*begin, "profile conv_lstm", "rates 64, bf16"]) == 1
    records = json.loads((tmp_path / "results.json").read_text())
    assert list(records) == ["rates 64, bf16", "profile conv_lstm"]
    assert [record["status"] for record in records.values()] == ["done", "failed"]
    assert "nothing to profile" in records["profile conv_lstm"]["error"]
    capsys.readouterr()
    assert main([*begin, "profile conv_lstm", "rates 64, bf16", "rates 64, tf32"]) == 1
    tried = [line.split("s  ")[1].split(":")[0] for line in capsys.readouterr().out.splitlines()]
    assert tried == ["rates 64, tf32", "profile conv_lstm"]


def test_no_step_starts_without_enough_time(tmp_path: Path, capsys) -> None:
    assert main(["--device", "cpu", "--small", "--minutes", "0.01", "--output", str(tmp_path)]) == 0
    assert "for lack of time" in capsys.readouterr().out
    assert not list(tmp_path.iterdir())


def test_a_step_stopped_by_the_deadline_leaves_no_record(tmp_path: Path, capsys) -> None:
    """Importing torch in the worker alone takes longer than there is time."""
    step = Step("losses conv_tt_lstm, float32", 0.5, lambda *_: [])
    assert run([step], options(tmp_path), time.monotonic() + 0.6) == {}
    assert (
        capsys.readouterr().out == "skipped 1 steps for lack of time, first 'losses conv_tt_lstm, float32'\n"
    )
    assert not list(tmp_path.iterdir())


def test_a_hanging_step_is_stopped(tmp_path: Path) -> None:
    worker = Worker(options(tmp_path))
    record = worker.run("check layers", {}, 0.01, time.monotonic())
    assert (record["status"], record["error"]) == ("failed", "stopped after 0 s")
    assert worker.process is None


@pytest.mark.slow
def test_a_killed_step_does_not_stop_the_others(tmp_path: Path) -> None:
    worker = Worker(options(tmp_path))
    statuses = []
    for killed in (False, True, False):
        if killed:
            os.kill(worker.process.pid, signal.SIGKILL)
            worker.process.join()
        record = worker.run("rates 64, bf16", {}, 600, time.monotonic() + 600)
        statuses.append(record["status"])
        assert not killed or record["error"] == "the process ended with status -9"
    worker.close()
    assert statuses == ["done", "failed", "done"]


def test_an_unknown_prefix_is_refused(tmp_path: Path, capsys) -> None:
    assert main(["--device", "cpu", "--output", str(tmp_path), "--only", "step 64", "setp 120"]) == 1
    assert (
        capsys.readouterr().err == "benchmarks.gpu: --only 'setp 120': no step's name starts so; see --list\n"
    )


def test_the_list_sums_the_time_of_missing_steps(tmp_path: Path, capsys) -> None:
    command = ["--list", "--device", "cpu", "--output", str(tmp_path), "--only"]
    assert main([*command, "check layers", "unit"]) == 0
    before = capsys.readouterr().out.splitlines()
    (tmp_path / "results.json").write_text('{"check layers": {"status": "done"}}')
    assert main([*command, "check layers", "unit"]) == 0
    after = capsys.readouterr().out.splitlines()
    assert [line.split()[2] for line in before] == ["0.4", "1.9"]
    assert [line.split()[2] for line in after] == ["0.3", "1.8"]
    assert after[0].split()[4:] == ["done", "check", "layers"]


def test_unfinished_training_continues_in_the_next_call(tmp_path: Path, capsys) -> None:
    (tmp_path / "results.json").write_text(
        json.dumps({"training": {"status": "done", "rows": [{"finished": True}, {"finished": False}]}})
    )
    command = ["--device", "cpu", "--output", str(tmp_path), "--only", "training"]
    assert main([*command, "--list"]) == 0
    assert capsys.readouterr().out.split() == ["90", "s", "1.8", "min", "unfinished", "training"]
    assert main([*command, "--minutes", "1"]) == 0
    assert "for lack of time, first 'training'" in capsys.readouterr().out


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_missing_gpu_is_reported(tmp_path: Path, capsys) -> None:
    assert main(["--output", str(tmp_path)]) == 1
    assert "no CUDA device here" in capsys.readouterr().err


def test_names_of_steps_are_unique_and_graphs_are_for_gpus(tmp_path: Path) -> None:
    names = {kind: [step.name for step in plan(options(tmp_path, kind))] for kind in ("cpu", "cuda")}
    assert len(set(names["cuda"])) == len(names["cuda"])
    assert set(names["cpu"]) < set(names["cuda"])
    assert all("graph" in name for name in set(names["cuda"]) - set(names["cpu"]))


def test_benchmarks_import_no_tests() -> None:
    imports = re.compile(r"^\s*(from|import) tests\b", re.MULTILINE)
    files = [*(ROOT / "benchmarks").rglob("*.py")]
    assert len(files) > 30
    assert [path.name for path in files if imports.search(path.read_text())] == []


def test_shares_by_hand() -> None:
    usual = {"model": "conv_lstm", "precision": "bf16", "side": 64}
    rows = [
        usual | {"code": "textbook", "ms": 12.0, "gflops": 100.0},
        usual | {"code": "ours", "ms": 3.0, "gflops": 400.0},
        usual | {"side": 120, "code": "ours", "ms": 9.0, "gflops": 300.0},
    ]
    everything = [{"ceiling": "matrix_product", "precision": "bf16", "side": 64, "gflops": 800.0}]
    found = with_shares(rows, rows + everything)
    assert [row.get("times_textbook") for row in found] == [1, 4, None]
    assert [row.get("share_of_matrix_product") for row in found] == [0.125, 0.5, None]


def test_the_time_with_a_kernel_counts_overlaps_once() -> None:
    assert timing.busy([("a", 0, 4), ("b", 2, 3), ("c", 3, 6), ("d", 8, 9)]) == 7
    assert timing.busy([]) == 0


def make_runs(folder: Path) -> dict[str, bytes]:
    """One finished and one unfinished run, with files that stay."""
    contents = {
        "d/a-seed0/config.json": b"{}",
        "d/a-seed0/best.safetensors": b"weights" * 5,
        "d/a-seed0/history.csv": b"",
        "d/b-seed0/config.json": b"{}",
        "d/b-seed0/last.ckpt": bytes(range(256)) * 2,
    }
    stays = ["d/a-seed0/last.ckpt", "d/b-seed0/previous.ckpt", "d/b-seed0/.lock", "data/train.npy"]
    for name, content in [*contents.items(), *((name, b"x") for name in stays)]:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return contents


def test_runs_are_restored_from_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pieces, "SIZE", 100)
    contents = make_runs(tmp_path / "runs")
    for first in (0, 3):  # in two calls
        assert (
            pieces.main(
                ["cut", str(tmp_path / "runs"), str(tmp_path / "cut"), f"--first={first}", "--count=3"]
            )
            == 0
        )
    made = sorted(tmp_path.glob("cut/piece.*"))
    assert len(made) == 6 and max(path.stat().st_size for path in made) == 100
    assert b"weights" in made[0].read_bytes()  # before any checkpoint
    assert pieces.main(["join", str(tmp_path / "cut"), str(tmp_path / "back")]) == 0
    back = {
        str(p.relative_to(tmp_path / "back")): p.read_bytes()
        for p in tmp_path.glob("back/**/*")
        if p.is_file()
    }
    assert back == contents


@pytest.mark.parametrize("harm", ["damaged", "missing", "outside"])
def test_bad_pieces_are_refused_and_write_nothing(tmp_path: Path, capsys, harm: str) -> None:
    make_runs(tmp_path / "runs")
    pieces.cut(tmp_path / "runs", tmp_path / "cut")
    piece, index = tmp_path / "cut/piece.000", tmp_path / "cut/index.json"
    if harm == "damaged":
        piece.write_bytes(b"?" + piece.read_bytes()[1:])
    elif harm == "missing":
        piece.unlink()
    else:
        index.write_text(index.read_text().replace("d/b-seed0/last.ckpt", "../last.ckpt"))
    assert pieces.main(["join", str(tmp_path / "cut"), str(tmp_path / "back")]) == 1
    error = capsys.readouterr().err
    assert harm in error and error.count("\n") == 1
    assert not (tmp_path / "back").exists() and not (tmp_path / "last.ckpt").exists()


def test_a_folder_without_runs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no run"):
        pieces.cut(tmp_path, tmp_path / "cut")


def test_the_lock_pins_all_packed_libraries() -> None:
    lines = gpu_pack.locked((ROOT / "requirements.lock").read_text()).splitlines()
    pinned = {line.split("==")[0] for line in lines if not line.startswith(" ")}
    assert pinned == gpu_pack.PACKAGES
    assert all("--hash=sha256:" in line for line in lines if line.startswith(" "))
    with pytest.raises(UserError, match="has no annotated-types"):
        gpu_pack.locked("")


def test_an_archive_above_the_size_limit_is_not_written(tmp_path: Path, monkeypatch, capsys) -> None:
    (tmp_path / "some.whl").write_bytes(b"")
    monkeypatch.setattr(gpu_pack, "LIMIT", 1000)
    assert gpu_pack.main([str(tmp_path / "gpu.tar.xz"), "--wheels", str(tmp_path)]) == 1
    assert "more than" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["some.whl"]
