"""Animations of sequences: the truth and predictions side by side."""

from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from convttlstm.files import atomic_path

PANEL = 160  # approximate size in pixels
PER_ROW = 5
BORDER = 4
GAP = 14
HEAD = 26
FOOT = 46
LINE = 13  # height of a line of the label
FRAME_MS, LAST_MS = 200, 1500
FPS = 1000 // FRAME_MS
INPUT, PREDICTION = (0, 114, 178), (213, 94, 0)  # colors of the border
GREYS = 32  # in the palette; fewer make smaller files


@dataclass(frozen=True)
class Panel:
    """A title and the frames below it, uint8 (time, channels, height, width)."""

    title: str
    frames: np.ndarray


def draw_panels(panels: list[Panel], context: int, label: str) -> list[Image.Image]:
    """Return one picture for each time step.

    During the context, every panel has a blue border. Then it turns orange: the first panel continues with
    the truth, as far as it is known, the others with their predictions.

    Args:
        panels: the truth, then predictions; all begin with the context.
        context: number of context frames.
        label: text below the panels.
    """
    pictures = []
    for t in range(max(len(panel.frames) for panel in panels)):
        ahead = t - context + 1
        when = f"t = {t + 1}: " + (f"predicted frame {ahead}" if ahead > 0 else "input")
        pictures.append(_compose(panels, t, when, label, PREDICTION if ahead > 0 else INPUT))
    return pictures


def write_gif(pictures: list[Image.Image], output: Path, colour: bool) -> None:
    """Write an animated GIF that loops; without `colour`, all but the border is grey, in a smaller file.

    Raises:
        UserError: the file cannot be written.
    """
    palette = None if colour else _grey_palette()
    first, *rest = [picture.quantize(palette=palette, dither=Image.Dither.NONE) for picture in pictures]
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


def write_mp4(pictures: list[Image.Image], output: Path) -> None:
    """Write an MP4 video (H.264).

    Raises:
        UserError: the file cannot be written.
    """
    width, height = (side + side % 2 for side in pictures[0].size)  # the color planes have half the size
    with atomic_path(output) as temporary, av.open(str(temporary), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=FPS)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for picture in pictures:
            page = Image.new("RGB", (width, height), "white")
            page.paste(picture)
            frame = av.VideoFrame.from_ndarray(np.asarray(page), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def _grey_palette() -> Image.Image:
    greys = [(round(i * 255 / (GREYS - 1)),) * 3 for i in range(GREYS)]
    palette = Image.new("P", (1, 1))
    palette.putpalette([value for colour in (*greys, INPUT, PREDICTION) for value in colour])
    return palette


def _magnify(frame: np.ndarray, zoom: int) -> Image.Image:
    """Return a frame (channels, height, width) as a picture, each pixel a square of `zoom` x `zoom`."""
    pixels = frame.repeat(3, axis=0) if len(frame) == 1 else frame
    image = Image.fromarray(np.ascontiguousarray(pixels.transpose(1, 2, 0)))
    return image.resize((image.width * zoom, image.height * zoom), Image.Resampling.NEAREST)


def _compose(panels: list[Panel], t: int, when: str, label: str, border: tuple[int, int, int]) -> Image.Image:
    """Return one picture of the animation: titles, bordered panels in rows, and lines of text below."""
    zoom = max(1, round(PANEL / max(panels[0].frames.shape[-2:])))
    tall, wide = (side * zoom + 2 * BORDER for side in panels[0].frames.shape[-2:])
    rows = -(-len(panels) // PER_ROW)
    below, width = rows * (HEAD + tall), GAP + (wide + GAP) * min(len(panels), PER_ROW)
    small = ImageFont.load_default(11)
    lines = _wrap(label, small, width - 2 * GAP)
    page = Image.new("RGB", (width, below + FOOT + LINE * (len(lines) - 1)), "white")
    draw = ImageDraw.Draw(page)
    for i, panel in enumerate(panels):
        left, top = GAP + (wide + GAP) * (i % PER_ROW), HEAD + (HEAD + tall) * (i // PER_ROW)
        middle = left + wide / 2, top - HEAD / 2
        draw.text(middle, panel.title, fill="black", font=_fit(panel.title, wide), anchor="mm")
        if t < len(panel.frames):
            draw.rectangle((left, top, left + wide - 1, top + tall - 1), fill=border)
            page.paste(_magnify(panel.frames[t], zoom), (left + BORDER, top + BORDER))
    draw.text((GAP, below + 6), when, fill="black", font=ImageFont.load_default(14))
    for i, line in enumerate(lines):
        draw.text((GAP, below + 26 + LINE * i), line, fill=(96, 96, 96), font=small)
    return page


def _wrap(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: float) -> list[str]:
    """Return `text` broken between words into lines of at most `width`."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if font.getlength(longer) <= width or not lines[-1]:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def _fit(text: str, width: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Return the largest font, from 13 pixels down to 8, in which `text` fits into `width`."""
    fonts = [ImageFont.load_default(size) for size in range(13, 7, -1)]
    return next((font for font in fonts if font.getlength(text) <= width), fonts[-1])
