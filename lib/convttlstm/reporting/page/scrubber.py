"""The frames of kept sequences, to be stepped through."""

import base64
import io
import json

import numpy as np
from PIL import Image

from convttlstm.reporting.strips import choose_strips
from convttlstm.results import Result

COLUMNS = 10  # frames side by side in a sheet


def sheet(frames: np.ndarray) -> str:
    """Return frames as one lossless picture, COLUMNS of them side by side, in rows.

    Args:
        frames: uint8 (time, channels, height, width); one channel is grey, three are colours.
    """
    time, channels, height, width = frames.shape
    rows = -(-time // COLUMNS)
    padded = np.zeros((rows * COLUMNS, channels, height, width), np.uint8)
    padded[:time] = frames
    tiled = padded.reshape(rows, COLUMNS, channels, height, width).transpose(0, 3, 1, 4, 2)
    pixels = tiled.reshape(rows * height, COLUMNS * width, channels)
    buffer = io.BytesIO()
    picture = Image.fromarray(pixels[:, :, 0] if channels == 1 else pixels)
    picture.save(buffer, "WEBP", lossless=True, exact=True, quality=100, method=4)
    return f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def animation(loaded: list[Result]) -> str:
    """Return, as JSON that page.js reads, the frames of the best, the median and the worst kept sequence.

    `size` is width and height in pixels; `examples` hold sheets of frames, see `sheet`: the truth with the
    input, and each prediction without it.

    Raises:
        UserError: examples.npz or the reference's per_sequence.csv is missing or damaged.
    """
    strips, _ = choose_strips(loaded, ["best", "median", "worst"])
    frames, _, height, width = strips[0].truth.shape
    examples = []
    for strip in {strip.head.partition(": ")[2]: strip for strip in strips}.values():
        predictions = [[name, sheet(shown)] for name, shown in strip.predictions]
        examples.append({"head": strip.head, "truth": sheet(strip.truth), "predictions": predictions})
    content = {
        "context": loaded[0].config.dataset.context,
        "frames": frames,
        "size": [width, height],
        "first": len(examples) // 2,
        "examples": examples,
    }
    return json.dumps(content, ensure_ascii=False).replace("<", "\\u003c")
