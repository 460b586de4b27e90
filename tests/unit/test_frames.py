"""Sequences other than videos: folders of pictures, and arrays of several layouts."""

import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError

from convttlstm.cli import main
from convttlstm.config import Videos
from convttlstm.data.clips import Windows
from convttlstm.data.frames import decode
from convttlstm.data.inventory import inventory
from convttlstm.data.videos import folder_sources, prepare_videos
from convttlstm.files import UserError, read_json
from tests.conftest import Project
from tests.video_files import noise, write_video

SIZE = 12
SPLITS = ("train", "validation", "test")
SETTINGS = {"kind": "videos", "title": "V", "size": SIZE, "test_horizons": [3], "context": 2, "horizon": 2}


def settings(folder: Path, **changes: Any) -> Videos:
    return Videos.model_validate(SETTINGS | {"folder": str(folder)} | changes)


def prepared(dataset: Videos, output: Path) -> Path:
    prepare_videos("clips", dataset, folder_sources(dataset), output, processes=1)
    return output


def write_pictures(folder: Path, frames: np.ndarray, suffix: str = ".png") -> None:
    """Numbered without leading zeros, and the last written first."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, frame in reversed(list(enumerate(frames, start=1))):
        Image.fromarray(frame).save(folder / f"frame{number}{suffix}")


def frames_of(path: Path, **how: Any) -> np.ndarray:
    return np.stack(list(decode(str(path), (SIZE, SIZE), **how)))


@pytest.mark.parametrize("colour", [False, True])
def test_pictures_are_ordered_by_their_numbers(tmp_path: Path, colour: bool) -> None:
    frames = noise(12, SIZE, 0, colour)
    write_pictures(tmp_path / "clip", frames)
    expected = frames.transpose(0, 3, 1, 2) if colour else frames[:, None]
    assert np.array_equal(frames_of(tmp_path / "clip", colour=colour), expected)
    assert np.array_equal(frames_of(tmp_path / "clip", colour=colour, step=5), expected[::5])


def test_pictures_of_16_bits_keep_their_brightness(tmp_path: Path) -> None:
    values = np.linspace(0, 65535, SIZE * SIZE).astype(np.uint16).reshape(1, SIZE, SIZE)
    write_pictures(tmp_path / "clip", values)
    np.testing.assert_allclose(frames_of(tmp_path / "clip")[0, 0], values[0] / 257, atol=0.5)


def test_jpeg_pictures_are_read_in_grey_and_in_colour(tmp_path: Path) -> None:
    flat = np.full((2, SIZE, SIZE, 3), (200, 30, 60), np.uint8)
    write_pictures(tmp_path / "clip", flat, ".JPG")
    grey = 0.299 * 200 + 0.587 * 30 + 0.114 * 60
    assert np.abs(frames_of(tmp_path / "clip") - grey).max() < 3
    assert np.abs(frames_of(tmp_path / "clip", colour=True)[0, :, 0, 0] - (200, 30, 60)).max() < 4


def stored(layout: str, clips: np.ndarray) -> np.ndarray:
    """Clips (sequence, time, channel, height, width) in another layout."""
    kept = clips if "c" in layout else clips[:, :, 0]
    kept = kept if "s" in layout else kept[0]
    letters = [letter for letter in "stchw" if letter in layout]
    return kept.transpose([letters.index(letter) for letter in layout])


def write_hdf5(path: Path, array: np.ndarray) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset("some/group/frames", data=array, chunks=True, compression="gzip")


WRITERS: dict[str, Callable[[Path, np.ndarray], None]] = {
    ".npy": np.save,
    ".npz": np.savez,
    ".h5": write_hdf5,
    ".hdf5": write_hdf5,
}


@pytest.mark.parametrize("suffix", WRITERS)
@pytest.mark.parametrize("axes", ["tshw", "sthw", "stchw", "sthwc", "tchw", "thw"])
def test_arrays_of_all_layouts_hold_the_same_frames(tmp_path: Path, axes: str, suffix: str) -> None:
    clips = np.random.default_rng(0).integers(256, size=(3, 5, 3, SIZE, SIZE), dtype=np.uint8)
    expected, colour = (clips, True) if "c" in axes else (clips[:, :, :1], False)
    path = tmp_path / f"clips{suffix}"
    WRITERS[suffix](path, stored(axes, clips))
    expected = (expected if "s" in axes else expected[:1])[:, ::2].reshape(-1, *expected.shape[2:])
    assert np.array_equal(frames_of(path, colour=colour, step=2, axes=axes), expected)


@pytest.mark.parametrize("kind", ["uint16", "float32", "float64"])
def test_numbers_of_other_types_become_bytes(tmp_path: Path, kind: str) -> None:
    frames = noise(2, SIZE, 0)
    np.save(
        tmp_path / "x.npy", frames.astype(kind) * 257 if kind == "uint16" else (frames / 255).astype(kind)
    )
    assert np.array_equal(frames_of(tmp_path / "x.npy")[:, 0], frames)


@pytest.mark.parametrize("suffix", [".npy", ".h5"])
@pytest.mark.parametrize("kind", ["uint8", "float32"])
def test_a_long_array_is_never_in_memory_as_a_whole(tmp_path: Path, suffix: str, kind: str) -> None:
    path = tmp_path / f"long{suffix}"
    array = np.zeros((6000, 32, 32), kind)
    WRITERS[suffix](path, array)
    frames_of(path)  # imports
    tracemalloc.start()
    assert sum(1 for _ in decode(str(path), (8, 8))) == 6000
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < array.nbytes / 5


@pytest.mark.parametrize("suffix", [".npy", ".h5"])
def test_windows_stay_within_the_sequences_of_an_array(tmp_path: Path, suffix: str) -> None:
    """As in mnist_test_seq.npy, time comes first."""
    for number, split in enumerate(SPLITS):
        (tmp_path / "raw" / split).mkdir(parents=True)
        clips = noise(7 * 4, SIZE, number).reshape(7, 4, SIZE, SIZE)
        WRITERS[suffix](tmp_path / f"raw/{split}/mnist{suffix}", clips)
    folder = prepared(settings(tmp_path / "raw", axes="tshw"), tmp_path / "out")
    train = Windows(folder, "train", frames=4, stride=1)
    assert len(train) == 4 * (7 - 4 + 1)
    first = noise(7 * 4, SIZE, 0).reshape(7, 4, SIZE, SIZE)
    assert np.array_equal(train.read([0, 5])[:, :, 0], [first[0:4, 0], first[1:5, 1]])
    assert len(Windows(folder, "test", frames=5, stride=5)) == 4


def test_a_folder_holds_videos_arrays_and_pictures(tmp_path: Path) -> None:
    write_pictures(tmp_path / "train/walk", noise(5, SIZE, 0))
    np.save(tmp_path / "train/run.npy", noise(6, SIZE, 1))
    write_video(tmp_path / "train/film/jump.avi", noise(7, SIZE, 2))
    Image.fromarray(noise(1, SIZE, 3)[0]).save(
        tmp_path / "train/film/poster.png"
    )  # next to a video: no sequence
    Image.fromarray(noise(1, SIZE, 3)[0]).save(tmp_path / "train/sheet.png")
    for number, split in enumerate(["validation", "test"]):
        write_pictures(tmp_path / split / "walk", noise(5, SIZE, 4 + number))
    dataset = settings(tmp_path)
    names = ["train/film/jump.avi", "train/run.npy", "train/walk", "validation/walk", "test/walk"]
    assert [source.name for source in folder_sources(dataset)] == names
    entries = read_json(prepared(dataset, tmp_path / "out") / "manifest.json")["videos"]
    assert [entry["shape"][0] for entry in entries] == [7, 6, 5, 5, 5]
    # The folder has changed if it differs from its manifest.
    cache, manifest = tmp_path / "cache.json", tmp_path / "out/manifest.json"
    found = inventory(dataset, manifest, cache)
    assert found == inventory(settings(tmp_path / "elsewhere"), manifest, cache) != ""
    write_pictures(tmp_path / "train/walk", noise(5, SIZE, 9))
    assert inventory(dataset, manifest, cache) != found


def test_the_same_pictures_in_two_splits_are_refused(tmp_path: Path) -> None:
    for split in SPLITS:
        write_pictures(tmp_path / "raw" / split / f"clip_{split}", noise(5, SIZE, split == "test"))
    with pytest.raises(UserError, match=r"train/clip_train .* and validation/clip_validation .* the same"):
        prepared(settings(tmp_path / "raw"), tmp_path / "out")


def test_a_split_file_names_folders_of_pictures(tmp_path: Path) -> None:
    for number, name in enumerate("abc"):
        write_pictures(tmp_path / "raw" / name, noise(5, SIZE, number))
    listed = tmp_path / "splits.csv"
    listed.write_text("video,split\na,test\nb,train\nc,validation\n")
    dataset = settings(tmp_path / "raw", split_file=str(listed))
    found = [(source.name, source.split) for source in folder_sources(dataset)]
    assert found == [("a", "test"), ("b", "train"), ("c", "validation")]
    listed.write_text("video,split\na,test\nd,train\n")
    with pytest.raises(UserError, match=r"line 3: no file .*d, and no folder of pictures"):
        folder_sources(dataset)


@pytest.mark.parametrize("kind", ["video", "pictures", "array"])
@pytest.mark.parametrize("colour", [False, True])
def test_wide_frames_are_cut_around_their_middle(tmp_path: Path, kind: str, colour: bool) -> None:
    middle = noise(4, SIZE, 0, colour)
    edge = np.zeros((4, SIZE, 5, *middle.shape[3:]), np.uint8)
    frames = np.concatenate([edge, middle, edge], axis=2)
    path = tmp_path / {"video": "x.avi", "pictures": "x", "array": "x.npy"}[kind]
    writers = {"video": write_video, "pictures": write_pictures, "array": np.save}
    writers[kind](path, frames)
    found = frames_of(path, colour=colour, crop=True, axes="thwc" if colour else None)
    assert np.array_equal(found, middle.transpose(0, 3, 1, 2) if colour else middle[:, None])


KINDS = {"video": "x.avi", "pictures": "x", "array": "x.npy"}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("crop", [False, True])
def test_frames_keep_the_height_and_width_of_the_settings(tmp_path: Path, kind: str, crop: bool) -> None:
    """Frames of that size are left as they are; higher ones are cropped, or stretched."""
    wide = np.concatenate([noise(3, SIZE, 0), noise(3, SIZE, 1)], axis=2)
    writers = {"video": write_video, "pictures": write_pictures, "array": np.save}
    for name, frames in (("as", wide), ("high", wide.repeat(2, axis=1))):
        path = tmp_path / name / KINDS[kind]
        path.parent.mkdir()
        writers[kind](path, frames)
        found = np.stack(list(decode(str(path), (SIZE, 2 * SIZE), crop=crop)))[:, 0]
        if name == "as":
            assert np.array_equal(found, wide)
        elif crop:
            assert np.array_equal(found, frames[:, SIZE // 2 : -SIZE // 2])
        else:  # the mean of the rows that each new one covers, and a little of their neighbours
            rows = wide.astype(float)
            expected = 0.75 * rows[:, 1:-1] + 0.125 * (rows[:, :-2] + rows[:, 2:])
            np.testing.assert_allclose(found[:, 1:-1], expected, atol=1)


@pytest.mark.parametrize("size", [0, -3, [8], [8, 0], [8, 12, 3], "8", [8.5, 4], True, None, [[8, 8], 8]])
def test_an_invalid_size_is_refused_in_one_line(size: Any) -> None:
    with pytest.raises(ValidationError) as error:
        Videos.model_validate(SETTINGS | {"folder": "x", "size": size})
    (only,) = error.value.errors()
    assert only["loc"] == ("size",) and "neither a number of pixels nor [height, width]" in only["msg"]


def test_two_equal_sides_equal_one_number() -> None:
    assert settings(Path("x"), size=[SIZE, SIZE]) == settings(Path("x"))
    assert settings(Path("x"), size=[8, 12]).frame_shape == (8, 12)


def test_cropped_frames_have_arrays_of_their_own(tmp_path: Path) -> None:
    for number, split in enumerate(SPLITS):
        path = tmp_path / f"raw/{split}/x.avi"
        write_video(path, np.concatenate([noise(5, SIZE, number)] * 2, axis=2))
    files = {}
    for crop in (False, True):
        folder = prepared(settings(tmp_path / "raw", crop=crop), tmp_path / "out")
        files[crop] = {entry["file"] for entry in read_json(folder / "manifest.json")["videos"]}
    assert not files[True] & files[False]
    kept = Windows(tmp_path / "out", "test", frames=5, stride=5).read([0])[0, :, 0]
    twice = np.concatenate([noise(5, SIZE, 2)] * 2, axis=2)
    assert np.array_equal(kept, twice[:, :, SIZE // 2 : -SIZE // 2])
    assert (
        "crop" not in settings(tmp_path).model_dump() and settings(tmp_path, crop=True).model_dump()["crop"]
    )


def spoil(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:60])


@pytest.mark.parametrize(
    "made, said",
    [
        (lambda path: np.save(path, noise(4, SIZE, 0)[:, None]), r"shape is \(4, 1, 12, 12\), .* axes: tshw"),
        (lambda path: np.save(path, noise(4, SIZE, 0).astype(int)), "type is int64"),
        (
            lambda path: np.save(path, noise(4, SIZE, 0).astype(float)),
            r"sequence 1 has values outside \[0, 1\]",
        ),
        (lambda path: np.save(path, np.array([{}] * 3), allow_pickle=True), "not an array of numbers"),
        (lambda path: (np.save(path, noise(4, SIZE, 0)), spoil(path)), "not an array of numbers"),
    ],
)
def test_unusable_arrays_are_refused_in_one_line(tmp_path: Path, made: Any, said: str) -> None:
    made(tmp_path / "x.npy")
    with pytest.raises(UserError, match=said):
        frames_of(tmp_path / "x.npy")


def test_unusable_hdf5_files_are_refused_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "x.h5"
    for names, said in (((), "holds 0 arrays; keep one"), ("ab", r"holds 2 arrays \(a, b\); keep one")):
        with h5py.File(path, "w") as file:
            for name in names:
                file[name] = noise(4, SIZE, 0)
        with pytest.raises(UserError, match=said):
            frames_of(path)
    with h5py.File(path, "w") as file:
        file["nothing"] = h5py.Empty("f")
    with pytest.raises(UserError, match=r"its shape is \(\)"):
        frames_of(path)
    write_hdf5(path, noise(40, 64, 0))
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match="not a readable HDF5 file"):
        frames_of(path)
    middle = len(whole) // 2
    path.write_bytes(whole[:middle] + bytes(2000) + whole[middle + 2000 :])
    with pytest.raises(UserError, match="sequence 1 cannot be read"):
        frames_of(path)


def test_hdf5_without_its_library_is_refused_in_one_line(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for number, split in enumerate(SPLITS):
        (project.folder / "raw" / split).mkdir(parents=True)
        write_hdf5(project.folder / f"raw/{split}/clips.h5", noise(6, SIZE, number))
    project.configure(datasets={"clips": SETTINGS | {"folder": str(project.folder / "raw")}})
    monkeypatch.chdir(project.folder)
    monkeypatch.setitem(sys.modules, "h5py", None)
    assert main(["prepare", "--config", str(project.config), "--dataset", "clips", "-o", "out"]) == 1
    said = capsys.readouterr().err
    assert "pip install 'convttlstm[hdf5]'" in said and said.count("\n") == 1


def test_unusable_pictures_are_refused_in_one_line(tmp_path: Path) -> None:
    write_pictures(tmp_path / "clip", noise(4, SIZE, 0))
    spoil(tmp_path / "clip/frame3.png")
    with pytest.raises(UserError, match=r"frame3\.png cannot be read"):
        frames_of(tmp_path / "clip")
    Image.fromarray(noise(1, SIZE + 1, 0)[0]).save(tmp_path / "clip/frame3.png")
    with pytest.raises(
        UserError, match=r"frame3\.png has \(13, 13\) pixels, but the first picture \(12, 12\)"
    ):
        frames_of(tmp_path / "clip")


@pytest.mark.parametrize("axes", ["hw", "thwt", "xthw", ""])
def test_invalid_axes_are_refused(tmp_path: Path, axes: str) -> None:
    with pytest.raises(ValidationError, match="must be t, h, w"):
        settings(tmp_path, axes=axes)


@pytest.mark.slow
def test_snakemake_prepares_pictures_and_sees_one_that_changed(project: Project) -> None:
    for number, split in enumerate(SPLITS):
        write_pictures(project.folder / f"raw/{split}/walk", noise(5, SIZE, number))
    project.configure(datasets={"clips": SETTINGS | {"folder": "raw"}})
    manifest = "data/processed/tiny/clips/manifest.json"
    assert project.snakemake("--", manifest).returncode == 0
    before = read_json(project.folder / manifest)["splits"]
    assert "Nothing to be done" in project.snakemake("-n", "--", manifest).stdout
    write_pictures(project.folder / "raw/test/walk", noise(5, SIZE, 9)[4:])
    assert project.snakemake("--", manifest).returncode == 0
    after = read_json(project.folder / manifest)["splits"]
    assert after["train"] == before["train"] and after["test"]["sha256"] != before["test"]["sha256"]
