"""Figures and frames inside the page itself, as data URIs, small and always the same bytes."""

import base64
import io
import re
from pathlib import Path
from urllib.parse import quote

import numpy as np
from PIL import Image

from convttlstm.files import UserError

COLUMNS = 10  # frames side by side in a sheet


def sheet(frames: np.ndarray) -> str:
    """Return frames as one lossless picture, COLUMNS of them side by side, row beneath row.

    Args:
        frames: uint8 (time, channels, height, width); one channel is grey, three are colours.
    """
    time, channels, height, width = frames.shape
    rows = -(-time // COLUMNS)
    padded = np.zeros((rows * COLUMNS, channels, height, width), np.uint8)
    padded[:time] = frames
    tiled = padded.reshape(rows, COLUMNS, channels, height, width).transpose(0, 3, 1, 4, 2)
    pixels = tiled.reshape(rows * height, COLUMNS * width, channels)
    return webp(Image.fromarray(pixels[:, :, 0] if channels == 1 else pixels))


def webp(picture: Image.Image, lossless: bool = True) -> str:
    """Return a picture as a data URI, to the pixel what it was or, smaller, what it looks like."""
    buffer = io.BytesIO()
    quality = 100 if lossless else 85
    picture.save(buffer, "WEBP", lossless=lossless, exact=True, quality=quality, method=4)
    return f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def drawing(path: Path) -> str:
    """Return an SVG file as a data URI, see `smaller`.

    Raises:
        UserError: the file is missing or is no SVG.
    """
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError):
        raise UserError(f"{path}: cannot be read; write it before the page") from None
    if "<svg" not in text:
        raise UserError(f"{path}: no SVG; delete it and make it anew")
    # Nothing else needs escaping between double quotes; base64 would be a third longer.
    return f"data:image/svg+xml,{quote(smaller(text), safe=' !$&()*+,/:;<=>?@[]^{|}' + chr(39))}"


def smaller(svg: str) -> str:
    """Return one of matplotlib's drawings without what nobody sees: about half as long.

    Coordinates keep hundredths of a point, pictures in the drawing become WebP, names are shortened;
    comments, metadata and line breaks go. The files beside the page keep every pixel.
    """
    svg = re.sub(r"<\?xml.*?\?>|<!DOCTYPE.*?>|<metadata>.*?</metadata>|<!--.*?-->", "", svg, flags=re.S)
    svg = re.sub(r"data:image/png;base64,([^\"]+)", lambda found: _recoded(found[1]), svg)
    # Each letter of a text is a <use>.
    svg = re.sub(r'(<use [^>]*)transform="translate\((\S+) (\S+)\)"', r'\1x="\2" y="\3"', svg)
    svg = re.sub(r"(?:scale|matrix)\([^)]*\)|-?\d+\.\d{3,}", _rounded, svg)
    # A letter's place in its line is in hundredths of the text's size.
    svg = re.sub(r' x="([\d.]+)" y="0"/>', lambda found: f' x="{float(found[1]):.0f}"/>', svg)
    svg = re.sub(r'<g id="[^"]*"', "<g", svg)
    names = {name: f"n{i:x}" for i, name in enumerate(dict.fromkeys(re.findall(r' id="([^"]+)"', svg)))}
    svg = re.sub(r'( id="|#)([\w-]+)(?=["\)])', lambda m: m[1] + names.get(m[2], m[2]), svg)
    svg = re.sub(r"\s+", " ", svg.replace("xlink:href", "href")).replace("> <", "><")
    svg = re.sub(r"(?<=[\dz]) ?([MLQCz]) ?(?=[\d\-\"Mz])", r"\1", svg)  # between the steps of a path
    svg = re.sub(r'style="[^"]*"', lambda found: re.sub(r"(?<=[:;]) ", "", found[0]), svg)
    return svg.replace('"', "'").strip()


def _rounded(found: re.Match[str]) -> str:
    """Return a coordinate with two decimals; what others are multiplied by stays."""
    return found[0] if found[0].endswith(")") else f"{float(found[0]):.2f}"


def _recoded(png: str) -> str:
    picture = Image.open(io.BytesIO(base64.b64decode(png))).convert("RGBA")
    red, green, blue, alpha = (np.asarray(band) for band in picture.split())
    if alpha.min() < 255:
        return webp(picture)
    grey = np.array_equal(red, green) and np.array_equal(green, blue)
    opaque = picture.convert("L" if grey else "RGB")
    return min(webp(opaque), webp(opaque, lossless=False), key=len)
