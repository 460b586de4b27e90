"""The generator against a plain reimplementation, one pixel at a time."""

import math

import numpy as np
import pytest

from convttlstm.config import MovingMnist, Split
from convttlstm.data.moving_mnist import GRID, generate, shrink
from convttlstm.randomness import Stream, uniform

SPLITS = ["train", "validation", "test"]
SHORT = Split(sequences=4, frames=20)
SHORT_TEST = Split(sequences=4, frames=40)


@pytest.fixture(scope="module")
def digits() -> np.ndarray:
    """Noise instead of digits: every pixel of every image counts."""
    return np.random.default_rng(0).integers(0, 256, (50, 28, 28), dtype=np.uint8)


def settings(**changes: object) -> MovingMnist:
    return MovingMnist.model_validate({"train": SHORT, "validation": SHORT, "test": SHORT_TEST} | changes)


def generate_slowly(dataset: MovingMnist, split: str, digits: np.ndarray, index: int) -> np.ndarray:
    """One sequence by the documented rules, without NumPy's arithmetic."""
    stream = {"train": 0, "validation": 1, "test": 2}[split]
    side, number = dataset.digit_size, dataset.digits_per_frame
    choices, xs, ys, turns = (
        uniform(dataset.seed, stream, index, count=4 * number).reshape(4, number).tolist()
    )
    allowed = list(range(len(digits)))
    if dataset.disjoint_digits:
        fold = {8: "validation", 9: "test"}
        allowed = [i for i in allowed if fold.get(i % 10, "train") == split]
    frames = np.zeros((getattr(dataset, split).frames, dataset.size, dataset.size), np.uint8)
    for choice, x, y, turn in zip(choices, xs, ys, turns, strict=True):
        digit = digits[allowed[int(choice * len(allowed))]].tolist()
        block = 28 // side
        vx = dataset.step * round(math.cos(2 * math.pi * turn) * 2**20) / 2**20
        vy = dataset.step * round(math.sin(2 * math.pi * turn) * 2**20) / 2**20
        for frame in frames:
            x, y = x + vx, y + vy
            if x <= 0:
                x, vx = 0.0, -vx
            elif x >= 1:
                x, vx = 1.0, -vx
            if y <= 0:
                y, vy = 0.0, -vy
            elif y >= 1:
                y, vy = 1.0, -vy
            left, top = int((dataset.size - side) * x), int((dataset.size - side) * y)
            for row in range(side):
                for column in range(side):
                    total = sum(
                        digit[row * block + i][column * block + j] for i in range(block) for j in range(block)
                    )
                    value = math.floor(total / block**2 + 0.5)
                    old = frame[top + row, left + column]
                    frame[top + row, left + column] = max(old, value)
    return frames


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"seed": 2**63, "step": 0.37, "size": 41},
        {"digit_size": 14, "size": 32, "step": 0.05, "disjoint_digits": True},
        {"digit_size": 7, "size": 9, "digits_per_frame": 3, "step": 0.99, "seed": 5},
    ],
)
def test_bytes_equal_a_slow_reimplementation(
    changes: dict[str, object], split: str, digits: np.ndarray
) -> None:
    dataset, indices = settings(**changes), [0, 3, 10**6]
    found = generate(dataset, split, digits, np.array(indices))
    assert found.dtype == np.uint8
    for sequence, index in zip(found, indices, strict=True):
        assert sequence.tobytes() == generate_slowly(dataset, split, digits, index).tobytes()


def test_a_sequence_does_not_depend_on_the_others(digits: np.ndarray) -> None:
    dataset = settings()
    everything = generate(dataset, "train", digits, np.arange(9))
    order = np.array([7, 0, 7, 3])
    assert np.array_equal(generate(dataset, "train", digits, order), everything[order])
    assert generate(dataset, "train", digits, np.array([], int)).shape == (0, 20, 64, 64)


def test_splits_and_seeds_differ(digits: np.ndarray) -> None:
    made = [
        generate(settings(seed=seed), split, digits, np.arange(5))[:, :20]
        for seed in (0, 1)
        for split in SPLITS
    ]
    assert len({sequence.tobytes() for part in made for sequence in part}) == 30


