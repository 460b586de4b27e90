"""Predictions of a trained model in a video of one's own."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from convttlstm import hub
from convttlstm.config import Run, read_run
from convttlstm.data.clips import as_bytes, as_floats
from convttlstm.data.frames import decode
from convttlstm.evaluation.protocol import load_model
from convttlstm.files import UserError


@dataclass(frozen=True)
class Forecast:
    """Frames as uint8 (time, channels, height, width).

    Attributes:
        run: the settings of the run that predicted.
        truth: the input, and what followed it as far as the video goes.
        prediction: the predicted frames.
    """

    run: Run
    truth: np.ndarray
    prediction: np.ndarray


def predict(folder: Path, video: Path, horizon: int, start: int | None = None) -> Forecast:
    """Return what a finished run predicts in a video, on the CPU.

    Frames are prepared as the run's data set was: grey or colour, its frame step, its size in evaluation.

    Args:
        folder: the run's folder, or one that `convttlstm export-weights` wrote.
        video: any file that FFmpeg reads.
        horizon: frames to predict.
        start: the first predicted frame, counted from 1 after the frame step; None: the one that follows
            the video's last.

    Raises:
        UserError: the run is not finished, or the video cannot be read or is too short.
    """
    run = read_run(folder)
    if run.dataset.recognition:
        raise UserError(
            f"{folder}: a recogniser; choose a run on a data set whose frames alone are predicted"
        )
    dataset, context = run.dataset, run.dataset.context
    if not video.is_file():
        raise UserError(f"{video}: no such file")
    try:
        colour, step = dataset.channels == 3, dataset.frame_interval
        frames = np.stack(list(decode(str(video), dataset.test_size, colour, step, dataset.cropped)))
    except UserError as error:
        raise UserError(f"{video}: {error}") from None
    given = len(frames) if start is None else start - 1
    if not context <= given <= len(frames):
        raise UserError(
            f"{video}: the first predicted frame can be {context + 1} to {len(frames) + 1}, since the model "
            f"sees {context} frames and the video has {len(frames)}; not {given + 1}"
        )
    published = (folder / hub.DESCRIPTION).is_file()
    model = hub.load(folder) if published else load_model(run, folder).eval()
    window = as_floats(frames[None, given - context : given], "cpu")
    with torch.inference_mode():
        prediction = model(window, context, horizon)[0, -horizon:].clamp(0, 1)
    truth = frames[given - context : given + horizon]
    return Forecast(run, truth, as_bytes(prediction))
