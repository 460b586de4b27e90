"""An animation of the test sequence that Figure 3's film strip shows."""

from pathlib import Path

import numpy as np

from convttlstm.animation import Panel, draw_panels, write_gif
from convttlstm.config import first_runs
from convttlstm.reporting.report import FileReport, Runs, predicted
from convttlstm.reporting.runs import STARRED
from convttlstm.reporting.strips import choose_strips
from convttlstm.results import Scale, source_label


def make(scale: Scale, dataset: str, loaded: Runs, folder: Path) -> None:
    """Write an animated GIF of the truth and each run; all-black predictions are left out."""
    (strip,), _ = choose_strips(loaded, ["median"])
    run = loaded[0].config
    context = run.dataset.context
    given = strip.truth[:context]
    panels = [Panel("Truth", strip.truth)]
    panels += [Panel(name, np.concatenate([given, frames])) for name, frames in strip.predictions]
    starred = STARRED if any(result.caveat for result in loaded) else ""
    label = "; ".join(part for part in (source_label(run), starred) if part)
    colour = panels[0].frames.shape[1] == 3
    write_gif(draw_panels(panels, context, label), folder / f"figures/example_{dataset}.gif", colour)


REPORT = FileReport(
    name="example",
    datasets=predicted,
    runs=first_runs,
    heading="Figure 3: predictions",
    place=29,
    title="Frame by frame",
    caption="The first seed of each model. Sequences are chosen as for the gallery. The error below each "
    "panel is of the frame shown, MSE x 1000, from frames rounded to 8 bits.",
    make=make,
    names=lambda settings, dataset: [f"figures/example_{dataset}.gif"],
)
