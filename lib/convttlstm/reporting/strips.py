"""Film strips of kept test sequences, as Figure 3 and Appendix C have them."""

from dataclasses import dataclass
from zipfile import BadZipFile
from zlib import error as ZlibError

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from convttlstm.files import UserError, shortened
from convttlstm.metrics import METRICS
from convttlstm.reporting.drawing import GREY, WIDTH, wrapped
from convttlstm.reporting.runs import STARRED, short_names
from convttlstm.results import Result, read_table

EVERY = 5  # frames from one mark to the next

# Inches. At 300 dots per inch the smallest frame still shows all 128 pixels of KTH's.
DENSITY = {"savefig.dpi": 300}
SMALLEST = 0.43
PAGE = 9.0  # the text height of a NeurIPS paper
RIGHT = 0.99 * WIDTH
FOOT = 0.16  # for the name of the scale
TRUTH = 0.45  # room for the word
HEAD = 0.36  # above each strip
SPACE = 0.12  # below each strip
GAP = 0.03
SEPARATOR = 0.1
NAME_LETTER = 0.054  # mean width of a name's letter


@dataclass(frozen=True)
class Examples:
    """The test sequences that a run kept; frames are uint8 (n, time, channels, height, width)."""

    sequences: list[int]
    truth: np.ndarray
    prediction: np.ndarray


@dataclass(frozen=True)
class Strip:
    """One test sequence; frames are uint8 (time, channels, height, width), the truth's with the input."""

    head: str
    truth: np.ndarray
    predictions: list[tuple[str, np.ndarray]]


def draw_ranks(loaded: list[Result], ranks: list[str]) -> tuple[Figure, str]:
    """Return film strips of the sequences of these ranks, and how they were chosen; see `choose_strips`."""
    strips, note = choose_strips(loaded, ranks)
    return draw_strips(strips, loaded[0].config.dataset.context), note


