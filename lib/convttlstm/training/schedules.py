"""When true frames give way to predictions, and when the learning rate falls (Appendix B).

Both follow the validation loss. The state is four numbers, so that a resumed run goes on exactly.
"""

import math
from dataclasses import asdict, dataclass
from typing import Any

from convttlstm.config import Training


@dataclass
class Plateau:
    """Scheduled sampling and learning-rate decay, both started by a loss that no longer improves.

    The sampling ratio (the share of true frames fed back) is 1 until the loss has not improved for
    `patience` epochs, `earliest` epochs at least, and then loses `rate` an epoch down to 0. Once the
    loss has again not improved for `patience` epochs, the learning rate falls by `factor` every
    `interval` epochs.
    """

    training: Training
    epoch: int = 0  # number of finished epochs
    best_loss: float = math.inf  # the lowest validation loss so far
    best_epoch: int = 0  # the epoch that reached it, counted from 1
    sampling_since: int | None = None  # the epoch after which the ratio began to fall
    decay_since: int | None = None  # the epoch after which the learning rate began to fall

    def finish_epoch(self, validation_loss: float) -> None:
        """Take note of the validation loss of the epoch that just ended."""
        self.epoch += 1
        if validation_loss < self.best_loss:
            self.best_loss, self.best_epoch = validation_loss, self.epoch
        sampling, decay = self.training.scheduled_sampling, self.training.learning_rate_decay
        if self.sampling_since is None:
            stalled = self.epoch - self.best_epoch >= sampling.patience
            if stalled and self.epoch >= sampling.earliest:
                self.sampling_since = self.epoch
        elif self.decay_since is None:
            if self.epoch - max(self.best_epoch, self.sampling_since) >= decay.patience:
                self.decay_since = self.epoch

    @property
    def sampling_ratio(self) -> float:
        """The share of true frames fed back in the epoch to come."""
        if self.sampling_since is None:
            return 1.0
        # The epoch right after the plateau is the first with a lower ratio.
        epochs = self.epoch - self.sampling_since + 1
        return max(0.0, 1.0 - self.training.scheduled_sampling.rate * epochs)

    @property
    def learning_rate(self) -> float:
        """The learning rate of the epoch to come."""
        if self.decay_since is None:
            return self.training.learning_rate
        decay = self.training.learning_rate_decay
        falls = (self.epoch - self.decay_since) // decay.interval
        return self.training.learning_rate * decay.factor**falls

    def state_dict(self) -> dict[str, Any]:
        """Return the numbers that `load_state_dict` takes."""
        return {name: value for name, value in asdict(self).items() if name != "training"}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state`."""
        for name, value in state.items():
            setattr(self, name, value)
