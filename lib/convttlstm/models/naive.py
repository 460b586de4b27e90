"""Naive predictions, which need no training and which every model should beat."""

import torch
from torch import Tensor, nn


class CopyLast(nn.Module):
    """Predicts that nothing moves."""

    def __init__(self, in_channels: int = 1) -> None:
        super().__init__()

    def forward(self, frames: Tensor, context: int, horizon: int, sampling: Tensor | None = None) -> Tensor:
        """Return the last input frame, `horizon` times."""
        return frames[:, context - 1 : context].repeat(1, horizon, 1, 1, 1)


class Black(nn.Module):
    """Predicts empty frames: the safest guess where most pixels are black."""

    def __init__(self, in_channels: int = 1) -> None:
        super().__init__()

    def forward(self, frames: Tensor, context: int, horizon: int, sampling: Tensor | None = None) -> Tensor:
        """Return `horizon` frames of zeros."""
        return torch.zeros_like(frames[:, :1]).repeat(1, horizon, 1, 1, 1)
