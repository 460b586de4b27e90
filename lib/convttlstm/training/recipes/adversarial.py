"""MCNet's recipe: squared error, gradient difference loss, and an adversarial loss.

Ruben Villegas, Jimei Yang, Seunghoon Hong, Xunyu Lin, Honglak Lee: "Decomposing Motion and Content for
Natural Video Sequence Prediction", ICLR 2017. With x the given frames, y the true future frames and y^
the predicted ones, G the predictor and D the discriminator:

    L_img = |y^ - y|^2 + L_gdl(y^, y)
    L_gdl = mean ||y(i,j) - y(i-1,j)| - |y^(i,j) - y^(i-1,j)|| + the same along j
    L_GAN = -log D([x, y^])
    G minimizes L_img + beta L_GAN;   D minimizes -log D([x, y]) - log(1 - D([x, y^]))

L_gdl is from Michael Mathieu, Camille Couprie, Yann LeCun: "Deep multi-scale video prediction beyond
mean square error", ICLR 2016. From the authors' published code: beta = 0.02; Adam at 1e-4 with beta 1
= 0.5 for both; L_gdl on frames in [0, 1] but the squared error on frames in [-1, 1]; the discriminator's
layers. The code differs from this recipe in these points:

- It skips D while one of D's two terms is below 0.3, and G while one is above 0.7; here every step
  updates D once, then G once.
- It pads with zeros before it takes gradients, so that its L_gdl also compares pixels at two borders.
- It does not clip gradients; that is the setting `gradient_clip: null` here.
"""

from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import Adam, Optimizer

from convttlstm.config import Run
from convttlstm.models.recurrent import xavier_conv
from convttlstm.training.recipes.base import Batch, Recipe, targets


def gradient_difference(predicted: Tensor, true: Tensor) -> Tensor:
    """Return L_gdl, the mean over all pairs of adjacent pixels, from two tensors (..., height, width)."""
    down, across = ((predicted.diff(dim=d).abs() - true.diff(dim=d).abs()).abs().mean() for d in (-2, -1))
    return down + across


def image_loss(predicted: Tensor, true: Tensor) -> Tensor:
    """Return L_img of frames in [0, 1]."""
    # Frames in [-1, 1] are twice as far apart.
    return 4 * functional.mse_loss(predicted, true) + gradient_difference(predicted, true)


class Discriminator(nn.Module):
    """Discriminates true from predicted sequences: four strided convolutions and a linear layer, as in DCGAN.

    Args:
        in_channels: channels of all frames of a sequence together.
        shape: height and width of a frame.
        channels: width of the first convolution; each further one is twice as wide.
    """

    def __init__(self, in_channels: int, shape: tuple[int, int], channels: int = 64) -> None:
        super().__init__()
        height, width = shape
        layers: list[nn.Module] = []
        for index in range(4):
            conv = xavier_conv(in_channels, channels << index, kernel_size=5)
            conv.stride = (2, 2)
            layers.append(conv)
            if index > 0:
                # As published, normalized by the current batch alone (a process's share of it).
                layers.append(nn.BatchNorm2d(channels << index, eps=1e-3, track_running_stats=False))
            layers.append(nn.LeakyReLU(0.2))
            in_channels, height, width = channels << index, (height + 1) // 2, (width + 1) // 2
        self.features = nn.Sequential(*layers)
        self.output = nn.Linear(in_channels * height * width, 1)
        nn.init.normal_(self.output.weight, std=0.02)
        nn.init.zeros_(self.output.bias)

    def forward(self, frames: Tensor) -> Tensor:
        """Return the logits of being true, (batch, 1), from (batch, time, channel, height, width)."""
        return self.output(self.features(2 * frames.flatten(1, 2) - 1).flatten(1))


class AdversarialRecipe(Recipe):
    """MSE, gradient difference and adversarial loss; Adam; no true frame fed back.

    The losses that it returns are L_img; the discriminator's loss has a separate column.
    """

    saved = ("optimizer", "discriminator", "discriminator_optimizer", "steps", "discriminator_loss")

    def __init__(self, run: Run, fabric: Fabric, model: nn.Module) -> None:
        super().__init__(run, fabric, model)
        seen = (self.context + self.horizon) * run.dataset.channels
        discriminator = Discriminator(seen, run.dataset.frame_shape)
        self.discriminator, self.discriminator_optimizer = fabric.setup(
            discriminator, self.create_optimizer(discriminator)
        )
        self.steps = 0
        self.discriminator_loss = torch.zeros((), dtype=torch.float64, device=fabric.device)

    def create_optimizer(self, model: nn.Module) -> Optimizer:
        """Return the optimizer of the predictor or of the discriminator."""
        betas = self.run.training.adversarial.first_moment, 0.999
        return Adam(model.parameters(), lr=self.run.training.learning_rate, betas=betas)

    def step(self, batch: Batch) -> Tensor:
        """Update the discriminator once, then the predictor; return the mean L_img before the updates."""
        given, true, predicted = self._predict(batch.frames)
        self._update_discriminator(given, true, predicted.detach())
        return self._update_predictor(given, true, predicted)

    def _predict(self, frames: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the context, the true frames after it and the predicted ones."""
        outputs = self.model(frames, self.context, self.horizon)
        true = targets(outputs, frames, self.context, self.horizon)
        return frames[:, : self.context], true[:, -self.horizon :], outputs[:, -self.horizon :]

    def _discriminator_loss(self, given: Tensor, future: Tensor, label: float) -> Tensor:
        """Return the mean of -log D([given, future]) for label 1, of -log(1 - D([given, future])) for 0."""
        logits = self.discriminator(torch.cat([given, future], dim=1))
        return functional.binary_cross_entropy_with_logits(logits, torch.full_like(logits, label))

    def _update_discriminator(self, given: Tensor, true: Tensor, predicted: Tensor) -> None:
        loss = self._discriminator_loss(given, true, 1.0) + self._discriminator_loss(given, predicted, 0.0)
        loss = self.optimize(self.discriminator, self.discriminator_optimizer, loss)
        self.steps += 1
        # Every process keeps the mean over all processes, so that any of them can save it.
        self.discriminator_loss += self.fabric.all_reduce(loss)  # type: ignore[arg-type]

    def _update_predictor(self, given: Tensor, true: Tensor, predicted: Tensor) -> Tensor:
        loss = image_loss(predicted, true)
        self.discriminator.requires_grad_(False)
        # Otherwise several processes would wait for gradients of the discriminator that never come.
        with self.fabric.no_backward_sync(self.discriminator):
            adversarial = self._discriminator_loss(given, predicted, 1.0)
        total = loss + self.run.training.adversarial.weight * adversarial
        self.optimize(self.model, self.optimizer, total)
        self.discriminator.requires_grad_(True)
        return loss.detach()

    def validate(self, batch: Batch) -> Tensor:
        """Return the mean L_img, without the adversarial loss."""
        _, true, predicted = self._predict(batch.frames)
        return image_loss(predicted, true)

    def finish_epoch(self, validation_loss: float) -> None:
        """Reset the discriminator's mean loss; no schedule follows the validation loss."""
        self.steps = 0
        self.discriminator_loss = torch.zeros_like(self.discriminator_loss)

    def report(self) -> dict[str, float]:
        """Return the learning rate and the discriminator's mean loss of the current epoch."""
        return super().report() | {"discriminator_loss": self.discriminator_loss.item() / max(self.steps, 1)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore `state`, whose tensors are on the CPU."""
        super().load_state_dict(state)
        self.discriminator_loss = self.discriminator_loss.to(self.fabric.device)
