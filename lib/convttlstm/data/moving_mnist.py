"""Draw Moving-MNIST-2: two digits move in straight lines and bounce off the walls (Section 4)."""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from convttlstm.config import MovingMnist
from convttlstm.randomness import Stream, uniform

# The images that a split may use if splits share none: those with an index that ends in these digits.
DISJOINT = {"train": range(8), "validation": [8], "test": [9]}

# cos and sin may differ in their last bits between machines. Rounded to this grid they agree, and
# all arithmetic after them is exact or correctly rounded everywhere.
GRID = 2.0**20


def generate(dataset: MovingMnist, split: str, digits: np.ndarray, indices: np.ndarray) -> np.ndarray:
    """Return the sequences `indices` of a split, uint8 (n, frames, size, size).

    A sequence depends on the settings, the split's name and its index only.

    Args:
        dataset: the settings; `seed` decides the digits' choice and movement.
        split: "train", "validation" or "test".
        digits: images to choose from, uint8 (images, 28, 28).
        indices: the sequences' numbers, from 0; any subset in any order.
    """
    images = np.arange(len(digits))
    if dataset.disjoint_digits:
        images = images[np.isin(images % 10, DISJOINT[split])]
    stream, count = Stream[split.upper()], 4 * dataset.digits_per_frame
    drawn = np.array([uniform(dataset.seed, stream, int(i), count=count) for i in indices])
    choice, x, y, turn = drawn.reshape(len(indices), 4, dataset.digits_per_frame).swapaxes(0, 1)

    frames = np.zeros((len(indices), dataset.split(split).frames, dataset.size, dataset.size), np.uint8)
    free_range = dataset.size - dataset.digit_size
    columns, rows = _paths(x, y, turn, dataset.step, frames.shape[1], free_range)
    # windows[n, t, row, column] is the digit-sized part of frame t whose corner is there.
    side = dataset.digit_size
    windows = sliding_window_view(frames, (side, side), axis=(2, 3), writeable=True)
    sequence, time = np.ogrid[: frames.shape[0], : frames.shape[1]]
    for digit in range(dataset.digits_per_frame):
        image = shrink(digits[images[(choice[:, digit] * len(images)).astype(int)]], side)
        place = sequence, time, rows[:, :, digit], columns[:, :, digit]
        windows[place] = np.maximum(windows[place], image[:, None])
    return frames


def _paths(
    x: np.ndarray, y: np.ndarray, turn: np.ndarray, step: float, frames: int, free_range: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the digits' columns and rows in pixels, each (n, frames, digits).

    Start and turn are (n, digits) in [0, 1); a whole turn is 1.
    """
    angle = 2 * np.pi * turn
    direction = np.round(np.stack([np.cos(angle), np.sin(angle)]) * GRID) / GRID
    position, velocity = np.stack([x, y]), step * direction
    pixels = np.empty((2, len(x), frames, x.shape[1]), int)
    for frame in range(frames):  # the step comes first: the start itself is never seen
        position = position + velocity
        velocity = np.where((position <= 0) | (position >= 1), -velocity, velocity)
        position = position.clip(0, 1)
        pixels[:, :, frame] = free_range * position
    return pixels[0], pixels[1]


def shrink(digits: np.ndarray, side: int) -> np.ndarray:
    """Return digits (n, 28, 28) as (n, side, side): means of square blocks, halves rounded up."""
    block = digits.shape[1] // side
    area = block * block
    total = digits.reshape(-1, side, block, side, block).sum((2, 4), dtype=np.uint32)
    means: np.ndarray = (total + area // 2) // area
    return means.astype(np.uint8)
