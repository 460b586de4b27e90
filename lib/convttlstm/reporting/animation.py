"""One test sequence as an animated GIF: the truth and each system's prediction, side by side."""

from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from convttlstm.files import UserError, atomic_path
from convttlstm.reporting.results import STARRED, Result, load_results, short_names, what_it_proves

PANEL = 160  # pixels, about
PER_ROW = 5
BORDER = 4
GAP = 14
HEAD = 26
FOOT = 46
FRAME_MS, LAST_MS = 200, 1500

# The palette: greys, then the border's colours.
GREYS = 32
INPUT, PREDICTION = GREYS, GREYS + 1
COLOURS = {INPUT: (0, 114, 178), PREDICTION: (213, 94, 0)}


def write_example(results: Path, dataset: str, runs: list[str], output: Path, example: int = 0) -> None:
    """Write an animation of one kept test sequence.

    While input is given, every panel shows it within a blue border. Then the border turns orange:
    the first panel goes on with the truth, the others with their predictions. All-black predictions
    are left out.

    Args:
        results: folder of a scale, such as results/demo.
        dataset: name of the data set.
        runs: ids of evaluated runs.
        output: the GIF.
        example: which of the kept sequences.

    Raises:
        UserError: a run or its examples.npz cannot be read, or holds no such example.
    """
    loaded = [r for r in load_results(results, dataset, runs) if r.config.model.name != "black"]
    if not loaded:
        raise UserError(f"{results}: {', '.join(runs)} has nothing to animate; name another run")
    run = loaded[0].config
    truths, clips = zip(*(_read_example(result, example) for result in loaded), strict=True)
    truth = truths[0]
    for result, other in zip(loaded, truths, strict=True):
        if not np.array_equal(truth, other):
            raise UserError(
                f"{result.folder / 'examples.npz'}: shows another sequence than the other runs'; "
                "evaluate the run again"
            )
    titles = ["Truth", *short_names(loaded)]
    label = what_it_proves(run) + (f"; {STARRED}" if any(r.caveat for r in loaded) else "")
    zoom = max(1, round(PANEL / truth.shape[-1]))
    frames = []
    for t in range(len(truth)):
        ahead = t - run.dataset.context + 1
        when = f"t = {t + 1}: " + (f"predicted frame {ahead}" if ahead > 0 else "input")
        border = PREDICTION if ahead > 0 else INPUT
        panels = [_magnify(clip[t], zoom) for clip in (truth, *clips)]
        frames.append(_compose(panels, titles, when, label, border))
    first, *rest = frames
    with atomic_path(output) as temporary:
        first.save(
            temporary,
            format="GIF",
            save_all=True,
            append_images=rest,
            duration=[FRAME_MS] * len(rest) + [LAST_MS],
            loop=0,
            optimize=False,
        )


def _read_example(result: Result, example: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the truth, and the input followed by the prediction: uint8 (time, height, width)."""
    path = result.folder / "examples.npz"
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            truths, predictions = arrays["truth"], arrays["prediction"]
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; evaluate the run first") from None
    except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
        raise UserError(f"{path}: damaged ({error}); evaluate the run again") from None
    if example >= len(truths):
        raise UserError(f"{path}: holds {len(truths)} examples, so none is number {example}")
    truth = truths[example, :, 0]
    given = truth[: result.config.dataset.context]
    return truth, np.concatenate([given, predictions[example, :, 0]])


def _magnify(frame: np.ndarray, zoom: int) -> np.ndarray:
    """Return a frame in palette indices, each pixel a square of `zoom` x `zoom`."""
    return (frame // (256 // GREYS)).repeat(zoom, axis=0).repeat(zoom, axis=1)


def _compose(panels: list[np.ndarray], titles: list[str], when: str, label: str, border: int) -> Image.Image:
    """Return one frame of the animation: titles, bordered panels in rows, and two lines beneath."""
    side = panels[0].shape[0] + 2 * BORDER
    rows = -(-len(panels) // PER_ROW)
    width = GAP + (side + GAP) * min(len(panels), PER_ROW)
    below = rows * (HEAD + side)
    page = Image.new("L", (width, below + FOOT), 255)
    draw = ImageDraw.Draw(page)
    corners = [
        (GAP + (side + GAP) * (i % PER_ROW), HEAD + (HEAD + side) * (i // PER_ROW))
        for i in range(len(panels))
    ]
    for (left, top), title in zip(corners, titles, strict=True):
        draw.text((left + side / 2, top - HEAD / 2), title, fill=0, font=_fit(title, side), anchor="mm")
    draw.text((GAP, below + 6), when, fill=0, font=ImageFont.load_default(14))
    draw.text((GAP, below + 26), label, fill=96, font=ImageFont.load_default(11))
    indices = np.asarray(page) // (256 // GREYS)
    for (left, top), panel in zip(corners, panels, strict=True):
        indices[top : top + side, left : left + side] = border
        indices[top + BORDER : top + side - BORDER, left + BORDER : left + side - BORDER] = panel
    image = Image.fromarray(indices)
    greys = [(round(i * 255 / (GREYS - 1)),) * 3 for i in range(GREYS)]
    image.putpalette([value for colour in (*greys, *COLOURS.values()) for value in colour])
    return image


def _fit(text: str, width: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Return the largest font, from 13 pixels down to 8, in which `text` fits into `width`."""
    fonts = [ImageFont.load_default(size) for size in range(13, 7, -1)]
    return next((font for font in fonts if font.getlength(text) <= width), fonts[-1])
