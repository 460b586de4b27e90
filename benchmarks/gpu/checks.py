"""Checks that all variants compute the same function on this device, up to rounding."""

import math

import torch
from torch import Tensor

from benchmarks import oracle
from benchmarks.gpu import Options, Row
from benchmarks.oracle_layers import hidden_by_oracle
from benchmarks.textbook import textbook_layer
from benchmarks.variants import CHANGES, GRAPH, TUNED, Variant, Work, losses, waves
from convttlstm.models.conv_lstm import ConvLstmCell
from convttlstm.models.conv_tt_lstm import PackedConvTtLstmCell
from convttlstm.models.recurrent import RecurrentPredictor
from convttlstm.repeatability import set_arithmetic

CODES = ["textbook", "readable", "ours", *(f"ours, {change}" for change in CHANGES)]
# Largest relative errors, by norms, of outputs and of gradients; exact is the textbook in float64 on the CPU.
LIMITS = {"float64": (1e-10, 1e-9), "float32": (1e-4, 1e-3), "tf32": (1e-2, 5e-2), "bf16": (5e-2, 3e-1)}
UPDATES = 200
LOSS_LIMITS = {"float32": 0.01, "bf16": 0.05}  # largest relative differences of the last 20 losses' means


def check_model(options: Options, name: str, precision: str, codes: list[str]) -> list[Row]:
    """Return a row for each code, with the errors of its outputs and gradients.

    Raises:
        AssertionError: an error is larger than its precision explains.
    """
    reference = _values(Variant(name, "float64", "textbook"), options.work(16), "cpu")
    rows = []
    for code in codes:
        found = _values(Variant(name, precision, code), options.work(16), options.kind)
        errors = [_distance(*pair) for pair in zip(found, reference, strict=True)]
        agrees = all(error <= limit for error, limit in zip(errors, LIMITS[precision], strict=True))
        row = {"model": name, "precision": precision, "code": code, "agrees": agrees}
        rows.append(row | {"output_error": errors[0], "gradient_error": errors[1]})
    return agreeing(rows)


def agreeing(rows: list[Row]) -> list[Row]:
    """Return the rows.

    Raises:
        AssertionError: some do not agree; the message lists them.
    """
    if wrong := [row for row in rows if not row["agrees"]]:
        raise AssertionError(f"does not agree: {wrong}")
    return rows


def _values(variant: Variant, work: Work, kind: str) -> list[Tensor]:
    """Return a model's predictions, and all gradients as one vector, both in float64 on the CPU."""
    exact = variant.precision == "float64"
    set_arithmetic(tf32=variant.precision == "tf32")
    work = Work(2, work.side, kind, min(work.context, 3), min(work.horizon, 3), work.settings)
    model: RecurrentPredictor = variant.build(work)
    frames = waves(torch.Size([2, work.context + work.horizon, 1, work.side, work.side]), 0).to(kind)
    if exact:
        model, frames = model.double(), frames.double()
    with torch.autocast(kind, torch.bfloat16, enabled=variant.precision == "bf16"):
        outputs = model(frames, work.context, work.horizon)
    gradients = torch.autograd.grad(outputs.to(frames.dtype).square().sum(), list(model.parameters()))
    joined = torch.cat([gradient.flatten() for gradient in gradients])
    return [outputs.detach().cpu().double(), joined.cpu().double()]


def _distance(found: Tensor, expected: Tensor) -> float:
    distance = float((found - expected).norm() / expected.norm())
    return distance if math.isfinite(distance) else math.inf


def check_layers(options: Options) -> list[Row]:
    """Return a row for each layer, with the error of its hidden state; exact is the oracle.

    Raises:
        AssertionError: an error is larger than float64's rounding explains.
    """
    steps, order, size = 3, 2, 3
    margin = steps * (oracle.border(size, order) + size // 2)
    side = 2 * margin + 5
    torch.manual_seed(0)
    layers = {
        "conv_lstm": ConvLstmCell(1, 2, size, size),
        "conv_tt_lstm": PackedConvTtLstmCell(1, 2, size, order, 3, 2, size),
    }
    rows = []
    for name, layer in layers.items():
        x = torch.randn(steps, 1, side, side, dtype=torch.float64)
        expected = torch.from_numpy(hidden_by_oracle(layer.double(), x))
        for code, moved in {"textbook": textbook_layer(layer), "ours": layer}.items():
            moved, frames = moved.to(options.kind), x[:, None].to(options.kind)
            state = moved.initial_state(frames[0])
            for frame in frames:
                hidden, state = moved(frame, state)
            inner = (..., slice(margin, -margin), slice(margin, -margin))
            error = _distance(hidden.detach()[0].cpu()[inner], expected[inner])
            row = {"model": f"{name}, one layer", "precision": "float64", "code": code}
            rows.append(row | {"agrees": error < 1e-10, "output_error": error})
    return agreeing(rows)


def check_losses(options: Options, name: str, precision: str) -> list[Row]:
    """Return every tenth loss of the same 200 steps, in a row each without and with changes for speed.

    Raises:
        AssertionError: the last losses differ by more than LOSS_LIMITS.
    """
    work = options.work(64, batch=4)
    codes = ["ours", f"ours, {GRAPH}, {TUNED}" if options.kind == "cuda" else "ours, inputs at once"]
    found = {code: losses(Variant(name, precision, code), work, UPDATES) for code in codes}
    ends = {code: sum(values[-20:]) / 20 for code, values in found.items()}
    rows = []
    for code, values in found.items():
        difference = abs(ends[code] - ends["ours"]) / ends["ours"]
        row = {"model": name, "precision": precision, "code": code, "difference": difference}
        row["agrees"] = difference <= LOSS_LIMITS[precision]
        rows.append(row | {f"loss_{i + 1}": values[i] for i in range(9, UPDATES, 10)})
    return agreeing(rows)
