"""The frames of kept sequences, to be stepped through."""

import json

from convttlstm.reporting.page.embedding import sheet
from convttlstm.reporting.strips import choose_strips
from convttlstm.results import Result, seed_by_seed


def animation(loaded: list[Result]) -> str:
    """Return, as JSON that page.js reads, the frames of the best, the median and the worst kept sequence.

    Of each system the first training is shown. `size` is width and height in pixels; `examples` hold
    sheets of frames, see `sheet`: the truth with the input, and each prediction without it.

    Raises:
        UserError: examples.npz or the reference's per_sequence.csv is missing or damaged.
    """
    strips, _ = choose_strips([runs[0] for runs in seed_by_seed(loaded)], ["best", "median", "worst"])
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
