"""Settings of training, evaluation and compute."""

from typing import Literal

from pydantic import Field, NonNegativeInt, PositiveInt, model_validator

from convttlstm.config.base import PositiveFloat, Strict


class ScheduledSampling(Strict):
    """How true frames are replaced by predictions while training (Appendix B)."""

    earliest: NonNegativeInt = Field(20, description="no decay before this many epochs")
    patience: NonNegativeInt = Field(
        22, description="epochs without a better validation loss; 0 waits for `earliest` alone"
    )
    rate: PositiveFloat = Field(4e-3, le=1, description="decrease of the ratio in each epoch")


class LearningRateDecay(Strict):
    """When the learning rate falls (Appendix B)."""

    patience: NonNegativeInt = Field(22, description="epochs without a better loss, after sampling began")
    factor: PositiveFloat = Field(0.98, le=1)
    interval: PositiveInt = Field(5, description="epochs between two falls")


class LinearSampling(Strict):
    """How PredRNN++'s authors replace true frames by predictions while training."""

    updates: PositiveInt = Field(
        50_000,
        description="batches in which the share of true frames falls linearly from 1 to 0; two updates each",
    )


class Adversarial(Strict):
    """MCNet's loss and optimizers."""

    weight: PositiveFloat = Field(0.02, description="of the adversarial term, added to MSE and gradient loss")
    first_moment: float = Field(0.5, ge=0, lt=1, description="Adam's beta 1, of both networks")


class Recognition(Strict):
    """The loss of activities and frames (Section 4, "Loss function")."""

    prediction_weight: PositiveFloat = Field(
        1.0, description="lambda, weight of the prediction loss added to the cross entropy [I]"
    )


class Training(Strict):
    """Settings of the optimization; a change makes another run."""

    recipe: Literal["paper", "predrnn", "adversarial", "likelihood", "recognition"] = Field(
        "paper",
        description="'paper': L1 + L2 and Appendix B's schedules; 'predrnn': PredRNN++'s, each batch also "
        "reversed in time; 'adversarial': MCNet's; 'likelihood': the Video Pixel Network's; 'recognition': "
        "the paper's with a cross entropy",
    )
    epochs: PositiveInt = 500
    samples_per_epoch: PositiveInt = Field(10_000, description="drawn without replacement")
    batch_size: PositiveInt = Field(16, description="over all devices")
    learning_rate: PositiveFloat = 1e-3
    gradient_clip: PositiveFloat | None = Field(
        1.0, description="largest gradient norm (unverified); null: unbounded"
    )
    scheduled_sampling: ScheduledSampling = ScheduledSampling()
    learning_rate_decay: LearningRateDecay = LearningRateDecay()
    linear_sampling: LinearSampling = LinearSampling()
    adversarial: Adversarial = Adversarial()
    recognition: Recognition = Recognition()
    precision: Literal["32-true", "tf32", "bf16-mixed"] = Field(
        "32-true",
        description="'tf32': as '32-true', but GPUs may round the inputs of convolutions to 10 bits",
    )

    @model_validator(mode="after")
    def _whole_batches(self) -> "Training":
        if self.samples_per_epoch % self.batch_size:
            raise ValueError(
                f"samples_per_epoch {self.samples_per_epoch} is not a multiple of "
                f"batch_size {self.batch_size}"
            )
        return self

    @property
    def samples(self) -> int:
        """Samples seen in all epochs."""
        return self.epochs * self.samples_per_epoch


class Compute(Strict):
    """Settings of hardware and processes; a change does not make another run."""

    accelerator: Literal["auto", "cpu", "cuda"] = "auto"
    devices: PositiveInt = Field(1, description="of each node, that train one run together")
    nodes: PositiveInt = Field(1, description="that train one run together; more than one needs Slurm")
    threads: PositiveInt = Field(
        2, description="CPU threads of each job; results on the CPU depend on it, bit for bit"
    )
    workers: NonNegativeInt = Field(
        2, description="processes of each job that decode clips of activities; 0: its main process decodes"
    )
    deterministic: bool = Field(
        False, description="on GPUs only algorithms that give the same bits each time; slower"
    )
    compile: bool = Field(False, description="torch.compile the recurrent cells")
    checkpoint_minutes: PositiveFloat = Field(10.0, description="longest time between checkpoints")


class Evaluation(Strict):
    """Settings of evaluation."""

    lpips: bool = Field(True, description="needs AlexNet's weights, which a rule fetches")
    lpips_size: PositiveInt | None = Field(
        None,
        description="frames are resized (bilinear) for LPIPS, whose network is made for large pictures, so "
        "that their shorter side has so many pixels; null: left as they are",
    )
    first_frame: PositiveInt = Field(
        1,
        description="the first predicted frame that counts in means; curves by frame show all",
    )
    batch_size: PositiveInt = 16
    sequences: PositiveInt | None = Field(
        None, description="evaluate only the first so many test sequences; null: all"
    )
    examples: PositiveInt = Field(4, description="test sequences whose predictions are kept for figures")
