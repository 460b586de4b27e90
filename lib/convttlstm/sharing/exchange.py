"""Weights from elsewhere, and for elsewhere: the authors' release in, a model with its card out."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from convttlstm import hub, provenance
from convttlstm.config import Run, read_run, write_run
from convttlstm.evaluation.complexity import count_parameters
from convttlstm.evaluation.protocol import load_model
from convttlstm.files import (
    UserError,
    atomic_path,
    read_json,
    sha256_of,
    write_bytes,
    write_json,
    write_text,
)
from convttlstm.models import create_model
from convttlstm.sharing.released import from_released


def import_weights(source: Path, sha256: str, run: Run, folder: Path) -> None:
    """Write a checkpoint of the authors' layout as the weights of a run, ready to be evaluated.

    Args:
        source: the file; it holds `model_state_dict`, or the weights alone.
        sha256: its checksum, from whoever gave it to you; nothing is read before it holds.
        run: the settings that the weights are said to belong to.
        folder: for best.safetensors, config.json and provenance.json; of no run that was trained here.

    Raises:
        UserError: the checksum is another, the file is no such checkpoint, or it has other settings.
    """
    if (folder / "history.csv").exists() or (folder / "last.ckpt").exists():
        raise UserError(f"{folder}: holds a run that was trained here; choose another folder")
    content = _read(source, sha256)
    try:
        ours = from_released(content.get("model_state_dict", content))
    except UserError as error:
        raise UserError(f"{source}: {error}") from None
    except (AttributeError, RuntimeError) as error:  # no tensors, or of shapes that do not fit together
        reason = " ".join(str(error).split())
        raise UserError(f"{source}: its weights are not of the authors' layout ({reason})") from None
    model = create_model(run.model.name, run.dataset.channels, **run.model_arguments())
    _check_shapes(source, run, model, ours)
    folder.mkdir(parents=True, exist_ok=True)
    made_by = {"run": run.id, **provenance.origin(), "parameters": count_parameters(model)}
    made_by["imported"] = {"file": source.name, "sha256": sha256, "epoch": content.get("epoch")}
    write_run(folder, run)
    with atomic_path(folder / "best.safetensors") as temporary:
        tensors = {name: tensor.float().contiguous() for name, tensor in ours.items()}
        save_file(tensors, temporary, {"digest": run.digest()})
        write_json(folder / "provenance.json", made_by | {"weights_sha256": sha256_of(temporary)})


def _read(source: Path, sha256: str) -> dict[str, Any]:
    if not source.is_file():
        raise UserError(f"{source}: no such file")
    if (found := sha256_of(source)) != sha256.lower():
        raise UserError(f"{source}: has SHA-256 {found}, not {sha256}; it is not read")
    try:
        content = torch.load(source, map_location="cpu", weights_only=True)
    except Exception:  # torch raises many kinds, and advises to read it unsafely
        raise UserError(f"{source}: holds more than weights, or is no checkpoint; it is not read") from None
    if not isinstance(content, dict):
        raise UserError(f"{source}: holds no weights by name, but {type(content).__name__}")
    return content


def _check_shapes(source: Path, run: Run, model: nn.Module, ours: dict[str, Tensor]) -> None:
    expected = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    found = {name: tuple(tensor.shape) for name, tensor in ours.items()}
    for name in sorted(expected | found):
        if expected.get(name) != found.get(name):
            raise UserError(
                f"{source}: {name} is {found.get(name)}, but {run.id} on {run.dataset_name} wants "
                f"{expected.get(name)}; name a run with the file's settings, such as conv_tt_lstm-N2-seed0"
            )


def export_weights(folder: Path, output: Path) -> None:
    """Write a finished run's weights with a model card, for `convttlstm.hub` and `convttlstm predict`.

    Args:
        folder: the run's folder.
        output: a new folder, for model.safetensors, model.json, README.md (the card), config.json and
            provenance.json.

    Raises:
        UserError: the run is not finished, or its weights are damaged.
    """
    run = read_run(folder)
    model = load_model(run, folder)
    weights = folder / "best.safetensors"
    write_bytes(output / hub.WEIGHTS, weights.read_bytes())
    arguments = {"in_channels": run.dataset.channels, **run.model_arguments()}
    description = {"name": run.model.name, "arguments": arguments, "sha256": sha256_of(weights)}
    write_json(output / hub.DESCRIPTION, description)
    for name in ("config.json", "provenance.json"):
        write_bytes(output / name, (folder / name).read_bytes())
    write_text(output / "README.md", _card(run, folder, count_parameters(model)))


CARD = """---
license: {licence}
library_name: convttlstm
tags: [video-prediction, conv-tt-lstm]
---

# {run.title}, {run.dataset.title}: {run.label}

Run {run.id} of the reproduction of *Convolutional Tensor-Train LSTM for Spatio-Temporal Learning* (NeurIPS
2020), {parameters:,} parameters. {stand_in}

```python
from convttlstm.hub import load

model = load("path/to/this/folder")
prediction = model(frames, context={run.dataset.context}, horizon={run.dataset.horizon})
```

`frames` are {seen} of {height} x {width} pixels, values in [0, 1]; the last `horizon` outputs are
the prediction. `convttlstm predict FOLDER VIDEO --horizon 10 -o prediction.gif` predicts how a video goes
on{drawn}.

- Weights: {origin}; SHA-256 {sha256}
- Data: {data}
- Settings of training: {training}

{metrics}
"""


def _card(run: Run, folder: Path, parameters: int) -> str:
    made_by = read_json(folder / "provenance.json")
    if imported := made_by.get("imported"):
        origin = f"imported from {imported['file']}, SHA-256 {imported['sha256']}"
    else:
        origin = f"{made_by['epochs']} epochs on {made_by['device']}, torch {made_by['versions']['torch']}"
    stand_in = "**The data are a synthetic stand-in: this proves nothing about the real ones.**"
    height, width = run.dataset.frame_shape
    return CARD.format(
        height=height,
        width=width,
        licence="other" if imported else "mit",  # the authors' is non-commercial
        run=run,
        parameters=parameters,
        sha256=made_by["weights_sha256"],
        drawn="; without VIDEO, how a test sequence does" if run.dataset.generated else "",
        stand_in=stand_in if run.dataset.stand_in else "",
        seen=f"(batch, time, {run.dataset.channels}, height, width)",
        origin=f"{origin}; commit {made_by['commit']}",
        data=json.dumps(made_by["data"]) if "data" in made_by else "not known",
        training="not known" if imported else run.training.model_dump_json(exclude_defaults=True),
        metrics=_metrics(folder / "metrics.json"),
    )


def _metrics(path: Path) -> str:
    """Return a table of what the run reached on the test split, by horizon or by share of the frames."""
    if not path.is_file():
        return "Not judged on the test split."
    metrics = read_json(path)
    lines = [
        f"| {key} | {name} | {value['mean']:.6g} | {value['low']:.6g} to {value['high']:.6g} |"
        for key, values in (metrics.get("horizons") or metrics["fractions"]).items()
        for name, value in values.items()
        if isinstance(value, dict) and "mean" in value
    ]
    first = "frames predicted" if "horizons" in metrics else "share of the clip seen"
    head = [f"| {first} | metric | mean | 95 % interval |", "|---|---|---|---|"]
    return "\n".join(["On the test split:", "", *head, *lines])
