"""Programs that measure speed, memory and the paper's arguments; README.md lists them with their results."""

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
    """Return the path of a result without its suffix, named after the device and torch's version.

    Args:
        folder: folder of the results.
        measured: the result's name, such as "algorithms".
        kind: "cpu" or "cuda".
    """
    return named_after(folder, measured, device_name(kind), torch.__version__)


def named_after(folder: Path, measured: str, device: str, version: str) -> Path:
    """Return the path of a result without its suffix, named after this device and version."""
    device = re.sub(r"[^A-Za-z0-9.]+", "_", device).strip("_")
    return folder / f"{measured}-{device}-torch{version.split('+')[0]}"


def conditions(kind: str) -> str:
    """Return a phrase with the device, its threads and torch's version."""
    threads = torch.get_num_threads()
    on = f", {threads} thread{'s' if threads > 1 else ''}" if kind == "cpu" else ""
    return f"{device_name(kind)}{on}, torch {torch.__version__}"


def publish(table: pd.DataFrame, folder: Path, measured: str, digits: int = 4, kind: str = "cpu") -> None:
    """Print a table, and write it to a CSV file named after the device.

    Args:
        table: the results; its column "device" is not printed.
        folder: folder of the results.
        measured: the result's name, such as "loader".
        digits: significant digits.
        kind: "cpu" or "cuda".
    """
    precision = f"%.{digits}g"
    print(table.drop(columns="device").to_string(index=False, float_format=precision))
    path = with_suffix(result_path(folder, measured, kind), ".csv")
    write_text(path, table.to_csv(index=False, float_format=precision))
    print(f"wrote {path}")


def finish(kind: str) -> None:
    """Wait until the device has finished."""
    if kind == "cuda":
        torch.cuda.synchronize()


def seconds_of(work: Callable[[], object], kind: str = "cpu") -> float:
    """Return the time of a call on a device, "cpu" or "cuda", in seconds."""
    finish(kind)
    started = time.perf_counter()
    work()
    finish(kind)
    return time.perf_counter() - started


def in_turn(timed: Mapping[Key, Callable[[], float]], rounds: int) -> dict[Key, list[float]]:
    """Return the seconds of all rounds; the calls take turns, so that a slow minute affects all of them."""
    turns = [{key: measure() for key, measure in timed.items()} for _ in range(rounds)]
    return {key: [turn[key] for turn in turns] for key in timed}


def least_seconds(timed: Mapping[Key, Callable[[], float]], rounds: int) -> dict[Key, float]:
    """Return the shortest time of each, in seconds, measured in turn."""
    return {key: min(found) for key, found in in_turn(timed, rounds).items()}


def median_seconds(timed: Mapping[Key, Callable[[], float]], rounds: int) -> dict[Key, float]:
    """Return the median time of each, in seconds, measured in turn."""
    return {key: statistics.median(found) for key, found in in_turn(timed, rounds).items()}


def link_project(folder: Path) -> None:
    """Link the workflow's files into a folder, where it then runs with separate data and results."""
    for name in LINKED:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).symlink_to(ROOT / name)


def snakemake(folder: Path, *arguments: str) -> str:
    """Run the workflow in a folder and return what it prints."""
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    command = ["snakemake", *arguments]
    done = subprocess.run(command, cwd=folder, env=environment, check=True, text=True, stdout=subprocess.PIPE)
    return done.stdout
