"""The paper's recipe (Section 4 and Appendix B)."""

from lightning_fabric import Fabric
from torch import Tensor, nn

from convttlstm.config import Run
from convttlstm.training.recipes.base import Batch, Recipe, l1_l2, sampling_mask
from convttlstm.training.schedules import Plateau


class PaperRecipe(Recipe):
    """l1 + l2 loss, Adam, clipped gradients, scheduled sampling."""

    saved = ("optimizer", "plateau")

    def __init__(self, run: Run, fabric: Fabric, model: nn.Module) -> None:
        super().__init__(run, fabric, model)
        self.plateau = Plateau(run.training)

    def step(self, batch: Batch) -> Tensor:
        """Update the weights once; return the mean loss."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.plateau.learning_rate
        mask = sampling_mask(self.run.seed, batch, self.plateau.sampling_ratio, self.horizon)
        loss = self.loss(batch, mask.to(batch.frames.device))
        return self.optimize(self.model, self.optimizer, loss)

    def loss(self, batch: Batch, mask: Tensor | None) -> Tensor:
        """Return the mean loss, with true frames fed back where `mask` is true."""
        outputs = self.model(batch.frames, self.context, self.horizon, mask)
        return l1_l2(outputs, batch.frames, self.context, self.horizon)

    def validate(self, batch: Batch) -> Tensor:
        """Return the mean loss without any true frame fed back."""
        return self.loss(batch, None)

    def finish_epoch(self, validation_loss: float) -> None:
        """Update both schedules with the validation loss."""
        self.plateau.finish_epoch(validation_loss)

    def warning(self) -> str:
        """Return a warning if scheduled sampling cannot begin before the last epoch."""
        epochs, sampling = self.run.training.epochs, self.run.training.scheduled_sampling
        begins = max(sampling.earliest, sampling.patience + 1)  # the first epoch always improves the loss
        if epochs > begins:
            return ""
        return (
            f"{epochs} epochs, but scheduled sampling begins after {begins}: the model is never fed its own "
            "predictions; lower scheduled_sampling's earliest and patience"
        )

    def report(self) -> dict[str, float]:
        """Return the sampling ratio and the learning rate of the current epoch."""
        return {
            "sampling_ratio": self.plateau.sampling_ratio,
            "learning_rate": self.plateau.learning_rate,
        }
