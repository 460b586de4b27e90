"""The interface of prepared sequences to training and evaluation."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
from torch import Tensor


class ClipSource(Protocol):
    """Sequences of one length, by number.

    Attributes:
        sha256: checksum of the split's frames.
        labels: what is known of each sequence, by name, such as its action; may be empty.
    """

    sha256: str
    labels: dict[str, np.ndarray]

    def __len__(self) -> int:
        """Return the number of sequences."""
        ...

    def batch(self, indices: Sequence[int] | np.ndarray, device: torch.device | str = "cpu") -> Tensor:
        """Return these sequences as float32 (batch, time, channel, height, width) in [0, 1]."""
        ...
