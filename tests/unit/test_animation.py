"""Animations, read back from GIF files."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageSequence

from convttlstm.animation import BORDER, GAP, HEAD, PANEL, PER_ROW, Panel, draw_panels, write_gif


def read(path: Path) -> list[np.ndarray]:
    with Image.open(path) as gif:
        return [np.asarray(frame.convert("RGB")) for frame in ImageSequence.Iterator(gif)]


def test_small_coloured_objects_keep_their_colours(tmp_path: Path) -> None:
    """The first frame is black, as in a clip that fades in."""
    frames = np.zeros((3, 3, 32, 32), np.uint8)
    frames[1:, :, 4:8, 4:8] = np.array([220, 0, 60], np.uint8)[:, None, None]
    write_gif(draw_panels([Panel("clip", frames)], 1, ""), tmp_path / "clip.gif", colour=True)
    left, top, zoom = GAP + BORDER, HEAD + BORDER, PANEL // 32
    for t, shown in enumerate(read(tmp_path / "clip.gif")):
        found = shown[top : top + PANEL : zoom, left : left + PANEL : zoom].astype(int)
        assert abs(found - frames[t].transpose(1, 2, 0)).max() <= 8


@pytest.mark.parametrize("shape", [(32, 16), (16, 32)])
def test_frames_that_are_not_square_fill_their_borders(tmp_path: Path, shape: tuple[int, int]) -> None:
    """Seven panels in two rows: each has its frame, and a border of equal width around it."""
    grey = np.linspace(60, 250, PER_ROW + 2).astype(np.uint8)
    panels = [Panel("", np.full((1, 1, *shape), value, np.uint8)) for value in grey]
    write_gif(draw_panels(panels, 1, ""), tmp_path / "clip.gif", colour=False)
    zoom = PANEL // max(shape)
    tall, wide = (side * zoom + 2 * BORDER for side in shape)
    (shown,) = read(tmp_path / "clip.gif")
    assert shown.shape[1] == GAP + PER_ROW * (wide + GAP)
    for i, value in enumerate(grey):
        left, top = GAP + (i % PER_ROW) * (wide + GAP), HEAD + (i // PER_ROW) * (HEAD + tall)
        panel = shown[top : top + tall, left : left + wide].astype(int)
        inner = panel[BORDER:-BORDER, BORDER:-BORDER]
        assert abs(inner - int(value)).max() <= 8
        panel[BORDER:-BORDER, BORDER:-BORDER] = panel[0, 0]
        assert (panel == panel[0, 0]).all() and len(set(panel[0, 0])) == 3  # the border is coloured
        assert (shown[top + tall : top + tall + 4, left : left + wide] == 255).all()
