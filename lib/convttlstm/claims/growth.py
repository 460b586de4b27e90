"""Growth of a layer's size with the order N, counted exactly from the equations."""

from collections.abc import Sequence
from typing import Literal

import numpy as np

Law = Literal["linear", "cubic", "exponential"]
# A layer in the middle of the paper's stack, at Table 2's settings.
CHANNELS, SIZE, RANK = 48, 5, 8


def layer_parameters(system: str, order: int) -> int:
    """Return the number of weights of one layer with N = M = `order`, without biases.

    Times the number of pixels of a frame, it is the number of multiplications.

    Args:
        system: "conv_tt_lstm" (Eq. 8 to 11), "higher_equal" or "higher_growing" (Eq. 7 with kernels of S x S,
            or of i(S-1)+1 for the i-th state).
        order: N.

    Raises:
        KeyError: `system` is none of these.
    """
    h, area, gates = CHANNELS, SIZE**2, 4 * CHANNELS
    on_input = gates * h * area  # W
    on_states = {
        # P(1) ... P(N), G(1), and G(2) ... G(N).
        "conv_tt_lstm": order * h * RANK * area + gates * RANK * area + (order - 1) * RANK**2 * area,
        "higher_equal": order * gates * h * area,
        "higher_growing": sum(gates * h * (i * (SIZE - 1) + 1) ** 2 for i in range(1, order + 1)),
    }
    return on_input + on_states[system]


def grows(counts: Sequence[int], law: Law) -> bool:
    """Return whether counts at successive orders grow by a law.

    Linear: differences are equal. Cubic, a polynomial of third degree: third differences are equal. Both are
    positive. Exponential: the ratio of each count to the one before does not decrease.

    Args:
        counts: at least four.
        law: see above.
    """
    if law == "exponential":
        ratios = np.divide(counts[1:], counts[:-1])
        return bool((np.diff(ratios) >= 0).all())
    steps = np.diff(counts, n=1 if law == "linear" else 3)
    return bool((np.diff(steps) == 0).all() and (steps > 0).all())
