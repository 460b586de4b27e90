"""The paper's test protocol: predict once, evaluate every frame, average over frames and sequences."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor
from tqdm import tqdm

from convttlstm import provenance
from convttlstm.config import Dataset, Run, read_run, write_run
from convttlstm.data.clips import NoWindow, Subset, as_bytes, open_clips
from convttlstm.data.source import ClipSource
from convttlstm.evaluation import metrics
from convttlstm.evaluation.complexity import count_parameters
from convttlstm.evaluation.intervals import mean
from convttlstm.evaluation.lpips_metric import Lpips
from convttlstm.evaluation.recognition import evaluate_recognizer
from convttlstm.files import UserError, atomic_path, listed, read_json, shortened, write_json, write_text
from convttlstm.models import create_model
from convttlstm.repeatability import device_kind, set_arithmetic


@dataclass(frozen=True)
class EvaluationSet:
    """Test sequences to predict once, and the horizons to report; a short horizon is the first frames.

    Attributes:
        horizons: numbers of predicted frames.
        clips: the sequences.
        frames: number of frames to predict, at least the longest horizon; None: the longest horizon.
    """

    horizons: list[int]
    clips: ClipSource
    frames: int | None = None


def test_sets(dataset: Dataset, data: Path) -> list[EvaluationSet]:
    """Return the sets of the test split.

    Generated sequences serve all horizons. Videos are cut into windows for each horizon, as in the paper:
    they do not overlap, and have the length of context plus horizon.

    Raises:
        UserError: the prepared data are missing or damaged.
    """
    if dataset.generated:
        clips = open_clips(dataset, data, "test")
        return [EvaluationSet(dataset.test_horizons, clips, dataset.predicted_frames)]
    return [EvaluationSet([h], open_clips(dataset, data, "test", h)) for h in dataset.test_horizons]


def training_set(dataset: Dataset, data: Path) -> EvaluationSet | None:
    """Return training sequences, cut like test sequences; None if they are too short for every horizon.

    Raises:
        UserError: the prepared data are missing or damaged.
    """
    horizon = min(dataset.test_horizons)
    train = dataset.split("train")
    if train and train.frames < dataset.context + horizon:
        return None
    try:
        return EvaluationSet([horizon], open_clips(dataset, data, "train", horizon))
    except NoWindow:
        return None


def evaluate_run(run: Run, data: Path, output: Path, weights: Path | None) -> dict[str, Any]:
    """Evaluate a finished run on the test split of its data set; see `evaluate`.

    Args:
        run: its resolved settings.
        data: the prepared data set's folder.
        output: the run's folder, which holds best.safetensors if the model is trained.
        weights: AlexNet's weights for LPIPS.

    Raises:
        UserError: weights or data are missing, or the weights belong to other settings.
    """
    torch.set_num_threads(run.compute.threads)
    kind = device_kind(run.compute.accelerator)
    set_arithmetic()
    model = load_model(run, output)
    made_by = provenance.origin() | {"device": provenance.device_name(kind)}
    if run.dataset.recognition:
        result = evaluate_recognizer(run, model, data, output, kind, made_by)
    else:
        if run.evaluation.lpips and weights is None:
            raise UserError("LPIPS needs AlexNet's weights: give --lpips, or set evaluation.lpips: false")
        lpips = Lpips(weights, run.evaluation.lpips_size) if run.evaluation.lpips and weights else None
        sets, training = test_sets(run.dataset, data), training_set(run.dataset, data)
        result = evaluate(run, model, sets, output, lpips, kind, made_by, training)
    write_run(output, run)
    return result


def load_model(run: Run, folder: Path) -> torch.nn.Module:
    """Return a run's model with the weights in its folder.

    Raises:
        UserError: the weights are missing, damaged, of other settings, or changed since training.
    """
    model = create_model(run.model.name, **run.model_arguments())
    if run.trained:
        _load_weights(model, run, folder / "best.safetensors")
    return model


def _load_weights(model: torch.nn.Module, run: Run, path: Path) -> None:
    try:
        with safe_open(path, framework="pt") as file:
            digest = (file.metadata() or {}).get("digest")
        state = load_file(path)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; train the run first") from None
    except SafetensorError as error:
        raise UserError(f"{path}: damaged ({error}); delete it and train the run again") from None
    if digest != run.digest():
        raise UserError(
            f"{path}: trained {_training_difference(run, path.parent, digest)}; train the run again"
        )
    provenance.check_weights(path.parent)
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        raise UserError(
            f"{path}: not this model's weights ({shortened(error)}); train the run again"
        ) from None


def _training_difference(run: Run, folder: Path, digest: str | None) -> str:
    """Return how the training of a folder's weights, given their digest, differs from a run's settings."""
    epochs = read_json(folder / "provenance.json").get("epochs")
    if isinstance(epochs, int) and digest == run.digest(epochs):
        return f"to epoch {epochs}, but training.epochs is {run.training.epochs}"
    changes = run.changes_since(read_run(folder).deciding())
    return "with other settings" + (f" ({listed(changes)})" if changes else "")


def evaluate(
    run: Run,
    model: torch.nn.Module,
    sets: list[EvaluationSet],
    output: Path,
    lpips: Lpips | None,
    device: torch.device | str,
    made_by: dict[str, Any],
    training: EvaluationSet | None = None,
) -> dict[str, Any]:
    """Evaluate a model on test sequences, and write the metrics to the folder `output`.

    The model predicts the longest horizon once; shorter horizons are its first frames. Means over a horizon
    start at `first_frame`. Predictions are clamped to [0, 1]. Intervals are over test sequences, grouped by
    video, and cover this run only. metrics.json is written last, after per_frame.csv and examples.npz (at the
    longest horizon), per_sequence.csv and training_sequences.csv (the MSE of as many training sequences). All
    values are in raw units, not times 1,000.

    Args:
        run: its settings of data set and evaluation, and its names, are used.
        model: a predictor with its weights.
        sets: the test sequences.
        output: the run's folder.
        lpips: None leaves LPIPS out, and its columns are absent.
        device: device to compute on.
        made_by: provenance, stored as `evaluated_by`.
        training: training sequences; None: training_sequences.csv has no rows.

    Returns:
        The content of metrics.json.

    Raises:
        UserError: sequences are too short, a prediction is not finite, or a file cannot be written.
    """
    model = model.to(device).eval()
    longest = max(run.dataset.test_horizons)
    first = run.evaluation.first_frame - 1
    sequences, available, horizons, tables = {}, {}, {}, []
    per_frame, examples = {}, {}
    for part in sets:
        clips: ClipSource = part.clips
        if run.evaluation.sequences:
            clips = Subset(clips, np.arange(min(run.evaluation.sequences, len(clips))))
        values, kept = _evaluate_sequences(
            run, model, clips, part.frames or max(part.horizons), lpips, device
        )
        if longest in part.horizons:
            per_frame, examples = {name: value.mean(axis=0) for name, value in values.items()}, kept
        for horizon in part.horizons:
            means = {name: value[:, first:horizon].mean(axis=1) for name, value in values.items()}
            horizons[str(horizon)] = _intervals(means, groups_of(clips))
            sequences[str(horizon)], available[str(horizon)] = len(clips), len(part.clips)
            numbers = {"horizon": horizon, "sequence": np.arange(len(clips))}
            tables.append(pd.DataFrame(numbers | clips.labels | means))
    result = {
        "run": run.id,
        "dataset": run.dataset_name,
        "scale": run.scale,
        "label": run.label,
        "stand_in": run.dataset.stand_in,
        "sequences": sequences,
        "available": available,
        "parameters": count_parameters(model),
        "lpips_weights": lpips.sha256 if lpips else None,
        "evaluated_by": made_by,
        "horizons": horizons,
    }
    _write_csv(output / "per_frame.csv", _by_frame(per_frame))
    _write_csv(output / "per_sequence.csv", pd.concat(tables))
    fewest = min(sequences.values())
    _write_csv(output / "training_sequences.csv", _on_training(run, model, training, fewest, device))
    with atomic_path(output / "examples.npz") as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **examples)
    write_json(output / "metrics.json", result)
    return result


def groups_of(clips: ClipSource) -> np.ndarray:
    """Return the group of each sequence: its video, or the sequence itself if it is generated."""
    return clips.labels.get("video", np.arange(len(clips)))


def _on_training(
    run: Run, model: torch.nn.Module, training: EvaluationSet | None, count: int, device: torch.device | str
) -> pd.DataFrame:
    """Return horizon, sequence, group and MSE of `count` evenly spaced training sequences."""
    if training is None:
        return pd.DataFrame(columns=["horizon", "sequence", "group", "mse"])
    (horizon,) = training.horizons
    available = len(training.clips)
    chosen = np.unique(np.linspace(0, available - 1, min(count, available)).round().astype(int))
    clips = Subset(training.clips, chosen)
    values, _ = _evaluate_sequences(run, model, clips, horizon, None, device)
    columns = {"horizon": horizon, "sequence": chosen, "group": groups_of(clips)}
    return pd.DataFrame(columns | {"mse": values["mse"][:, run.evaluation.first_frame - 1 :].mean(axis=1)})


@torch.inference_mode()
def _evaluate_sequences(
    run: Run,
    model: torch.nn.Module,
    clips: ClipSource,
    horizon: int,
    lpips: Lpips | None,
    device: torch.device | str,
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Return each metric, (sequences, horizon), and evenly spaced example sequences as uint8."""
    context, size = run.dataset.context, run.evaluation.batch_size
    wanted = np.unique(np.linspace(0, len(clips) - 1, run.evaluation.examples).round().astype(int))
    lpips = lpips.to(device) if lpips else None
    evaluated, shown = [], []
    # disable=None: a progress bar on a terminal only.
    for start in tqdm(range(0, len(clips), size), f"evaluate {run.id}", unit="batch", disable=None):
        sequences = np.arange(start, min(start + size, len(clips)))
        frames = clips.batch(sequences, device)[:, : context + horizon]
        if frames.shape[1] < context + horizon:
            raise UserError(
                f"test sequences have {frames.shape[1]} frames, but context {context} and horizon "
                f"{horizon} need {context + horizon}; prepare the data set again"
            )
        prediction = _predict(model, frames[:, :context], horizon, sequences)
        evaluated.append(evaluate_frames(prediction, frames[:, context:], lpips))
        here = np.isin(sequences, wanted)
        shown.append({"truth": as_bytes(frames[here]), "prediction": as_bytes(prediction[here])})
    values = {name: np.concatenate([part[name] for part in evaluated]) for name in evaluated[0]}
    examples = {name: np.concatenate([part[name] for part in shown]) for name in shown[0]}
    return values, examples | {"sequence": wanted}


