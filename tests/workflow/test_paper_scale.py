"""Full-size models, a few steps, on the CPU, through the same commands as the demo."""

import json
import subprocess
import sys

import pandas as pd
import pytest
import yaml

from tests.conftest import Project

# The command line, and then the most memory that it took.
MEASURED = """
import resource, sys
from convttlstm.cli import main
code = main(sys.argv[1:])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
sys.exit(code)
"""
CUT = {"epochs": 1, "samples_per_epoch": 2, "batch_size": 1}
# The paper's models, frame size and loss; the numbers of sequences, frames and epochs are cut.
FEW_STEPS = {
    "label": "paper scale, two steps",
    "datasets": {
        "moving_mnist_2": {
            "digits": "embedded",
            "train": {"sequences": 2, "frames": 6},
            "validation": {"sequences": 1, "frames": 6},
            "test": {"sequences": 1, "frames": 9},
            "context": 3,
            "horizon": 3,
            "test_horizons": [3, 6],
        }
    },
    "experiments": {
        "kth": None,
        "something_25": None,
        "something_50": None,
        "moving_mnist_2": {"grid": []},
    },
    "systems": {"predrnn_pp": {"training": CUT}},
    "training": CUT,
    "evaluation": {"lpips": False, "bootstrap_resamples": 10, "examples": 1},
    "compute": {"accelerator": "cpu", "threads": 1},
}


@pytest.mark.slow
@pytest.mark.parametrize(
    "run, parameters",
    [
        ("conv_lstm-seed0", 3_973_201),
        ("conv_tt_lstm-seed0", 2_687_281),
        ("conv_lstm_ttd-seed0", 2_204_497),
        ("conv_lstm_shi-seed0", 7_585_296),
        ("predrnn_pp-seed0", 15_390_160),
        ("e3d_lstm-seed0", 12_898_832),
    ],
)
def test_a_full_size_model_trains_two_steps_and_is_judged(project: Project, run: str, parameters: int):
    project.config.write_text(yaml.safe_dump(FEW_STEPS))
    project.prepare()
    folder = project.run_folder(run)
    done = project.train(folder, run)
    assert done.returncode == 0, done.stderr
    assert len(pd.read_csv(folder / "history.csv")) == 1
    assert json.loads((folder / "provenance.json").read_text())["parameters"] == parameters
    done = project.evaluate(folder, run)
    assert done.returncode == 0, done.stderr
    assert set(json.loads((folder / "metrics.json").read_text())["horizons"]) == {"3", "6"}


@pytest.mark.slow
@pytest.mark.parametrize("cell", ["cnn3d", "conv_lstm", "conv_tt"])
def test_a_full_size_recogniser_takes_a_joint_step_below_16_gib(project: Project, cell: str):
    """At 224 x 224 pixels, the paper's eight layers, half of a clip of up to 22 frames and ten more."""
    settings = yaml.safe_load(project.config.read_text())
    settings["datasets"]["something"] = {
        "kind": "something",
        "source": "synthetic",
        "categories": "data/categories/ssv2_drawn_10.csv",
        "fractions": [0.5],
        "validation_share": 0.15,  # one clip
        "synthetic_clips": [1, 1],
    }
    run = f"recognizer_{cell}"
    settings["experiments"] |= {
        "moving_mnist_2": None,
        "something": {"table": [run], "training": CUT | {"recipe": "recognition", "samples_per_epoch": 1}},
    }
    project.config.write_text(yaml.safe_dump(settings))
    common = ["--config", project.config, "--dataset", "something"]
    for command in (["synthesize", "-o", "raw"], ["prepare", "--raw", "raw", "-o", "data/clips"]):
        done = project.call(*command, *common)
        assert done.returncode == 0, done.stderr
    folder = project.run_folder(f"{run}-seed0")
    measured = ["-c", MEASURED, *project.command("train", *common, "--data", "data/clips", "-o", folder)[3:]]
    command = [sys.executable, *map(str, measured), f"{run}-seed0"]
    done = subprocess.run(command, cwd=project.folder, text=True, capture_output=True, timeout=1800)
    assert done.returncode == 0, done.stderr
    assert len(pd.read_csv(folder / "history.csv")) == 1
    assert int(done.stdout.splitlines()[-1]) < 16 * 2**20  # KiB
