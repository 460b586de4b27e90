"""Whether every variant computes the same function on this device, and how far off its rounding is."""

import math

import torch
from torch import Tensor

from benchmarks.gpu import Options, Row
from benchmarks.textbook import textbook_layer
from benchmarks.variants import CHANGES, GRAPH, TUNED, Variant, Work, losses, waves
from convttlstm.models.conv_lstm import ConvLstmCell
from convttlstm.models.conv_tt_lstm import PackedConvTtLstmCell
from convttlstm.models.recurrent import RecurrentPredictor
from convttlstm.repeatability import set_arithmetic
from tests import oracle
from tests.layers import hidden_by_oracle

CODES = ["textbook", "readable", "ours", *(f"ours, {change}" for change in CHANGES)]
# Of outputs and of gradients, by norms, against the textbook module in float64 on the CPU.
LIMITS = {"float64": (1e-10, 1e-9), "float32": (1e-4, 1e-3), "tf32": (1e-2, 5e-2), "bf16": (5e-2, 3e-1)}
UPDATES = 200
LOSS_LIMITS = {"float32": 0.01, "bf16": 0.05}  # of the mean of the last 20 losses, relative


def check_model(options: Options, name: str, precision: str, codes: list[str]) -> list[Row]:
    """Return a line for each code: how far its outputs and gradients are from float64's.

    Raises:
        AssertionError: one is further away than its precision explains.
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
        AssertionError: some do not agree; the message has them all.
    """
    if wrong := [row for row in rows if not row["agrees"]]:
        raise AssertionError(f"does not agree: {wrong}")
    return rows


def _values(variant: Variant, work: Work, kind: str) -> list[Tensor]:
    """Return the frames that a model predicts, and all gradients in a row, both in float64 on the CPU."""
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
    row = torch.cat([gradient.flatten() for gradient in gradients])
    return [outputs.detach().cpu().double(), row.cpu().double()]


def _distance(found: Tensor, expected: Tensor) -> float:
    distance = float((found - expected).norm() / expected.norm())
    return distance if math.isfinite(distance) else math.inf


def check_layers(options: Options) -> list[Row]:
    """Return a line for each layer: how far its hidden state is from that of the oracle's full-size kernels.

    Raises:
        AssertionError: one is further away than float64's rounding explains.
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
        for code, own in {"textbook": textbook_layer(layer), "ours": layer}.items():
            own, frames = own.to(options.kind), x[:, None].to(options.kind)
            state = own.initial_state(frames[0])
            for frame in frames:
                hidden, state = own(frame, state)
            inner = (..., slice(margin, -margin), slice(margin, -margin))
            error = _distance(hidden.detach()[0].cpu()[inner], expected[inner])
            row = {"model": f"{name}, one layer", "precision": "float64", "code": code}
            rows.append(row | {"agrees": error < 1e-10, "output_error": error})
    return agreeing(rows)


def check_losses(options: Options, name: str, precision: str) -> list[Row]:
    """Return the losses of the same 200 steps before and after each change for speed, every tenth step.

    Raises:
        AssertionError: they end apart by more than LOSS_LIMITS.
    """
    work = options.work(64, batch=4)
    codes = ["ours", f"ours, {TUNED}"] + ([f"ours, {GRAPH}"] if options.kind == "cuda" else [])
    found = {code: losses(Variant(name, precision, code), work, UPDATES) for code in codes}
    ends = {code: sum(values[-20:]) / 20 for code, values in found.items()}
    rows = []
    for code, values in found.items():
        apart = abs(ends[code] - ends["ours"]) / ends["ours"]
        row = {"model": name, "precision": precision, "code": code, "apart": apart}
        row["agrees"] = apart <= LOSS_LIMITS[precision]
        rows.append(row | {f"loss_{i + 1}": values[i] for i in range(9, UPDATES, 10)})
    return agreeing(rows)
