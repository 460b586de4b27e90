"""PredRNN++'s recipe (Wang et al., ICML 2018), as its authors' published code trains.

Squared error over all one-step outputs; Adam at a constant learning rate; every batch trained on twice,
as it is and reversed in time; the share of true frames fed back falls linearly, batch by batch. The loss is
the mean over all pixels; the published code sums instead. Adam undoes that factor, apart from its epsilon,
which matters more next to the mean. The published code does not clip gradients: `gradient_clip: null`.
"""

from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.nn import functional

from convttlstm.config import Run
from convttlstm.training.recipes.base import Batch, Recipe, sampling_mask, targets


class PredRnnRecipe(Recipe):
    """Squared error, Adam, each batch also reversed in time, a sampling ratio that falls linearly."""

    saved = ("optimizer", "batches")

    def __init__(self, run: Run, fabric: Fabric, model: nn.Module) -> None:
        super().__init__(run, fabric, model)
        self.batches = 0  # trained on so far, including the current one

    @property
    def sampling_ratio(self) -> float:
        """The share of true frames fed back in the newest batch.

        As in the published code, it is 1 - n / N for the n-th of N = `linear_sampling.updates` batches.
        """
        return max(0.0, 1.0 - self.batches / self.run.training.linear_sampling.updates)

    def step(self, batch: Batch) -> Tensor:
        """Update the weights on the sequences, then on their reverse; return the mean of both losses."""
        self.batches += 1
        mask = sampling_mask(self.run.seed, batch, self.sampling_ratio, self.horizon).to(batch.frames.device)
        frames = batch.frames[:, : self.context + self.horizon]
        return (self._update(frames, mask) + self._update(frames.flip(1), mask)) / 2

    def _update(self, frames: Tensor, mask: Tensor) -> Tensor:
        loss = self._loss(frames, mask)
        return self.optimize(self.model, self.optimizer, loss)

    def _loss(self, frames: Tensor, mask: Tensor | None) -> Tensor:
        """Return the mean squared error per pixel over all outputs."""
        outputs = self.model(frames, self.context, self.horizon, mask)
        return functional.mse_loss(outputs, targets(outputs, frames, self.context, self.horizon))

    def validate(self, batch: Batch) -> Tensor:
        """Return the mean loss without any true frame fed back."""
        return self._loss(batch.frames, None)

    def report(self) -> dict[str, float]:
        """Return the newest batch's sampling ratio, and the learning rate."""
        return {"sampling_ratio": self.sampling_ratio} | super().report()
