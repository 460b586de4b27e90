"""Import the authors' released weights, and export a run's weights with a model card."""

import json
from collections.abc import Mapping
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
from convttlstm.markup import markdown
from convttlstm.models import create_model
from convttlstm.reporting.cells import counted_frames
from convttlstm.sharing.released import from_released


def import_weights(source: Path, sha256: str, run: Run, folder: Path) -> None:
    """Convert a checkpoint in the authors' layout to the weights of a run, ready for evaluation.

    Args:
        source: the checkpoint; it holds `model_state_dict`, or only the weights.
        sha256: its checksum, as published with it; verified before the file is read.
        run: the settings that the weights belong to.
        folder: folder for best.safetensors, config.json and provenance.json, without a run trained here.

    Raises:
        UserError: the checksum differs, the file is not such a checkpoint, or its settings differ.
    """
    if (folder / "history.csv").exists() or (folder / "last.ckpt").exists():
        raise UserError(f"{folder}: holds a run that was trained here; name another folder")
    content = _read(source, sha256)
    try:
        ours = from_released(_checked_weights(content.get("model_state_dict", content)))
    except UserError as error:
        raise UserError(f"{source}: {error}") from None
    except RuntimeError as error:  # inconsistent shapes
        reason = " ".join(str(error).split())
        raise UserError(f"{source}: its weights do not have the authors' layout ({reason})") from None
    model = create_model(run.model.name, **run.model_arguments())
    _check_shapes(source, run, model, ours)
    folder.mkdir(parents=True, exist_ok=True)
    made_by = {"run": run.id, **provenance.origin(), "parameters": count_parameters(model)}
    epoch = content.get("epoch") if isinstance(content.get("epoch"), int) else None
    made_by["imported"] = {"file": source.name, "sha256": sha256, "epoch": epoch}
    write_run(folder, run)
    with atomic_path(folder / "best.safetensors") as temporary:
        tensors = {name: tensor.float().contiguous().clone() for name, tensor in ours.items()}  # none shared
        save_file(tensors, temporary, {"digest": run.digest()})
        provenance.discard_other_metrics(folder, weights_sha256 := sha256_of(temporary))
        write_json(folder / "provenance.json", made_by | {"weights_sha256": weights_sha256})


def _read(source: Path, sha256: str) -> dict[str, Any]:
    if not source.is_file():
        raise UserError(f"{source}: no such file")
    if (found := sha256_of(source)) != sha256.lower():
        raise UserError(f"{source}: has SHA-256 {found}, not {sha256}; it was not read, get it again")
    try:
        content = torch.load(source, map_location="cpu", weights_only=True)
    except Exception:  # torch raises many types, and advises to load it unsafely
        raise UserError(f"{source}: holds more than weights, or is no checkpoint; it was not read") from None
    if not isinstance(content, dict):
        raise UserError(f"{source}: holds a {type(content).__name__}, expected weights by name")
    return content


def _checked_weights(weights: Any) -> dict[str, Tensor]:
    """Return weights by name; raise UserError if they are anything else."""
    if not isinstance(weights, Mapping):
        raise UserError(f"holds a {type(weights).__name__}, expected weights by name")
    for name, value in weights.items():
        if not isinstance(name, str):
            raise UserError(f"{name!r} is not a name of weights")
        dense = isinstance(value, Tensor) and value.layout == torch.strided and not value.is_complex()
        if not dense or value.is_quantized:
            raise UserError(f"{name} is not a dense tensor of real numbers")
    return dict(weights)


def _check_shapes(source: Path, run: Run, model: nn.Module, ours: dict[str, Tensor]) -> None:
    expected = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    found = {name: tuple(tensor.shape) for name, tensor in ours.items()}
    for name in sorted(expected | found):
        if expected.get(name) != found.get(name):
            raise UserError(
                f"{source}: {name} is {found.get(name)}, but {run.id} on {run.dataset_name} needs "
                f"{expected.get(name)}; name a run with the file's settings, such as conv_tt_lstm-N2-seed0"
            )


