"""A drawn stand-in for Something-Something V2, for machines that do not have it.

File names, JSON of labels and encoding (VP9 in WebM) are those of the real data. Objects are plain shapes
of random colour, size and place on a random ground: activities differ only in how the objects move.
"""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from PIL import Image, ImageDraw

from convttlstm.config.dataset import Category
from convttlstm.data.layout import SOMETHING_CLIPS as CLIPS
from convttlstm.files import UserError, atomic_path, write_text
from convttlstm.randomness import Stream, uniform

SIZE = (48, 64)  # height, width
FPS = 12
SHORTEST, LONGEST = 14, 22  # frames
SUPERSAMPLING = 3

Point = tuple[float, float]


@dataclass(frozen=True)
class Scene:
    """The objects in one frame; x and y are in [0, 1], y downwards.

    Attributes:
        pieces: where the object, or each half of it, is, and its size relative to the usual one.
        hand: where the hand is, None if it is out of sight.
        drops: where drops of what is poured are.
    """

    pieces: list[tuple[Point, float]]
    hand: Point | None = None
    drops: tuple[Point, ...] = ()


# Each takes the time in [0, 1] and the place of the object at rest. The motion starts in the first frame,
# since models see only the first part of a clip.


def _thrown(t: float, x: float, y: float) -> Scene:
    up = 1 - (2 * t - 1) ** 2
    return Scene([((x, y - 0.55 * up), 1)], (x, 0.95) if t < 0.3 else None)


def _held(t: float, x: float, y: float) -> Scene:
    return Scene([((x, y - 0.2), 1)], (x, y))


def _pushed_right(t: float, x: float, y: float) -> Scene:
    place = 0.15 + 0.7 * t
    return Scene([((place, y), 1)], (place - 0.17, y))


def _pushed_left(t: float, x: float, y: float) -> Scene:
    place = 0.85 - 0.7 * t
    return Scene([((place, y), 1)], (place + 0.17, y))


def _picked_up(t: float, x: float, y: float) -> Scene:
    lift = 0.75 * max(0.0, t - 0.1)
    return Scene([((x, y - lift), 1)], (x, y - lift - 0.12))


def _poked(t: float, x: float, y: float) -> Scene:
    reach = abs(np.sin(4 * np.pi * t))  # comes and goes; the object stays
    return Scene([((x, y), 1)], (x - 0.38 + 0.2 * reach, y))


def _poured(t: float, x: float, y: float) -> Scene:
    drops = tuple((x + 0.2, 0.25 + (0.55 * ((i / 5 + 3 * t) % 1))) for i in range(5))
    return Scene([((x, 0.2), 0.8), ((x + 0.2, y), 1)], (x - 0.15, 0.2), drops)


def _put(t: float, x: float, y: float) -> Scene:
    place = min(y, 0.1 + 1.1 * t * y)
    return Scene([((x, place), 1)], (x, place - 0.12))


def _shown(t: float, x: float, y: float) -> Scene:
    return Scene([((x, y), 1), ((x + 0.25, y), 0.5 + t)], None)


def _torn(t: float, x: float, y: float) -> Scene:
    apart = 0.05 + 0.28 * t
    return Scene([((x - apart, y - 0.2), 0.7), ((x + apart, y - 0.2), 0.7)], (x + apart, y - 0.08))


MOTIONS: dict[str, Callable[[float, float, float], Scene]] = {
    "Dropping": _thrown,
    "Holding": _held,
    "MovingLR": _pushed_right,
    "MovingRL": _pushed_left,
    "Picking": _picked_up,
    "Poking": _poked,
    "Pouring": _poured,
    "Putting": _put,
    "Showing": _shown,
    "Tearing": _torn,
}