def choose_strips(loaded: list[Result], ranks: list[str]) -> tuple[list[Strip], str]:
    """Return a strip for each rank, and a note on how they were chosen and which runs are left out.

    Ranks are by the mean SSIM (paper protocol, longest horizon) that the reference run reached on each
    sequence it kept. The reference is the last trained run that is not cut short; failing that, the
    last trained one; failing that, the last one. Of an even number, the lower middle is the median.

    Args:
        loaded: runs of one data set, at least one; all-black predictions are left out.
        ranks: of "best", "median" and "worst".

    Raises:
        UserError: examples.npz or the reference's per_sequence.csv is missing or damaged, or a run
            shows other frames than the reference under the same number.
    """
    loaded = [result for result in loaded if result.config.model.name != "black"]
    if not loaded:
        raise UserError("nothing to show but black frames; name another run")
    names, kept = short_names(loaded), [read_examples(result) for result in loaded]
    place, why = _reference(loaded)
    reference = kept[place]
    ssim = _ssim_of(loaded[place], reference.sequences)
    order = sorted(reference.sequences, key=lambda sequence: ssim[sequence])
    chosen = {"best": order[-1], "median": order[(len(order) - 1) // 2], "worst": order[0]}
    strips, left_out = [], dict[str, list[str]]()
    for rank in ranks:
        sequence = chosen[rank]
        truth = reference.truth[reference.sequences.index(sequence)]
        predictions = []
        for result, name, examples in zip(loaded, names, kept, strict=True):
            if sequence not in examples.sequences:
                left_out.setdefault(name, []).append(rank)
                continue
            at = examples.sequences.index(sequence)
            if not np.array_equal(examples.truth[at], truth):
                raise UserError(
                    f"{result.folder / 'examples.npz'}: test sequence {sequence} is not the one in "
                    f"{loaded[place].folder / 'examples.npz'}; evaluate both runs again"
                )
            predictions.append((name, examples.prediction[at]))
        head = f"{rank} of {len(order)} kept: test sequence {sequence}, SSIM {ssim[sequence]:.3f}"
        strips.append(Strip(head, truth, predictions))
    dataset = loaded[place].config.dataset
    note = [
        f"left of the line: input; t = 1 and {dataset.context + 1} are the paper's, "
        f"the step of {EVERY} is inferred [I]",
        f"chosen by SSIM (paper protocol, {max(dataset.test_horizons)} frames) of {names[place]}, {why}",
    ]
    note += [_left_out_note(left_out, ranks)] if left_out else []
    note += [STARRED] if any(result.caveat for result in loaded) else []
    return strips, "\n".join(note)


def _left_out_note(left_out: dict[str, list[str]], ranks: list[str]) -> str:
    named = [
        name if missing == ranks else f"{name} ({', '.join(missing)})" for name, missing in left_out.items()
    ]
    return f"left out, as they did not keep the sequence: {', '.join(named)}"


def _reference(loaded: list[Result]) -> tuple[int, str]:
    """Return the place of the run whose metrics choose the sequences, and why it is that one."""
    trained = [i for i, result in enumerate(loaded) if result.config.trained]
    if full := [i for i in trained if not loaded[i].config.short]:
        return full[-1], "the last fully trained model of Table 2"
    if trained:
        return trained[-1], "the last trained run"
    return len(loaded) - 1, "the last run"


def _ssim_of(result: Result, sequences: list[int]) -> dict[int, float]:
    """Return the run's mean SSIM on each of these sequences."""
    table = per_sequence(result)
    ssim = dict(zip(table["sequence"].astype(int), table["ssim_paper"], strict=True))
    for sequence in sequences:
        if sequence not in ssim:
            raise UserError(
                f"{result.folder / 'per_sequence.csv'}: no sequence {sequence} at horizon "
                f"{max(result.config.dataset.test_horizons)}, but examples.npz has it; "
                "evaluate the run again"
            )
    return ssim


def read_examples(result: Result) -> Examples:
    """Return the sequences in a run's examples.npz, at least one.

    Raises:
        UserError: the file is missing, damaged, or does not fit the run's context and horizon.
    """
    path = result.folder / "examples.npz"
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            sequence, truth, prediction = (
                np.asarray(arrays[name]) for name in ("sequence", "truth", "prediction")
            )
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; evaluate the run first") from None
    except (OSError, ValueError, TypeError, KeyError, EOFError, RuntimeError, BadZipFile, ZlibError) as error:
        raise UserError(f"{path}: damaged ({shortened(error)}); evaluate the run again") from None
    context, horizon = result.config.dataset.context, result.config.dataset.predicted_frames
    count, frame = sequence.size, truth.shape[2:]
    shapes = [sequence.shape, truth.shape, prediction.shape]
    expected = [(count,), (count, context + horizon, *frame), (count, horizon, *frame)]
    if not count or len(frame) != 3 or shapes != expected:
        raise UserError(
            f"{path}: sequence, truth and prediction are {shapes}, which does not fit context {context} "
            f"and horizon {horizon}; evaluate the run again"
        )
    return Examples(sequence.tolist(), truth, prediction)


def per_sequence(result: Result) -> pd.DataFrame:
    """Return per_sequence.csv at the longest horizon: metrics as numbers, labels as text."""
    path = result.folder / "per_sequence.csv"
    table = read_table(path, ["horizon", "sequence", "psnr", "ssim_paper"])
    numbers = ["horizon", "sequence", *(metric for metric in METRICS if metric in table)]
    try:
        table = table.astype(dict.fromkeys(numbers, float))
    except ValueError as error:
        raise UserError(f"{path}: {error}; evaluate the run again") from None
    longest = table[table["horizon"] == max(result.config.dataset.test_horizons)]
    if longest.empty or not np.isfinite(longest[numbers]).all(axis=None):
        raise UserError(f"{path}: a horizon or a value is missing; evaluate the run again")
    return longest


def draw_strips(strips: list[Strip], context: int) -> Figure:
    """Return the strips under each other, each an Axes in inches, above room for the name of the scale.

    Frames are as wide as the text allows, or smaller where that spares the reader a second page.

    Args:
        strips: at least one.
        context: input frames.
    """
    *_, height, width = strips[0].truth.shape
    columns = sum(map(len, _marks(context, len(strips[0].truth))))
    rows = [1 + len(strip.predictions) for strip in strips]
    by_width = (RIGHT - TRUTH - SEPARATOR) / columns - GAP
    by_height = ((PAGE - FOOT - (HEAD + SPACE) * len(strips)) / sum(rows) - GAP) * width / height
    frame = min(by_width, max(SMALLEST, by_height))
    tall = frame * height / width
    heights = [HEAD + count * (tall + GAP) + SPACE for count in rows]
    total = sum(heights) + FOOT
    figure = Figure(figsize=(WIDTH, total))
    figure.set_layout_engine("none")
    top = total
    for strip, own in zip(strips, heights, strict=True):
        top -= own
        axes = figure.add_axes((0, top / total, 1, own / total))
        _draw_strip(axes, strip, context, frame, tall)
        axes.set(xlim=(0, WIDTH), ylim=(own, 0))
        axes.axis("off")
    return figure


def _draw_strip(axes: Axes, strip: Strip, context: int, frame: float, tall: float) -> None:
    """Draw a strip whose frames are `frame` wide and `tall` high, inches from the left and the top."""
    given, ahead = _marks(context, len(strip.truth))
    first = RIGHT - len(ahead) * (frame + GAP) + GAP  # left edge of the predictions
    line = first - SEPARATOR / 2
    left = first - SEPARATOR - len(given) * (frame + GAP) + GAP
    places = dict(zip(given, left + np.arange(len(given)) * (frame + GAP), strict=True))
    places |= dict(zip(ahead, first + np.arange(len(ahead)) * (frame + GAP), strict=True))
    axes.text(0.01 * WIDTH, 0.02, strip.head, va="top", fontweight="bold")
    for t, x in places.items():
        mark = f"t = {t}" if t == 1 else str(t)
        axes.text(x + frame / 2, HEAD - 0.02, mark, ha="center", va="bottom", fontsize=7)
        _draw_frame(axes, strip.truth[t - 1], x, HEAD, frame, tall)
    axes.text(left - 0.05, HEAD + tall / 2, "Truth", ha="right", va="center", fontsize=7)
    letters = int((line - 0.05) / NAME_LETTER)
    for row, (name, prediction) in enumerate(strip.predictions, start=1):
        y = HEAD + row * (tall + GAP)
        axes.text(line - 0.05, y + tall / 2, wrapped(name, letters), ha="right", va="center", fontsize=7)
        for t in ahead:
            _draw_frame(axes, prediction[t - 1 - context], places[t], y, frame, tall)
    bottom = HEAD + (1 + len(strip.predictions)) * (tall + GAP) - GAP
    axes.vlines(line, HEAD, bottom, color=GREY, linewidth=0.6)


def _draw_frame(axes: Axes, pixels: np.ndarray, x: float, y: float, frame: float, tall: float) -> None:
    axes.imshow(
        pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0),
        cmap="gray",
        vmin=0,
        vmax=255,
        interpolation="none",
        extent=(x, x + frame, y + tall, y),
        aspect="auto",
    )


def _marks(context: int, frames: int) -> tuple[list[int], list[int]]:
    """Return which input and which predicted frames are shown, counted from 1."""
    return list(range(1, context + 1, EVERY)), list(range(context + 1, frames + 1, EVERY))
