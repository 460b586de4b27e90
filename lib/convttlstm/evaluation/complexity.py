"""Costs of models: parameters, multiplications and memory, counted; and FLOPs as the paper computes them."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.flop_counter import FlopCounterMode

from convttlstm.config import Run, Settings, counted_models
from convttlstm.config.base import sides
from convttlstm.config.counted import PAPER_SIZES, SIZES
from convttlstm.config.models import ExternalModel
from convttlstm.files import shortened, write_text
from convttlstm.models import create_model
from convttlstm.models.recurrent import RecurrentPredictor

CONTEXT, HORIZON = 2, 1
ORDERS = range(1, 6)
# Models whose cost at each order N = M is counted, at Table 2's size, with names for tables.
GROWING: dict[str, tuple[str, dict[str, Any]]] = {
    "Conv-TT-LSTM, Algorithm 2": ("conv_tt_lstm", {}),
    "Eq. 7, equal kernels": ("higher_order", {"transition": "equal"}),
    "Eq. 7, growing kernels": ("higher_order", {"transition": "growing"}),
}
RECOGNITION = {"in_channels": 3, "classes": 41, "size": 224}


def count_parameters(model: nn.Module) -> int:
    """Return the number of a model's parameters."""
    return sum(weight.numel() for weight in model.parameters())


@dataclass(frozen=True)
class StepCost:
    """The cost of predicting one more frame of one sequence.

    Attributes:
        multiplications: those of convolutions and matrix products, half of what PyTorch counts, since it
            counts an addition with each multiplication.
        activation_bytes: size of the float32 tensors, weights excluded, that training keeps for the backward
            pass.
    """

    multiplications: int
    activation_bytes: int

    def times(self, pixels: int) -> "StepCost":
        """Return the cost on this many pixels, if this is that on one, and all pixels cost the same."""
        return StepCost(pixels * self.multiplications, pixels * self.activation_bytes)


def step_cost(
    model: nn.Module,
    size: int | tuple[int, int],
    in_channels: int = 1,
    context: int = CONTEXT,
    horizon: int = HORIZON,
) -> StepCost:
    """Return the mean cost of one predicted frame, from predictions of `horizon` and 2 x `horizon` frames.

    By default it is the cost of a sequence's fourth frame. Which frame is counted matters only where a step
    attends to all earlier frames (E3D-LSTM), or a model predicts many frames at once. The model is moved to
    the meta device, so nothing is computed. `size` is a frame's height and width, pixels, or both if they
    differ.
    """
    model = model.to("meta")
    before, after = (_cost(model, size, in_channels, context, end) for end in (horizon, 2 * horizon))
    return StepCost(
        (after.multiplications - before.multiplications) // horizon,
        (after.activation_bytes - before.activation_bytes) // horizon,
    )


