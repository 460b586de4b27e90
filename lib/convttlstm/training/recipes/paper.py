"""The paper's recipe (Section 4 and Appendix B)."""

from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from convttlstm.config import Run
from convttlstm.training.recipes.base import Batch, clip_gradients, l1_l2, sampling_mask
from convttlstm.training.schedules import Plateau


class PaperRecipe:
    """l1 + l2 loss, Adam, clipped gradients, scheduled sampling (Section 4 and Appendix B)."""

    def __init__(self, run: Run, fabric: Fabric, model: nn.Module) -> None:
        self.run, self.fabric = run, fabric
        optimizer = torch.optim.Adam(model.parameters(), lr=run.training.learning_rate)
        self.model, self.optimizer = fabric.setup(model, optimizer)
        self.plateau = Plateau(run.training)

    def step(self, model: nn.Module, batch: Batch) -> Tensor:
        """Update the weights once; return the mean loss."""
        mask = sampling_mask(self.run.seed, batch, self.plateau.sampling_ratio, self.run.dataset.horizon)
        loss = self.loss(model, batch, mask.to(batch.frames.device))
        self.optimizer.zero_grad()
        self.fabric.backward(loss)
        clip_gradients(self.fabric, model, self.optimizer, self.run.training.gradient_clip)
        for group in self.optimizer.param_groups:
            group["lr"] = self.plateau.learning_rate
        self.optimizer.step()
        return loss.detach()

    def loss(self, model: nn.Module, batch: Batch, mask: Tensor | None) -> Tensor:
        """Return the mean loss, with true frames fed back where `mask` says so."""
        context, horizon = self.run.dataset.context, self.run.dataset.horizon
        return l1_l2(model(batch.frames, context, horizon, mask), batch.frames, context + horizon)

    def validate(self, model: nn.Module, batch: Batch) -> Tensor:
        """Return the mean loss without any true frame fed back."""
        return self.loss(model, batch, None)

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
