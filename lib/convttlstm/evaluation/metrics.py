"""Mean squared error, PSNR and SSIM, one value per frame, batched.

All take a prediction and the truth as floating (..., channel, height, width) in [0, 1] and return
float64 (...). Predictions are clamped by the caller.
"""

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from convttlstm.files import UserError

# A perfect frame has infinite PSNR and would make every mean infinite. With 8-bit frames, errors below
# (1/510)^2, 54 dB, equal none, so this limit affects only perfect frames.
LARGEST_PSNR = 100.0

WINDOW = 7
# scikit-image 0.17 assumed that float frames range from -1 to 1.
PAPER_RANGE = 2.0
STANDARD_RANGE = 1.0


def mse(prediction: Tensor, truth: Tensor) -> Tensor:
    """Return the mean squared error per pixel, (...); other papers print the sum."""
    return (prediction.double() - truth.double()).square().mean(dim=(-3, -2, -1))


def psnr(prediction: Tensor, truth: Tensor) -> Tensor:
    """Return the peak signal-to-noise ratio for data range 1 in dB, (...), at most LARGEST_PSNR."""
    return (-10 * mse(prediction, truth).log10()).clamp(max=LARGEST_PSNR)


def ssim(prediction: Tensor, truth: Tensor, data_range: float) -> Tensor:
    """Return the structural similarity as scikit-image computes it by default, (...).

    Wang et al. 2004 with a uniform 7x7 window, sample covariance, and the mean over windows inside the frame;
    channels are averaged. `data_range` 2.0 is the paper's protocol and gives higher values than the standard
    1.0.

    Raises:
        UserError: frames are smaller than the window.
    """
    *batch, channel, height, width = prediction.shape
    if min(height, width) < WINDOW:
        raise UserError(f"SSIM: frames of {height}x{width} are smaller than its {WINDOW}x{WINDOW} window")
    # Variances are differences of nearly equal numbers: in float32 the sixth digit would be lost.
    x, y = _side_by_side(prediction), _side_by_side(truth)
    mean_x, mean_y = _window_mean(x), _window_mean(y)
    sample = WINDOW**2 / (WINDOW**2 - 1)
    variances = sample * (_window_mean(x * x + y * y) - mean_x * mean_x - mean_y * mean_y)
    covariance = sample * (_window_mean(x * y) - mean_x * mean_y)
    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    similarity = (2 * mean_x * mean_y + c1) * (2 * covariance + c2)
    similarity /= (mean_x * mean_x + mean_y * mean_y + c1) * (variances + c2)
    return similarity.mean(dim=(-2, -1)).reshape(*batch, channel).mean(dim=-1)


def _side_by_side(frames: Tensor) -> Tensor:
    """Return all frames as the channels of one picture, since pooling is then two to three times as fast."""
    picture = frames.double().reshape(1, -1, *frames.shape[-2:])
    return picture.contiguous(memory_format=torch.channels_last)


def _window_mean(frames: Tensor) -> Tensor:
    return avg_pool2d(frames, WINDOW, stride=1)
