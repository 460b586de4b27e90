"""Made-up results of finished runs: numbers that tests know."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from convttlstm.config import load_settings, resolve_run
from convttlstm.reporting.tables.claims import COLUMNS

ROOT = Path(__file__).parents[1]
PAPER = ROOT / "data/paper"
DATASET = "moving_mnist_2"
RUNS = ["black", "copy_last", "conv_lstm-seed0", "conv_tt_lstm-seed0"]
# MSE at the first and the last predicted frame.
MSE = {
    "black": (0.036, 0.036),
    "copy_last": (0.025, 0.066),
    "conv_lstm-seed0": (0.012, 0.0359),
    "conv_lstm-seed1": (0.013, 0.0361),
    "conv_lstm-seed2": (0.014, 0.0345),
    "conv_tt_lstm-seed0": (0.010, 0.034),
    "conv_tt_lstm-N2-seed1": (0.011, 0.035),
    "vpn-seed0": (0.05, 0.06),
    "ctt_1x1-seed0": (0.031, 0.036),
}
PARAMETERS = {
    ("conv_lstm", "demo"): 85_217,
    ("conv_tt_lstm", "demo"): 63_457,
    ("conv_lstm", "paper"): 3_973_201,
    ("conv_tt_lstm", "paper"): 2_687_281,
}
COMMAND = "convttlstm train --config config/demo.yaml --output results/demo/runs/a_b & 100% #1"
COMPLEXITY = """\
scale,system,title,parameters,multiplications_64,activation_bytes_64,multiplications_120,\
activation_bytes_120,multiplications_128,activation_bytes_128,paper_flops_64,paper_flops_120
paper,conv_lstm,ConvLSTM (baseline),3973201,16270000000,64000000,57190000000,224000000,65000000000,250000000,\
15880000000,55828125000
demo,conv_lstm,ConvLSTM (baseline),85217,348000000,640000,1223000000,2240000,1300000000,2500000,360000000,\
1265625000
"""


ORDERS = """\
model,order,parameters,multiplications
Ours,1,2000000,10000000000
Ours,2,3000000,12000000000
Equal,1,4000000,16000000000
Equal,2,6000000,24000000000
Growing,1,4000000,16000000000
Growing,2,10000000,43000000000
"""
RUNTIME = """\
dataset,models,what,source,device,unit,conv_lstm,conv_tt_lstm,ratio
moving_mnist_2,the paper's models,"training, original code",the paper,,min,14.8,29.6,2
moving_mnist_2,the paper's models,multiplications at 64x64,counted here,,G,16.27,11,0.676
"""


def moving_square(horizon: int) -> np.ndarray:
    """Return uint8 (1, 10 + horizon, 1, 32, 32), a bright square on a diagonal."""
    frames = np.zeros((1, 10 + horizon, 1, 32, 32), np.uint8)
    for t in range(10 + horizon):
        at = abs((t * 2) % 44 - 22)
        frames[0, t, 0, at : at + 10, at : at + 10] = 248
    return frames


def make_run(results: Path, run: str, lpips: bool = True, scale: str = "demo", sequences: int = 200) -> Path:
    settings = load_settings(ROOT / f"config/{scale}.yaml")
    config = resolve_run(settings, scale, DATASET, run)
    folder = results / "runs" / DATASET / run
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(config.model_dump_json())
    mse = np.linspace(*MSE[run], 30)
    frames = {
        "mse": mse,
        "psnr": -10 * np.log10(mse),
        "ssim_paper": 1 - 8 * mse,
        "ssim_standard": 1 - 14 * mse,
    }
    if lpips:
        frames |= {"lpips_paper": 5 * mse, "lpips_standard": 5.5 * mse}
    per_frame = pd.DataFrame({"frame": np.arange(1, 31)} | frames)
    per_frame.to_csv(folder / "per_frame.csv", index=False)
    means = {h: per_frame[:h].mean().drop("frame") for h in (10, 30)}
    by = {"commit": "0123456789abcdef", "uncommitted_changes": False, "device": "A CPU"}
    by["versions"] = {"python": "3.11.7", "torch": "2.13.0"}
    metrics = {
        "run": run,
        "sequences": {"10": sequences, "30": sequences},
        "available": {"10": 200, "30": 200},
        "parameters": PARAMETERS.get((config.system, scale), 0),
        "lpips_weights": "ab" * 32 if lpips else None,
        "evaluated_by": by | {"command": f"convttlstm evaluate {run}"},
        "horizons": {
            str(h): {name: {"mean": v, "low": v * 0.97, "high": v * 1.04} for name, v in mean.items()}
            for h, mean in means.items()
        },
    }
    (folder / "metrics.json").write_text(json.dumps(metrics))
    if config.trained:
        make_training_files(folder, by)
    truth = moving_square(30)
    np.savez(folder / "examples.npz", truth=truth, prediction=truth[:, 10:] // 2, sequence=[0])
    per_sequence = pd.DataFrame({"horizon": [10, 30], "sequence": [0, 0]})
    per_sequence.join(pd.DataFrame([means[10], means[30]]).reset_index(drop=True)).to_csv(
        folder / "per_sequence.csv", index=False
    )
    return folder


def make_training_files(folder: Path, by: dict[str, Any]) -> None:
    epoch = np.arange(1, 11)
    history = {
        "epoch": epoch,
        "train_loss": 0.08 + 0.12 / epoch,
        "validation_loss": 0.1 + 0.1 / epoch,
        "sampling_ratio": np.clip(1 - 0.2 * (epoch - 6), 0, 1),
    }
    pd.DataFrame(history).to_csv(folder / "history.csv", index=False)
    provenance = by | {
        "command": COMMAND,
        "source_digest": "cd" * 32,
        "sources": {"models/conv_lstm.py": "0123456789ab"},
        "weights_sha256": "ef" * 32,
        "devices": 1,
        "threads": 1,
        "driver": None,
        "deterministic": True,
        "precision": "32-true",
        "data": {"train": "ef" * 32, "validation": "01" * 32},
        "epochs": 10,
        "minutes_per_10000_samples": 3.25,
        "interruptions": 0,
        "finished": "2026-11-05",
        "bit_exact": True,
    }
    (folder / "provenance.json").write_text(json.dumps(provenance))


def point(run: str, loss: float, **settings: int) -> dict[str, Any]:
    counts = {"parameters": 52_225, "multiplications": 213_100_000, "epoch": 9, "epochs": 10}
    own = {"role": "conv_tt_lstm", "run": run, "settings": settings, "validation_loss": loss}
    return own | counts


SELECTION = {
    "criterion": "validation loss",
    "winners": {"conv_tt_lstm": {"run": "conv_tt_lstm-seed0", "margin": None}},
    "ranking": [point("conv_tt_lstm-seed0", 0.11, S=5, N=3, C=8, M=3)],
}


def write_claims(results: Path) -> None:
    """Write a claims table with every verdict, one of a claim that the paper's own numbers contradict."""
    both = "moving_mnist_2/conv_tt_lstm-seed0 moving_mnist_2/conv_lstm-seed0"
    measured = {"measured": "-1.9 [-2.4, -1.3] MSE x 1000", "seeds": "1", "sequences": "200", "runs": both}
    measured |= {"effect_of": "MSE", "effect": "1.9", "effect_low": "1.3", "effect_high": "2.4"}
    claims = [
        {"claim": "mse", "verdict": "reproduced", "paper": "25.81 < 33.08", "paper_holds": "yes"} | measured,
        {"claim": "best", "verdict": "contradicted", "paper": "12.96 > 10.29", "paper_holds": "no"}
        | measured,
        {"claim": "lpips", "verdict": "undecided"} | measured,
        {"claim": "ssim", "verdict": "no difference"} | measured,
        {
            "claim": "size",
            "group": "counting",
            "verdict": "holds",
            "measured": "2 < 3 parameters",
            "effect": "0.33",
        },
        {"claim": "time", "group": "timing", "verdict": "fails", "measured": "2 s; on A CPU"},
        {"claim": "crisp", "group": "undecidable", "verdict": "not decidable"},
        {"claim": "kth", "group": "lacking", "verdict": "not tested", "needs": "about 310 GPU-hours"}
        | {"paper": "28.36 > 27.58\n0.907 > 0.903"},
    ]
    shared = {
        "group": "training",
        "topic": "Moving-MNIST-2",
        "place": "Table 2",
        "statement": "It is <better>.",
        "why": "so it is",
    }
    (results / "tables").mkdir(exist_ok=True)
    table = pd.DataFrame([shared | claim for claim in claims], columns=COLUMNS).fillna("")
    for suffix in ("csv", "md", "tex"):
        table.to_csv(results / f"tables/claims.{suffix}", index=False)


def make_results(results: Path, runs: list[str] = RUNS, **options: Any) -> Path:
    for run in runs:
        make_run(results, run, **options)
    (results / "complexity.csv").write_text(COMPLEXITY)
    (results / "orders.csv").write_text(ORDERS)
    (results / "selection").mkdir()
    (results / f"selection/{DATASET}.json").write_text(json.dumps(SELECTION))
    return results
