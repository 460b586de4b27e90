"""Weights with the channels first or last give the same results, and each device gets its own."""

import pytest
import torch

from convttlstm.models import create_model
from convttlstm.models.layout import fast_layout
from tests.tiny_models import TINY_MODELS, outputs, random_frames

STACKED = ["conv_lstm", "conv_tt_lstm", "higher_order", "conv_lstm_ttd"]
MIXED = torch.tensor([[True, False], [False, True]])


@pytest.mark.parametrize(
    "capability, layout",
    [
        ("AVX512", torch.channels_last),
        ("AVX512_VNNI", torch.channels_last),
        ("AVX2", torch.contiguous_format),
        ("DEFAULT", torch.contiguous_format),
    ],
)
def test_a_cpu_without_avx_512_has_the_channels_first(monkeypatch, capability, layout):
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    assert fast_layout("cpu") == layout
    assert fast_layout("cuda") == torch.channels_last
    model = create_model("conv_lstm", **TINY_MODELS["conv_lstm"])
    assert model.stack.cells()[1].gates.weight.is_contiguous(memory_format=layout)
    moved = model.double()  # on the same device: stays as it is
    assert moved.stack.cells()[1].gates.weight.is_contiguous(memory_format=layout)


def test_another_device_gets_its_own_layout(monkeypatch):
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX2")
    model = create_model("conv_lstm", **TINY_MODELS["conv_lstm"])
    weights = model.stack.cells()[1].gates
    assert not weights.weight.is_contiguous(memory_format=torch.channels_last)
    model.to("meta")
    assert weights.weight.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("name", STACKED)
def test_both_layouts_give_the_same_frames_and_gradients(monkeypatch, name):
    found = []
    for capability in ("AVX512", "AVX2"):
        monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda value=capability: value)
        torch.manual_seed(0)
        model = create_model(name, **TINY_MODELS[name]).double()
        frames = outputs(model, random_frames().double(), 3, 3, MIXED)
        found.append([frames, *torch.autograd.grad(frames.square().sum(), list(model.parameters()))])
    assert found[0][1].abs().max() > 0
    for last, first in zip(*found, strict=True):
        torch.testing.assert_close(first, last, rtol=1e-9, atol=1e-12)
