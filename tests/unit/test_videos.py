"""Video files: decoded exactly, cut into all possible windows, or refused in one line."""

import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from convttlstm.config import Videos, load_settings, resolve_run
from convttlstm.data import clips
from convttlstm.data.clips import open_clips
from convttlstm.data.frames import decode
from convttlstm.data.source import ClipSource
from convttlstm.data.videos import folder_sources, prepare_videos
from convttlstm.evaluation import protocol
from convttlstm.evaluation.predict import _kept, _sequence_with
from convttlstm.files import UserError
from tests.conftest import Project
from tests.video_files import noise, write_video

SIZE, CONTEXT, HORIZON, TEST_HORIZONS = 16, 4, 3, [3, 6]
LENGTHS = {"train/a": 9, "train/b": 7, "train/deep/c": 6, "validation/a": 15, "test/a": 21, "test/b": 10}


def settings(folder: Path, **changes: Any) -> Videos:
    return Videos.model_validate(
        {
            "kind": "videos",
            "title": "Clips",
            "folder": str(folder),
            "size": SIZE,
            "context": CONTEXT,
            "horizon": HORIZON,
            "test_horizons": TEST_HORIZONS,
        }
        | changes
    )


def content(name: str) -> np.ndarray:
    return noise(LENGTHS[name], SIZE, seed=list(LENGTHS).index(name))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in LENGTHS:
        write_video(tmp_path / f"raw/{name}.avi", content(name))
    return tmp_path / "raw"


def prepared(dataset: Videos, output: Path) -> Path:
    prepare_videos("clips", dataset, folder_sources(dataset), output, processes=2)
    return output


@pytest.mark.parametrize("colour", [False, True])
def test_frames_come_out_as_they_were_encoded(tmp_path: Path, colour: bool) -> None:
    frames = noise(8, SIZE, 0, colour)
    path = tmp_path / "noise.mkv"
    write_video(path, frames)
    found = np.stack(list(decode(str(path), (SIZE, SIZE), colour)))
    assert np.array_equal(found, frames.transpose(0, 3, 1, 2) if colour else frames[:, None])
    assert np.array_equal(np.stack(list(decode(str(path), (SIZE, SIZE), colour, step=3))), found[::3])


def test_frames_are_resized_to_squares(tmp_path: Path) -> None:
    """Halving both sides of a picture of squares of two pixels loses nothing."""
    small = noise(2, SIZE, 0)
    write_video(tmp_path / "x.avi", small.repeat(4, axis=1).repeat(2, axis=2))
    found = np.stack(list(decode(str(tmp_path / "x.avi"), (SIZE, SIZE))))[:, 0].astype(int)
    # Bilinear filters reach half a pixel beyond a square's border.
    assert np.abs(found - small).mean() < 40
    assert np.corrcoef(found.ravel(), small.ravel())[0, 1] > 0.9
    flat = np.full((1, 2 * SIZE, 4 * SIZE), 77, np.uint8)
    write_video(tmp_path / "flat.avi", flat)
    assert (np.stack(list(decode(str(tmp_path / "flat.avi"), (SIZE, SIZE)))) == 77).all()


def windows_by_hand(split: str, frames: int, stride: int) -> list[np.ndarray]:
    found = []
    for name in sorted(LENGTHS):
        if name.startswith(split):
            video = content(name)
            for start in range(0, len(video), stride):
                if start + frames <= len(video):
                    found.append(video[start : start + frames])
    return found


def all_of(source: ClipSource) -> np.ndarray:
    return (source.batch(range(len(source)))[:, :, 0] * 255).round().numpy().astype(np.uint8)


def test_all_windows_are_found(folder: Path, tmp_path: Path) -> None:
    """In training at every frame; in validation and test without a common frame."""
    dataset = settings(folder)
    data = prepared(dataset, tmp_path / "out")
    for split, horizon, stride in [
        ("train", None, 1),
        ("validation", None, 7),
        ("test", 3, 7),
        ("test", 6, 10),
    ]:
        source = open_clips(dataset, data, split, horizon)
        expected = windows_by_hand(split, CONTEXT + (horizon or HORIZON), stride)
        assert np.array_equal(all_of(source), np.stack(expected))
    assert len(open_clips(dataset, data, "train")) == 3 + 1 + 0
    assert len(open_clips(dataset, data, "test", 6)) == 2 + 1


