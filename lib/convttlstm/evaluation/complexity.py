"""What a model costs: parameters and multiplications, counted, beside the paper's arithmetic."""

from pathlib import Path

import pandas as pd
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from convttlstm.config import Settings
from convttlstm.files import write_text
from convttlstm.models import create_model

SIZES = (64, 120)  # Moving-MNIST-2 and KTH, pixels


def count_parameters(model: nn.Module) -> int:
    """Return the number of a model's weights."""
    return sum(weight.numel() for weight in model.parameters())


def multiplications_per_step(model: nn.Module, size: int, in_channels: int = 1) -> int:
    """Return the multiplications that predicting one more frame of `size` x `size` pixels takes.

    PyTorch's counter sees convolutions and matrix products, and counts an addition beside each
    multiplication. The second step is counted, as the first one also prepares zero states. Nothing
    is computed: the model is moved to the meta device.
    """
    frames = torch.zeros(1, 2, in_channels, size, size, device="meta")
    model = model.to("meta")
    totals = []
    for context in (1, 2):
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            model(frames, context, 1)
        totals.append(counter.get_total_flops() // 2)
    return totals[1] - totals[0]


def paper_flops(parameters: int, size: int) -> int:
    """Return the figure that the paper's arithmetic gives for its FLOPs column.

    Table 2's column was not measured: it is the parameters, rounded to 0.01 million, times
    height x width / 1024, times 1000.
    """
    return round(parameters, -4) * size * size * 1000 // 1024


def write_complexity(settings: dict[str, Settings], output: Path) -> None:
    """Write a CSV line for every system of every scale, full-size models included.

    Args:
        settings: the settings of each scale, by its name.
        output: the CSV file: scale, system, title, parameters, and at 64 and 120 pixels the
            multiplications per step and the paper's arithmetic.
    """
    rows = []
    for scale, catalogue in settings.items():
        for name, system in catalogue.systems.items():
            with torch.device("meta"):
                model = create_model(system.model.name, **system.model.hyper())
            parameters = count_parameters(model)
            row = {"scale": scale, "system": name, "title": system.title, "parameters": parameters}
            row |= {f"multiplications_{size}": multiplications_per_step(model, size) for size in SIZES}
            row |= {f"paper_flops_{size}": paper_flops(parameters, size) for size in SIZES}
            rows.append(row)
    write_text(output, pd.DataFrame(rows).to_csv(index=False))
