"""PredRNN++'s recipe (Wang et al., ICML 2018), as its authors' published code trains.

Squared error over all one-step outputs; Adam at a constant learning rate; every batch trained on twice,
as it is and reversed in time; the share of true frames fed back falls evenly, batch by batch. The
published code takes the sum of the squares for its loss, here it is their mean over all pixels: the
same but for a factor, which Adam undoes (it has an epsilon that is less negligible beside the mean).
It does not clip gradients: `gradient_clip: null`.
"""

from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.nn import functional

from convttlstm.config import Run
from convttlstm.training.recipes.base import Batch, clip_gradients, sampling_mask


class PredRnnRecipe:
    """Squared error, Adam, each batch also reversed in time, true frames that fade out evenly."""

    def __init__(self, run: Run, fabric: Fabric, model: nn.Module) -> None:
        self.run, self.fabric = run, fabric
        optimizer = torch.optim.Adam(model.parameters(), lr=run.training.learning_rate)
        self.model, self.optimizer = fabric.setup(model, optimizer)
        self.batches = 0  # trained on so far, the one under way included

    @property
    def sampling_ratio(self) -> float:
        """The share of true frames fed back in the newest batch.

        As in the published code the n-th of N = `linear_sampling.updates` batches has 1 - n / N.
        """
        return max(0.0, 1.0 - self.batches / self.run.training.linear_sampling.updates)

    def step(self, model: nn.Module, batch: Batch) -> Tensor:
        """Update the weights on the sequences, then on their reverse; return the mean of both losses."""
        context, horizon = self.run.dataset.context, self.run.dataset.horizon
        self.batches += 1
        mask = sampling_mask(self.run.seed, batch, self.sampling_ratio, horizon).to(batch.frames.device)
        frames = batch.frames[:, : context + horizon]
        return (self._update(model, frames, mask) + self._update(model, frames.flip(1), mask)) / 2

    def _update(self, model: nn.Module, frames: Tensor, mask: Tensor) -> Tensor:
        loss = self._loss(model, frames, mask)
        self.optimizer.zero_grad()
        self.fabric.backward(loss)
        clip_gradients(self.fabric, model, self.optimizer, self.run.training.gradient_clip)
        self.optimizer.step()
        return loss.detach()

    def _loss(self, model: nn.Module, frames: Tensor, mask: Tensor | None) -> Tensor:
        """Return the mean squared error per pixel over all that the model returns."""
        context, horizon = self.run.dataset.context, self.run.dataset.horizon
        outputs = model(frames, context, horizon, mask)
        end = context + horizon
        return functional.mse_loss(outputs, frames[:, end - outputs.shape[1] : end])

    def validate(self, model: nn.Module, batch: Batch) -> Tensor:
        """Return the mean loss without any true frame fed back."""
        return self._loss(model, batch.frames, None)

    def finish_epoch(self, validation_loss: float) -> None:
        """Nothing follows the validation loss."""

    def report(self) -> dict[str, float]:
        """Return the newest batch's sampling ratio, and the learning rate."""
        return {"sampling_ratio": self.sampling_ratio, "learning_rate": self.run.training.learning_rate}

    def state_dict(self) -> dict[str, Any]:
        """Return the state of the optimizer and the number of batches."""
        return {"optimizer": self.optimizer.state_dict(), "batches": self.batches}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state`."""
        self.optimizer.load_state_dict(state["optimizer"])
        self.batches = state["batches"]
