"""How a system is trained: a recipe owns the loss, the optimizer, sampling and the sequences' order."""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.nn import functional

from convttlstm.config import Run
from convttlstm.randomness import Stream, uniform
from convttlstm.training.schedules import Plateau


@dataclass(frozen=True)
class Batch:
    """Sequences of one training step.

    Attributes:
        frames: (batch, time, channel, height, width), in [0, 1].
        samples: each sequence's index in the training split.
        epoch: counted from 1.
    """

    frames: Tensor
    samples: np.ndarray
    epoch: int


class Recipe(Protocol):
    """What the loop asks of a recipe."""

    model: nn.Module

    def step(self, model: nn.Module, batch: Batch) -> Tensor:
        """Update the weights once; return the mean loss."""

    def validate(self, model: nn.Module, frames: Tensor) -> Tensor:
        """Return the mean loss without any true frame fed back."""

    def finish_epoch(self, validation_loss: float) -> None:
        """Take note of the validation loss."""

    def report(self) -> dict[str, float]:
        """Return the columns that this recipe adds to an epoch's line of history.csv."""

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
    """
    target = frames[:, end - outputs.shape[1] : end]
    return functional.l1_loss(outputs, target) + functional.mse_loss(outputs, target)


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


class PaperRecipe:
    """l1 + l2 loss, Adam, clipped gradients, scheduled sampling (Section 4 and Appendix B)."""

    def __init__(self, run: Run, fabric: Fabric, model: nn.Module) -> None:
        self.run, self.fabric = run, fabric
        optimizer = torch.optim.Adam(model.parameters(), lr=run.training.learning_rate)
        self.model, self.optimizer = fabric.setup(model, optimizer)
        self.plateau = Plateau(run.training)

    def step(self, model: nn.Module, batch: Batch) -> Tensor:
        """Update the weights once; return the mean loss."""
        context, horizon = self.run.dataset.context, self.run.dataset.horizon
        mask = sampling_mask(self.run.seed, batch, self.plateau.sampling_ratio, horizon)
        outputs = model(batch.frames, context, horizon, mask.to(batch.frames.device))
        loss = l1_l2(outputs, batch.frames, context + horizon)
        self.optimizer.zero_grad()
        self.fabric.backward(loss)
        self.fabric.clip_gradients(
            model,
            self.optimizer,
            max_norm=self.run.training.gradient_clip,
            error_if_nonfinite=False,
        )
        for group in self.optimizer.param_groups:
            group["lr"] = self.plateau.learning_rate
        self.optimizer.step()
        return loss.detach()

    def validate(self, model: nn.Module, frames: Tensor) -> Tensor:
        """Return the mean loss without any true frame fed back."""
        context, horizon = self.run.dataset.context, self.run.dataset.horizon
        return l1_l2(model(frames, context, horizon), frames, context + horizon)

    def finish_epoch(self, validation_loss: float) -> None:
        """Take note of the validation loss."""
        self.plateau.finish_epoch(validation_loss)

    def report(self) -> dict[str, float]:
        """Return the sampling ratio and the learning rate of the epoch that is under way."""
        return {
            "sampling_ratio": self.plateau.sampling_ratio,
            "learning_rate": self.plateau.learning_rate,
        }

    def state_dict(self) -> dict[str, Any]:
        """Return the state of the optimizer and of the schedules."""
        return {"optimizer": self.optimizer.state_dict(), "plateau": self.plateau.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state`."""
        self.optimizer.load_state_dict(state["optimizer"])
        self.plateau.load_state_dict(state["plateau"])


RECIPES: dict[str, type[PaperRecipe]] = {"paper": PaperRecipe}