def test_short_sequences_begin_like_long_ones(digits: np.ndarray) -> None:
    long = generate(settings(), "test", digits, np.arange(3))
    short = generate(settings(test=SHORT, test_horizons=[10]), "test", digits, np.arange(3))
    assert np.array_equal(short, long[:, :20])


def test_disjoint_splits_share_no_image() -> None:
    """Images of one grey value each show which of them a split used."""
    digits = np.arange(1, 101, dtype=np.uint8)[:, None, None].repeat(28, 1).repeat(28, 2)
    used = {
        split: set(np.unique(generate(settings(disjoint_digits=True), split, digits, np.arange(400))))
        for split in SPLITS
    }
    ends = {split: {(value - 1) % 10 for value in found if value} for split, found in used.items()}
    assert ends == {"train": set(range(8)), "validation": {8}, "test": {9}}


def corners(frames: np.ndarray, digit_size: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of the one white square in each frame."""
    rows, columns = frames.max(2) > 0, frames.max(1) > 0
    assert (rows.sum(1) == digit_size).all()
    assert (columns.sum(1) == digit_size).all()
    return rows.argmax(1), columns.argmax(1)


def test_first_frame_is_one_step_from_the_start_and_walls_reflect() -> None:
    white = np.full((1, 28, 28), 255, np.uint8)
    dataset = settings(digits_per_frame=1, size=1028)  # a range of 1000 pixels
    met = 0
    for index in range(40):
        frames = generate(dataset, "test", white, np.array([index]))[0]
        rows, columns = corners(frames, 28)
        _, x, y, turn = uniform(0, Stream.TEST, index, count=4)
        for start, direction, pixels in [(x, math.cos, columns), (y, math.sin, rows)]:
            step = 100 * direction(2 * math.pi * turn)
            assert pixels[0] == pytest.approx(np.clip(1000 * start + step, 0, 1000), abs=1.01)
            moves = np.diff(pixels)
            inside = (pixels[:-1] > 0) & (pixels[1:] > 0) & (pixels[:-1] < 1000) & (pixels[1:] < 1000)
            assert np.abs(np.abs(moves[inside]) - abs(step)).max(initial=0) <= 1.01
            # From a wall the digit leaves at full speed; in pixel 0 it may be just before it.
            at_left, at_right = (pixels[:-1] == 0) & (pixels[1:] > 0), pixels[:-1] == 1000
            if abs(step) > 5:
                met += at_left.sum() + at_right.sum()
                assert (np.abs(moves[at_left] - abs(step)) <= 1.01).all()
                assert (np.abs(moves[at_right] + abs(step)) <= 1.01).all()
    assert met > 100


def test_overlap_takes_the_brighter_pixel() -> None:
    grey = np.stack([np.full((28, 28), value, np.uint8) for value in (100, 200)])
    frames = generate(settings(size=30), "train", grey, np.arange(30))
    assert set(np.unique(frames)) == {0, 100, 200}
    both = [f for f in frames[:, 0] if {100, 200} <= set(np.unique(f))]
    assert both
    assert all((frame == 200).sum() == 28 * 28 for frame in both)


@pytest.mark.parametrize("side", [28, 14, 7])
def test_shrink_rounds_halves_up(side: int) -> None:
    block = 28 // side
    digits = np.zeros((2, 28, 28), np.uint8)
    digits[0, :block, :block] = 255
    digits[1, 0, 0] = 2
    small = shrink(digits, side)
    assert small.shape == (2, side, side)
    assert small[0].sum(dtype=int) == small[0, 0, 0] == 255
    assert small[1, 0, 0] == {1: 2, 2: 1, 4: 0}[block]


def test_no_direction_of_the_default_data_depends_on_the_machine() -> None:
    """None lies so near the middle between two grid points that another libm could turn it."""
    dataset = MovingMnist.model_validate({})
    turns = np.concatenate(
        [
            uniform(0, stream, index, count=8)[6:]
            for split, stream in zip(SPLITS, Stream, strict=False)
            for index in range(getattr(dataset, split).sequences)
        ]
    )
    scaled = np.concatenate([np.cos(2 * np.pi * turns), np.sin(2 * np.pi * turns)]) * GRID
    to_the_middle = np.abs(scaled - np.floor(scaled) - 0.5)
    assert to_the_middle.min() > 1e-8  # an error of 100 units in the last place would be 1e-8
