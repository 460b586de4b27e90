"""Times every model of Table 2, at the paper's size, on one sequence of 10 → 10 frames.

Prediction is a forward pass without gradients; training is forward and backward, without the optimizer.
Models that draw their predictions pixel by pixel are timed in training only. Where the activations of a whole
sequence do not fit `--memory`, the time is extrapolated from 2 → 2 frames; the column `steps` has the
measured number of steps.
"""

import argparse
import math
import statistics
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import torch

from benchmarks import RESULTS, conditions, result_path, seconds_of
from convttlstm.config import load_settings
from convttlstm.config.counted import SIZES
from convttlstm.evaluation.complexity import step_cost
from convttlstm.files import with_suffix, write_text
from convttlstm.models import create_model
from convttlstm.provenance import device_name

CONTEXT, HORIZON = 10, 10
SHORT = 2  # context and horizon where a whole sequence does not fit


def main() -> None:
    """Time every model at every size and write one CSV for this device."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--config", type=Path, default=Path("config/paper.yaml"))
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--memory", type=float, default=8, help="GiB for activations")
    parser.add_argument("--repeats", type=int, default=1, help="the median counts")
    parser.add_argument("--output", type=Path, default=RESULTS, help="folder")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(conditions(options.device))
    rows = []
    for name, system in load_settings(options.config).systems.items():
        if not system.trained or not system.paper_row:
            continue
        for size in SIZES:
            row = time_system(system.model.name, system.model.hyper(), size, options)
            rows.append({"system": name, "title": system.title} | row)
            taken = [f"{kind} {row[f'{kind}_seconds'] or math.nan:.3g} s" for kind in ("forward", "training")]
            print(f"{name:16} {size:4} px  {', '.join(taken)}", flush=True)
    found = {"device": device_name(options.device), "threads": options.threads}
    found |= {"torch": torch.__version__.split("+")[0]}
    table = pd.DataFrame([found | row for row in rows])
    path = with_suffix(result_path(options.output, "system_times", options.device), ".csv")
    write_text(path, table.to_csv(index=False, float_format="%.4g"))
    print(f"wrote {path}")


def time_system(
    name: str, hyper: dict[str, object], size: int, options: argparse.Namespace
) -> dict[str, float | None]:
    """Return the seconds of prediction and of training, and the number of measured steps."""
    whole = CONTEXT + HORIZON - 1
    with torch.device("meta"):
        needed = step_cost(create_model(name, **hyper), size).activation_bytes * whole
    fits = needed <= options.memory * 2**30
    context, horizon = (CONTEXT, HORIZON) if fits else (SHORT, SHORT)
    steps = context + horizon - 1
    model = create_model(name, **hyper).to(options.device)
    train: Callable[..., torch.Tensor] = getattr(model, "teacher_forced", model)
    frames = torch.rand(1, context + horizon, 1, size, size, device=options.device)

    def forward() -> None:
        with torch.no_grad():
            model(frames, context, horizon)

    def training() -> None:
        model.zero_grad(set_to_none=True)
        train(frames, context, horizon).square().mean().backward()

    scale = whole / steps
    return {
        "size": size,
        "forward_seconds": None if train is not model else scale * seconds(forward, options),
        "training_seconds": scale * seconds(training, options),
        "steps": steps,
        "sequence_steps": whole,
    }


def seconds(work: Callable[[], None], options: argparse.Namespace) -> float:
    """Return the median time of `work`, without the first call on a GPU, which also chooses kernels."""
    if options.device == "cuda":
        work()
    return statistics.median(seconds_of(work, options.device) for _ in range(options.repeats))


if __name__ == "__main__":
    main()
