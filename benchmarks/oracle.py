"""Eq. 8 to 11 in float64, explicit and slow: the reference for every faster implementation.

Every kernel K(i) is built and applied at its full size i (S - 1) + 1. `*` is PyTorch's convolution (a
correlation); two in a row equal one with the convolution of their kernels. It uses NumPy only.
"""

import numpy as np


def correlate(image: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Return the zero-padded 'same' correlation.

    Args:
        image: (in, height, width).
        kernel: (out, in, size, size), size odd.
    """
    _, height, width = image.shape
    size = kernel.shape[2]
    pad = size // 2
    padded = np.pad(image, ((0, 0), (pad, pad), (pad, pad)))
    result = np.zeros((kernel.shape[0], height, width))
    for dy in range(size):
        for dx in range(size):
            patch = padded[:, dy : dy + height, dx : dx + width]
            result += np.einsum("oi,ihw->ohw", kernel[:, :, dy, dx], patch)
    return result


def compose(outer: np.ndarray, inner: np.ndarray) -> np.ndarray:
    """Return the kernel whose correlation equals `outer` after `inner` (one sum and * of Eq. 8).

    Args:
        outer: (out, middle, a, a).
        inner: (middle, in, b, b).

    Returns:
        (out, in, a + b - 1, a + b - 1).
    """
    a, b = outer.shape[2], inner.shape[2]
    result = np.zeros((outer.shape[0], inner.shape[1], a + b - 1, a + b - 1))
    for y in range(a):
        for x in range(a):
            result[:, :, y : y + b, x : x + b] += np.einsum("om,mihw->oihw", outer[:, :, y, x], inner)
    return result


def full_kernels(factors: list[np.ndarray]) -> list[np.ndarray]:
    """Return K(1) ... K(N) from G(1) ... G(N) (Eq. 8), G(i) as (C(i-1), C(i), S, S)."""
    kernels = [factors[0]]
    for factor in factors[1:]:
        kernels.append(compose(kernels[-1], factor))
    return kernels


def windows(
    hidden: list[np.ndarray], weights: list[np.ndarray], biases: list[np.ndarray]
) -> list[np.ndarray]:
    """Return H~(1) ... H~(N) (Eq. 10).

    Args:
        hidden: H(t-1) ... H(t-M), each (channels, height, width).
        weights: P(1) ... P(N), each (C, lags x channels, S, S) on [H(t-i); ...; H(t-i+N-M)].
        biases: one (C,) for each P(i).
    """
    lags = len(hidden) - len(weights) + 1
    return [
        correlate(np.concatenate(hidden[i : i + lags]), weight) + bias[:, None, None]
        for i, (weight, bias) in enumerate(zip(weights, biases, strict=True))
    ]


def preactivations(
    x: np.ndarray,
    inputs: list[np.ndarray],
    w: np.ndarray,
    factors: list[np.ndarray],
    factor_biases: list[np.ndarray],
) -> np.ndarray:
    """Return the argument of sigma in Eq. 11, (4 x hidden, height, width).

    Exact `border(S, N)` pixels and more away from the border: there, padding zeros once (here) or
    between the factors (in the recursion) is the same.

    Args:
        x: X(t), (in, height, width).
        inputs: H~(1) ... H~(N).
        w: (4 x hidden, in, S, S).
        factors: G(1) ... G(N); G(1) gives the gates.
        factor_biases: one for each factor; G(i)'s, for i > 1, passes through K(i-1).
    """
    kernels = full_kernels(factors)
    total = correlate(x, w) + factor_biases[0][:, None, None]
    for kernel, window in zip(kernels, inputs, strict=True):
        total += correlate(window, kernel)
    for kernel, bias in zip(kernels, factor_biases[1:], strict=False):
        total += (kernel.sum((2, 3)) @ bias)[:, None, None]
    return total


def border(size: int, order: int) -> int:
    """Return the width of the border, in pixels, where the two ways of padding may differ."""
    return order * (size // 2)


def lstm(gates: np.ndarray, cell: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return H(t) and C(t) from pre-activations in the order I, F, O, C~ (Eq. 1b)."""
    i, f, o, c = np.split(gates, 4)
    cell = cell * _sigmoid(f) + np.tanh(c) * _sigmoid(i)
    return _sigmoid(o) * np.tanh(cell), cell


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))
