"""Videos as users bring them, written by FFmpeg's own encoders."""

import io
import struct
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from convttlstm.config import Videos
from convttlstm.config.videos import sequence_files
from convttlstm.data.containers import missing_bytes
from convttlstm.data.decoding import frames_of
from convttlstm.data.frames import decode
from convttlstm.data.videos import folder_sources, prepare_videos
from convttlstm.files import UserError
from tests.video_files import ONE, turn

CODECS = {
    ".mp4": "libx264",
    ".mkv": "libx264",
    ".webm": "libvpx-vp9",
    ".avi": "mpeg4",
    ".mov": "mpeg4",
    ".flv": "flv",
    ".wmv": "wmv2",
    ".ts": "libx264",
    ".mpg": "mpeg2video",
}


def write(
    path: Path,
    frames: list[np.ndarray | None],
    codec: str = "",
    pix_fmt: str = "yuv420p",
    aspect: Fraction = Fraction(1),
) -> Path:
    """Write RGB frames (height, width, 3); None is a moment without a picture, `aspect` a pixel's."""
    shape = next(frame.shape for frame in frames if frame is not None)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec or CODECS[path.suffix], rate=25)
        stream.height, stream.width, stream.pix_fmt = shape[0], shape[1], pix_fmt
        stream.codec_context.sample_aspect_ratio = aspect
        for time, frame in enumerate(frames):
            if frame is not None:
                picture = av.VideoFrame.from_ndarray(frame, format="rgb24")
                picture.pts = time
                container.mux(stream.encode(picture))
        container.mux(stream.encode())
    return path


def noise(count: int, height: int = 64, width: int = 64) -> list[np.ndarray]:
    return list(np.random.default_rng(0).integers(256, size=(count, height, width, 3), dtype=np.uint8))


# As the matrix in the header says it, and how that picture is stored.
ORIENTATIONS: dict[str, tuple[tuple[int, int, int, int], Callable[[np.ndarray], np.ndarray]]] = {
    "upright": ((1, 0, 0, 1), lambda upright: upright),
    "quarter": ((0, 1, -1, 0), lambda upright: np.rot90(upright, 1)),
    "half": ((-1, 0, 0, -1), lambda upright: np.rot90(upright, 2)),
    "three quarters": ((0, -1, 1, 0), lambda upright: np.rot90(upright, 3)),
    "mirrored": ((-1, 0, 0, 1), lambda upright: upright[:, ::-1]),
    "upside down": ((1, 0, 0, -1), lambda upright: upright[::-1]),
    "transposed": ((0, 1, 1, 0), lambda upright: upright.swapaxes(0, 1)),
    "transposed and turned": ((0, -1, -1, 0), lambda upright: upright[::-1, ::-1].swapaxes(0, 1)),
}


@pytest.mark.parametrize("name", ORIENTATIONS)
@pytest.mark.parametrize("colour", [False, True])
def test_rotated_videos_are_turned_upright(tmp_path: Path, name: str, colour: bool) -> None:
    """White is up, and left of the middle is a darker half."""
    (a, b, c, d), store = ORIENTATIONS[name]
    upright = np.zeros((48, 64, 3), np.uint8)
    upright[:24] = 255
    upright[:24, :32] = 128
    path = write(tmp_path / "phone.mp4", [np.ascontiguousarray(store(upright))] * 3)
    turn(path, (a * ONE, b * ONE, 0, c * ONE, d * ONE, 0, 0, 0, 1 << 30))
    for frame in decode(str(path), (24, 32), colour):
        assert frame.shape == (3 if colour else 1, 24, 32)
        np.testing.assert_allclose(frame[:, 2:10, 2:14], 128, atol=6)
        np.testing.assert_allclose(frame[:, 2:10, 18:30], 255, atol=6)
        np.testing.assert_allclose(frame[:, 14:], 0, atol=6)


@pytest.mark.parametrize("crop", [False, True])
def test_frames_with_wide_pixels_are_scaled_as_shown(tmp_path: Path, crop: bool) -> None:
    """Stored at half its width, a white square becomes a square; grey bars at its sides are cut off."""
    picture = np.full((64, 64, 3), 128, np.uint8)  # shown 128 wide
    picture[:, 16:48] = 255
    path = write(tmp_path / "wide pixels.mp4", [picture], aspect=Fraction(2))
    (frame,) = decode(str(path), (32, 32), crop=crop)
    np.testing.assert_allclose(frame[0, :, 10:22], 255, atol=6)
    np.testing.assert_allclose(frame[0, :, :6], 255 if crop else 128, atol=6)


@pytest.mark.parametrize("pix_fmt", ["gray10le", "gray12le", "gray16le"])
def test_ten_to_sixteen_bits_keep_their_brightness(tmp_path: Path, pix_fmt: str) -> None:
    path = write(
        tmp_path / "deep.mkv",
        [np.full((64, 64, 3), level, np.uint8) for level in (0, 128, 255)],
        "ffv1",
        pix_fmt,
    )
    assert [round(float(frame.mean())) for frame in decode(str(path), (16, 16))] == pytest.approx(
        [0, 128, 255], abs=1
    )


