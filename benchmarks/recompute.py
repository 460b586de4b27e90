"""Measures the time and memory of a training step that recomputes some blocks in the backward pass.

The step is that of `benchmarks.train_step`. Memory is per sequence of 10 -> 10 frames, counted as in
`benchmarks.memory`. The choices take turns, and the shortest time counts.
"""

import argparse
from functools import partial
from itertools import product
from pathlib import Path

import pandas as pd
import torch

from benchmarks import RESULTS, conditions, least_seconds, publish, seconds_of
from benchmarks.memory import sequence_bytes
from benchmarks.variants import MODELS, PRECISIONS, TrainingStep, Variant, Work
from convttlstm.models import create_model
from convttlstm.models.recurrent import Checkpointing, RecurrentPredictor
from convttlstm.provenance import device_name

# Blocks 1 and 4 have 32 channels, 2 and 3 have 48.
CHOICES: dict[str, Checkpointing] = {
    "nothing": False,
    "blocks 1, 4": [1, 4],
    "blocks 2, 3": [2, 3],
    "blocks 1, 2, 4": [1, 2, 4],
    "blocks 1, 2, 3": [1, 2, 3],
    "time steps": True,
}


def main() -> None:
    """Measure time, count memory, and write one CSV for this device."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--precisions", nargs="+", default=["float32", "bf16"], choices=PRECISIONS)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--output", type=Path, default=RESULTS, help="folder")
    options = parser.parse_args()
    print(conditions("cpu"))
    rows = [
        row
        for name, precision in product(MODELS, options.precisions)
        for row in compare(name, precision, options.rounds)
    ]
    found = {"device": device_name("cpu"), "threads": torch.get_num_threads(), "torch": torch.__version__}
    publish(pd.DataFrame([found | row for row in rows]), options.output, "recompute")


def compare(name: str, precision: str, rounds: int) -> list[dict[str, object]]:
    """Return a row for each choice, for one model in one precision."""
    steps = {
        choice: TrainingStep(
            Variant(name, precision, "ours"), Work(settings={"checkpointing": checkpointing})
        )
        for choice, checkpointing in CHOICES.items()
    }
    timed = {choice: partial(seconds_of, step) for choice, step in steps.items()}
    least_seconds(timed, 1)  # warms up
    seconds = least_seconds(timed, rounds)
    megabytes = {
        choice: sequence_bytes(model(name, checkpointing), Work.side, precision)[0] / 1e6
        for choice, checkpointing in CHOICES.items()
    }
    return [
        {"model": name, "precision": precision, "recomputed": choice, "seconds": seconds[choice]}
        | {"relative_seconds": seconds[choice] / seconds["nothing"], "mb_per_sample": megabytes[choice]}
        | {"relative_memory": megabytes[choice] / megabytes["nothing"]}
        for choice in CHOICES
    ]


def model(name: str, checkpointing: Checkpointing) -> RecurrentPredictor:
    """Return the paper's model."""
    torch.manual_seed(0)
    return create_model(name, checkpointing=checkpointing)


if __name__ == "__main__":
    main()
