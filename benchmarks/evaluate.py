"""Times the evaluation of frames: ours, in batches, against a loop with scikit-image and LPIPS.

Both compute MSE, PSNR, SSIM and LPIPS, the last two in both readings, between random frames and smoothed
copies of them. Their results are compared before anything is timed. The two take turns, and the shortest time
counts.
"""

import argparse
import copy
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from skimage.metrics import structural_similarity
from torch import Tensor, nn

from benchmarks import RESULTS, conditions, least_seconds, publish, seconds_of
from convttlstm.evaluation import metrics
from convttlstm.evaluation.lpips_metric import Lpips
from convttlstm.evaluation.protocol import evaluate_frames
from convttlstm.provenance import device_name

SEQUENCES, HORIZON = 8, 10
SIZES = {"moving_mnist_2": 64, "kth": 128}


def main() -> None:
    """Compare, measure and write one CSV for this device."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--lpips", type=Path, default=Path("data/raw/lpips/alexnet.safetensors"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--output", type=Path, default=RESULTS, help="folder")
    options = parser.parse_args()
    print(conditions("cpu"))
    lpips = Lpips(options.lpips)
    rows = [row for name, size in SIZES.items() for row in measure(name, size, lpips, options.rounds)]
    found = {"device": device_name("cpu"), "threads": torch.get_num_threads(), "torch": torch.__version__}
    publish(pd.DataFrame([found | row for row in rows]), options.output, "evaluate")


@torch.inference_mode()
def measure(name: str, size: int, lpips: Lpips, rounds: int) -> list[dict[str, object]]:
    """Return a row for each way to evaluate frames of this size."""
    generator = torch.Generator().manual_seed(0)
    truth = torch.rand(SEQUENCES, HORIZON, 1, size, size, generator=generator)
    prediction = torch.nn.functional.avg_pool3d(truth, (1, 5, 5), stride=1, padding=(0, 2, 2))
    as_shipped = copy.deepcopy(lpips.network).to(memory_format=torch.contiguous_format)
    ways: dict[str, Callable[[Tensor, Tensor], dict[str, np.ndarray]]] = {
        "frame by frame": partial(frame_by_frame, network=as_shipped),
        "ours": partial(evaluate_frames, lpips=lpips),
    }
    results = [way(prediction, truth) for way in ways.values()]
    difference = max(float(np.abs(results[0][key] - results[1][key]).max()) for key in results[1])
    if difference > 1e-6:
        raise ArithmeticError(f"the metrics differ by {difference}")
    works = {key: partial(way, prediction, truth) for key, way in ways.items()}
    seconds = least_seconds({key: partial(seconds_of, work) for key, work in works.items()}, rounds)
    return [
        {
            "dataset": name,
            "size": size,
            "way": key,
            "frames_per_second": SEQUENCES * HORIZON / value,
            "times_as_fast": seconds["frame by frame"] / value,
            "largest_difference": difference,
        }
        for key, value in seconds.items()
    ]


def frame_by_frame(prediction: Tensor, truth: Tensor, network: nn.Module) -> dict[str, np.ndarray]:
    """Return the same as `evaluate_frames`, computed by a loop over frames."""
    values: dict[str, list[float]] = {}
    for predicted, true in zip(prediction.flatten(0, 1), truth.flatten(0, 1), strict=True):
        x, y = predicted[0].double().numpy(), true[0].double().numpy()
        error = float(np.mean((x - y) ** 2))
        three = predicted[None].expand(-1, 3, -1, -1), true[None].expand(-1, 3, -1, -1)
        one = {
            "mse": error,
            "psnr": min(-10 * np.log10(error), metrics.LARGEST_PSNR),
            "ssim_paper": structural_similarity(x, y, data_range=metrics.PAPER_RANGE),
            "ssim_standard": structural_similarity(x, y, data_range=metrics.STANDARD_RANGE),
            "lpips_paper": float(network(*three)),
            "lpips_standard": float(network(*three, normalize=True)),
        }
        for key, value in one.items():
            values.setdefault(key, []).append(value)
    return {key: np.array(value).reshape(prediction.shape[:2]) for key, value in values.items()}


if __name__ == "__main__":
    main()
