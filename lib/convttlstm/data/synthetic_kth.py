"""A drawn stand-in for the archives of the KTH actions, for machines that do not have them.

Files, names, sizes and encoding are those of the real archives; the people are stick figures.
"""

import io
import zipfile
from collections.abc import Iterator, Sequence
from itertools import product
from math import cos, pi
from pathlib import Path

import av
import numpy as np
from PIL import Image

from convttlstm.config.videos import ACTIONS
from convttlstm.data.layout import KTH_BOUNDARIES as BOUNDARIES
from convttlstm.data.layout import KTH_MISSING as MISSING
from convttlstm.data.stick_figures import (
    GAITS,
    PERIODS,
    STANDING,
    SUPERSAMPLING,
    Limb,
    Look,
    draw_limbs,
    stride,
)
from convttlstm.files import atomic_path, write_text
from convttlstm.randomness import Stream, uniform

SIZE = (120, 160)  # height, width
FPS = 25

STREAM = Stream.SYNTHETIC_KTH

PROSE = """\
Drawn figures in place of the KTH actions, made by convttlstm.
Each line names a video and the frames, counted from 1, of every time that its action is performed.

"""

# Real videos show an action four times, shorter ones here fewer times; all in frames.
PERFORMANCES = 4
SHORTEST_PERFORMANCE = 40
SHORTEST_GAP = 6  # empty scene between two passes

NOISE = 3.0  # grey levels, at most


def draw(
    person: int, action: str, scenario: int, frames: int, seed: int
) -> tuple[np.ndarray, list[tuple[int, int]]]:
    """Draw one video; it depends on the arguments and on no other video.

    Args:
        person: from 1.
        action: one of `ACTIONS`.
        scenario: 1 outdoors, 2 outdoors with zoom, 3 outdoors in a coat, 4 indoors.
        frames: length of the video, at least 1.
        seed: decides everything that differs between two sets of videos.

    Returns:
        Grey frames, uint8 (frames, 120, 160), and the first and last frame, counted from 1, of each
        time that the action is performed.
    """
    # Indices of the random numbers: a person's is 100 * person, and no two things share one.
    place = 100 * person + 10 * scenario
    video = place + 1 + ACTIONS.index(action)
    look = _look(person, scenario, seed)
    light = 0.75 if scenario == 4 else 1.0
    background = light * _background(scenario, uniform(seed, STREAM, place, count=SIZE[0] * SIZE[1]))
    offset, zoom, *cuts = uniform(seed, STREAM, video, count=2 + PERFORMANCES)
    ranges = _ranges(action, frames, look.tempo, cuts)

    rough = [side * SUPERSAMPLING for side in SIZE[::-1]]
    empty = Image.fromarray(background.astype(np.uint8)).resize(rough, Image.Resampling.NEAREST)
    drawn = np.empty((frames, *SIZE), np.uint8)
    for frame in range(frames):
        canvas = empty.copy()
        scale = 1.0
        if scenario == 2:  # from large to small or back, once
            scale = 0.93 + 0.18 * cos(pi * (frame / frames + round(zoom)))
        for limbs, x, direction in _figures(action, look, ranges, frame, offset):
            draw_limbs(canvas, limbs, look.height * scale, x, direction, light)
        noise = NOISE * (2 * uniform(seed, STREAM, video, frame, count=background.size) - 1)
        drawn[frame] = np.rint(np.asarray(canvas.reduce(SUPERSAMPLING)) + noise.reshape(SIZE)).clip(0, 255)
    return drawn, ranges


def _look(person: int, scenario: int, seed: int) -> Look:
    height, tempo, build, skin, hair, shirt, trousers, coat = uniform(seed, STREAM, 100 * person, count=8)
    look = Look(
        height=66 + 14 * height,
        tempo=0.92 + 0.17 * tempo,
        build=0.85 + 0.35 * build,
        skin=75 + 30 * skin,
        hair=25 + 40 * hair,
        # Dark or light, never as grey as the background.
        shirt=30 + 80 * shirt if shirt < 0.6 else 150 + 75 * shirt,
        trousers=25 + 50 * trousers,
    )
    if scenario == 3:
        coat_grey = 215 if look.shirt < 100 else 40
        return look._replace(build=look.build * 1.25, shirt=coat_grey + 20 * coat, hem=0.13)
    return look


def _background(scenario: int, random: np.ndarray) -> np.ndarray:
    """Return the empty scene, grey levels of shape (120, 160), from as many numbers in [0, 1)."""
    height, width = SIZE
    indoors = scenario == 4
    horizon = 88 if indoors else 40
    above, below = (162.0, 122.0) if indoors else (178.0, 162.0)
    row, column = np.mgrid[:height, :width]
    levels = np.where(row < horizon, above, below)
    # Indoors the light comes from one side.
    levels += (0.2 if indoors else 0.04) * (column - width / 2) * (1 if random[0] < 0.5 else -1)
    patches = Image.fromarray(random[:48].reshape(6, 8).astype(np.float32))
    levels += 14 * (np.asarray(patches.resize((width, height), Image.Resampling.BICUBIC)) - 0.5)
    return levels + 8 * (random.reshape(SIZE) - 0.5)


