"""Computes the choice and the savings of successive halving on a grid that was searched in full.

A point that halving keeps resumes from its checkpoint and gets the same weights as without a stop. So the
full histories show which points each round keeps, the winner's loss, and the time spent. The workflow trains
the grid first, at demo scale with shorter schedules. To use a grid that you have searched, name its runs:
`--runs results/paper/runs/kth --config config/paper.yaml --dataset kth`.
"""

import argparse
import os
import tempfile
from pathlib import Path

import pandas as pd
import yaml

from benchmarks import RESULTS, ROOT, conditions, link_project, publish, snakemake
from convttlstm.config import Halving, Settings, grid_runs, load_settings, rungs
from convttlstm.provenance import device_name

DATASET, ROLE = "moving_mnist_2", "conv_tt_lstm"
EPOCHS, SAMPLES, VALIDATION = 8, 30, 20
GRID = {"system": ROLE, "kernel_size": [3, 5], "order": [1, 2, 3], "rank": [2, 4], "steps": [3]}


def main() -> None:
    """Search, compare and write one CSV for this device."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--runs", type=Path, help="runs of a full search; by default one is made")
    parser.add_argument("--config", type=Path, help="settings of these runs")
    parser.add_argument("--dataset", default=DATASET)
    parser.add_argument("--role", default=ROLE, help="the model of the search")
    parser.add_argument("--output", type=Path, default=RESULTS, help="folder")
    options = parser.parse_args()
    print(conditions("cpu"))
    with tempfile.TemporaryDirectory() as folder:
        config = options.config or scale(Path(folder))
        runs = options.runs or search(Path(folder))
        table = compare(load_settings(config), options.dataset, options.role, runs)
    table.insert(0, "device", device_name("cpu"))
    publish(table, options.output, "halving", digits=5)


def scale(folder: Path) -> Path:
    """Write the demo's settings with a grid; return the path."""
    content = yaml.safe_load((ROOT / "config/demo.yaml").read_text())
    content["experiments"] = dict.fromkeys(content["experiments"])
    content["experiments"][DATASET] = {"table": ["copy_last"], "grid": [GRID], "finalists": []}
    content["training"] |= {"epochs": EPOCHS, "samples_per_epoch": SAMPLES}
    content["datasets"][DATASET]["validation"]["sequences"] = VALIDATION
    link_project(folder)
    path = folder / "config/searched.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def search(folder: Path) -> Path:
    """Train every point of the grid; return the folder of the runs."""
    target = f"results/searched/selection/{DATASET}.json"
    snakemake(folder, "--cores", str(os.cpu_count()), "--config", "scale=searched", "--", target)
    return folder / "results/searched/runs" / DATASET


def compare(settings: Settings, dataset: str, role: str, runs: Path) -> pd.DataFrame:
    """Return a row for the full search, and for each length of the first round and factor."""
    names = grid_runs(settings, dataset, role)
    histories = {name: pd.read_csv(runs / name / "history.csv") for name in names}
    full = settings.training_of(dataset, role).epochs
    everything = sum(history["seconds"].sum() for history in histories.values())
    losses = {name: history["validation_loss"].min() for name, history in histories.items()}
    best = min(losses, key=lambda name: losses[name])
    rows = []
    searches = [Halving(epochs=2**i, factor=f) for f in (2, 3, 4) for i in range(9) if 2**i < full]
    for halving in [None, *searches]:
        winner, seconds = outcome(settings, dataset, role, halving, histories)
        rows.append(
            {
                "first_epochs": halving.epochs if halving else full,
                "factor": halving.factor if halving else 1,
                "winner": winner,
                "validation_loss": losses[winner],
                "rank_in_full_search": sorted(losses.values()).index(losses[winner]) + 1,
                "points": len(names),
                "hours": seconds / 3600,
                "saved": 1 - seconds / everything,
                "same_winner": winner == best,
            }
        )
    return pd.DataFrame(rows)


def outcome(
    settings: Settings, dataset: str, role: str, halving: Halving | None, histories: dict[str, pd.DataFrame]
) -> tuple[str, float]:
    """Return the winning run, and the seconds of training in the search."""
    experiment = settings.experiments[dataset].model_copy(update={"halving": halving})
    searched = settings.model_copy(update={"experiments": settings.experiments | {dataset: experiment}})
    left, before, seconds = list(histories), 0, 0.0
    for rung in rungs(searched, dataset, role):
        left = left[: rung.places]
        seconds += sum(histories[name]["seconds"][before : rung.epochs].sum() for name in left)
        left.sort(key=lambda name: (histories[name]["validation_loss"][: rung.epochs].min(), name))
        before = rung.epochs
    return left[0], seconds


if __name__ == "__main__":
    main()