def test_dropped_frames_are_no_damage(tmp_path: Path) -> None:
    """FFmpeg writes chunks without bytes into an AVI there, which its header counts."""
    frames = [None if time % 7 == 3 else frame for time, frame in enumerate(noise(30))]
    path = write(tmp_path / "dropped.avi", frames)
    with av.open(str(path)) as container:
        assert container.streams.video[0].frames == 30
    assert sum(1 for _ in decode(str(path), (32, 32))) == sum(frame is not None for frame in frames) == 26


@pytest.mark.parametrize("suffix", CODECS)
@pytest.mark.parametrize("kept", [0.3, 0.6, 0.9])
def test_a_truncated_file_is_refused_in_every_container(tmp_path: Path, suffix: str, kept: float) -> None:
    path = write(tmp_path / f"whole{suffix}", noise(40))
    content = path.read_bytes()
    assert sum(1 for _ in frames_of(path)) == sum(1 for _ in frames_of(io.BytesIO(content))) == 40
    cut = content[: int(kept * len(content))]
    path.write_bytes(cut)
    for video in (path, io.BytesIO(cut)):
        with pytest.raises(UserError) as error:
            list(frames_of(video))
        assert "\n" not in str(error.value)


def live(path: Path) -> Path:
    """Write a WebM as a browser records it, whose lengths stay unknown."""
    written = io.BytesIO()
    written.seekable = lambda: False  # type: ignore[method-assign]
    frames = noise(40)
    with av.open(written, "w", format="webm") as container:
        stream = container.add_stream("libvpx", rate=25, width=64, height=64, pix_fmt="yuv420p")
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    path.write_bytes(written.getvalue())
    return path


def without_ftyp(path: Path) -> Path:
    """Write a MOV as QuickTime did before 2001, without the box that names the format."""
    path.write_bytes(write(path, noise(40)).read_bytes().replace(b"ftyp", b"free", 1))
    return path


def large(path: Path) -> Path:
    """Write an AVI in two parts, as those of more than a gigabyte are."""
    content = write(path, noise(40)).read_bytes()
    start = content.index(b"movi") + 4
    end = start + int.from_bytes(content[start - 8 : start - 4], "little") - 4
    at, chunks = start, []
    while at < end:
        size = 8 + int.from_bytes(content[at + 4 : at + 8], "little")
        chunks.append(content[at : at + size + size % 2])
        at += size + size % 2
    first, second = b"".join(chunks[:20]), b"".join(chunks[20:])
    head = content[12 : start - 12]

    def riff(kind: bytes, before: bytes, frames: bytes) -> bytes:
        movi = b"LIST" + (4 + len(frames)).to_bytes(4, "little") + b"movi" + frames
        return b"RIFF" + (4 + len(before) + len(movi)).to_bytes(4, "little") + kind + before + movi

    path.write_bytes(riff(b"AVI ", head, first) + riff(b"AVIX", b"", second))
    return path


@pytest.mark.parametrize(("make", "suffix"), [(live, ".webm"), (without_ftyp, ".mov"), (large, ".avi")])
def test_rare_layouts_are_read_and_truncated_ones_refused(
    tmp_path: Path, make: Callable[[Path], Path], suffix: str
) -> None:
    path = make(tmp_path / f"rare{suffix}")
    content = path.read_bytes()
    assert sum(1 for _ in frames_of(path)) == 40
    for kept in (0.3, 0.6, 0.9, 0.99):
        path.write_bytes(content[: int(kept * len(content))])
        with pytest.raises(UserError):
            list(frames_of(path))
    path.write_bytes(content + b"appended by a camera" * 9)
    assert sum(1 for _ in frames_of(path)) == 40


def test_avi_files_from_a_pipe_are_whole(tmp_path: Path) -> None:
    """Their writer could not go back to the header: it says 4 GiB."""
    path = write(tmp_path / "a.avi", noise(10))
    content = bytearray(path.read_bytes())
    content[4:8] = b"\xff" * 4
    path.write_bytes(content)
    assert missing_bytes(str(path)) == 0
    assert sum(1 for _ in frames_of(str(path))) == 10


def test_names_may_hold_a_colon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "a.mp4", noise(5)).rename(tmp_path / "2024-05-01T12:30:05.mp4")
    monkeypatch.chdir(tmp_path)
    assert sum(1 for _ in frames_of("2024-05-01T12:30:05.mp4")) == 5


def test_an_index_shows_which_parts_of_a_large_avi_are_missing() -> None:
    """The file ends where its first part does; the index (OpenDML AVI 1.02) lists a second one."""
    parts = [(100, 400), (500, 4500)]  # start and length, bytes
    index = struct.pack("<4sIHBBI4s12x", b"indx", 24 + 16 * len(parts), 4, 0, 0, len(parts), b"00dc")
    index += b"".join(struct.pack("<QII", start, length, 1) for start, length in parts)
    first = struct.pack("<4sI4s", b"RIFF", 500 - 8, b"AVI ") + index.ljust(500 - 12, b"\0")
    assert missing_bytes(io.BytesIO(first)) == 4500
    assert missing_bytes(io.BytesIO(first.ljust(5000, b"\0"))) == 0