def test_a_batch_holds_any_windows_as_fractions(folder: Path, tmp_path: Path) -> None:
    source = open_clips(settings(folder), prepared(settings(folder), tmp_path / "out"), "train")
    batch = source.batch([3, 0, 3])
    assert batch.shape == (3, 7, 1, SIZE, SIZE) and batch.dtype == torch.float32
    assert torch.equal(batch[0], batch[2]) and torch.equal(batch[1], source.batch([0])[0])
    assert batch.min() >= 0 and 0.98 < batch.max() <= 1


def test_no_test_window_shares_a_frame_with_training(folder: Path, tmp_path: Path) -> None:
    dataset = settings(folder)
    data = prepared(dataset, tmp_path / "out")

    def frames(source: ClipSource) -> set[bytes]:
        return {frame.tobytes() for window in all_of(source) for frame in window}

    trained_on = frames(open_clips(dataset, data, "train"))
    for horizon in TEST_HORIZONS:
        evaluated_on = frames(open_clips(dataset, data, "test", horizon))
        assert evaluated_on and not trained_on & evaluated_on


def test_evaluation_resizes_frames(folder: Path, tmp_path: Path) -> None:
    dataset = settings(folder, evaluation_size=32)
    data = prepared(dataset, tmp_path / "out")
    larger = open_clips(dataset, data, "test", 6).batch([0, 2])
    assert larger.shape == (2, 10, 1, 32, 32)
    assert open_clips(dataset, data, "train").batch([0]).shape[-1] == SIZE
    plain = open_clips(settings(folder), data, "test", 6).batch([0, 2])
    # Twice the size, bilinear: each output pixel lies a quarter of the way to its neighbours.
    inner = 0.75 * plain[..., 1:-1, :] + 0.25 * plain[..., :-2, :]
    expected = 0.75 * inner[..., 1:-1] + 0.25 * inner[..., :-2]
    torch.testing.assert_close(larger[..., 2:-2:2, 2:-2:2], expected)


def test_training_may_use_only_the_first_windows(folder: Path, tmp_path: Path, monkeypatch) -> None:
    dataset = settings(folder)
    data = prepared(dataset, tmp_path / "out")
    monkeypatch.setattr(clips, "FIRST", 3)
    few = open_clips(settings(folder, train_windows="first_10000"), data, "train")
    assert len(few) == 3
    assert torch.equal(few.batch([0, 2]), open_clips(dataset, data, "train").batch([0, 2]))