def _cost(
    model: nn.Module, size: int | tuple[int, int], in_channels: int, context: int, horizon: int
) -> StepCost:
    weights = {weight.untyped_storage()._cdata for weight in model.parameters()}
    kept: dict[int, torch.UntypedStorage] = {}  # kept alive, so that no address is used twice

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[storage._cdata] = storage
        return tensor

    frames = torch.zeros(1, context + horizon, in_channels, *sides(size), device="meta")
    # Some models predict pixel by pixel; training them computes all pixels at once, at the same cost.
    predict = getattr(model, "teacher_forced", model)
    with FlopCounterMode(display=False) as counter, saved_tensors_hooks(note, lambda tensor: tensor):
        predict(frames, context, horizon)
    activations = sum(storage.nbytes() for key, storage in kept.items() if key not in weights)
    return StepCost(int(counter.get_total_flops()) // 2, activations)


def paper_flops(parameters: int, size: int) -> int:
    """Return the FLOPs as in the paper's Table 2, which computed them from the number of parameters.

    They are the parameters, rounded to 0.01 million, times height x width / 1024, times 1000.
    """
    return round(parameters, -4) * size * size * 1000 // 1024


def write_complexity(settings: dict[str, Settings], output: Path) -> None:
    """Write a CSV row for every model of the paper's scale, and for those in use at other scales.

    Args:
        settings: the settings of each scale, by its name.
        output: the CSV file: scale, system, title, parameters, and for each size in pixels the
            multiplications and bytes of activations per step, and the paper's FLOPs. Recognizers are counted
            at the paper's scale only, for three channels and 41 activities.
    """
    rows, counts = [], dict[str, dict[str, int]]()
    for scale, catalogue in settings.items():
        for name, title, choice in counted_models(catalogue, scale):
            if choice.recognizes and scale != "paper":
                continue
            lengths = _lengths(catalogue, name, choice)
            key = f"{choice.model_dump_json()} {lengths}"  # entries may differ in their training only
            if key not in counts:
                counts[key] = (
                    _count_recognizer(choice) if choice.recognizes else _count_predictor(choice, lengths)
                )
            rows.append({"scale": scale, "system": name, "title": title} | counts[key])
    table = pd.DataFrame(rows).astype({"parameters": "Int64"})
    write_text(output, table.to_csv(index=False, float_format="%.0f"))


def write_orders(output: Path) -> None:
    """Write the costs at each order N of Table 2's model and of Eq. 7 with full kernels.

    Args:
        output: the CSV file: model, order, parameters, multiplications (per step on a frame of 64 x 64
            pixels).
    """
    rows = []
    for title, (name, hyper) in GROWING.items():
        for order in ORDERS:
            with torch.device("meta"):
                model = create_model(name, order=order, steps=order, **hyper)
            parameters = count_parameters(model)
            # Every step multiplies as often; only the kept activations differ between the first ones.
            multiplications = step_cost(model, SIZES[0], context=1).multiplications
            rows.append([title, order, parameters, multiplications])
    table = pd.DataFrame(rows, columns=["model", "order", "parameters", "multiplications"])
    write_text(output, table.to_csv(index=False))


def _lengths(settings: Settings, system: str, choice: Any) -> tuple[int, int]:
    """Return the input frames and horizon to count at: for a user's model, those it is trained for."""
    if isinstance(choice, ExternalModel):
        for dataset, experiment in settings.experiments.items():
            if system in experiment.systems():
                return settings.datasets[dataset].context, settings.datasets[dataset].horizon
    return CONTEXT, HORIZON


def _count_predictor(choice: Any, lengths: tuple[int, int]) -> dict[str, int]:
    with torch.device("meta"):
        model = create_model(choice.name, **choice.hyper())
    parameters = count_parameters(model)
    row = {"parameters": parameters}
    own = not isinstance(choice, ExternalModel)
    pixel = step_cost(model, 1) if own and isinstance(model, RecurrentPredictor) else None
    for size in SIZES:
        try:
            row |= _columns(pixel.times(size**2) if pixel else step_cost(model, size, 1, *lengths), size)
        except (RuntimeError, ValueError) as error:
            if own:
                raise
            print(f"{choice.name} is not counted at {size} x {size} pixels: {shortened(error)}")
    return row | {f"paper_flops_{size}": paper_flops(parameters, size) for size in PAPER_SIZES}


def _count_recognizer(choice: Any) -> dict[str, int]:
    with torch.device("meta"):
        model = create_model(choice.name, **choice.hyper(), **RECOGNITION)
    size, channels = RECOGNITION["size"], RECOGNITION["in_channels"]
    return {"parameters": count_parameters(model)} | _columns(step_cost(model, size, channels), size)


def _columns(cost: StepCost, size: int) -> dict[str, int]:
    return {
        f"multiplications_{size}": cost.multiplications,
        f"activation_bytes_{size}": cost.activation_bytes,
    }


class ModelCounts:
    """Counts of a scale's models, on the meta device; see `planning.clock.Counts`.

    Args:
        settings: the scale's settings.
        paper: settings of the paper's scale, whose models `benchmarks.system_times` times.
    """

    def __init__(self, settings: Settings, paper: Settings) -> None:
        self.settings, self.paper = settings, paper
        self._counted: dict[str, int] = {}

    def _once(self, count: Callable[[], int], *key: object) -> int:
        """Return a count, which is made once for each key."""
        if (text := repr(key)) not in self._counted:
            self._counted[text] = count()
        return self._counted[text]

    def parameters(self, run: Run) -> int:
        """Return the number of parameters of a run's model."""
        key = "parameters", run.model, run.model_arguments()
        return self._once(lambda: count_parameters(_empty(run)), *key)

    def parameter_ratio(self, run: Run) -> float:
        """Return the number of parameters of a run's model, relative to the paper's of that name."""
        plain = run.model_copy(update={"model": self.paper.systems[run.system].model})
        return self.parameters(run) / self.parameters(plain)

    def multiplication_ratio(self, run: Run, size: int) -> float:
        """Return the multiplications of a step, relative to the paper's Conv-TT-LSTM at `size` pixels."""
        lengths = _lengths(self.settings, run.system, run.model)
        frames = run.dataset.frame_shape, run.dataset.channels, *lengths
        key = run.model, run.model_arguments(), frames
        own = self._once(lambda: step_cost(_empty(run), *frames).multiplications, *key)
        return own / self._once(lambda: self._reference(size), size)

    def _reference(self, size: int) -> int:
        with torch.device("meta"):
            model = create_model("conv_tt_lstm", **self.paper.systems["conv_tt_lstm"].model.hyper())
        return step_cost(model, size).multiplications


def _empty(run: Run) -> nn.Module:
    with torch.device("meta"):
        return create_model(run.model.name, **run.model_arguments())
