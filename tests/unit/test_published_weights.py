"""The published weights give the published metrics, on test sequences drawn here."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from convttlstm.cli import main
from convttlstm.config import load_settings
from convttlstm.data.clips import open_clips
from convttlstm.evaluation.lpips_metric import Lpips
from convttlstm.evaluation.protocol import evaluate_frames
from convttlstm.hub import load

ROOT = Path(__file__).parents[2]
SCALE, DATASET = ROOT / "results/laptop", "moving_mnist_2"
RUNS = sorted(path.name for path in (SCALE / "models" / DATASET).glob("*"))


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The laptop scale's sequences, drawn here."""
    folder = tmp_path_factory.mktemp("published") / DATASET
    command = ["prepare", "--config", str(ROOT / "config/laptop.yaml"), "--dataset", DATASET]
    command += [
        "--embedded",
        str(ROOT / "data/embedded"),
        "--checksums",
        str(folder.parent / "checksums.json"),
    ]
    assert main([*command, "-o", str(folder)]) == 0
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("run", RUNS)
def test_published_weights_give_the_published_metrics(
    run: str, prepared: Path, alexnet_weights: Path
) -> None:
    settings = load_settings(ROOT / "config/laptop.yaml")
    dataset, evaluation = settings.datasets[DATASET], settings.evaluation
    clips, first = open_clips(dataset, prepared, "test"), evaluation.first_frame - 1
    model = load(SCALE / "models" / DATASET / run)
    # It takes most of the time, so of one model only.
    lpips = Lpips(alexnet_weights, evaluation.lpips_size) if run == RUNS[-1] else None
    longest, parts = max(dataset.test_horizons), []
    with torch.inference_mode():
        for indices in np.array_split(np.arange(len(clips)), 20):
            frames = clips.batch(indices)[:, : dataset.context + longest]
            prediction = model(frames, dataset.context, longest)[:, -longest:].clamp(0, 1)
            parts.append(evaluate_frames(prediction, frames[:, dataset.context :], lpips))
    values = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    table = pd.read_csv(SCALE / "tables/table2_moving_mnist_2.csv").set_index("run").loc[run]
    for horizon in dataset.test_horizons:
        metrics = [("mse", 1000, 2), ("ssim_paper", 1, 3), ("lpips_paper", 1000, 1)]
        for metric, factor, digits in metrics if lpips else metrics[:2]:
            here = factor * values[metric][:, first:horizon].mean()
            column = f"{metric}{'_x1e3' if factor > 1 else ''}_{horizon}"
            assert f"{here:.{digits}f}" == f"{table[column]:.{digits}f}", column


def test_there_are_published_weights() -> None:
    assert len(RUNS) == 3