def test_training_sequences_are_evaluated_only_where_training_saw_them(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three windows of 7 frames are frames 0 to 8 of train/a, which hold one window of 4 + 3 frames."""
    dataset = settings(folder, train_windows="first_10000")
    data = prepared(dataset, tmp_path / "out")
    monkeypatch.setattr(clips, "FIRST", 3)
    seen = protocol.training_set(dataset, data)
    assert seen and list(seen.clips.labels["video"]) == ["train/a.avi"]
    longer = settings(folder, train_windows="first_10000", test_horizons=[5])
    assert len(protocol.training_set(longer, data).clips) == 1  # type: ignore[union-attr]
    monkeypatch.setattr(clips, "FIRST", 2)  # frames 0 to 7
    assert protocol.training_set(longer, data) is None


def test_folders_of_other_programs_among_the_arrays_are_left_alone(folder: Path, tmp_path: Path) -> None:
    data = prepared(settings(folder), tmp_path / "out")
    (data / "videos/@eaDir").mkdir()
    (data / "videos/old.npy").touch()
    prepared(settings(folder), tmp_path / "out")
    assert (data / "videos/@eaDir").is_dir() and not (data / "videos/old.npy").exists()


def test_names_that_are_not_utf8_are_refused(folder: Path) -> None:
    name = os.fsdecode(b"caf\xe9.avi")
    (folder / "train/a.avi").rename(folder / "train" / name)
    with pytest.raises(UserError, match="its name is not UTF-8; rename it"):
        folder_sources(settings(folder))


def test_colour_and_frame_step_are_settings(tmp_path: Path) -> None:
    frames = noise(30, SIZE, 0, colour=True)
    for split in ("train", "validation", "test"):
        write_video(tmp_path / f"raw/{split}/a.mkv", frames)
    dataset = settings(tmp_path / "raw", colour=True, frame_step=2)
    source = open_clips(dataset, prepared(dataset, tmp_path / "out"), "train")
    expected = frames[::2].transpose(0, 3, 1, 2)
    assert dataset.channels == 3 and len(source) == 15 - 7 + 1
    assert np.array_equal((source.batch([8]) * 255).round().numpy(), expected[None, 8:])


def test_a_split_file_names_the_videos(folder: Path, tmp_path: Path) -> None:
    table = tmp_path / "splits.csv"
    table.write_text("video,split\ntest/a.avi,train\ntrain/a.avi,validation\nvalidation/a.avi,test\n")
    sources = folder_sources(settings(folder, split_file=str(table)))
    assert [(source.name, source.split) for source in sources] == [
        ("test/a.avi", "train"),
        ("train/a.avi", "validation"),
        ("validation/a.avi", "test"),
    ]
    for line, said in [
        ("\n\ntest/a.avi,dev", "line 4: expected"),
        ("../x.avi,train", r"line 2: \.\./x\.avi lies outside"),
        ("a.avi,train", "line 2: no file"),
        ("test/a.avi,dev", r"line 2: expected .* \(train, validation, test\)"),
    ]:
        table.write_text(f"video,split\n{line}\n")
        with pytest.raises(UserError, match=said):
            folder_sources(settings(folder, split_file=str(table)))


def test_unusable_videos_are_named_in_one_line(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nowhere: no such folder"):
        folder_sources(settings(tmp_path / "nowhere"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"empty/train: no video for the split 'train'"):
        folder_sources(settings(tmp_path / "empty"))
    with pytest.raises(UserError, match=r"excluded: there is no video 'train/z\.avi'"):
        folder_sources(settings(folder, excluded=["train/z.avi"]))
    whole = (folder / "train/a.avi").read_bytes()
    (folder / "train/a.avi").write_bytes(whole[: len(whole) // 2])
    (folder / "test/b.avi").write_text("no video")
    with pytest.raises(UserError) as caught:
        prepared(settings(folder), tmp_path / "out")
    message = str(caught.value)
    assert "2 of 6 videos cannot be used" in message and "\n" not in message
    assert "test/b.avi (it cannot be decoded" in message
    # Cut within a frame, or behind one.
    assert re.search(r"train/a\.avi \((it ends after \d of 9|frame \d is damaged|it cannot)", message)
    assert not (tmp_path / "out/manifest.json").exists()
    rest = settings(folder, excluded=["train/a.avi", "test/b.avi"])
    assert len(json.loads((prepared(rest, tmp_path / "out") / "manifest.json").read_text())["videos"]) == 4


def test_a_split_file_may_name_links(folder: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "disk/a.avi"
    elsewhere.parent.mkdir()
    (folder / "train/a.avi").rename(elsewhere)
    (folder / "train/a.avi").symlink_to(elsewhere)
    table = tmp_path / "splits.csv"
    table.write_text("video,split\ntrain/a.avi,train\nvalidation/a.avi,validation\ntest/a.avi,test\n")
    data = prepared(settings(folder, split_file=str(table)), tmp_path / "out")
    assert np.array_equal(np.load(next((data / "videos").glob("train__a*.npy")))[:, 0], content("train/a"))


def test_a_damaged_array_is_decoded_again(folder: Path, tmp_path: Path) -> None:
    data = prepared(settings(folder), tmp_path / "out")
    array = next((data / "videos").glob("test__a*.npy"))
    whole = array.read_bytes()
    array.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(UserError, match=r"run snakemake or `convttlstm prepare` to make it again"):
        open_clips(settings(folder), data, "test", 3)
    # Snakemake deletes the manifest before it runs the rule again.
    for damaged in (array.read_bytes(), whole[:40]):
        array.write_bytes(damaged)
        (data / "manifest.json").unlink()
        prepared(settings(folder), tmp_path / "out")
        assert array.read_bytes() == whole
    open_clips(settings(folder), data, "test", 3)


def test_training_videos_may_be_shorter_than_the_shortest_test_horizon(folder: Path, tmp_path: Path) -> None:
    dataset = settings(folder, test_horizons=[9, 12])
    data = prepared(dataset, tmp_path / "out")
    assert protocol.training_set(dataset, data) is None
    assert [len(part.clips) for part in protocol.test_sets(dataset, data)] == [1, 1]


def test_videos_too_short_for_a_window_are_refused(folder: Path, tmp_path: Path) -> None:
    data = prepared(settings(folder), tmp_path / "out")
    with pytest.raises(UserError, match="no video of split 'test' has a window of 44 frames"):
        open_clips(settings(folder), data, "test", 40)


def test_changed_inputs_are_decoded_again_and_old_arrays_deleted(folder: Path, tmp_path: Path) -> None:
    def arrays() -> dict[str, int]:
        return {path.name: path.stat().st_mtime_ns for path in (tmp_path / "out/videos").glob("*.npy")}

    prepared(settings(folder), tmp_path / "out")
    first = arrays()
    prepared(settings(folder), tmp_path / "out")
    assert arrays() == first
    write_video(folder / "train/a.avi", noise(9, SIZE, seed=99))
    prepared(settings(folder), tmp_path / "out")
    assert len(arrays()) == 6 and len(arrays().items() & first.items()) == 5
    prepared(settings(folder, size=8), tmp_path / "out")
    assert len(arrays()) == 6 and not arrays().keys() & first.keys()


def test_one_sequence_of_an_array_is_predicted(tmp_path: Path) -> None:
    """Three sequences of 20 frames: frame 21 begins the second."""
    np.save(tmp_path / "a.npy", np.zeros((3, 20, SIZE, SIZE), np.uint8))
    run = resolve_run(load_settings(Path("config/demo.yaml")), "demo", "moving_mnist_2", "conv_lstm-seed0")
    run = run.model_copy(update={"dataset": settings(tmp_path, axes="sthw")})
    assert _sequence_with(run, tmp_path / "a.npy", 20) == (1, 20)
    assert _sequence_with(run, tmp_path / "a.npy", 24) == (21, 40)


@pytest.mark.parametrize("start", [None, 4, 5, 30, 40, 41])
def test_only_shown_frames_of_a_long_video_are_kept(start: int | None) -> None:
    """Three frames are seen and four predicted, the first of them is number `start`."""
    frames = np.arange(40)
    kept, count = _kept((frame for frame in frames), 3, 4, start)
    first = 41 if start is None else start
    assert count == 40 and list(kept) == list(frames[first - 4 : first + 3])


@pytest.mark.parametrize("name", ["x" * 251, "ü" * 125 + "x", "take {1} of $(touch P)"])
def test_names_of_any_length_and_kind_are_prepared(folder: Path, tmp_path: Path, name: str) -> None:
    (folder / "train/a.avi").rename(folder / f"train/{name}.avi")
    data = prepared(settings(folder), tmp_path / "out")
    assert len(open_clips(settings(folder), data, "train")) == 3 + 1 + 0
    names = [entry["name"] for entry in json.loads((data / "manifest.json").read_text())["videos"]]
    assert f"train/{name}.avi" in names


@pytest.mark.slow
def test_a_killed_preparation_resumes_with_the_same_bytes(project: Project) -> None:
    raw = project.folder / "raw"
    for split, count in [("train", 6), ("validation", 1), ("test", 1)]:
        for number in range(count):
            write_video(raw / f"{split}/{number}.avi", noise(150, 64, seed=10 * number + len(split)))
    dataset = settings(raw, size=64).model_dump(mode="json")
    project.configure(datasets={"clips": dataset})

    def command(output: str) -> list[str]:
        config = ["--config", project.config, "--dataset", "clips", "--processes", 1]
        return project.command("prepare", *config, "-o", project.folder / output)

    arrays = project.folder / "killed/videos"
    running = subprocess.Popen(command("killed"), cwd=project.folder, start_new_session=True)
    while running.poll() is None and not list(arrays.glob("[!.]*.npy")):
        time.sleep(0.002)
    os.killpg(running.pid, signal.SIGKILL)
    running.wait()
    finished = {path: path.stat().st_mtime_ns for path in arrays.glob("[!.]*.npy")}
    assert finished and not (project.folder / "killed/manifest.json").exists()

    for output in ("killed", "undisturbed"):
        done = subprocess.run(command(output), cwd=project.folder, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    assert {path: path.stat().st_mtime_ns for path in finished} == finished
    killed, undisturbed = (
        {path.relative_to(project.folder / output): path.read_bytes() for path in files}
        for output in ("killed", "undisturbed")
        # But for records of the files' times and inodes.
        for files in [[p for p in (project.folder / output).rglob("[!.]*") if p.is_file()]]
    )
    assert killed == undisturbed and len(killed) == 9
