"""Runs the short trials that decided the task and budget of the laptop scale.

trials.yaml lists them. A trial trains one seed of each of its models on Moving-MNIST, and evaluates 30
predicted frames on validation sequences, as well as the two naive predictions: all black, and the last frame
copied. A frame is open to comparison if the model is better than both in MSE, SSIM and LPIPS, with separate
95 % intervals over sequences. The results are one CSV file and a plot of it; trials that the file holds are
not repeated.
"""

import argparse
import tempfile
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import yaml
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks import RESULTS, ROOT
from convttlstm.config import Run, load_settings, resolve_run
from convttlstm.config.base import merge
from convttlstm.data.clips import open_clips
from convttlstm.data.digits import load_digits
from convttlstm.data.prepare import prepare
from convttlstm.evaluation.complexity import count_parameters
from convttlstm.evaluation.intervals import mean
from convttlstm.evaluation.lpips_metric import Lpips
from convttlstm.evaluation.protocol import evaluate_frames, load_model
from convttlstm.files import with_suffix, write_text
from convttlstm.reporting.drawing import save, styled
from convttlstm.training.loop import train

DATASET, HORIZON = "moving_mnist_2", 30
LPIPS_SIDE = 64
FRAMES = np.array([1, 2, 3, 5, 7, 10, 12, 15, 20, 25, 30])
METRICS = {"mse": -1, "ssim_standard": 1, "lpips_standard": -1}  # the sign says whether more is better
NAIVE = ["black", "copy_last"]


def main() -> None:
    """Run the trials that are missing, and write one CSV."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("names", nargs="*", help="trials of trials.yaml; all if none is given")
    parser.add_argument("--lpips", type=Path, default=ROOT / "data/raw/lpips/alexnet.safetensors")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--output", type=Path, default=RESULTS / "trials.csv")
    options = parser.parse_args()
    Lpips(options.lpips)  # fails on a missing file before anything is trained
    content = yaml.safe_load((ROOT / "benchmarks/trials.yaml").read_text())
    done = pd.read_csv(options.output) if options.output.exists() else pd.DataFrame({"trial": []})
    wanted = [name for name in options.names or content["trials"] if name not in set(done["trial"])]
    trials = {name: merge(content["base"], content["trials"][name] or {}) for name in wanted}
    tasks = [(name, trial, model) for name, trial in trials.items() for model in trial["models"]]
    with ProcessPoolExecutor(options.processes, get_context("spawn")) as pool:
        for future in as_completed(pool.submit(run_trial, *task, options.lpips) for task in tasks):
            done = pd.concat([done, future.result()])
            write_text(options.output, done.to_csv(index=False, float_format="%.5g"))
    draw(done, with_suffix(options.output, ""))
    print(f"wrote {options.output}")


def draw(results: pd.DataFrame, output: Path) -> None:
    """Plot each metric by frame, in a column for each trial and model."""
    trials = [*results.groupby(["trial", "model"], sort=False)]
    with styled({"axes.titlesize": 6, "xtick.labelsize": 6}):
        figure = Figure(figsize=(1.35 * len(trials), 4.2), layout="constrained")
        grid = figure.subplots(len(METRICS), len(trials), sharex=True, sharey="row", squeeze=False)
        for column, ((trial, model), lines) in zip(grid.T, trials, strict=True):
            column[0].set_title(f"{trial}\n{model}")
            for axes, metric in zip(column, METRICS, strict=True):
                draw_curves(axes, lines[lines["metric"] == metric])
        for axes, metric in zip(grid[:, 0], METRICS, strict=True):
            axes.set_ylabel(metric)
        grid[0, 0].legend(fontsize=5, frameon=False)
        note = "validation sequences, by frame after the context; bands: 95 % intervals"
        save(figure, note, output, (".svg",))


def draw_curves(axes: Axes, lines: pd.DataFrame) -> None:
    """Plot one metric of a model and of the two naive predictions.

    Dots mark frames at which the model's interval is separate from both of theirs.
    """
    frames = lines["frame"]
    axes.fill_between(frames, lines["low"], lines["high"], color="C0", alpha=0.3, lw=0)
    axes.plot(frames, lines["value"], color="C0", label="model")
    separate = lines[lines["open"]]
    axes.plot(separate["frame"], separate["value"], ".", ms=4, color="C0", label="better than both")
    axes.plot(frames, lines["black"], "k:", lw=0.8, label="all black")
    axes.plot(frames, lines["copy_last"], "--", color="0.5", lw=0.8, label="last frame copied")


def run_trial(name: str, trial: dict[str, Any], system: str, lpips: Path) -> pd.DataFrame:
    """Train and evaluate one model; return a row for each metric and frame."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        settings = load_settings(write_scale(folder, trial))
        run = resolve_run(settings, "trial", DATASET, f"{system}-seed0")
        digits = load_digits("embedded", folder, ROOT / "data/embedded")
        prepare(DATASET, run.dataset, digits, folder / "data", folder / "checksums.json")
        train(run, folder / "data", folder / "run")
        history = pd.read_csv(folder / "run/history.csv")
        clips = open_clips(run.dataset, folder / "data", "validation")
        frames, network = clips.batch(np.arange(len(clips))), Lpips(lpips, LPIPS_SIDE)
        naive = [resolve_run(settings, "trial", DATASET, name) for name in NAIVE]
        values = {each.system: per_frame(each, folder / "run", frames, network) for each in [run, *naive]}
        trained = {
            "trial": name,
            "model": system,
            "parameters": count_parameters(load_model(run, folder / "run")),
            "samples": run.training.samples,
            "samples_per_second": run.training.samples / history["seconds"].sum(),
            "validation_loss": history["validation_loss"].min(),
        }
        return pd.DataFrame([trained | row for row in compared(values, system)])


