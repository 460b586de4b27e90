"""Schedules of scheduled sampling and of the learning rate (Appendix B); both follow the validation loss."""

import math
from dataclasses import asdict, dataclass
from typing import Any

from convttlstm.config import Training


@dataclass
class Plateau:
    """Scheduled sampling and learning-rate decay, each started by a plateau of the validation loss.

    The sampling ratio (the share of true frames fed back) is 1 until the loss has not improved for
    `patience` epochs, and for at least `earliest` epochs. Then it falls by `rate` each epoch, down to 0.
    After another `patience` epochs without improvement, the learning rate is multiplied by `factor` every
    `interval` epochs.
    """

    training: Training
    epoch: int = 0  # number of finished epochs
    best_loss: float = math.inf  # the lowest validation loss so far
    best_epoch: int = 0  # the epoch that reached it, counted from 1
    sampling_since: int | None = None  # the epoch after which the ratio began to fall
    decay_since: int | None = None  # the epoch after which the learning rate began to fall

    def finish_epoch(self, validation_loss: float) -> None:
        """Update both schedules with the validation loss of the epoch that just ended."""
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
        """The share of true frames fed back in the next epoch."""
        if self.sampling_since is None:
            return 1.0
        # The first epoch after the plateau has a lower ratio already.
        epochs = self.epoch - self.sampling_since + 1
        return max(0.0, 1.0 - self.training.scheduled_sampling.rate * epochs)

    @property
    def learning_rate(self) -> float:
        """The learning rate of the next epoch."""
        if self.decay_since is None:
            return self.training.learning_rate
        decay = self.training.learning_rate_decay
        falls = (self.epoch - self.decay_since) // decay.interval
        return self.training.learning_rate * decay.factor**falls

    def state_dict(self) -> dict[str, Any]:
        """Return the numbers that `load_state_dict` restores."""
        return {name: value for name, value in asdict(self).items() if name != "training"}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore `state`."""
        for name, value in state.items():
            setattr(self, name, value)
