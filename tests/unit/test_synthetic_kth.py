"""The stand-in for KTH, read as a stranger reads the real archives: by zip, text and decoder."""

import errno
import functools
import io
import re
import zipfile
from pathlib import Path

import av
import numpy as np
import pytest

from convttlstm.data import synthetic_kth
from convttlstm.data.synthetic_kth import ACTIONS, draw, encode, write_archives
from convttlstm.files import UserError

STANDING = ("boxing", "handclapping", "handwaving")
CROSSING = ("jogging", "running", "walking")
NOISE = 3  # grey levels by which an unchanged pixel may be off its mean
CHANGED = 15  # grey levels that make a pixel a figure's

cached = functools.cache(draw)


def inside(ranges: list[tuple[int, int]], frames: int) -> np.ndarray:
    """Whether each frame lies in a range, bool (frames,)."""
    number = np.arange(1, frames + 1)
    return np.any([(first <= number) & (number <= last) for first, last in ranges], axis=0)


def silhouettes(video: np.ndarray, ranges: list[tuple[int, int]]) -> np.ndarray:
    """Pixels that differ from the empty scene, bool (frames, 120, 160)."""
    empty = video[~inside(ranges, len(video))].mean(0)
    return np.abs(video - empty) > CHANGED


def rows(moving: np.ndarray) -> np.ndarray:
    return np.flatnonzero(moving.any(1))


def read_archives(folder: Path) -> dict[str, bytes]:
    content: dict[str, bytes] = {}
    for path in folder.glob("*.zip"):
        with zipfile.ZipFile(path) as archive:
            assert archive.testzip() is None
            content |= {name: archive.read(name) for name in archive.namelist()}
    return content


def test_archives_and_list_hold_the_requested_videos(tmp_path: Path) -> None:
    paths = write_archives([13, 2], ["handclapping", "running"], [3, 4], 50, 0, tmp_path)
    assert {path.name for path in paths} == {"handclapping.zip", "running.zip", "00sequences.txt"}
    assert set(tmp_path.iterdir()) == set(paths)
    for action in ("handclapping", "running"):
        with zipfile.ZipFile(tmp_path / f"{action}.zip") as archive:
            names = archive.namelist()
            # The time of writing would make other bytes of the same videos.
            assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        asked = {f"person{p}_{action}_d{s}_uncomp.avi" for p in ("02", "13") for s in "34"}
        assert set(names) == asked - {"person13_handclapping_d3_uncomp.avi"}
        assert len(names) == len(set(names))

    text = (tmp_path / "00sequences.txt").read_text()
    assert not text.startswith("person")
    assert text.count("\nperson13_handclapping_d3\t*missing*\n") == 1
    listed = re.findall(r"^(person\d\d_[a-z]+_d\d)\t\tframes\t(\d+-\d+(?:, \d+-\d+)*)$", text, re.MULTILINE)
    assert {f"{name}_uncomp.avi" for name, _ in listed} == set(read_archives(tmp_path))
    ranges = dict(listed)["person02_running_d4"]
    assert ranges == ", ".join(f"{first}-{last}" for first, last in draw(2, "running", 4, 50, 0)[1])


def test_bytes_depend_on_the_seed_and_on_no_other_video(tmp_path: Path) -> None:
    def written(name: str, persons: list[int], seed: int) -> dict[str, bytes]:
        paths = write_archives(persons, ["boxing", "walking"], [1, 2], 12, seed, tmp_path / name)
        return {path.name: path.read_bytes() for path in paths}

    first = written("first", [1, 2], 0)
    assert written("again", [1, 2], 0) == first
    written("alone", [2], 0)
    written("other", [1, 2], 1)
    videos = {name: read_archives(tmp_path / name) for name in ("first", "alone", "other")}
    assert [len(content) for content in videos.values()] == [8, 4, 8]
    assert videos["alone"].items() <= videos["first"].items()
    assert not set(videos["other"].values()) & set(videos["first"].values())


