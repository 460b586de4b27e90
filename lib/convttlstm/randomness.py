"""Counter-based random numbers, which depend on seed, purpose and index only.

Any process can draw the numbers of any sequence, in any order, and gets the same numbers.
"""

from enum import IntEnum

import numpy as np

WORD = 2**64


class Stream(IntEnum):
    """The purposes of random numbers; a value that was used must never change."""

    TRAIN = 0
    VALIDATION = 1
    TEST = 2
    SAMPLING = 3
    ORDER = 4
    SYNTHETIC_KTH = 5
    FRACTION = 6
    SYNTHETIC_SOMETHING = 7


def uniform(seed: int, stream: int, *index: int, count: int) -> np.ndarray:
    """Return `count` float64 numbers in [0, 1), different for every (seed, stream, index).

    They are the words of Philox4x64-10 (Salmon et al. 2011) with key (seed, stream) and counter
    (1, 2, ..; index; number of indices), so (5,) and (5, 0) differ. Raw words are used because NumPy
    guarantees them for all versions, unlike its distributions.

    Args:
        seed: 64 bits.
        stream: a `Stream`, 64 bits.
        index: one or two numbers of 64 bits, such as a sequence's number or (epoch, sample).
        count: how many numbers; a smaller count gives a prefix.

    Raises:
        ValueError: a value is negative or too large, or there are not one or two indices.
    """
    if len(index) not in (1, 2):
        raise ValueError(f"expected one or two indices, not {len(index)}")
    for value in (seed, stream, *index, count):
        if not 0 <= value < WORD:
            raise ValueError(f"{value} is not in 0 .. 2**64 - 1")
    padding = [0] * (2 - len(index))
    generator = np.random.Philox(
        key=np.array([seed, stream], dtype=np.uint64),
        counter=np.array([0, *index, *padding, len(index)], dtype=np.uint64),
    )
    return (generator.random_raw(count) >> np.uint64(11)) * 2.0**-53
