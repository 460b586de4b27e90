"""Times a job's start until its first step, and Snakemake's plan.

Commands run in a separate folder, in new processes. They take turns, and the shortest time of each counts.
"train, without its steps" is a whole `convttlstm train` of one small step, less the time of that step:
imports, data, model, checkpoint and weights. Under Slurm each job also starts Snakemake, as "plan of one run"
does.
"""

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pandas as pd
import yaml

from benchmarks import RESULTS, conditions, least_seconds, link_project, publish, seconds_of, snakemake
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
    parser.add_argument("--repeats", type=int, default=5, help="of each command; the shortest time counts")
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
    """Return the shortest time of each command."""
    plan = "--profile", "profiles/slurm", "-n"
    commands: dict[str, Callable[[], object]] = {
        "convttlstm --help": lambda: convttlstm(folder, "--help"),
        "import reporting": lambda: python(folder, "-c", "import convttlstm.reporting.page"),
        "import training": lambda: python(folder, "-c", "import convttlstm.training.loop"),
        "plan of one run": lambda: snakemake(folder, *plan, TARGET),
        "plan of the paper's scale": lambda: snakemake(folder, *plan, "all"),
    }
    timed: dict[str, Callable[[], float]] = {
        name: partial(seconds_of, command) for name, command in commands.items()
    }
    timed["train, without its steps"] = lambda: start_seconds(folder)
    return [{"command": name, "seconds": least} for name, least in least_seconds(timed, repeats).items()]


def start_seconds(folder: Path) -> float:
    """Return the time of a whole run without its steps, in seconds."""
    output = tempfile.mkdtemp(prefix="run", dir=folder)
    seconds = seconds_of(
        lambda: convttlstm(folder, "train", *CONFIG, "--data", "data/small", RUN, "-o", output)
    )
    return float(seconds - pd.read_csv(Path(output, "history.csv"))["seconds"].sum())


def convttlstm(folder: Path, *arguments: str) -> None:
    python(folder, "-m", "convttlstm", *arguments)


def python(folder: Path, *arguments: str) -> None:
    subprocess.run([sys.executable, *arguments], cwd=folder, check=True, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    main()