@pytest.mark.parametrize("action", ["boxing", "running"])
def test_a_decoder_gives_the_drawn_frames(action: str) -> None:
    drawn, _ = cached(3, action, 1, 120, 0)
    with av.open(io.BytesIO(encode(drawn))) as container:
        assert container.format.name == "avi"
        (stream,) = container.streams
        context = stream.codec_context
        assert (context.name, context.codec_tag, context.pix_fmt) == ("mpeg4", "DIVX", "yuv420p")
        assert (context.width, context.height, stream.average_rate) == (160, 120, 25)
        frames = list(container.decode(stream))
        decoded = np.stack([frame.to_ndarray(format="gray") for frame in frames])
        colour = frames[0].to_ndarray()[120:]
    assert decoded.shape == drawn.shape == (120, 120, 160)
    assert (np.abs(colour.astype(int) - 128) <= 1).all()  # grey
    error = ((decoded.astype(float) - drawn) ** 2).mean((1, 2))
    assert 10 * np.log10(255**2 / error.max()) > 38


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("frames", [1, 37, 120, 411])
def test_ranges_are_in_order_and_in_the_video(action: str, frames: int) -> None:
    for person in (1, 2):
        video, ranges = cached(person, action, 1, frames, 0)
        assert video.shape == (frames, 120, 160) and video.dtype == np.uint8
        before = 0
        for first, last in ranges:
            assert before < first <= last <= frames
            before = last
        if frames == 120:
            assert len(ranges) >= (2 if action == "walking" else 3)
        if action in STANDING:  # no pause
            assert inside(ranges, frames).all()


@pytest.mark.parametrize("scenario", [1, 2, 3, 4])
@pytest.mark.parametrize("action", CROSSING)
def test_persons_cross_in_each_range_and_are_absent_between_them(action: str, scenario: int) -> None:
    video, ranges = cached(2, action, scenario, 120, 0)
    performed, figure = inside(ranges, len(video)), silhouettes(video, ranges)
    size = figure.sum((1, 2))
    assert size[~performed].max() == 0
    assert size[performed].min() > 20
    for number, (first, last) in enumerate(ranges):
        crossing = figure[first - 1 : last]
        centre = (crossing.sum(1) @ np.arange(160)) / crossing.sum((1, 2))
        forward = centre if number % 2 == 0 else 159 - centre
        assert forward[0] < 20 and forward[-1] > 140
        assert np.diff(forward).min() > -2  # a limb may swing back further than the body moves


def test_running_is_faster_than_jogging_and_jogging_than_walking() -> None:
    for person in range(1, 6):
        walk, jog, run = (
            cached(person, action, 1, 120, 0)[1][0] for action in ("walking", "jogging", "running")
        )
        assert walk[1] - walk[0] > 1.3 * (jog[1] - jog[0])
        assert jog[1] - jog[0] > 1.2 * (run[1] - run[0])


def test_standing_actions_move_the_arms_and_not_the_legs() -> None:
    for person in (1, 2, 3):
        moving = {}
        for action in STANDING:
            video, ranges = cached(person, action, 1, 120, 0)
            moving[action] = np.ptp(video, axis=0) > 2 * NOISE + CHANGED
            for first, last in ranges:  # the whole movement is in each of them
                part = np.ptp(video[first - 1 : last], axis=0) > 2 * NOISE + CHANGED
                assert part.sum() > 0.8 * moving[action].sum() > 100
        top = {action: rows(found)[0] for action, found in moving.items()}
        assert top["handwaving"] < min(top["boxing"], top["handclapping"]) - 10
        assert max(rows(found)[-1] for found in moving.values()) < 90  # legs stand still


