"""Videos of all kinds, made by FFmpeg's own command, in the three commands; FFmpeg's frames are the truth."""

import json
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from convttlstm.data.decoding import frames_of
from convttlstm.files import UserError
from tests.conftest import Project
from tests.video_files import ONE, turn

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not shutil.which("ffmpeg"), reason="needs ffmpeg: `tests/install.sh`"),
]

SHAPE = 64, 96  # height, width
FIELDS = "-flags +ildct+ilme"
SELECT = r"-vf select=mod(n\,3)"  # every third frame is dropped
SCALE = "-vf scale={}:{}"
# FFmpeg's options for each file.
ENCODED = {
    "plain.mp4": "",
    "variable rate.mp4": f"{SELECT} -fps_mode vfr",
    "dropped frames.avi": f"{SELECT} -fps_mode vfr -c:v mpeg4",
    "b-frames.avi": "-c:v mpeg4 -bf 2 -vtag XVID",
    "camera.avi": "-c:v mjpeg -pix_fmt yuvj422p",
    "huffyuv.avi": "-c:v huffyuv",
    "sound.mov": "-f lavfi -i sine=duration=1 -c:a aac -movflags +faststart",
    "hevc.mp4": "-c:v libx265 -tag:v hvc1 -x265-params log-level=error",
    "hevc 10 bits.mkv": "-c:v libx265 -pix_fmt yuv420p10le -x265-params log-level=error",
    "h264 10 bits.mp4": "-pix_fmt yuv422p10le",
    "vp9 10 bits.webm": "-c:v libvpx-vp9 -pix_fmt yuv420p10le",
    "vp8.webm": "-c:v libvpx",
    "vp9.webm": "-c:v libvpx-vp9",
    "live.webm": "-c:v libvpx -f webm",
    "interlaced.mts": f"{FIELDS} -x264-params tff=1",
    "interlaced.mpg": f"{FIELDS} -c:v mpeg2video -top 1 -q:v 2",
    "odd.webm": f"{SCALE.format(97, 65)} -c:v libvpx-vp9",
    "odd.avi": f"{SCALE.format(95, 63)} -c:v mjpeg -pix_fmt yuvj420p",
    "odd.mkv": f"{SCALE.format(97, 63)} -c:v ffv1 -pix_fmt gbrp",
    "high definition.mp4": "-vf scale=out_color_matrix=bt709 -colorspace bt709 -color_range tv",
    "full range.mp4": "-vf scale=out_range=full -pix_fmt yuvj420p -color_range pc",
    "fragments.mp4": "-g 10 -movflags frag_keyframe+empty_moov",
    "stream.ts": "",
    "disc.m2ts": "",
    "phone.3gp": "-vf scale=176:144 -c:v h263",
    "flash.flv": "-c:v flv",
    "windows.wmv": "-c:v wmv2",
    "theora.ogv": "-c:v libtheora -q:v 9",
    "turned.mp4": "-vf transpose=2",
    "mirrored.mp4": "-vf hflip",
}
# Frames of other sizes are scaled by another filter than FFmpeg's, colours of fields and of 10 bits too.
FILTERED = ("odd", "phone", "10 bits", "interlaced")
GREY = [0.299, 0.587, 0.114]
CUT = [f"cut.{suffix}" for suffix in ("mp4", "mov", "mkv", "avi", "ts", "flv")]
SETTINGS: dict[str, Any] = {
    "kind": "videos",
    "title": "Kinds",
    "folder": "raw",
    "split_file": "splits.csv",
    "size": list(SHAPE),
    "colour": True,
    "context": 3,
    "horizon": 2,
    "test_horizons": [2],
}


def ffmpeg(*arguments: object, **options: Any) -> bytes:
    command = ["ffmpeg", "-nostdin", "-v", "error", "-threads", "1", *map(str, arguments)]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, **options).stdout


