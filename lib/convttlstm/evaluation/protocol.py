"""The paper's test protocol: predict once, judge every frame, average over frames and sequences."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor
from tqdm import tqdm

from convttlstm import provenance
from convttlstm.config import Run
from convttlstm.data.clips import Clips
from convttlstm.evaluation import metrics
from convttlstm.evaluation.bootstrap import interval
from convttlstm.evaluation.lpips_metric import Lpips
from convttlstm.files import UserError, atomic_path, write_json, write_text
from convttlstm.models import create_model


class ClipSource(Protocol):
    """What `evaluate` asks of test sequences; `convttlstm.data.clips.Clips` has it."""

    def __len__(self) -> int: ...

    def batch(self, indices: Sequence[int] | np.ndarray) -> Tensor:
        """Return these sequences as float32 (batch, time, channel, height, width) in [0, 1]."""
        ...


class First:
    """The first few sequences of a source, for systems too slow for all of them."""

    def __init__(self, clips: ClipSource, count: int) -> None:
        self.clips, self.count = clips, min(count, len(clips))

    def __len__(self) -> int:
        """Return the number of sequences."""
        return self.count

    def batch(self, indices: Sequence[int] | np.ndarray) -> Tensor:
        """Return these sequences, as the source does."""
        return self.clips.batch(indices)


def evaluate_run(run: Run, data: Path, output: Path, weights: Path | None) -> dict[str, Any]:
    """Judge a finished run on the test split of its data set; see `evaluate`.

    Args:
        run: its resolved settings.
        data: the prepared data set's folder.
        output: the run's folder, which holds best.safetensors if the system is trained.
        weights: AlexNet's weights for LPIPS.

    Raises:
        UserError: weights or data are missing, or the weights belong to other settings.
    """
    torch.set_num_threads(run.compute.threads)
    kind = "cuda" if run.compute.accelerator != "cpu" and torch.cuda.is_available() else "cpu"
    if kind == "cuda":
        torch.backends.cudnn.allow_tf32 = False  # its ten bits would move the last printed digit
    model = create_model(run.model.name, **run.model.hyper())
    if run.trained:
        _load_weights(model, run, output / "best.safetensors")
    if run.evaluation.lpips and weights is None:
        raise UserError("LPIPS needs AlexNet's weights: give --lpips, or set evaluation.lpips: false")
    lpips = Lpips(weights) if run.evaluation.lpips and weights else None
    made_by = provenance.origin() | {"device": provenance.device_name(kind)}
    result = evaluate(run, model, Clips(data, "test"), output, lpips, kind, made_by)
    write_text(output / "config.json", run.model_dump_json(indent=2) + "\n")
    return result


def _load_weights(model: torch.nn.Module, run: Run, path: Path) -> None:
    try:
        with safe_open(path, framework="pt") as file:
            digest = (file.metadata() or {}).get("digest")
        state = load_file(path)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; train the run first") from None
    except SafetensorError as error:
        raise UserError(f"{path}: damaged ({error}); train again to publish it anew") from None
    if digest != run.digest():
        raise UserError(f"{path}: trained under other settings than today's; train the run again")
    model.load_state_dict(state)


def evaluate(
    run: Run,
    model: torch.nn.Module,
    clips: ClipSource,
    output: Path,
    lpips: Lpips | None,
    device: torch.device | str,
    made_by: dict[str, Any],
) -> dict[str, Any]:
    """Judge a model on test sequences, and write what came out to the folder `output`.

    The model predicts the longest test horizon once; shorter ones are its first frames. Predictions
    are clamped to [0, 1]. Intervals are over sequences. metrics.json is written last, beside
    per_frame.csv, per_sequence.csv and examples.npz; all are in raw units, not times 1,000.

    Args:
        run: settings; its dataset, evaluation and names are used.
        model: a predictor with its weights.
        clips: the test sequences.
        output: the run's folder.
        lpips: None leaves LPIPS out, and its columns are absent.
        device: where to compute.
        made_by: stored as `evaluated_by`.

    Returns:
        The content of metrics.json.

    Raises:
        UserError: sequences are too short, a prediction is not finite, or a file cannot be written.
    """
    model = model.to(device).eval()
    if run.evaluation.sequences:
        clips = First(clips, run.evaluation.sequences)
    values, examples = _judge_all(run, model, clips, lpips, device)
    per_frame = {name: value.mean(axis=0) for name, value in values.items()}
    # One table a horizon: each sequence's mean over its first frames.
    per_sequence = {
        horizon: {name: value[:, :horizon].mean(axis=1) for name, value in values.items()}
        for horizon in run.dataset.test_horizons
    }
    result = {
        "run": run.id,
        "dataset": run.dataset_name,
        "scale": run.scale,
        "label": run.label,
        "sequences": len(clips),
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "lpips_weights": lpips.sha256 if lpips else None,
        "evaluated_by": made_by,
        "horizons": {
            str(horizon): _intervals(columns, run.evaluation.bootstrap_resamples)
            for horizon, columns in per_sequence.items()
        },
    }
    frame = np.arange(1, max(run.dataset.test_horizons) + 1)
    rows = [
        {"horizon": np.full(len(clips), horizon), "sequence": np.arange(len(clips))} | columns
        for horizon, columns in per_sequence.items()
    ]
    _write_csv(output / "per_frame.csv", {"frame": frame} | per_frame)
    _write_csv(
        output / "per_sequence.csv",
        {name: np.concatenate([part[name] for part in rows]) for name in rows[0]},
    )
    with atomic_path(output / "examples.npz") as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **examples)
    write_json(output / "metrics.json", result)
    return result


@torch.inference_mode()
def _judge_all(
    run: Run,
    model: torch.nn.Module,
    clips: ClipSource,
    lpips: Lpips | None,
    device: torch.device | str,
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Return each metric, (sequences, horizon), and the example sequences as bytes."""
    context, horizon = run.dataset.context, max(run.dataset.test_horizons)
    size, wanted = run.evaluation.batch_size, run.evaluation.examples
    lpips = lpips.to(device) if lpips else None
    judged, shown = [], []
    # disable=None: a bar on a terminal only.
    for start in tqdm(range(0, len(clips), size), f"evaluate {run.id}", unit="batch", disable=None):
        sequences = np.arange(start, min(start + size, len(clips)))
        frames = clips.batch(sequences)[:, : context + horizon].to(device)
        if frames.shape[1] < context + horizon:
            raise UserError(
                f"test sequences have {frames.shape[1]} frames, but context {context} and horizon "
                f"{horizon} need {context + horizon}; prepare the data set anew"
            )
        prediction = _predict(model, frames[:, :context], horizon, sequences)
        judged.append(_judge(prediction, frames[:, context:], lpips))
        if start < wanted:
            shown.append({"truth": _bytes(frames), "prediction": _bytes(prediction)})
    values = {name: np.concatenate([part[name] for part in judged]) for name in judged[0]}
    examples = {name: np.concatenate([part[name] for part in shown])[:wanted] for name in shown[0]}
    return values, examples


