"""Figure 4: clips with the frames that were seen and predicted, and the predicted activity."""

import textwrap
from zipfile import BadZipFile
from zlib import error as ZlibError

import numpy as np
from matplotlib.figure import Figure, SubFigure

from convttlstm.config import Settings, first_runs
from convttlstm.files import UserError
from convttlstm.reporting.accuracy import percent
from convttlstm.reporting.drawing import WIDTH
from convttlstm.reporting.report import FigureReport, Runs, recognized
from convttlstm.results import Recognition, Scale

SHOWN = 4  # frames of each kind
LETTERS = 95  # in a line of text
SEEN, PREDICTED = "#0072B2", "#D55E00"  # borders, as in the animations


def draw(scale: Scale, dataset: str, loaded: Runs) -> tuple[Figure, str]:
    """Return the correct and the wrong prediction with the greatest confidence.

    Raises:
        UserError: a run's examples.npz is missing or damaged.
    """
    shown = [(result, _examples(result)) for result in loaded]
    rows = [
        (result, examples, fraction, verdict)
        for result, examples in shown
        for fraction in result.metrics.fractions
        for verdict in ("correct", "wrong")
        if f"{fraction}_{verdict}_clip" in examples
    ]
    figure = Figure((WIDTH, 0.95 * len(rows) + 0.5))
    strips = figure.subfigures(len(rows), 1, squeeze=False)[:, 0]
    for strip, row in zip(strips, rows, strict=True):
        _draw_example(strip, *row)
    note = (
        f"{loaded[0].name}; of all test clips the correct and the wrong prediction with the greatest "
        "confidence, given in brackets. Blue: frames that were seen; orange: predicted frames."
    )
    return figure, note


def _examples(result: Recognition) -> dict[str, np.ndarray]:
    path = result.folder / "examples.npz"
    try:
        with np.load(path) as file:
            return dict(file)
    except (OSError, ValueError, BadZipFile, ZlibError, EOFError) as error:
        raise UserError(f"{path}: cannot be read ({error}); evaluate the run again") from None


def _draw_example(
    strip: SubFigure, result: Recognition, examples: dict[str, np.ndarray], fraction: float, verdict: str
) -> None:
    key = f"{fraction}_{verdict}"
    truth, prediction = examples[f"{key}_truth"], examples[f"{key}_prediction"]
    seen = truth[: len(truth) - len(prediction)]
    frames = [seen[i] for i in _spread(len(seen))] + [prediction[i] for i in _spread(len(prediction))]
    for i, (panel, frame) in enumerate(zip(strip.subplots(1, 2 * SHOWN), frames, strict=True)):
        panel.imshow(frame.transpose(1, 2, 0), interpolation="nearest")
        panel.set(xticks=[], yticks=[])
        for spine in panel.spines.values():
            spine.set(visible=True, color=SEEN if i < SHOWN else PREDICTED, linewidth=1)
    predictions = result.predictions
    clip = int(examples[f"{key}_clip"].item())
    row = predictions[(predictions["clip"] == clip) & (predictions["fraction"] == fraction)].iloc[0]
    names = [category.template for category in result.config.dataset.activities()]
    said = f"First {percent(fraction)}: {'✓' if verdict == 'correct' else '✗'} “{names[row['predicted']]}”"
    said += f" ({percent(row['confidence'])})" + (
        "" if verdict == "correct" else f", in truth “{names[row['label']]}”"
    )
    strip.suptitle(textwrap.fill(said, LETTERS), x=0.01, ha="left", fontsize=6.5)


def _spread(count: int) -> list[int]:
    return [int(i) for i in np.linspace(0, count - 1, SHOWN).round()]


def _last_model(settings: Settings, dataset: str) -> list[str]:
    """Return the first seed of the last model of a data set's table, the paper's."""
    return first_runs(settings, dataset)[-1:]


REPORT = FigureReport(
    name="figure4",
    datasets=recognized,
    each=False,
    runs=_last_model,
    heading="Figure 4",
    place=30,
    title="Seen and predicted",
    caption="Clips, the frames predicted from their first ones, and the predicted activity.",
    alternative="Rows of frames of clips, with the true and the predicted activity.",
    draw=draw,
    style={"axes.grid": False},
    keeps_colours=True,
)