def draw(group: str, clip: int, seed: int) -> np.ndarray:
    """Return a clip of an activity, uint8 (frames, height, width, 3).

    Args:
        group: of `MOTIONS`; the activity drawn is the same for all its templates.
        clip: its number, which decides colours, size, place and length.
        seed: another seed draws other clips.
    """
    u = uniform(seed, Stream.SYNTHETIC_SOMETHING, clip, count=16)
    count = SHORTEST + int(u[0] * (LONGEST - SHORTEST + 1))
    x, y, size = 0.35 + 0.3 * u[1], 0.68 + 0.12 * u[2], 0.2 + 0.06 * u[3]
    colour, ground = (_colour(u[4:7], 120, 255), _colour(u[7:10], 0, 90))
    hand = _colour(np.array([0.8, 0.5, 0.4]) + 0.15 * u[10], 60, 255)
    tempo, wobble = 0.85 + 0.3 * u[11], 0.01 * (u[12] - 0.5)
    frames = []
    for number in range(count):
        t = min(1.0, tempo * number / (count - 1))
        scene = MOTIONS[group](t, x + wobble * np.sin(number), y)
        frames.append(_paint(scene, size, colour, hand, ground, round_shape=bool(u[13] < 0.5)))
    return np.stack(frames)


def _colour(numbers: np.ndarray, low: int, high: int) -> tuple[int, int, int]:
    red, green, blue = (int(low + (high - low) * min(1.0, float(value))) for value in numbers)
    return red, green, blue


def _paint(
    scene: Scene,
    size: float,
    colour: tuple[int, int, int],
    hand: tuple[int, int, int],
    ground: tuple[int, int, int],
    round_shape: bool,
) -> np.ndarray:
    height, width = (SUPERSAMPLING * n for n in SIZE)
    image = Image.new("RGB", (width, height), ground)
    pen = ImageDraw.Draw(image)
    for (x, y), scale in scene.pieces:
        half = scale * size * height / 2
        box = (x * width - half, y * height - half, x * width + half, y * height + half)
        (pen.ellipse if round_shape else pen.rectangle)(box, colour)
    for x, y in scene.drops:
        pen.circle((x * width, y * height), 0.02 * height, colour)
    if scene.hand:
        x, y = scene.hand
        pen.circle((x * width, y * height), 0.07 * height, hand)
    return np.asarray(image.resize((SIZE[1], SIZE[0]), Image.Resampling.BOX))


def encode(path: Path, frames: np.ndarray) -> None:
    """Write frames, uint8 (frames, height, width, 3), as VP9 in WebM, as the real clips are."""
    with (
        atomic_path(path) as temporary,
        av.open(str(temporary), "w", format="webm", options={"fflags": "+bitexact"}) as container,
    ):
        options = {"crf": "20", "b": "0", "deadline": "realtime", "cpu-used": "8", "flags": "+bitexact"}
        stream = container.add_stream("libvpx-vp9", rate=FPS, options=options)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv420p"
        stream.codec_context.thread_count = 1
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())


def write_clips(
    categories: Sequence[Category], counts: tuple[int, int], seed: int, output: Path, files: tuple[str, str]
) -> list[Path]:
    """Write clips below `<output>/20bn-something-something-v2`, then their two JSON files and clips.json.

    Args:
        categories: the activities; each one's group must be one of `MOTIONS`.
        counts: clips of each activity in training and in testing.
        seed: see `draw`.
        output: a folder; it is made if it is not there.
        files: names of the JSON files of training and of testing.

    Returns:
        The paths of the JSON files of labels.

    Raises:
        UserError: a group is none of them.
    """
    if unknown := sorted({category.group for category in categories} - set(MOTIONS)):
        raise UserError(f"no synthetic clips of the group {unknown[0]!r}; there are {', '.join(MOTIONS)}")
    written, clip = [], 0
    for name, count in zip(files, counts, strict=True):
        entries = []
        for _ in range(count):
            for category in categories:
                clip += 1
                encode(output / CLIPS / f"{clip}.webm", draw(category.group, clip, seed))
                entries.append(
                    {
                        "id": str(clip),
                        "label": category.template,
                        "template": re.sub(r"\b([Ss]omething)\b", r"[\1]", category.template),
                        "placeholders": ["shape"],
                    }
                )
        write_text(output / name, json.dumps(entries, indent=0) + "\n")
        written.append(output / name)
    write_text(output / "clips.json", json.dumps({"clips": clip}) + "\n")
    return written
