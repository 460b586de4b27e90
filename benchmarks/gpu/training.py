"""Trains the runs of scale h100, all at once, until the deadline; they resume in the next call."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import IO

import pandas as pd
import yaml

from benchmarks import ROOT
from benchmarks.gpu import Options, Row
from convttlstm.config import load_settings
from convttlstm.config.base import merge
from convttlstm.config.runs import trained_runs
from convttlstm.training.history import HISTORY, PARTIAL

DATASET = "moving_mnist_2"
SAVING = 30  # seconds before the deadline at which the runs are stopped, so that they save
MARGIN = 3  # seconds before the deadline at which runs that still save are killed
# Exit statuses of runs that ended, saved, or had not begun when they were stopped; None if they were killed.
STOPPED = (0, os.EX_TEMPFAIL, -signal.SIGTERM, None)
# Changes of the scale's settings in a rehearsal, besides those of tiny.yaml.
REHEARSAL = {
    "experiments": {DATASET: {"seeds": [0]}},
    "training": {"epochs": 2, "samples_per_epoch": 16},
    "compute": {"threads": 1},
}


def train(options: Options, deadline: float) -> list[Row]:
    """Return a row for each run, with its progress.

    Each run's folder below `options.runs` holds its checkpoint and its output, train.log.

    Raises:
        RuntimeError: preparing the data or a run failed; the message has the end of the output.
    """
    config = _configuration(options)
    data = options.runs / "data"
    place = ["--config", str(config), "--dataset", DATASET]
    if not (data / "manifest.json").exists():
        # Checksums of the rehearsal's data do not belong in the repository's record.
        checksums = options.runs / "checksums.json" if options.small else ROOT / "data/checksums.json"
        prepare = ["prepare", *place, "-o", str(data), "--checksums", str(checksums)]
        _call(prepare, deadline - time.monotonic())
    settings = load_settings(config)
    names = trained_runs(settings, DATASET)
    running: dict[str, tuple[subprocess.Popen[bytes], IO[bytes]]] = {}
    for name in names:
        folder = options.runs / DATASET / name
        folder.mkdir(parents=True, exist_ok=True)
        log = (folder / "train.log").open("ab")
        command = [sys.executable, "-m", "convttlstm", "train", *place, "--data", str(data), name]
        process = subprocess.Popen([*command, "-o", str(folder)], cwd=ROOT, stdout=log, stderr=log)
        running[name] = process, log
    try:
        for process, _ in running.values():
            try:
                process.wait(max(0.0, deadline - SAVING - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGTERM)  # it saves, and exits with status 75
        codes = {name: _exit_status(process, deadline) for name, (process, _) in running.items()}
    finally:
        for process, log in running.values():
            process.kill()
            log.close()
    rows = [_progress(options.runs / DATASET / name, name, codes[name]) for name in names]
    if any(row["exit_status"] not in STOPPED for row in rows):
        raise RuntimeError(f"a run failed: {rows}")
    return rows


def _exit_status(process: subprocess.Popen[bytes], deadline: float) -> int | None:
    """Return a stopped run's exit status; None if it is still saving just before the deadline."""
    try:
        return process.wait(max(0.0, deadline - MARGIN - time.monotonic()))
    except subprocess.TimeoutExpired:
        return None


def _configuration(options: Options) -> Path:
    if not options.small:
        return ROOT / "config/h100.yaml"
    folder = options.runs / "config"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "paper.yaml").write_bytes((ROOT / "config/paper.yaml").read_bytes())
    settings, tiny = (
        yaml.safe_load((ROOT / path).read_text()) for path in ("config/h100.yaml", "benchmarks/tiny.yaml")
    )
    (folder / "h100.yaml").write_text(yaml.safe_dump(merge(merge(settings, tiny), REHEARSAL)))
    return folder / "h100.yaml"


def _call(arguments: list[str], seconds: float) -> None:
    command = [sys.executable, "-m", "convttlstm", *arguments]
    done = subprocess.run(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=seconds
    )
    if done.returncode:
        raise RuntimeError(done.stdout[-2000:])


def _progress(folder: Path, name: str, code: int | None) -> Row:
    """Return a run's row; that of a failed run has the end of its output."""
    row: Row = {"run": name, "exit_status": code, "finished": (folder / HISTORY).exists()}
    path = folder / (HISTORY if row["finished"] else PARTIAL)
    if path.exists():
        history = pd.read_csv(path)
        row |= {"epochs": len(history), "samples": int(history["samples"].sum())}
        row |= {"samples_per_second": row["samples"] / history["seconds"].sum()}
        row |= {
            f"last_{column}": float(history[column].iloc[-1]) for column in ("train_loss", "validation_loss")
        }
    if code not in STOPPED:
        row["output"] = (folder / "train.log").read_text()[-1000:]
    return row