def test_a_gif_is_no_transport_stream(tmp_path: Path) -> None:
    """It begins with a packet's sync byte, and may have another one where the second packet would begin."""
    pictures = [Image.effect_noise((32, 32), sigma) for sigma in (50, 60, 70)]
    pictures[0].save(tmp_path / "clip.gif", save_all=True, append_images=pictures[1:])
    whole = bytearray((tmp_path / "clip.gif").read_bytes())
    assert len(whole) > 3 * 188 and whole[0] == 0x47
    whole[188], whole[376] = 0x47, 0x46
    assert missing_bytes(io.BytesIO(whole)) == 0


@pytest.mark.parametrize("content", [b"", b"RIFF", b"\x1a\x45\xdf\xa3" * 9, b"\0\0\0\0ftyp", b"\xff" * 5000])
def test_files_that_are_no_videos_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "none.mp4"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"cannot be decoded|no video stream|no frame"):
        list(frames_of(path))


def test_the_videos_of_a_folder_are_listed(tmp_path: Path) -> None:
    """Linked folders count, hidden files do not, suffixes in capitals do, and no link leads in a circle."""
    day, clips = tmp_path / "store/day", tmp_path / "clips"
    for path in (
        day / "y.mp4",
        clips / "x.MTS",
        clips / "take {1}.mpeg",
        clips / "._x.mp4",
        clips / ".DS_Store",
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    (clips / "notes.txt").write_text("x")
    (clips / "day").symlink_to(day)
    (day / "back").symlink_to(clips)
    assert [path.name for path in sequence_files(clips)] == ["y.mp4", "take {1}.mpeg", "x.MTS"]


SETTINGS = {"kind": "videos", "title": "V", "size": 16, "test_horizons": [2], "context": 2, "horizon": 2}


def sources(folder: Path, table: bytes) -> list[str]:
    path = folder / "splits.csv"
    path.write_bytes(table)
    settings = SETTINGS | {"folder": str(folder), "split_file": str(path)}
    return [source.name for source in folder_sources(Videos.model_validate(settings))]


@pytest.mark.parametrize(
    "encoded", [lambda text: text.encode("utf-8-sig"), lambda text: text.replace("\n", "\r\n").encode()]
)
def test_split_files_of_spreadsheets_are_read(tmp_path: Path, encoded: Callable[[str], bytes]) -> None:
    for name in ("a.mp4", "b.mp4", "ü.mp4"):
        (tmp_path / name).write_bytes(b"x")
    table = encoded("video,split\na.mp4,train\nb.mp4,validation\nü.mp4,test\n")
    assert sources(tmp_path, table) == ["a.mp4", "b.mp4", "ü.mp4"]


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ("video,split\nü.mp4,test\n".encode("latin-1"), "is not UTF-8 text"),
        (b"video,split\na.mp4,train\na.mp4,test\n", "line 3: a.mp4 is in line 2 already"),
        (b"\0" * 10, "splits.csv"),
        (b"", "no video for the split"),
    ],
)
def test_unusable_split_files_are_refused_in_one_line(tmp_path: Path, table: bytes, says: str) -> None:
    for name in ("a.mp4", "ü.mp4"):
        (tmp_path / name).write_bytes(b"x")
    with pytest.raises(UserError) as error:
        sources(tmp_path, table)
    assert says in str(error.value) and "\n" not in str(error.value)


def test_the_same_video_is_not_trained_and_tested_on(tmp_path: Path) -> None:
    for split, seed in (("train", 0), ("validation", 1), ("test", 0)):
        (tmp_path / split).mkdir()
        write(tmp_path / split / f"{split}.avi", noise(8)[seed:])
    dataset = Videos.model_validate(SETTINGS | {"folder": str(tmp_path)})
    with pytest.raises(UserError, match=r"train/train.avi \(train\) and test/test.avi \(test\) are the same"):
        prepare_videos("own", dataset, folder_sources(dataset), tmp_path / "out", 1)
    assert not (tmp_path / "out/manifest.json").exists()


@pytest.mark.parametrize(("horizons", "says"), [([2], ""), ([2, 40], "has a window of 42 frames")])
def test_videos_too_short_for_a_horizon_are_refused_before_training(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], horizons: list[int], says: str
) -> None:
    frames = noise(36)
    for split, first in (("train", 0), ("validation", 1), ("test", 2)):
        (tmp_path / split).mkdir()
        write(tmp_path / split / "a.avi", frames[first : first + 30])
    dataset = Videos.model_validate(SETTINGS | {"folder": str(tmp_path), "test_horizons": horizons})
    if says:
        with pytest.raises(UserError, match=says):
            prepare_videos("own", dataset, folder_sources(dataset), tmp_path / "out", 1)
        assert not (tmp_path / "out/manifest.json").exists()
    else:
        prepare_videos("own", dataset, folder_sources(dataset), tmp_path / "out", 1)
        said = capsys.readouterr().out
        assert "train: 1 videos, 30 frames, 27 windows of 4" in said
        assert "test: 1 videos, 30 frames, 7 windows of 4" in said
