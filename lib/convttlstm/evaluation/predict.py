"""Predictions of a finished run for a video."""

import sys
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from convttlstm import hub
from convttlstm.config import MovingMnist, Run, Split, read_run
from convttlstm.data.clips import as_bytes, as_floats
from convttlstm.data.digits import EMBEDDED, load_digits
from convttlstm.data.frames import boundaries_of, decode, is_sequence
from convttlstm.data.moving_mnist import generate
from convttlstm.evaluation.protocol import load_model
from convttlstm.files import UserError


@dataclass(frozen=True)
class Forecast:
    """Frames as uint8 (time, channels, height, width).

    Attributes:
        run: the settings of the run that predicted.
        truth: the context, and the frames after it as far as the video has them.
        prediction: the predicted frames.
    """

    run: Run
    truth: np.ndarray
    prediction: np.ndarray


def predict(folder: Path, video: Path | None, horizon: int, start: int | None = None) -> Forecast:
    """Predict the frames of a video with a finished run, on the CPU.

    Frames are prepared like the run's data set: grey or color, with its frame step and evaluation size.

    Args:
        folder: the run's folder, or one that `convttlstm export-weights` wrote.
        video: any file that FFmpeg reads, a folder of pictures or an array; None: the first test sequence,
            of a run on Moving-MNIST.
        horizon: frames to predict.
        start: the first predicted frame, counted from 1 after the frame step; None: the one after the
            video's last, or after a test sequence's context.

    Raises:
        UserError: the run is not finished, or the video cannot be read or is too short.
    """
    run = read_run(folder)
    if run.dataset.recognition:
        raise UserError(f"{folder}: a recognizer; choose a run of a model that only predicts frames")
    context = run.dataset.context
    if video is None:
        frames, start = _test_sequence(run, horizon), start or context + 1
    else:
        frames = _decoded(run, video)
    try:
        kept, count = _kept(frames, context, horizon, start)
    except UserError as error:
        raise UserError(f"{video}: {error}") from None
    given = count if start is None else start - 1
    if count < context:
        raise UserError(f"{video or 'test sequence'}: has {count} frames, but the model needs {context}")
    if not context <= given <= count:
        raise UserError(
            f"{video or 'test sequence'}: the first predicted frame can be {context + 1} to {count + 1}, "
            f"since the model sees {context} frames and the video has {count}; not {given + 1}"
        )
    first, last = _sequence_with(run, video, given)
    if last - first + 1 < context:
        raise UserError(
            f"{video}: its sequences have {last - first + 1} frames, but the model needs {context}"
        )
    if given - context + 1 < first:
        raise UserError(
            f"{video}: the {context} frames before frame {given + 1} are of two sequences; --start can be "
            f"{first + context} to {last + 1} in the second"
        )
    truth = np.stack(kept)[: context + last - given]
    published = (folder / hub.DESCRIPTION).is_file()
    model = hub.load(folder) if published else load_model(run, folder).eval()
    window = as_floats(truth[None, :context], "cpu")
    with torch.inference_mode():
        prediction = model(window, context, horizon)[0, -horizon:].clamp(0, 1)
    return Forecast(run, truth, as_bytes(prediction))


def _decoded(run: Run, video: Path) -> Iterator[np.ndarray]:
    if not is_sequence(video):
        raise UserError(f"{video}: no such file, and no folder of pictures")
    dataset = run.dataset
    colour, step = dataset.channels == 3, dataset.frame_interval
    return decode(str(video), dataset.test_shape, colour, step, dataset.cropped, dataset.array_axes)


def _sequence_with(run: Run, video: Path | None, frame: int) -> tuple[int, int]:
    """Return the first and last frame, from 1, of the sequence with a frame; an array may have several."""
    dataset, whole = run.dataset, (1, sys.maxsize)
    found = boundaries_of(video, dataset.array_axes, dataset.frame_interval) if video else ()
    return next(((first, last) for first, last in found if first <= frame <= last), whole)


def _test_sequence(run: Run, horizon: int) -> Iterator[np.ndarray]:
    """Yield the frames of the first test sequence, as many as the horizon needs, uint8 (1, height, width)."""
    dataset = run.dataset
    if not isinstance(dataset, MovingMnist):
        raise UserError(f"{run.id}: has no generated test sequences; name a video")
    if dataset.test_file:
        raise UserError(f"{run.id}: its test sequences are in {dataset.test_file}; name a video")
    digits = load_digits(dataset.digits, Path(dataset.raw_folder), EMBEDDED)
    frames = max(dataset.test.frames, dataset.context + horizon)
    longer = dataset.model_copy(update={"test": Split(sequences=1, frames=frames)})
    return iter(generate(longer, "test", digits, np.arange(1))[0, :, None])


def _kept(
    frames: Iterable[np.ndarray], context: int, horizon: int, start: int | None
) -> tuple[Sequence[np.ndarray], int]:
    """Return the context and the frames after it, and the number of frames read; others are not kept."""
    kept = deque[np.ndarray](maxlen=context if start is None else None)
    count = 0
    for count, frame in enumerate(frames, start=1):
        if start is None or start - context <= count < start + horizon:
            kept.append(frame)
    return kept, count
