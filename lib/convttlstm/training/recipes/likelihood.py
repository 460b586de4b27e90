"""The Video Pixel Network's recipe (Kalchbrenner et al., "Video Pixel Networks", ICML 2017)."""

from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from convttlstm.config import Run
from convttlstm.models.vpn import negative_log_likelihood
from convttlstm.training.recipes.base import Batch, clip_gradients


class LikelihoodRecipe:
    """Negative log-likelihood of the frames after the context, in nats per pixel; RMSProp.

    Every pixel is predicted from true frames and true earlier pixels, so nothing is ever fed back. The
    model has `teacher_forced(frames, context, horizon) -> logits`. Remembered [M]: RMSProp with a fixed
    learning rate of 3e-4; its decay 0.99 is PyTorch's [I].
    """

    def __init__(self, run: Run, fabric: Fabric, model: nn.Module) -> None:
        self.run, self.fabric = run, fabric
        optimizer = torch.optim.RMSprop(model.parameters(), lr=run.training.learning_rate)
        self.model, self.optimizer = fabric.setup(model, optimizer)
        self.model.mark_forward_method("teacher_forced")

    def step(self, model: nn.Module, batch: Batch) -> Tensor:
        """Update the weights once; return the mean loss."""
        loss = self.validate(model, batch)
        self.optimizer.zero_grad()
        self.fabric.backward(loss)
        clip_gradients(self.fabric, model, self.optimizer, self.run.training.gradient_clip)
        self.optimizer.step()
        return loss.detach()

    def validate(self, model: nn.Module, batch: Batch) -> Tensor:
        """Return the mean loss, as in training: the likelihood of what came, given all before it."""
        frames, context, horizon = batch.frames, self.run.dataset.context, self.run.dataset.horizon
        # On one device Fabric adds the mixed precision to `forward` alone.
        with self.fabric.autocast():
            logits = model.teacher_forced(frames, context, horizon)  # type: ignore[operator]
        return negative_log_likelihood(logits, frames[:, context : context + horizon])

    def finish_epoch(self, validation_loss: float) -> None:
        """Do nothing: no schedule follows the validation loss."""

    def report(self) -> dict[str, float]:
        """Return the share of true frames, which is all of them, and the learning rate."""
        return {"sampling_ratio": 1.0, "learning_rate": self.run.training.learning_rate}

    def state_dict(self) -> dict[str, Any]:
        """Return the state of the optimizer."""
        return {"optimizer": self.optimizer.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state`."""
        self.optimizer.load_state_dict(state["optimizer"])