def _predict(model: torch.nn.Module, given: Tensor, horizon: int, sequences: np.ndarray) -> Tensor:
    prediction = model(given, given.shape[1], horizon)[:, -horizon:]
    expected = (given.shape[0], horizon, *given.shape[2:])
    if prediction.shape != expected:
        raise UserError(f"the model predicted {tuple(prediction.shape)}, but {expected} was asked for")
    broken = ~prediction.isfinite().flatten(1).all(dim=1).cpu().numpy()
    if broken.any():
        raise UserError(
            f"test sequence {sequences[broken][0]}: the prediction is not finite; "
            "the training has diverged, train again with a smaller learning rate"
        )
    return prediction.float().clamp(0, 1)


def _judge(prediction: Tensor, truth: Tensor, lpips: Lpips | None) -> dict[str, np.ndarray]:
    values = {
        "mse": metrics.mse(prediction, truth),
        "psnr": metrics.psnr(prediction, truth),
        "ssim_paper": metrics.ssim(prediction, truth, metrics.PAPER_RANGE),
        "ssim_standard": metrics.ssim(prediction, truth, metrics.STANDARD_RANGE),
    }
    if lpips:
        values |= lpips(prediction, truth)
    return {name: value.double().cpu().numpy() for name, value in values.items()}


def _intervals(columns: dict[str, np.ndarray], resamples: int) -> dict[str, dict[str, float]]:
    bounds = interval(np.stack(list(columns.values()), axis=1), resamples)
    return {
        name: {"mean": float(mean), "low": float(low), "high": float(high)}
        for name, mean, low, high in zip(columns, *bounds, strict=True)
    }


def _bytes(frames: Tensor) -> np.ndarray:
    return (frames * 255).round().byte().cpu().numpy()


def _write_csv(path: Path, columns: dict[str, np.ndarray]) -> None:
    lines = [",".join(columns)]
    lines += [",".join(f"{value:.9g}" for value in row) for row in zip(*columns.values(), strict=True)]
    write_text(path, "\n".join(lines) + "\n")
