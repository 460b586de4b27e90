"""What the training loop asks of a recipe, and what several recipes share."""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.nn import functional

from convttlstm.config import Run
from convttlstm.files import UserError
from convttlstm.randomness import Stream, uniform


@dataclass(frozen=True)
class Batch:
    """Sequences of one training step.

    Attributes:
        frames: (batch, time, channel, height, width), in [0, 1].
        samples: each sequence's index in its split.
        epoch: counted from 1.
        labels: each sequence's activity, int64 (batch,), where activities are recognised.
    """

    frames: Tensor
    samples: np.ndarray
    epoch: int
    labels: Tensor | None = None


class Recipe(Protocol):
    """What the loop asks of a recipe, which owns the loss, the optimizers, sampling and the order of frames.

    Attributes:
        model: the system, set up by Fabric; its weights are what is saved and evaluated.
    """

    model: nn.Module

    def __init__(self, run: Run, fabric: Fabric, model: nn.Module) -> None:
        """Set up `model`, which has fresh weights, for training."""

    def step(self, model: nn.Module, batch: Batch) -> Tensor:
        """Update the weights once; return the mean loss."""

    def validate(self, model: nn.Module, batch: Batch) -> Tensor:
        """Return the mean loss without any true frame fed back."""

    def finish_epoch(self, validation_loss: float) -> None:
        """Take note of the validation loss."""

    def report(self) -> dict[str, float]:
        """Return the columns that this recipe adds to an epoch's line of history.csv.

        "sampling_ratio", the share of true frames fed back, is one of them.
        """

    def state_dict(self) -> dict[str, Any]:
        """Return all that `load_state_dict` needs to go on bit for bit."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state`."""


def l1_l2(outputs: Tensor, frames: Tensor, end: int) -> Tensor:
    """Return the paper's loss (Section 4): mean absolute plus mean squared error.

    Args:
        outputs: what a predictor returned, (batch, n, channel, height, width).
        frames: the sequences; its frames end - n ... end - 1 are the targets.
        end: context + horizon.

    Raises:
        UserError: the outputs are no frames of such sequences.
    """
    target = frames[:, end - outputs.shape[1] : end]
    if outputs.shape != target.shape:
        raise UserError(
            f"the model returned {tuple(outputs.shape)} for sequences {tuple(frames.shape)}; expected "
            "(batch, horizon, or context + horizon - 1, channel, height, width)"
        )
    return functional.l1_loss(outputs, target) + functional.mse_loss(outputs, target)


def clip_gradients(
    fabric: Fabric, model: nn.Module, optimizer: torch.optim.Optimizer, max_norm: float | None
) -> None:
    """Scale the gradients down to norm `max_norm` where they exceed it; None leaves them."""
    if max_norm is not None:
        fabric.clip_gradients(model, optimizer, max_norm=max_norm, error_if_nonfinite=False)


def sampling_mask(seed: int, batch: Batch, ratio: float, horizon: int) -> Tensor:
    """Return which fed-back steps get the true frame, (batch, horizon - 1), each with chance `ratio`.

    A draw depends on seed, epoch and sample alone, so neither a resume nor the number of processes
    changes it.
    """
    draws = [
        uniform(seed, Stream.SAMPLING, batch.epoch, int(sample), count=horizon - 1)
        for sample in batch.samples
    ]
    return torch.from_numpy(np.stack(draws) < ratio)
