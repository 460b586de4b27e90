import numpy as np
import pytest
import torch
from skimage.metrics import structural_similarity

from convttlstm.evaluation.metrics import LARGEST_PSNR, mse, psnr, ssim
from convttlstm.files import UserError


def digit_like(generator: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Return a black frame with a soft bright ring, as a handwritten zero has."""
    y, x = np.mgrid[:height, :width]
    radius = np.hypot(y - generator.uniform(0, height), x - generator.uniform(0, width))
    return np.exp(-((radius - height / 5) ** 2) / 2)


def frame_pairs(height: int, width: int) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    generator = np.random.default_rng(height * 1000 + width)
    noise = [generator.random((height, width)) for _ in range(2)]
    digits = [digit_like(generator, height, width) for _ in range(2)]
    return {
        "random": (noise[0], noise[1]),
        "digits": (digits[0], digits[1]),
        "smeared digit": (digits[0] * 0.5, digits[0]),
        "black against digit": (np.zeros((height, width)), digits[1]),
        "constant": (np.full((height, width), 0.3), np.full((height, width), 0.7)),
        "both black": (np.zeros((height, width)), np.zeros((height, width))),
        "identical": (noise[0], noise[0]),
        "nearly constant": (0.9 + 1e-3 * noise[0], 0.9 + 1e-3 * noise[1]),
    }


@pytest.mark.parametrize("data_range", [1.0, 2.0])
@pytest.mark.parametrize("size", [(7, 7), (8, 7), (32, 32), (64, 64), (33, 50)], ids=str)
def test_ssim_equals_scikit_image(size: tuple[int, int], data_range: float) -> None:
    pairs = frame_pairs(*size)
    for dtype in (np.float64, np.float32):
        prediction, truth = (
            np.stack([pair[i] for pair in pairs.values()]).astype(dtype)[:, None] for i in range(2)
        )
        ours = ssim(torch.from_numpy(prediction), torch.from_numpy(truth), data_range).numpy()
        for name, x, y, value in zip(pairs, prediction, truth, ours, strict=True):
            # In float64 both times: scikit-image loses digits when it computes in float32.
            theirs = structural_similarity(
                x[0].astype(np.float64), y[0].astype(np.float64), data_range=data_range
            )
            assert value == pytest.approx(theirs, abs=1e-9), name


def test_ssim_equals_scikit_image_with_channels_and_leading_dimensions() -> None:
    generator = np.random.default_rng(0)
    prediction, truth = generator.random((2, 2, 3, 3, 16, 20))
    ours = ssim(torch.from_numpy(prediction), torch.from_numpy(truth), 1.0)
    assert ours.shape == (2, 3)
    for index in np.ndindex(2, 3):
        theirs = structural_similarity(prediction[index], truth[index], data_range=1.0, channel_axis=0)
        assert ours[index].item() == pytest.approx(theirs, abs=1e-9)


def test_the_papers_data_range_inflates_ssim_by_about_a_fifth_of_its_range() -> None:
    generator = np.random.default_rng(0)
    truth = np.maximum(digit_like(generator, 64, 64), digit_like(generator, 64, 64))
    # A pixel late, a little pale, on a background that is not quite black: as a model predicts it.
    prediction = 0.8 * np.roll(truth, 1, axis=1) + 0.02 * generator.random((64, 64))
    pair = torch.from_numpy(prediction)[None], torch.from_numpy(truth)[None]
    inflation = ssim(*pair, 2.0) - ssim(*pair, 1.0)
    # 0.830 against 0.626 was measured on digit-like frames.
    assert inflation.item() == pytest.approx(0.830 - 0.626, abs=0.05)


def test_ssim_refuses_frames_smaller_than_its_window() -> None:
    with pytest.raises(UserError, match="6x9"):
        ssim(torch.zeros(1, 1, 6, 9), torch.zeros(1, 1, 6, 9), 1.0)


def test_mse_and_psnr_by_hand() -> None:
    truth = torch.zeros(2, 3, 1, 2, 5)
    prediction = truth.clone()
    prediction[0, 1, 0, 0, :] = 0.2  # half of the pixels: 0.04 / 2
    prediction[1, 2] = 0.1
    expected = torch.zeros(2, 3, dtype=torch.float64)
    expected[0, 1], expected[1, 2] = 0.02, 0.01
    torch.testing.assert_close(mse(prediction, truth), expected, rtol=1e-6, atol=0)
    decibels = psnr(prediction, truth)
    assert decibels[1, 2].item() == pytest.approx(20.0, abs=1e-6)
    assert decibels[0, 1].item() == pytest.approx(10 * np.log10(50), abs=1e-6)


def test_psnr_of_a_perfect_frame_is_finite_and_the_largest() -> None:
    truth = torch.rand(1, 8, 8)
    one_level_off = truth.clone()
    one_level_off[0, 0, 0] += 1 / 255
    assert psnr(truth, truth).item() == LARGEST_PSNR
    assert psnr(one_level_off, truth).item() < LARGEST_PSNR
