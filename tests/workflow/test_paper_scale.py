"""Full-size models, a few steps, on the CPU, through the same commands as the demo."""

import json

import pandas as pd
import pytest
import yaml

from tests.conftest import Project

CUT = {"epochs": 1, "samples_per_epoch": 2, "batch_size": 1}
# The paper's models, frame size and loss; the numbers of sequences, frames and epochs are cut.
FEW_STEPS = {
    "label": "paper scale, two steps",
    "datasets": {
        "moving_mnist_2": {
            "digits": "embedded",
            "train": {"sequences": 2, "frames": 8},
            "validation": {"sequences": 1, "frames": 8},
            "test": {"sequences": 1, "frames": 12},
            "context": 4,
            "horizon": 4,
            "test_horizons": [4, 8],
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
    assert set(json.loads((folder / "metrics.json").read_text())["horizons"]) == {"4", "8"}
