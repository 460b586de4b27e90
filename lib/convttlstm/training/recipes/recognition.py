"""Early activity recognition's recipe (Section 4, "Loss function")."""

from torch import Tensor
from torch.nn import functional

from convttlstm.training.recipes.base import Batch, l1_l2
from convttlstm.training.recipes.paper import PaperRecipe


class RecognitionRecipe(PaperRecipe):
    """lambda x (l1 + l2) + cross entropy, in the paper's schedules.

    The model sees all frames of a batch but the last `horizon`. The validation loss is the cross entropy
    alone [I]: it chooses the best weights, and compares runs with different lambda.
    """

    def loss(self, batch: Batch, mask: Tensor | None) -> Tensor:
        """Return the mean joint loss, with true frames fed back where `mask` is true."""
        outputs, cross_entropy = self._answer(batch, mask)
        prediction = l1_l2(outputs, batch.frames, batch.frames.shape[1] - self.horizon, self.horizon)
        return self.run.training.recognition.prediction_weight * prediction + cross_entropy

    def validate(self, batch: Batch) -> Tensor:
        """Return the mean cross entropy without any true frame fed back."""
        return self._answer(batch, None)[1]

    def _answer(self, batch: Batch, mask: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return the predicted frames and the cross entropy."""
        assert batch.labels is not None  # set by ActivityLoader
        seen = batch.frames.shape[1] - self.horizon
        outputs, logits = self.model(batch.frames, seen, self.horizon, mask)
        return outputs, functional.cross_entropy(logits, batch.labels)