def test_boxing_moves_to_one_side_and_clapping_to_both() -> None:
    for person in (1, 2, 3):
        for action, same in (("handclapping", True), ("handwaving", True), ("boxing", False)):
            video, _ = cached(person, action, 1, 120, 0)
            moving = np.ptp(video, axis=0) > 2 * NOISE + CHANGED
            # Legs, which stand still, show where the body is: dark on the bright ground.
            legs = video[0, 80:108] < 100
            body = np.flatnonzero(legs.any(0)).mean()
            columns = np.flatnonzero(moving.any(0))
            left, right = body - columns[0], columns[-1] - body
            assert (abs(left - right) < 4) == same
            assert max(left, right) > 20


def test_fists_alternate() -> None:
    """The far arm is drawn darker than the near one."""
    for person in (1, 2, 3):
        video, _ = cached(person, "boxing", 1, 120, 0)
        moving = np.flatnonzero((np.ptp(video, axis=0) > 2 * NOISE + CHANGED).any(0))
        body = np.flatnonzero((video[0, 80:108] < 100).any(0)).mean()
        left = body - moving[0] > moving[-1] - body
        reached = video[:, :, moving[:6] if left else moving[-6:]]
        fist = reached < reached.max(0).astype(int) - CHANGED - 2 * NOISE
        out = fist.sum((1, 2)) > 6
        punches = np.split(np.arange(120), np.flatnonzero(np.diff(out)) + 1)
        greys = [np.median(reached[part][fist[part]]) for part in punches if out[part[0]]]
        assert len(greys) >= 6
        turns = np.sign(np.diff(greys[1:-1]))  # the video's ends may cut a punch
        assert np.abs(np.diff(greys[1:-1])).min() > 15
        assert (turns[1:] == -turns[:-1]).all()


def test_persons_differ_in_height_tempo_and_clothes() -> None:
    heights, tempos, clothes = set(), set(), set()
    for person in range(1, 9):
        video, ranges = cached(person, "walking", 1, 120, 0)
        figure = silhouettes(video, ranges)
        found = rows(figure.any(0))
        heights.add(found[-1] - found[0])
        tempos.add(ranges[0][1])
        clothes.add(round(float(np.median(video[figure])) / 10))
    assert len(heights) >= 4 and max(heights) - min(heights) >= 6
    assert len(tempos) >= 4
    assert len(clothes) >= 3
    others = {draw(person, "walking", 1, 60, seed=1)[1][0][1] for person in range(1, 5)}
    assert others != {cached(person, "walking", 1, 120, 0)[1][0][1] for person in range(1, 5)}


def test_scenarios_differ_in_zoom_clothes_and_light() -> None:
    outdoors, zoom, coat, indoors = (cached(2, "walking", scenario, 120, 0) for scenario in (1, 2, 3, 4))

    def heights(video: np.ndarray, ranges: list[tuple[int, int]]) -> list[int]:
        figure = silhouettes(video, ranges)
        return [np.ptp(rows(figure[first - 1 : last].any(0))) for first, last in ranges]

    steady, zoomed = heights(*outdoors), heights(*zoom)
    assert abs(steady[0] - steady[1]) <= 2
    assert abs(zoomed[0] - zoomed[1]) > 8
    assert silhouettes(*coat).sum() > 1.1 * silhouettes(*outdoors).sum()
    assert abs(coat[0][silhouettes(*coat)].mean() - outdoors[0][silhouettes(*outdoors)].mean()) > 15
    assert indoors[0].mean() < outdoors[0].mean() - 30


def test_a_write_error_leaves_no_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"file/folder/boxing\.zip: cannot be written"):
        write_archives([1], ["boxing"], [1], 2, 0, tmp_path / "file" / "folder")

    begun = []

    def full_at_the_second_video(frames: np.ndarray) -> bytes:
        begun.append(frames)
        if len(begun) == 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        return encode(frames)

    monkeypatch.setattr(synthetic_kth, "encode", full_at_the_second_video)
    with pytest.raises(UserError, match="No space left"):
        write_archives([1], ["boxing"], [1, 2], 2, 0, tmp_path / "folder")
    assert not list((tmp_path / "folder").iterdir())
