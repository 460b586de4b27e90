"""Several seeds of a model in one row."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from convttlstm.config import ablation_runs, load_settings, table_runs
from convttlstm.files import UserError
from convttlstm.training.schedules import Plateau
from tests.made_up_runs import COMPLEXITY, DATASET, ROOT, make_run
from tests.reports import write_report

SEEDS = ["conv_lstm-seed0", "conv_lstm-seed1", "conv_lstm-seed2"]
SEQUENCES = 200


@pytest.fixture(scope="module")
def values() -> np.ndarray:
    """MSE of three runs, (seeds, sequences)."""
    generator = np.random.default_rng(0)
    apart = np.array([[0.0], [0.002], [0.007]])
    return generator.gamma(4, 0.008, size=(1, SEQUENCES)) + apart


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory, values: np.ndarray) -> Path:
    results = tmp_path_factory.mktemp("seeds") / "demo"
    for run, own in zip(SEEDS, values, strict=True):
        folder = make_run(results, run)
        columns = {"sequence": np.arange(SEQUENCES), "mse": own, "psnr": 20.0, "ssim_paper": 0.8}
        columns |= {"ssim_standard": 0.7, "lpips_paper": 0.1, "lpips_standard": 0.2}
        frames = [pd.DataFrame({"horizon": horizon} | columns) for horizon in (10, 30)]
        # Backwards: sequences are paired by their numbers, not by their lines.
        pd.concat(frames)[::-1].to_csv(folder / "per_sequence.csv", index=False)
    make_run(results, "black")
    (results / "complexity.csv").write_text(COMPLEXITY)
    write_report("table2", results, DATASET, ["black", *SEEDS], results / "tables/table2")
    return results


def rows(results: Path) -> pd.DataFrame:
    table = pd.read_csv(results / "tables/table2.csv", dtype=str, keep_default_na=False)
    return table[table["origin"] == "reproduced"]


def test_a_row_is_the_mean_over_seeds_and_sequences(results: Path, values: np.ndarray) -> None:
    mean = rows(results).set_index("seeds").loc["3"]
    assert mean["runs"].split() == SEEDS
    assert float(mean["mse_x1e3_30"]) == pytest.approx(1e3 * values.mean(), rel=1e-5)
    # Seeds differ by more than sequences: nearly Student's 4.3 for two degrees of freedom.
    spread = 1e3 * np.std(values.mean(axis=1), ddof=1) / np.sqrt(3)
    width = float(mean["mse_x1e3_30_high"]) - float(mean["mse_x1e3_30_low"])
    assert 2 * 3 * spread < width < 2 * 4.31 * spread


def test_each_seed_keeps_a_row_that_names_its_run(results: Path) -> None:
    table = rows(results)
    single = table[table["part_of"] != ""]
    assert list(single["run"]) == SEEDS
    assert set(single["part_of"]) == {"ConvLSTM (baseline)"}
    assert list(table[table["part_of"] == ""]["run"]) == ["black", ""]


def test_a_mean_names_all_devices_and_no_single_seeds_commands(results: Path, tmp_path: Path) -> None:
    shutil.copytree(results, tmp_path / "results")
    record = tmp_path / "results/runs" / DATASET / SEEDS[1] / "provenance.json"
    record.write_text(json.dumps(json.loads(record.read_text()) | {"device": "NVIDIA H100"}))
    write_report(
        "table2", tmp_path / "results", DATASET, ["black", *SEEDS], tmp_path / "results/tables/table2"
    )
    mean = rows(tmp_path / "results").set_index("seeds").loc["3"]
    device = json.loads((record.parents[1] / SEEDS[0] / "provenance.json").read_text())["device"]
    assert mean["device"] == f"{device}, NVIDIA H100"
    assert not any(mean[["command", "commit", "evaluation_command", "evaluation_commit"]])


def test_the_main_table_shows_the_mean_alone(results: Path) -> None:
    paper, standard, each, cost, *_ = (results / "tables/table2.md").read_text().split("\n## ")[1:]
    for part in (paper, standard, cost):
        ours = [line for line in part.splitlines() if line.startswith("| ConvLSTM") and "| here" in line]
        assert len(ours) == 1
        assert "seed 1" not in part
    assert re.search(r"\| here, 3 seeds +\|", paper)
    assert "over seeds" in paper
    assert all(f"| ConvLSTM (baseline), seed {seed} " in each for seed in range(3))


def test_every_seed_has_its_origin(results: Path) -> None:
    origins = (results / "tables/table2.md").read_text().split("Where the reproduced rows come from")[1]
    assert all(f"**ConvLSTM (baseline), seed {seed}**" in origins for seed in range(3))
    assert "**ConvLSTM (baseline)**" not in origins


def test_a_run_without_its_sequences_is_named(results: Path, tmp_path: Path) -> None:
    for run in SEEDS[:2]:
        make_run(tmp_path, run)
    missing = tmp_path / "runs" / DATASET / SEEDS[1] / "per_sequence.csv"
    missing.unlink()
    (tmp_path / "complexity.csv").write_text(COMPLEXITY)
    with pytest.raises(UserError, match=rf"{SEEDS[1]}/per_sequence\.csv: no such file"):
        write_report("table2", tmp_path, DATASET, SEEDS[:2], tmp_path / "table2")


def test_ablations_are_trained_with_every_seed(tmp_path: Path) -> None:
    (tmp_path / "paper.yaml").write_text((ROOT / "config/paper.yaml").read_text())
    scale = tmp_path / "several.yaml"
    scale.write_text(
        yaml.safe_dump({"experiments": {DATASET: {"seeds": [0, 4], "grid": [], "finalists": []}}})
    )
    settings = load_settings(scale)
    ablations = ablation_runs(settings, DATASET)
    assert "conv_tt_lstm-G1-seed0" in ablations and "conv_tt_lstm-G1-seed4" in ablations
    shared = set(ablations) & set(table_runs(settings, DATASET))
    assert shared == {f"{system}-seed{seed}" for system in ("conv_lstm", "conv_tt_lstm") for seed in (0, 4)}


@pytest.mark.parametrize("scale, seeds", [("laptop", 5), ("h100", 3)])
def test_a_scales_models_are_trained_equally(scale: str, seeds: int) -> None:
    settings = load_settings(ROOT / f"config/{scale}.yaml")
    assert settings.decides_claims
    systems = settings.experiments[DATASET].systems()
    trained = [name for name in systems if settings.systems[name].trained]
    assert len({settings.training_of(DATASET, name).samples for name in trained}) == 1
    assert settings.experiments[DATASET].seeds == list(range(seeds))


def test_the_h100_scale_has_the_papers_models() -> None:
    paper, own = (load_settings(ROOT / f"config/{scale}.yaml") for scale in ("paper", "h100"))
    for name in ("conv_lstm", "conv_tt_lstm"):
        assert own.systems[name] == paper.systems[name]
    assert own.training.samples == 20_160
    plateau = Plateau(own.training)
    for _ in range(own.training.epochs):
        plateau.finish_epoch(1.0)
    assert plateau.sampling_ratio == 0  # both schedules come to their ends
    assert plateau.learning_rate < 0.2 * own.training.learning_rate
