"""Programs that measure what the paper argues; README.md says how to run them and what came out."""

import os
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Hashable, Mapping
from pathlib import Path
from typing import TypeVar

import pandas as pd
import torch

from convttlstm.files import with_suffix, write_text
from convttlstm.provenance import device_name

Key = TypeVar("Key", bound=Hashable)

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks/results"
LINKED = ["lib", "workflow", "profiles", "Snakefile", "config/paper.yaml"]
LINKED += ["data/embedded", "data/paper", "data/categories"]


def result_path(folder: Path, measured: str, kind: str) -> Path:
    """Return a path without suffix that names what was measured, on what, with which torch.

    Args:
        folder: where results go.
        measured: such as "algorithms".
        kind: "cpu" or "cuda".
    """
    return named_after(folder, measured, device_name(kind), torch.__version__)


def named_after(folder: Path, measured: str, device: str, version: str) -> Path:
    """Return a path without suffix that names what was measured, on which device, with which torch."""
    device = re.sub(r"[^A-Za-z0-9.]+", "_", device).strip("_")
    return folder / f"{measured}-{device}-torch{version.split('+')[0]}"


def conditions(kind: str) -> str:
    """Return the device, its threads and torch's version in words."""
    threads = torch.get_num_threads()
    on = f", {threads} thread{'s' if threads > 1 else ''}" if kind == "cpu" else ""
    return f"{device_name(kind)}{on}, torch {torch.__version__}"


def publish(table: pd.DataFrame, folder: Path, measured: str, digits: int = 4, kind: str = "cpu") -> None:
    """Print what was measured, and write it to a CSV file named after the device.

    Args:
        table: a line for each figure; its column "device" is written only.
        folder: where results go.
        measured: such as "loader".
        digits: significant ones.
        kind: "cpu" or "cuda".
    """
    precision = f"%.{digits}g"
    print(table.drop(columns="device").to_string(index=False, float_format=precision))
    path = with_suffix(result_path(folder, measured, kind), ".csv")
    write_text(path, table.to_csv(index=False, float_format=precision))
    print(f"wrote {path}")


def finish(kind: str) -> None:
    """Wait for the device."""
    if kind == "cuda":
        torch.cuda.synchronize()


def seconds_of(work: Callable[[], object], kind: str = "cpu") -> float:
    """Return how long a call takes on a device, "cpu" or "cuda"."""
    finish(kind)
    started = time.perf_counter()
    work()
    finish(kind)
    return time.perf_counter() - started


def in_turn(timed: Mapping[Key, Callable[[], float]], rounds: int) -> dict[Key, list[float]]:
    """Return the seconds that each returns; they take turns, so that a slow minute meets all."""
    turns = [{key: measure() for key, measure in timed.items()} for _ in range(rounds)]
    return {key: [turn[key] for turn in turns] for key in timed}


def least_seconds(timed: Mapping[Key, Callable[[], float]], rounds: int) -> dict[Key, float]:
    """Return the least of the seconds that each returns, in turn."""
    return {key: min(found) for key, found in in_turn(timed, rounds).items()}


def median_seconds(timed: Mapping[Key, Callable[[], float]], rounds: int) -> dict[Key, float]:
    """Return the median of the seconds that each returns, in turn."""
    return {key: statistics.median(found) for key, found in in_turn(timed, rounds).items()}


def link_project(folder: Path) -> None:
    """Give a folder what the workflow needs, so that it runs there with data and results of its own."""
    for name in LINKED:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).symlink_to(ROOT / name)


def snakemake(folder: Path, *arguments: str) -> str:
    """Run the workflow in a folder and return what it prints."""
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    command = ["snakemake", *arguments]
    done = subprocess.run(command, cwd=folder, env=environment, check=True, text=True, stdout=subprocess.PIPE)
    return done.stdout
