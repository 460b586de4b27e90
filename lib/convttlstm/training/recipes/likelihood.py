"""The Video Pixel Network's recipe (Kalchbrenner et al., "Video Pixel Networks", ICML 2017)."""

from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.optim import Optimizer, RMSprop

from convttlstm.config import Run
from convttlstm.models.vpn import negative_log_likelihood
from convttlstm.training.recipes.base import Batch, Recipe


class LikelihoodRecipe(Recipe):
    """Negative log-likelihood of the frames after the context, in nats per pixel; RMSProp.

    Every pixel is predicted from true frames and true earlier pixels, so no prediction is ever fed back. The
    model has `teacher_forced(frames, context, horizon) -> logits`. Remembered [M]: RMSProp with a fixed
    learning rate of 3e-4; its decay 0.99 is PyTorch's [I].
    """

    def __init__(self, run: Run, fabric: Fabric, model: nn.Module) -> None:
        super().__init__(run, fabric, model)
        self.model.mark_forward_method("teacher_forced")  # type: ignore[operator]

    def create_optimizer(self, model: nn.Module) -> Optimizer:
        """Return the optimizer of a model."""
        return RMSprop(model.parameters(), lr=self.run.training.learning_rate)

    def step(self, batch: Batch) -> Tensor:
        """Update the weights once; return the mean loss."""
        loss = self.validate(batch)
        return self.optimize(self.model, self.optimizer, loss)

    def validate(self, batch: Batch) -> Tensor:
        """Return the mean loss as in training: each true pixel's likelihood, given all before it."""
        # On one device Fabric applies mixed precision to `forward` only.
        with self.fabric.autocast():
            logits = self.model.teacher_forced(batch.frames, self.context, self.horizon)  # type: ignore[operator]
        true = batch.frames[:, self.context : self.context + self.horizon]
        return negative_log_likelihood(logits, true)