def export_weights(folder: Path, output: Path) -> None:
    """Write a finished run's weights with a model card, for `convttlstm.hub` and `convttlstm predict`.

    Args:
        folder: the run's folder.
        output: a new folder for model.safetensors, model.json, README.md (the card), config.json and
            provenance.json.

    Raises:
        UserError: the run is not finished, or its weights are damaged.
    """
    run = read_run(folder)
    model = load_model(run, folder)
    weights = folder / "best.safetensors"
    write_bytes(output / hub.WEIGHTS, weights.read_bytes())
    description = {"name": run.model.name, "arguments": run.model_arguments(), "sha256": sha256_of(weights)}
    write_json(output / hub.DESCRIPTION, description)
    for name in ("config.json", "provenance.json"):
        write_bytes(output / name, (folder / name).read_bytes())
    write_text(output / "README.md", _card(run, folder, count_parameters(model)))


CARD = """---
license: {licence}
library_name: convttlstm
tags: [video-prediction, conv-tt-lstm]
---

# {title}

Run {run.id} of the reproduction of *Convolutional Tensor-Train LSTM for Spatio-Temporal Learning* (NeurIPS
2020), {parameters:,} parameters. {stand_in}

```python
from convttlstm.hub import load

model = load("path/to/this/folder")
{call}
```

`frames` are {seen} of {height} x {width} pixels, values in [0, 1]. {returned}

- Weights: {origin}; SHA-256 {sha256}
- Data: {data}
- Settings of training: {training}

{metrics}
"""


PREDICTS = """The last `horizon` outputs are the prediction.
`convttlstm predict FOLDER VIDEO --horizon 10 -o prediction.gif` predicts the next frames of a video"""


def _card(run: Run, folder: Path, parameters: int) -> str:
    made_by = read_json(folder / "provenance.json")
    if imported := made_by.get("imported"):
        origin = f"imported from {imported['file']}, SHA-256 {imported['sha256']}"
    else:
        origin = (
            f"epoch {made_by['best_epoch']} of {made_by['epochs']}, the one with the lowest validation loss, "
            f"on {made_by['device']}, torch {made_by['versions']['torch']}"
        )
    stand_in = "**The data are a synthetic stand-in: results say nothing about the real data.**"
    height, width = run.dataset.frame_shape
    if run.dataset.recognition:
        call = f"outputs, logits = model(frames, context=frames.shape[1], horizon={run.dataset.horizon})"
        returned = (
            "The logits of the activities are (batch, classes), in the order of the list of categories."
        )
    else:
        call = f"outputs = model(frames, context={run.dataset.context}, horizon={run.dataset.horizon})"
        returned = PREDICTS + (", or without VIDEO of a test sequence." if run.dataset.generated else ".")
    return CARD.format(
        height=height,
        width=width,
        licence="other" if imported else "mit",  # the authors' license is non-commercial
        run=run,
        parameters=parameters,
        sha256=made_by["weights_sha256"],
        title=markdown(f"{run.title}, {run.dataset.title}: {run.label}"),
        call=call,
        returned=returned,
        stand_in=stand_in if run.dataset.stand_in else "",
        seen=f"(batch, time, {run.dataset.channels}, height, width)",
        origin=f"{origin}; commit {made_by['commit']}",
        data=json.dumps(made_by["data"]) if "data" in made_by else "not known",
        training="not known" if imported else run.training.model_dump_json(exclude_defaults=True),
        metrics=_metrics(run, folder / "metrics.json"),
    )


def _interval(value: dict[str, Any]) -> str:
    """Return an interval of metrics.json, which has no bounds where there is a single group."""
    return "none" if value["low"] is None else f"{value['low']:.6g} to {value['high']:.6g}"


def _metrics(run: Run, path: Path) -> str:
    """Return a table of the run's metrics on the test split, by horizon or by fraction of the frames."""
    if not path.is_file():
        return "Not evaluated on the test split."
    metrics = read_json(path)
    lines = [
        f"| {key} | {name} | {value['mean']:.6g} | {_interval(value)} |"
        for key, values in (metrics.get("horizons") or metrics["fractions"]).items()
        for name, value in values.items()
        if isinstance(value, dict) and "mean" in value
    ]
    first = "frames predicted" if "horizons" in metrics else "fraction of the clip seen"
    head = [f"| {first} | metric | mean | 95 % interval |", "|---|---|---|---|"]
    said = (
        "On the test split, for this run alone. Intervals are over test sequences; other seeds give other "
        "numbers, so compare models by their means over seeds."
    )
    said += "" if run.dataset.recognition else counted_frames(run.evaluation)
    return "\n".join([said, "", *head, *lines])
