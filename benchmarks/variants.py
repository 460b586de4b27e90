"""Training steps of the paper's two models, in all variants that the benchmarks compare.

A step is forward, l1 + l2, backward, clipping and Adam. A variant's name is the code of its layers,
"textbook", "readable" (the equations as written, in our layout) or "ours", followed by options: "ours,
compiled, cudnn.benchmark". All variants of a model have the same weights.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks import finish
from benchmarks.fast_paths import batch_weight_gradients, pad_first_layer, project_at_once
from benchmarks.textbook import readable, textbook
from convttlstm.models import create_model
from convttlstm.models.recurrent import RecurrentPredictor
from convttlstm.repeatability import set_arithmetic
from convttlstm.training.recipes.base import l1_l2

MODELS = ["conv_lstm", "conv_tt_lstm"]
PRECISIONS = {"float32": torch.float32, "tf32": torch.float32, "bf16": torch.bfloat16}
CODES = {"textbook": textbook, "readable": readable, "ours": lambda model: model}
RECOMPUTED, TUNED, GRAPH = "recomputed", "cudnn.benchmark", "whole-step graph"
CHANGES: dict[str, Callable[[RecurrentPredictor], None]] = {
    "compiled": lambda model: model.stack.compile_cells(),
    "padded first layer": pad_first_layer,
    "batched weight gradients": batch_weight_gradients,
    "inputs at once": project_at_once,
}
OPTIONS = [RECOMPUTED, TUNED, GRAPH, *CHANGES]
WARM_UP = 3  # steps before a graph is recorded


@dataclass(frozen=True)
class Work:
    """The input of a step: sequences of square frames; the kind of device; and the models' settings."""

    batch: int = 2
    side: int = 64
    kind: str = "cpu"
    context: int = 4
    horizon: int = 3
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def steps(self) -> int:
        """Return the time steps of a sequence."""
        return self.context + self.horizon - 1


@dataclass(frozen=True)
class Variant:
    """A model, a precision (a key of PRECISIONS), and a code with options."""

    model: str
    precision: str
    code: str

    @property
    def options(self) -> list[str]:
        """Return the options after the code's name."""
        return self.code.split(", ")[1:]

    def build(self, work: Work) -> RecurrentPredictor:
        """Return the model with its initial weights.

        Raises:
            ValueError: the code or an option does not exist.
        """
        code, *options = self.code.split(", ")
        if code not in CODES or not set(options) <= set(OPTIONS):
            raise ValueError(
                f"variant {self.code!r}: name one of {', '.join(CODES)}, then any of {', '.join(OPTIONS)}"
            )
        torch.manual_seed(0)
        settings = {"checkpointing": RECOMPUTED in options} | work.settings
        model = CODES[code](create_model(self.model, **settings).to(work.kind))
        for option in options:
            if option in CHANGES:
                CHANGES[option](model)
        return model


class TrainingStep:
    """Updates a variant's weights once per call, and waits for the device.

    Attributes:
        frames: (batch, context + horizon, 1, side, side), read at each call; copy other frames into it.
        sampling: (batch, horizon - 1), true where the true frame is fed back; copy other values into it.
        loss: loss of the last step, before its update.
    """

    def __init__(self, variant: Variant, work: Work) -> None:
        self.variant, self.work = variant, work
        self.recorded = GRAPH in variant.options and work.kind == "cuda"
        self._set_arithmetic()
        self.model = variant.build(work)
        # One kernel, and the number of steps is kept on the GPU, so that a graph can record it.
        options = {"fused": True, "capturable": True} if self.recorded else {}
        self.optimizer = torch.optim.Adam(self.model.parameters(), **options)
        shape = work.batch, work.context + work.horizon, 1, work.side, work.side
        self.frames = torch.rand(shape, device=work.kind)
        self.sampling = torch.zeros(work.batch, work.horizon - 1, dtype=torch.bool, device=work.kind)
        self.loss = torch.zeros((), device=work.kind)
        self._run = self._record() if self.recorded else self._update

    def __call__(self) -> None:
        self._set_arithmetic()
        self._run()
        finish(self.work.kind)

    def _set_arithmetic(self) -> None:
        set_arithmetic(tf32=self.variant.precision == "tf32")
        torch.backends.cudnn.benchmark = TUNED in self.variant.options

    def _update(self) -> None:
        work = self.work
        with torch.autocast(work.kind, torch.bfloat16, enabled=self.variant.precision == "bf16"):
            outputs = self.model(self.frames, work.context, work.horizon, self.sampling)
        loss = l1_l2(outputs.float(), self.frames, work.context, work.horizon)
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.loss = loss.detach()

    def _record(self) -> Callable[[], None]:
        """Record a step as one CUDA graph without changing the weights; return a function that replays it.

        Autocast begins and ends inside the step, so the rounded weights in its cache belong to the graph.
        """
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            self.warm_up(WARM_UP)
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self._update()
        return graph.replay

    def warm_up(self, steps: int) -> None:
        """Run some steps, then restore the initial weights and Adam's initial state."""
        weights = [weight.detach().clone() for weight in self.model.parameters()]
        for _ in range(steps):
            self._update()
        self.optimizer.zero_grad()
        with torch.no_grad():
            for weight, before in zip(self.model.parameters(), weights, strict=True):
                weight.copy_(before)
                for value in self.optimizer.state[weight].values():
                    value.zero_()


def losses(variant: Variant, work: Work, updates: int) -> list[float]:
    """Return the losses of some steps, each on other sequences, which are the same for every variant."""
    step = TrainingStep(variant, work)
    found = []
    for number in range(updates):
        step.frames.copy_(waves(step.frames.shape, number))
        step.sampling.copy_(torch.rand(step.sampling.shape, generator=_generator(number)) < 0.5)
        step()
        found.append(step.loss.clone())
    return torch.stack(found).tolist()


def waves(shape: torch.Size, seed: int) -> Tensor:
    """Return sequences that can be learnt: a moving wave, with values in [0, 1]."""
    batch, time, _, height, width = shape
    across, down, speed, phase = 2 * torch.rand(4, batch, 1, 1, 1, 1, generator=_generator(seed)) - 1
    t, y, x = (torch.arange(float(n)) for n in (time, height, width))
    angle = across * x + down * y[:, None] + speed * t[:, None, None, None] + 3 * phase
    return 0.5 + 0.5 * torch.sin(angle)


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)
