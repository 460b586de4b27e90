"""Write a prediction as an animation or an array."""

from pathlib import Path

import numpy as np

from convttlstm.animation import Panel, draw_panels, write_gif, write_mp4
from convttlstm.config import Run
from convttlstm.files import UserError, atomic_path
from convttlstm.results import source_label

SUFFIXES = (".gif", ".mp4", ".npy")


def write_forecast(run: Run, truth: np.ndarray, prediction: np.ndarray, output: Path) -> None:
    """Write the truth and the prediction side by side (.gif, .mp4), or the prediction alone (.npy).

    Args:
        run: the settings of the run that predicted.
        truth: uint8 (time, channels, height, width), the context and the frames after it, as far as known.
        prediction: uint8 (horizon, channels, height, width).
        output: the file; its suffix decides the format.

    Raises:
        UserError: the suffix is not one of these, or the file cannot be written.
    """
    check_suffix(output)
    if output.suffix == ".npy":
        with atomic_path(output) as temporary, temporary.open("wb") as file:
            np.save(file, prediction)
        return
    context = run.dataset.context
    predicted = Panel(run.title, np.concatenate([truth[:context], prediction]))
    label = f"{run.id}, trained on {run.dataset.title}; {source_label(run)}"
    pictures = draw_panels([Panel("Truth", truth), predicted], context, label)
    if output.suffix == ".gif":
        write_gif(pictures, output, colour=truth.shape[1] == 3)
    else:
        write_mp4(pictures, output)


def check_suffix(output: Path) -> None:
    """Check the output's suffix.

    Raises:
        UserError: it is not one of SUFFIXES.
    """
    if output.suffix not in SUFFIXES:
        raise UserError(f"{output}: unknown suffix; use {', '.join(SUFFIXES)}")