def write_scale(folder: Path, trial: dict[str, Any]) -> Path:
    """Write a trial's settings; return the path."""
    (folder / "paper.yaml").write_text((ROOT / "config/paper.yaml").read_text())
    systems = {
        name: {"title": name, "model": {"name": name} | model} for name, model in trial["models"].items()
    }
    nothing = dict.fromkeys(["kth", "something_25", "something_50"])
    content = {
        "label": "trial",
        "datasets": {DATASET: trial["dataset"]},
        "systems": systems,
        "training": trial["training"],
        "experiments": nothing
        | {DATASET: {"table": [*systems], "ablations": [], "grid": [], "halving": None}},
        "evaluation": {"lpips": False},
        "compute": {"accelerator": "cpu", "threads": 1},
    }
    content["experiments"][DATASET]["finalists"] = []
    path = folder / "trial.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


@torch.inference_mode()
def per_frame(run: Run, folder: Path, frames: torch.Tensor, lpips: Lpips) -> dict[str, np.ndarray]:
    """Return each metric, (sequences, HORIZON)."""
    context = run.dataset.context
    model = load_model(run, folder).eval()
    prediction = model(frames[:, :context], context, HORIZON)[:, -HORIZON:].clamp(0, 1)
    truth = frames[:, context : context + HORIZON]
    parts = [
        evaluate_frames(prediction[i : i + 10], truth[i : i + 10], lpips) for i in range(0, len(frames), 10)
    ]
    return {name: np.concatenate([part[name] for part in parts]) for name in METRICS}


def compared(values: dict[str, dict[str, np.ndarray]], system: str) -> list[dict[str, Any]]:
    """Return the model's mean and interval, the naive predictions' means, and whether they are separate."""
    rows = []
    for metric, sign in METRICS.items():
        for frame in FRAMES:
            here = {
                n: mean(v[metric][None, :, frame - 1], np.arange(len(v[metric]))) for n, v in values.items()
            }
            bounds = {name: sorted(sign * bound for bound in each.interval) for name, each in here.items()}
            low, high = here[system].interval
            rows.append(
                {"metric": metric, "frame": frame, "value": here[system].value, "low": low, "high": high}
                | {name: here[name].value for name in NAIVE}
                | {"open": all(bounds[system][0] > bounds[name][1] for name in NAIVE)}
            )
    return rows


if __name__ == "__main__":
    main()
