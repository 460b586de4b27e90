"""Seconds that each job of a grid loses before its first step, and that Snakemake takes to see what is to do.

Commands run in a folder of their own, in new processes; they take turns, and the least of each counts.
"train, besides its steps" is a whole `convttlstm train` of one small step, less the seconds of that step:
imports, data, model, checkpoint and weights. Under Slurm each job also starts Snakemake for itself, as
"plan of one training" does.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import yaml

from benchmarks import RESULTS, conditions, link_project, publish, snakemake
from convttlstm.provenance import device_name

RUN = "conv_lstm-seed0"
TARGET = f"results/paper/runs/moving_mnist_2/{RUN}/best.safetensors"
SPLIT = {"sequences": 16, "frames": 20}
SCALE = {
    "label": "one small step",
    "datasets": {
        "moving_mnist_2": {"digits": "embedded", "size": 32, "digit_size": 14, "test_horizons": [10]}
        | dict.fromkeys(["train", "validation", "test"], SPLIT)
    },
    "systems": {"conv_lstm": {"model": {"channels": [4, 4, 4, 4], "layers_per_block": 1}}},
    "training": {"epochs": 1, "samples_per_epoch": 16},
}
CONFIG = ["--config", "config/small.yaml", "--dataset", "moving_mnist_2"]


def main() -> None:
    """Measure each command and write one CSV for this device."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5, help="of each command; the least counts")
    parser.add_argument("--output", type=Path, default=RESULTS, help="folder")
    options = parser.parse_args()
    print(conditions("cpu"))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        link_project(folder)
        (folder / "config/small.yaml").write_text(yaml.safe_dump(SCALE))
        convttlstm(folder, "prepare", *CONFIG, "-o", "data/small")
        rows = measure(folder, options.repeats)
    publish(
        pd.DataFrame([{"device": device_name("cpu")} | row for row in rows]), options.output, "grid_overhead"
    )


def measure(folder: Path, repeats: int) -> list[dict[str, object]]:
    """Return the least seconds of each command."""
    plan = "--profile", "profiles/slurm", "-n"
    commands: dict[str, Callable[[int], float]] = {
        "convttlstm --help": lambda _: timed(lambda: convttlstm(folder, "--help")),
        "import what reports": lambda _: timed(
            lambda: python(folder, "-c", "import convttlstm.reporting.page")
        ),
        "import what trains": lambda _: timed(
            lambda: python(folder, "-c", "import convttlstm.training.loop")
        ),
        "train, besides its steps": lambda turn: besides_steps(folder, f"run{turn}"),
        "plan of one training": lambda _: timed(lambda: snakemake(folder, *plan, TARGET)),
        "plan of the paper's scale": lambda _: timed(lambda: snakemake(folder, *plan, "all")),
    }
    taken: dict[str, list[float]] = {}
    for turn in range(repeats):
        for name, run in commands.items():
            taken.setdefault(name, []).append(run(turn))
    return [{"what": name, "seconds": min(times)} for name, times in taken.items()]


def timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def besides_steps(folder: Path, output: str) -> float:
    """Return the seconds of a whole training less those of its steps."""
    seconds = timed(lambda: convttlstm(folder, "train", *CONFIG, "--data", "data/small", RUN, "-o", output))
    return seconds - pd.read_csv(folder / output / "history.csv")["seconds"].sum()


def convttlstm(folder: Path, *arguments: str) -> None:
    python(folder, "-m", "convttlstm", *arguments)


def python(folder: Path, *arguments: str) -> None:
    subprocess.run([sys.executable, *arguments], cwd=folder, check=True, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    main()