def _ranges(action: str, frames: int, tempo: float, cuts: Sequence[float]) -> list[tuple[int, int]]:
    """Return first and last frame, from 1, of each performance; `cuts` in [0, 1) vary their lengths."""
    if action in GAITS:
        length = min(frames, round(GAITS[action].frames / tempo))
        passes = min(PERFORMANCES, (frames + SHORTEST_GAP) // (length + SHORTEST_GAP))
        starts = [i * (frames - length) // max(1, passes - 1) for i in range(passes)]
        return [(start + 1, start + length) for start in starts]
    times = min(PERFORMANCES, max(1, frames // SHORTEST_PERFORMANCE))
    inner = [round((i + 0.2 * (cuts[i] - 0.5)) * frames / times) for i in range(1, times)]
    return [(first + 1, last) for first, last in zip([0, *inner], [*inner, frames], strict=True)]


def _figures(
    action: str, look: Look, ranges: list[tuple[int, int]], frame: int, offset: float
) -> Iterator[tuple[list[Limb], float, int]]:
    """Yield the figure, if there is one: limbs, column of the hip, 1 if it looks right and -1 if left.

    Args:
        action: one of `ACTIONS`.
        look: the person.
        ranges: when the action is performed.
        frame: from 0.
        offset: in [0, 1), where the person stands and the movement begins.
    """
    if action not in GAITS:
        phase = 2 * pi * (frame * look.tempo / PERIODS[action] + offset)
        x = SIZE[1] / 2 + 30 * (offset - 0.5)
        yield STANDING[action](look, phase), x, 1 if x < SIZE[1] / 2 else -1
        return
    for number, (first, last) in enumerate(ranges):
        if first <= frame + 1 <= last:
            gait, direction = GAITS[action], 1 if number % 2 == 0 else -1
            margin = 0.05 * look.height
            distance = (SIZE[1] + 2 * margin) * (frame + 1 - first) / max(1, last - first)
            # The legs follow the way covered, so that feet do not slide.
            phase = 2 * pi * (distance / (gait.stride * look.height) + offset)
            x = distance - margin if direction == 1 else SIZE[1] + margin - distance
            yield stride(gait, look, phase), x, direction


def encode(frames: np.ndarray) -> bytes:
    """Return grey frames, uint8 (frames, height, width), as a DIVX video in an AVI file."""
    file = io.BytesIO()
    # Without these flags the file would name the encoder's version.
    with av.open(file, "w", format="avi", options={"fflags": "+bitexact"}) as container:
        # A fixed, fine quantiser. FFmpeg's usual `qscale` is read from each frame, where PyAV cannot set it.
        options = {"flags": "+bitexact", "qmin": "2", "qmax": "2"}
        stream = container.add_stream("mpeg4", rate=FPS, options=options)
        stream.height, stream.width = frames.shape[1:]
        stream.pix_fmt = "yuv420p"
        stream.codec_context.codec_tag = "DIVX"
        # More threads would cut each frame into slices, as many as the machine has cores.
        stream.codec_context.thread_count = 1
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="gray")))
        container.mux(stream.encode())
    return file.getvalue()


def write_archives(
    persons: Sequence[int],
    actions: Sequence[str],
    scenarios: Sequence[int],
    frames: int,
    seed: int,
    output: Path,
) -> list[Path]:
    """Write `<output>/<action>.zip` for each action, and `<output>/00sequences.txt` when they are there.

    The same arguments give the same bytes.

    Args:
        persons: from 1.
        actions: some of `ACTIONS`.
        scenarios: from 1 to 4.
        frames: length of every video.
        seed: see `draw`.
        output: a folder; it is made if it is not there.

    Returns:
        The paths of the files.

    Raises:
        UserError: a file cannot be written; no part of it stays.
    """
    lines, paths = [], [output / f"{action}.zip" for action in actions]
    for action, path in zip(actions, paths, strict=True):
        with atomic_path(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
            for person, scenario in product(persons, scenarios):
                name = f"person{person:02}_{action}_d{scenario}"
                if name == MISSING:
                    lines.append(f"{name}\t*missing*\n")
                    continue
                video, ranges = draw(person, action, scenario, frames, seed)
                listed = ", ".join(f"{first}-{last}" for first, last in ranges)
                lines.append(f"{name}\t\tframes\t{listed}\n")
                # ZipInfo's date is fixed, where a bare name would get the present time.
                entry = zipfile.ZipInfo(f"{name}_uncomp.avi")
                entry.external_attr = 0o644 << 16
                archive.writestr(entry, encode(video))
    sequences = output / BOUNDARIES
    write_text(sequences, PROSE + "".join(sorted(lines)))
    return [*paths, sequences]