def _predict(model: torch.nn.Module, given: Tensor, horizon: int, sequences: np.ndarray) -> Tensor:
    prediction = model(given, given.shape[1], horizon)[:, -horizon:]
    expected = (given.shape[0], horizon, *given.shape[2:])
    if prediction.shape != expected:
        raise UserError(f"the model returned {tuple(prediction.shape)}, expected {expected}")
    broken = ~prediction.isfinite().flatten(1).all(dim=1).cpu().numpy()
    if broken.any():
        raise UserError(
            f"test sequence {sequences[broken][0]}: the prediction is not finite; "
            "training has diverged, train again with a smaller learning rate"
        )
    return prediction.float().clamp(0, 1)


def evaluate_frames(prediction: Tensor, truth: Tensor, lpips: Lpips | None) -> dict[str, np.ndarray]:
    """Compute every metric of every frame, float64 (sequences, horizon).

    Args:
        prediction: (sequences, horizon, channel, height, width), float32 in [0, 1].
        truth: the same shape.
        lpips: None leaves LPIPS out.
    """
    values = {
        "mse": metrics.mse(prediction, truth),
        "psnr": metrics.psnr(prediction, truth),
        "ssim_paper": metrics.ssim(prediction, truth, metrics.PAPER_RANGE),
        "ssim_standard": metrics.ssim(prediction, truth, metrics.STANDARD_RANGE),
    }
    if lpips:
        values |= lpips(prediction, truth)
    return {name: value.double().cpu().numpy() for name, value in values.items()}


def _by_frame(values: dict[str, np.ndarray]) -> pd.DataFrame:
    table = pd.DataFrame(values)
    table.insert(0, "frame", np.arange(1, len(table) + 1))
    return table


def _intervals(columns: dict[str, np.ndarray], groups: np.ndarray) -> dict[str, dict[str, float | None]]:
    return {name: mean(values[None], groups).as_json() for name, values in columns.items()}


def _write_csv(path: Path, table: pd.DataFrame) -> None:
    write_text(path, table.to_csv(index=False, float_format="%.9g"))
