"""Full-size models, a few steps, on the CPU, through the same commands as the demo."""

import json
import subprocess
import sys

import pandas as pd
import pytest
import yaml

from tests.conftest import Project, make_project

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
    "evaluation": {"lpips": False, "examples": 1},
    "compute": {"accelerator": "cpu", "threads": 1},
}


@pytest.fixture(scope="module")
def sequences(tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = make_project(tmp_path_factory.mktemp("sequences"))
    project.config.write_text(yaml.safe_dump(FEW_STEPS))
    project.prepare()
    return project


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
def test_a_full_size_model_trains_two_steps_and_is_evaluated(sequences: Project, run: str, parameters: int):
    folder = sequences.run_folder(run)
    done = sequences.train(folder, run)
    assert done.returncode == 0, done.stderr
    assert len(pd.read_csv(folder / "history.csv")) == 1
    assert json.loads((folder / "provenance.json").read_text())["parameters"] == parameters
    done = sequences.evaluate(folder, run)
    assert done.returncode == 0, done.stderr
    assert set(json.loads((folder / "metrics.json").read_text())["horizons"]) == {"3", "6"}


CELLS = ["cnn3d", "conv_lstm", "conv_tt"]


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Drawn clips for a joint step on half of a clip of up to 22 frames and ten more, at 224 x 224 pixels."""
    project = make_project(tmp_path_factory.mktemp("clips"))
    settings = yaml.safe_load(project.config.read_text())
    settings["datasets"]["something"] = {
        "kind": "something",
        "source": "synthetic",
        "categories": "data/categories/ssv2_drawn_10.csv",
        "fractions": [0.5],
        "validation_share": 0.15,  # one clip
        "synthetic_clips": [1, 1],
    }
    settings["experiments"] |= {
        "moving_mnist_2": None,
        "something": {
            "table": [f"recognizer_{cell}" for cell in CELLS],
            "training": CUT | {"recipe": "recognition", "samples_per_epoch": 1},
        },
    }
    project.config.write_text(yaml.safe_dump(settings))
    common = ["--config", project.config, "--dataset", "something"]
    for command in (["synthesize", "-o", "raw"], ["prepare", "--raw", "raw", "-o", "data/clips"]):
        done = project.call(*command, *common)
        assert done.returncode == 0, done.stderr
    return project


@pytest.mark.slow
@pytest.mark.parametrize("cell", CELLS)
def test_a_full_size_recognizer_takes_a_joint_step_below_16_gib(clips: Project, cell: str):
    """The paper's eight layers."""
    run = f"recognizer_{cell}-seed0"
    folder = clips.run_folder(run)
    options = ["--config", clips.config, "--dataset", "something", "--data", "data/clips", "-o", folder]
    measured = ["-c", MEASURED, *clips.command("train", *options, run)[3:]]
    command = [sys.executable, *map(str, measured)]
    done = subprocess.run(command, cwd=clips.folder, text=True, capture_output=True, timeout=1800)
    assert done.returncode == 0, done.stderr
    assert len(pd.read_csv(folder / "history.csv")) == 1
    assert int(done.stdout.splitlines()[-1]) < 16 * 2**20  # KiB
