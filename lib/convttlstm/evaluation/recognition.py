"""Evaluation of early activity recognition: predict each test clip's activity from its first part."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from tqdm import tqdm

from convttlstm.config import Run
from convttlstm.data.activities import Activities, Part, evaluation_plan
from convttlstm.data.clips import as_bytes, as_floats
from convttlstm.evaluation.complexity import count_parameters
from convttlstm.evaluation.intervals import proportion
from convttlstm.files import UserError, atomic_path, write_json, write_text

BINS = 10  # of confidence, for the calibration error


def evaluate_recognizer(
    run: Run, model: nn.Module, data: Path, output: Path, device: torch.device | str, made_by: dict[str, Any]
) -> dict[str, Any]:
    """Predict the activity of every test clip at each fraction, and write the results to `output`.

    metrics.json is written last, after predictions.csv, with a row for each clip and fraction, and
    examples.npz, with the most confident correct and the most confident wrong prediction at each fraction.
    Accuracies are between 0 and 1, with Wilson's intervals over clips.

    Args:
        run: its settings; the data set is of the kind something.
        model: a recognizer with its weights.
        data: the folder of the data set's manifest.
        output: the run's folder.
        device: device to compute on.
        made_by: provenance, stored as `evaluated_by`.

    Returns:
        The content of metrics.json.

    Raises:
        UserError: clips are missing or damaged, or a file cannot be written.
    """
    dataset = run.dataset
    model = model.to(device).eval()
    clips, categories = Activities(dataset, data, "test"), dataset.activities()
    groups = np.array([category.group for category in categories])
    tables: list[pd.DataFrame] = []
    examples: dict[str, np.ndarray] = {}
    fractions: dict[str, Any] = {}
    for fraction in clips.dataset.fractions:
        table = _predict_all(run, model, clips, fraction, groups, device)
        tables.append(table)
        fractions[str(fraction)] = accuracies(table)
        examples |= _examples(run, model, clips, table, device)
    result = {
        "run": run.id,
        "dataset": run.dataset_name,
        "scale": run.scale,
        "label": run.label,
        "stand_in": dataset.stand_in,
        "clips": len(clips),
        "skipped": clips.skipped,
        "classes": len(categories),
        "parameters": count_parameters(model),
        "evaluated_by": made_by,
        "fractions": fractions,
    }
    predictions = pd.concat(tables)
    write_text(output / "predictions.csv", predictions.to_csv(index=False, float_format="%.9g"))
    with atomic_path(output / "examples.npz") as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **examples)  # type: ignore[arg-type]
    write_json(output / "metrics.json", result)
    return result


@torch.inference_mode()
def _answer(model: nn.Module, frames: Tensor, horizon: int) -> tuple[Tensor, Tensor]:
    """Return predicted frames and probabilities; the model sees all frames but the last `horizon`."""
    given = frames[:, :-horizon]
    outputs, logits = model(given, given.shape[1], horizon)
    return outputs[:, -horizon:].clamp(0, 1), logits.double().softmax(dim=1)


def _predict_all(
    run: Run,
    model: nn.Module,
    clips: Activities,
    fraction: float,
    groups: np.ndarray,
    device: torch.device | str,
) -> pd.DataFrame:
    """Return a row for each clip: its activity, the predicted one, the confidence, and the truth's rank."""
    plan = evaluation_plan(clips, fraction, run.evaluation.batch_size)
    rows = []
    batches = clips.batches(plan, device, run.compute.workers)
    # disable=None: a progress bar on a terminal only.
    for batch in tqdm(batches, f"evaluate {run.id} at {fraction:.0%}", len(plan), unit="batch", disable=None):
        _, chances = _answer(model, batch.frames, run.dataset.horizon)
        if not chances.isfinite().all():
            raise UserError(
                "a probability is not finite; training has diverged, train again with a smaller learning rate"
            )
        truth = batch.labels
        of_truth = chances.gather(1, truth[:, None])
        confidence, predicted = chances.max(dim=1)
        columns = {
            "clip": [clips.names[part.clip] for part in batch.parts],
            "fraction": fraction,
            "seen": [part.seen for part in batch.parts],
            "label": truth.cpu(),
            "predicted": predicted.cpu(),
            "confidence": confidence.cpu(),
            "rank": 1 + (chances > of_truth).sum(dim=1).cpu(),
            "group": groups[truth.cpu()],
            "predicted_group": groups[predicted.cpu()],
        }
        rows.append(pd.DataFrame(columns))
    return pd.concat(rows)


def accuracies(table: pd.DataFrame) -> dict[str, Any]:
    """Return top-1 and top-5 accuracy, the calibration error, and both readings of each group's accuracy.

    A group's `top1` is the share of its clips whose activity was predicted; its `group` is the share for
    which any activity of the group was predicted. The paper does not say which of them Table 1 shows. The
    calibration error is the mean distance between confidence and accuracy, over ten equal bins of confidence
    (Guo et al., ICML 2017).

    Args:
        table: label, predicted, confidence, rank, group and predicted_group of each clip.
    """
    correct = (table["label"] == table["predicted"]).to_numpy()
    top5 = (table["rank"] <= 5).to_numpy()
    same_group = (table["group"] == table["predicted_group"]).to_numpy()
    found: dict[str, Any] = {
        "top1": _share(correct),
        "top5": _share(top5),
        "group": _share(same_group),
        "calibration_error": calibration_error(table["confidence"].to_numpy(), correct),
        "groups": {},
    }
    for group in dict.fromkeys(table["group"]):
        own = (table["group"] == group).to_numpy()
        found["groups"][group] = {
            "clips": int(own.sum()),
            "top1": _share(correct[own]),
            "group": _share(same_group[own]),
        }
    return found


def calibration_error(confidence: np.ndarray, correct: np.ndarray) -> float:
    """Return the expected calibration error; see `accuracies`."""
    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
    gaps = [
        abs(confidence[bins == b].mean() - correct[bins == b].mean()) * (bins == b).sum()
        for b in np.unique(bins)
    ]
    return float(sum(gaps) / len(confidence))


def _share(hits: np.ndarray) -> dict[str, float | None]:
    return proportion(hits[None].astype(float), np.arange(len(hits))).as_json()


def _examples(
    run: Run, model: nn.Module, clips: Activities, table: pd.DataFrame, device: torch.device | str
) -> dict[str, np.ndarray]:
    """Return the frames, as uint8, of the most confident correct and wrong predictions."""
    fraction, kept = table["fraction"].iloc[0], {}
    correct = table["label"] == table["predicted"]
    for name, chosen in (("correct", table[correct]), ("wrong", table[~correct])):
        if chosen.empty:
            continue
        row = chosen.sort_values(["confidence", "clip"], ascending=[False, True]).iloc[0]
        part: Part = clips.part(clips.names.index(row["clip"]), fraction)
        frames = as_floats(clips.read(part)[None], device)
        predicted, _ = _answer(model, frames, run.dataset.horizon)
        key = f"{fraction}_{name}"
        kept[f"{key}_truth"], kept[f"{key}_prediction"] = as_bytes(frames[0]), as_bytes(predicted[0])
        kept[f"{key}_clip"] = np.array(row["clip"])
    return kept
