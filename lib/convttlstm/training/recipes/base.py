"""The base class of recipes, and losses and masks that several recipes share."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import Adam, Optimizer

from convttlstm.config import Run
from convttlstm.files import UserError
from convttlstm.randomness import Stream, uniform


@dataclass(frozen=True)
class Batch:
    """The sequences of one training step.

    Attributes:
        frames: (batch, time, channel, height, width), in [0, 1].
        samples: each sequence's index in its split.
        epoch: counted from 1; 0 in validation.
        labels: each sequence's activity, int64 (batch,), for recognition only.
    """

    frames: Tensor
    samples: np.ndarray
    epoch: int
    labels: Tensor | None = None


class Recipe(ABC):
    """A model and how it is trained: its loss, its optimizer, and which true frames are fed back.

    Attributes:
        model: set up by Fabric; its weights are saved and evaluated.
        saved: names of the attributes that a checkpoint holds besides the model: numbers, or objects with a
            state_dict.
    """

    model: nn.Module
    saved: tuple[str, ...] = ("optimizer",)

    def __init__(self, run: Run, fabric: Fabric, model: nn.Module) -> None:
        """Set up `model`, which has initial weights, for training."""
        self.run, self.fabric = run, fabric
        self.context, self.horizon = run.dataset.context, run.dataset.horizon
        self.model, self.optimizer = fabric.setup(model, self.create_optimizer(model))

    def create_optimizer(self, model: nn.Module) -> Optimizer:
        """Return the optimizer of a model."""
        return Adam(model.parameters(), lr=self.run.training.learning_rate)

    @abstractmethod
    def step(self, batch: Batch) -> Tensor:
        """Update the weights once; return the mean loss."""

    @abstractmethod
    def validate(self, batch: Batch) -> Tensor:
        """Return the mean loss without any true frame fed back."""

    def optimize(self, model: nn.Module, optimizer: Optimizer, loss: Tensor) -> Tensor:
        """Update a model once, with clipped gradients where the settings say so; return the loss.

        A user's model may set `extra_loss`, a scalar, in each training call; it is added to the loss.
        """
        if (extra := getattr(model, "extra_loss", None)) is not None:
            loss = loss + extra
        optimizer.zero_grad()
        self.fabric.backward(loss)
        if (norm := self.run.training.gradient_clip) is not None:
            self.fabric.clip_gradients(model, optimizer, max_norm=norm, error_if_nonfinite=False)
        optimizer.step()
        return loss.detach()

    def finish_epoch(self, validation_loss: float) -> None:  # noqa: B027
        """Update schedules with the validation loss; a recipe without schedules does nothing."""

    def warning(self) -> str:
        """Return why the settings may not train as meant, "" if nothing speaks against them."""
        return ""

    def report(self) -> dict[str, float]:
        """Return the columns that this recipe adds to an epoch's row of history.csv."""
        return {"learning_rate": self.run.training.learning_rate}

    def state_dict(self) -> dict[str, Any]:
        """Return the state, besides the model's, that is needed to resume bit for bit."""
        own = {name: getattr(self, name) for name in self.saved}
        return {k: v.state_dict() if hasattr(v, "state_dict") else v for k, v in own.items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore `state`."""
        for name in self.saved:
            if hasattr(own := getattr(self, name), "load_state_dict"):
                own.load_state_dict(state[name])
            else:
                setattr(self, name, state[name])


def targets(outputs: Tensor, frames: Tensor, context: int, horizon: int) -> Tensor:
    """Return the true frames that outputs are compared with, of the same shape.

    The n outputs (batch, n, channel, height, width) are compared with the last n of the first context +
    horizon frames; n is the horizon or, with one-step reconstructions, context + horizon - 1.

    Raises:
        UserError: the outputs do not have the shape of these frames.
    """
    end, count = context + horizon, outputs.shape[1] if outputs.ndim == 5 else 0
    target = frames[:, end - count : end]
    if outputs.shape != target.shape or count not in (horizon, end - 1):
        raise UserError(
            f"the model returned {tuple(outputs.shape)} for sequences {tuple(frames.shape)}; expected "
            "(batch, horizon, or context + horizon - 1, channel, height, width)"
        )
    return target


def l1_l2(outputs: Tensor, frames: Tensor, context: int, horizon: int) -> Tensor:
    """Return the paper's loss (Section 4), mean absolute plus mean squared error; see `targets`."""
    target = targets(outputs, frames, context, horizon)
    return functional.l1_loss(outputs, target) + functional.mse_loss(outputs, target)


def sampling_mask(seed: int, batch: Batch, ratio: float, horizon: int) -> Tensor:
    """Return which fed-back steps get the true frame, (batch, horizon - 1), each with chance `ratio`.

    A draw depends on seed, epoch and sample alone, not on interruptions or the number of processes.
    """
    draws = [
        uniform(seed, Stream.SAMPLING, batch.epoch, int(sample), count=horizon - 1)
        for sample in batch.samples
    ]
    return torch.from_numpy(np.stack(draws) < ratio)
