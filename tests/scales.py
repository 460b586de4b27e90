"""Scales so small that a run takes seconds."""

from pathlib import Path
from typing import Any

import yaml

CUT = {"epochs": 6, "batch_size": 4, "linear_sampling": {"updates": 40}}
SMALL = yaml.safe_load((Path(__file__).parents[1] / "benchmarks/tiny.yaml").read_text())
TINY: dict[str, Any] = {
    "label": "tiny scale",
    "decides_claims": False,
    "datasets": SMALL["datasets"],
    "systems": SMALL["systems"]
    # Not in the table: for tests of their recipes.
    | {
        "predrnn_pp": {"model": {"channels": [4, 3], "kernel_size": 3}, "training": CUT},
        "mcnet": {"model": {"channels": 4}, "training": CUT},
        "vpn": {
            "model": {"channels": 3, "encoder_blocks": 1, "decoder_blocks": 1, "lstm_channels": 4},
            "training": CUT,
        },
    },
    "experiments": {
        "kth": None,
        "something_25": None,
        "something_50": None,
        "moving_mnist_2": {
            "table": ["black", "copy_last", "conv_lstm", "conv_tt_lstm"],
            "published": ["conv_tt_lstm"],
            "ablations": [
                {
                    "system": "conv_lstm",
                    "filters": "5x5",
                    "row": "single order",
                    "reading": "plain ConvLSTM",
                },
                {"system": "conv_tt_lstm", "filters": "5x5", "row": "order 3"},
            ],
            "seeds": [0],
            "grid": [{"system": "conv_tt_lstm", "order": [3], "rank": [2, 8]}],
            "halving": None,
            "finalists": [],
        },
    },
    "training": {
        "epochs": 3,
        "samples_per_epoch": 24,
        "batch_size": 4,
        "scheduled_sampling": {"earliest": 1, "patience": 1, "rate": 0.1},
        "learning_rate_decay": {"patience": 1, "factor": 0.9, "interval": 1},
    },
    "evaluation": {"lpips": False, "examples": 2},
    "compute": {"accelerator": "cpu", "threads": 1},
}

RECOGNIZER = "recognizer_conv_tt-seed0"
MODEL = {"channels": [2, 3, 3, 2], "layers_per_block": 1, "kernel_size": 3}
MODEL |= {"encoder_channels": 4, "classifier_channels": 4, "classified": 3}
# Laid over TINY.
RECOGNITION: dict[str, Any] = {
    "datasets": {
        "something": {
            "kind": "something",
            "title": "Something-Something V2 (synthetic stand-in)",
            "source": "synthetic",
            "categories": "data/categories/ssv2_drawn_10.csv",
            "size": [16, 24],
            "horizon": 3,
            "test_horizons": [3],
            "synthetic_clips": [4, 2],
            "validation_share": 0.2,
        }
    },
    "systems": {
        name: {"model": MODEL} for name in ("recognizer_cnn3d", "recognizer_conv_lstm", "recognizer_conv_tt")
    },
    "experiments": {
        "moving_mnist_2": None,
        "something": {
            "table": ["recognizer_cnn3d", "recognizer_conv_tt"],
            "training": {"recipe": "recognition", "epochs": 2, "samples_per_epoch": 24},
        },
    },
}


def overlay(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in changes.items():
        both = isinstance(value, dict) and isinstance(base.get(key), dict)
        merged[key] = overlay(base[key], value) if both else value
    return merged
