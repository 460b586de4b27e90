"""Counter-based random numbers against Philox4x64-10 in plain Python."""

import numpy as np
import pytest

from convttlstm.randomness import Stream, uniform

MASK = 2**64 - 1


def philox(key: list[int], counter: list[int]) -> list[int]:
    """Philox4x64-10 as Salmon et al. (2011) define it."""
    k0, k1 = key
    c0, c1, c2, c3 = counter
    for _ in range(10):
        high0, low0 = divmod(0xD2E7470EE14C6C93 * c0, 2**64)
        high1, low1 = divmod(0xCA5A826395121157 * c2, 2**64)
        c0, c1, c2, c3 = high1 ^ c1 ^ k0, low1, high0 ^ c3 ^ k1, low0
        k0, k1 = (k0 + 0x9E3779B97F4A7C15) & MASK, (k1 + 0xBB67AE8584CAA73B) & MASK
    return [c0, c1, c2, c3]


def test_reference_gives_the_published_words() -> None:
    # The known answer for key 0 and counter 0 that comes with the authors' library.
    assert philox([0, 0], [0, 0, 0, 0]) == [
        0x16554D9ECA36314C,
        0xDB20FE9D672D0FDC,
        0xD7E772CEE186176B,
        0x7E68B68AEC7BA23B,
    ]


@pytest.mark.parametrize(
    ("seed", "stream", "index"),
    [(0, 0, (0,)), (7, Stream.TEST, (123,)), (MASK, MASK, (MASK, MASK)), (1, 3, (20, 9999))],
)
def test_numbers_are_the_words_of_philox(seed: int, stream: int, index: tuple[int, ...]) -> None:
    padded = [*index, 0][:2]
    words = [word for block in (1, 2, 3) for word in philox([seed, stream], [block, *padded, len(index)])]
    expected = [(word >> 11) / 2**53 for word in words]
    found = uniform(seed, stream, *index, count=12)
    assert found.dtype == np.float64
    assert found.tolist() == expected


def test_known_numbers() -> None:
    assert (uniform(0, Stream.TRAIN, 0, count=3) * 2**53).astype(int).tolist() == [
        3082108523716354,
        5192780557341030,
        780491669667788,
    ]
    assert (uniform(3, Stream.SAMPLING, 20, 7, count=2) * 2**53).astype(int).tolist() == [
        4027660572296641,
        8270738777141762,
    ]


def test_every_seed_stream_and_index_has_numbers_of_its_own() -> None:
    indices = [(0,), (1,), (0, 0), (0, 1), (1, 0), (2**40,)]
    drawn = {
        tuple(uniform(seed, stream, *index, count=2))
        for seed in (0, 1)
        for stream in Stream
        for index in indices
    }
    assert len(drawn) == 2 * len(Stream) * len(indices)


def test_fewer_numbers_are_a_prefix() -> None:
    assert uniform(5, 1, 2, count=7).tolist() == uniform(5, 1, 2, count=100)[:7].tolist()
    assert uniform(5, 1, 2, count=0).shape == (0,)


def test_numbers_fill_the_interval_evenly() -> None:
    numbers = uniform(0, Stream.TRAIN, 0, count=100_000)
    assert numbers.min() >= 0
    assert numbers.max() < 1
    share = np.histogram(numbers, bins=10, range=(0, 1))[0] / len(numbers)
    assert np.abs(share - 0.1).max() < 0.005  # five standard deviations


@pytest.mark.parametrize(
    ("seed", "stream", "index", "count"),
    [
        (-1, 0, (0,), 1),
        (0, -1, (0,), 1),
        (0, 0, (-1,), 1),
        (0, 0, (0, -1), 1),
        (0, 0, (0,), -1),
        (2**64, 0, (0,), 1),
        (0, 0, (), 1),
        (0, 0, (1, 2, 3), 1),
    ],
)
def test_bad_values_are_refused(seed: int, stream: int, index: tuple[int, ...], count: int) -> None:
    with pytest.raises(ValueError, match=r"expected one or two|is not in"):
        uniform(seed, stream, *index, count=count)