def make_clips(folder: Path) -> None:
    """Write a clip of each kind, cuts of a longer one without encoding, and one for each other split."""
    folder.mkdir()
    size = f"size={SHAPE[1]}x{SHAPE[0]}:rate=25"
    for name, options in ENCODED.items():
        source = ["-f", "lavfi", "-i", f"testsrc2={size}:duration=1"]
        if name == "live.webm":  # through a pipe, so that lengths stay unknown
            (folder / name).write_bytes(ffmpeg(*source, *shlex.split(options, posix=False), "-"))
        else:
            ffmpeg(*source, *shlex.split(options, posix=False), folder / name)
    turn(folder / "turned.mp4", (0, ONE, 0, -ONE, 0, 0, ONE, 0, 1 << 30))
    turn(folder / "mirrored.mp4", (-ONE, 0, 0, 0, ONE, 0, 0, 0, 1 << 30))
    long = folder.parent / "long.mp4"
    ffmpeg("-f", "lavfi", "-i", f"testsrc2={size}:duration=3", "-g", 12, "-bf", 2, long)
    for name in CUT:
        ffmpeg("-ss", 0.7, "-i", long, "-t", 1.1, "-c", "copy", folder / name)
    for split in ("validation", "test"):
        ffmpeg(
            "-f",
            "lavfi",
            "-i",
            f"mandelbrot={size}:start_scale={len(split)}",
            "-t",
            1,
            folder / f"{split}.mp4",
        )


def frames_by_ffmpeg(path: Path) -> np.ndarray:
    """Return the frames that FFmpeg's command decodes, upright and scaled, uint8 (time, height, width, 3)."""
    scale = f"scale={SHAPE[1]}:{SHAPE[0]}:flags=area"
    content = ffmpeg(
        "-i", path, "-vf", scale, "-fps_mode", "passthrough", "-pix_fmt", "rgb24", "-f", "rawvideo", "-"
    )
    return np.frombuffer(content, np.uint8).reshape(-1, *SHAPE, 3)


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("kinds") / "raw"
    make_clips(folder)
    return folder


def test_every_kind_of_video_is_prepared_trained_on_and_predicted_in(project: Project, clips: Path) -> None:
    raw, output = project.folder / "raw", project.folder / "prepared"
    raw.symlink_to(clips)
    names = [*ENCODED, *CUT]
    rows = [f"{name},train" for name in names] + ["validation.mp4,validation", "test.mp4,test"]
    (project.folder / "splits.csv").write_text("\n".join(["video,split", *rows]))
    project.configure(
        datasets={"kinds": SETTINGS},
        experiments={"moving_mnist_2": None, "kinds": {"table": ["conv_lstm"]}},
        training={"epochs": 1, "samples_per_epoch": 4, "batch_size": 2},
    )
    chosen = ["--config", project.config, "--dataset", "kinds"]
    done = project.call("prepare", *chosen, "-o", output)
    assert done.returncode == 0, done.stderr
    entries = {entry["name"]: entry for entry in json.loads((output / "manifest.json").read_text())["videos"]}
    for name in names:
        expected = frames_by_ffmpeg(raw / name)
        found = np.load(output / entries[name]["file"]).transpose(0, 2, 3, 1)
        assert found.shape == expected.shape and len(found) > 8, name
        difference = found.astype(int) - expected
        if any(word in name for word in FILTERED):
            assert abs(difference @ GREY).mean() < 4 and abs(difference).mean() < 10, name
        else:
            assert abs(difference).mean() < 0.5, name

    run = project.folder / "runs/conv_lstm-seed0"
    done = project.call("train", *chosen, "--data", output, "conv_lstm-seed0", "-o", run)
    assert done.returncode == 0, done.stderr
    for name in {Path(name).suffix: name for name in names}.values():
        written = project.folder / "ahead.npy"
        done = project.call("predict", run, raw / name, "--horizon", 2, "-o", written)
        assert done.returncode == 0, (name, done.stderr)
        assert np.load(written).shape == (2, 3, *SHAPE)


@pytest.mark.parametrize("name", ENCODED)
def test_truncated_videos_of_every_kind_are_refused(clips: Path, tmp_path: Path, name: str) -> None:
    """But for MPEG program streams, which state no length: there a cut between two packets is not noticed."""
    content = (clips / name).read_bytes()
    for kept in np.random.default_rng(0).random(3):
        path = tmp_path / f"cut{Path(name).suffix}"
        path.write_bytes(content[: int(kept * len(content))])
        with pytest.raises(UserError) as error:
            list(frames_of(path))
        assert "\n" not in str(error.value)
