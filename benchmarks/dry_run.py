"""Times how long Snakemake plans a grid of 100, 500 and 2,000 runs: `snakemake --profile slurm -n all`.

The scale is the Moving-MNIST-2 part of the paper's, without baselines and ablations. 95 % of the runs are
grid points, one for each rank; the others are seeds of the winner, which are evaluated. The sizes take turns,
so that a slow minute affects all of them, and the shortest time of each counts.
"""

import argparse
import re
import tempfile
from pathlib import Path

import pandas as pd
import yaml

from benchmarks import RESULTS, conditions, link_project, publish, seconds_of, snakemake
from convttlstm.provenance import device_name

SIZES = [100, 500, 2000]
JOBS = re.compile(r"^total\s+(\d+)", re.MULTILINE)


def main() -> None:
    """Measure each size and write one CSV for this device."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--repeats", type=int, default=2, help="of each size; the shortest time counts")
    parser.add_argument("--output", type=Path, default=RESULTS, help="folder")
    options = parser.parse_args()
    print(conditions("cpu"))
    with tempfile.TemporaryDirectory() as folder:
        seconds = measure(Path(folder), options.repeats)
    rows = [
        {"runs": size, "jobs": jobs, "seconds": value, "seconds_per_run": value / size}
        for (size, jobs), value in seconds.items()
    ]
    table = pd.DataFrame([{"device": device_name("cpu")} | row for row in rows])
    publish(table, options.output, "dry_run")


def measure(folder: Path, repeats: int) -> dict[tuple[int, int], float]:
    """Return the shortest time of a plan, in seconds, by its numbers of runs and of jobs."""
    link_project(folder)
    for size in SIZES:
        (folder / f"config/runs{size}.yaml").write_text(yaml.safe_dump(scale(size)))
    found: dict[tuple[int, int], float] = {}
    for _ in range(repeats):
        for size in SIZES:
            jobs, seconds = plan(folder, size)
            found[size, jobs] = min(seconds, found.get((size, jobs), seconds))
    return found


def scale(runs: int) -> dict[str, object]:
    """Return the settings of a scale with this number of runs."""
    finalists = runs // 20
    grid = [{"system": "conv_tt_lstm", "rank": list(range(1, runs - finalists + 1))}]
    others = dict.fromkeys(["kth", "something_25", "something_50"])
    own = {"table": ["copy_last"], "ablations": [], "grid": grid, "finalists": list(range(finalists))}
    return {"label": f"{runs} runs", "experiments": others | {"moving_mnist_2": own}}


def plan(folder: Path, size: int) -> tuple[int, float]:
    """Return the number of jobs in the plan, and the seconds that it took."""
    printed: list[str] = []
    arguments = ["--profile", "profiles/slurm", "-n", "all", "--config", f"scale=runs{size}"]
    seconds = seconds_of(lambda: printed.append(snakemake(folder, *arguments)))
    total = JOBS.search(printed[0])
    assert total, printed
    return int(total[1]), seconds


if __name__ == "__main__":
    main()
