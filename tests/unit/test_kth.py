"""KTH's archives: persons are split, names and boundaries checked, windows are the real decoder's frames."""

import io
import shutil
import zipfile
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError

from convttlstm.config import Kth, load_settings, settings_of_scale
from convttlstm.config.videos import ACTIONS as ALL_ACTIONS
from convttlstm.data.clips import open_clips
from convttlstm.data.kinds import Preparation
from convttlstm.data.kth import KIND, fetch_kth, kth_sources, parse_boundaries, verify
from convttlstm.data.layout import KTH_MISSING as MISSING
from convttlstm.data.synthetic_kth import write_archives
from convttlstm.data.videos import prepare_videos
from convttlstm.files import UserError, read_json, sha256_of

ROOT = Path(__file__).parents[2]
PERSONS, ACTIONS, FRAMES = [1, 2, 15, 17], ["boxing", "walking"], 70


def settings(**changes: Any) -> Kth:
    few = {"train_persons": [1, 2], "validation_persons": [15], "test_persons": [17]}
    few |= {"actions": ACTIONS, "scenarios": [1], "size": 16, "evaluation_size": 24}
    return Kth.model_validate({"kind": "kth", "source": "synthetic"} | few | changes)


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> Path:
    raw = tmp_path_factory.mktemp("archives")
    write_archives(PERSONS, ACTIONS, [1], FRAMES, 0, raw)
    return raw


@pytest.fixture
def raw(archives: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(archives, tmp_path / "raw"))


@pytest.fixture(scope="module")
def data(archives: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("kth")
    prepare_videos("kth", settings(), kth_sources(settings(), archives), output, processes=2)
    return output


def decoded(archives: Path, name: str) -> np.ndarray:
    """A video's frames, grey and resized, without the code under test."""
    with zipfile.ZipFile(archives / f"{name.split('_')[1]}.zip") as archive:
        content = io.BytesIO(archive.read(f"{name}_uncomp.avi"))
    with av.open(content, "r") as container:
        frames = [frame.to_ndarray(format="gray") for frame in container.decode(video=0)]
    return np.stack(
        [np.asarray(Image.fromarray(f).resize((16, 16), Image.Resampling.BILINEAR)) for f in frames]
    )


@pytest.mark.parametrize(
    "split, horizon, persons, stride",
    [
        ("train", None, {1, 2}, 1),
        ("validation", None, {15}, 20),
        ("test", 20, {17}, 30),
        ("test", 40, {17}, 50),
    ],
)
def test_windows_are_those_of_the_splits_persons(archives, data, split, horizon, persons, stride):
    source = open_clips(settings(evaluation_size=None), data, split, horizon)
    assert set(source.labels["person"]) == persons and set(source.labels["action"]) == set(ACTIONS)
    length, expected = 10 + (horizon or 10), []
    for person in sorted(persons):
        for action in ACTIONS:
            name = f"person{person:02}_{action}_d1"
            video = decoded(archives, name)
            assert len(video) == FRAMES
            starts = [t for t in range(0, FRAMES, stride) if t + length <= FRAMES]
            expected += [(name, start, video[start : start + length]) for start in starts]
    assert len(source) == len(expected)
    places = list(zip(source.labels["video"], source.labels["start"], strict=True))
    assert sorted(places) == sorted((name, start) for name, start, _ in expected)
    for name, start, frames in expected:
        found = source.batch([places.index((name, start))])[0, :, 0]
        assert np.array_equal((found * 255).round().numpy(), frames)


def test_windows_may_keep_to_the_published_boundaries(archives, tmp_path):
    dataset = settings(within="sequence", context=5, horizon=5)
    prepare_videos("kth", dataset, kth_sources(dataset, archives), tmp_path, processes=1)
    source = open_clips(dataset, tmp_path, "train")
    boundaries = parse_boundaries(archives / "00sequences.txt")
    expected = {
        (name, start)
        for name, ranges in boundaries.items()
        for first, last in ranges
        for start in range(first - 1, last - 10 + 1)
        if name.startswith(("person01", "person02"))
    }
    places = zip(source.labels["video"], source.labels["start"], strict=True)
    assert expected and set(places) == expected


def test_boundaries_are_read_as_they_are_published(tmp_path):
    """Tabs, blanks, unordered ranges, a missing video and prose, as in the real file."""
    path = tmp_path / "00sequences.txt"
    path.write_text(
        "Training:   person11, 12, 13\n\nperson01_boxing_d1\t\tframes\t1-95, 96-185\n"
        "person07_handclapping_d2    \tframes\t1-102, 103-248 \r\n"
        "person07_jogging_d4\t\tframes\t1-64, 270-332, 194-264\nperson13_handclapping_d3\t*missing*\n"
    )
    assert parse_boundaries(path) == {
        "person01_boxing_d1": ((1, 95), (96, 185)),
        "person07_handclapping_d2": ((1, 102), (103, 248)),
        "person07_jogging_d4": ((1, 64), (270, 332), (194, 264)),
    }
    path.write_text("person01_boxing_d1\t\tframes\t1-95, 96\n")
    with pytest.raises(UserError, match="line 1: not ranges of frames"):
        parse_boundaries(path)


def edit(path: Path, rename: dict[str, str | None]) -> None:
    """Write an archive again with members renamed, or left out where the new name is None."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            if (new := rename.get(name, name)) is not None:
                archive.writestr(new, content)


FIRST = "person01_boxing_d1_uncomp.avi"


@pytest.mark.parametrize(
    "rename, said",
    [
        ({FIRST: f"../{FIRST}"}, r"boxing\.zip: holds '\.\./person01.*which points outside"),
        ({FIRST: f"/{FIRST}"}, r"boxing\.zip: holds '/person01.*which points outside"),
        ({FIRST: None}, "1 of 8 videos are missing: person01_boxing_d1; "),
        ({FIRST: "Person1_boxing_d1.avi"}, r"boxing\.zip: 'Person1_boxing_d1\.avi' is not a name of KTH"),
        ({FIRST: "person01_boxing_d2_uncomp.avi"}, "1 of 8 videos are missing: person01_boxing_d1; "),
    ],
)
def test_archives_that_are_not_kths_are_refused_in_one_line(raw, rename, said):
    edit(raw / "boxing.zip", rename)
    with pytest.raises(UserError, match=said) as caught:
        kth_sources(settings(), raw)
    assert "\n" not in str(caught.value)


def test_missing_and_damaged_files_are_refused(raw, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"empty: neither KTH's archives \(boxing\.zip, walking\.zip\)"):
        kth_sources(settings(), tmp_path / "empty")
    with pytest.raises(UserError, match="excluded: there is no video 'person01_boxing_d9'"):
        kth_sources(settings(excluded=["person01_boxing_d9"]), raw)
    content = (raw / "walking.zip").read_bytes()
    (raw / "walking.zip").write_bytes(content[: len(content) // 2])
    with pytest.raises(UserError, match=r"walking\.zip: not a whole zip file"):
        kth_sources(settings(), raw)
    (raw / "walking.zip").write_bytes(content)
    lines = (raw / "00sequences.txt").read_text().splitlines(keepends=True)
    (raw / "00sequences.txt").write_text("".join(x for x in lines if "person02_walking" not in x))
    with pytest.raises(UserError, match=r"00sequences\.txt: no line for person02_walking_d1"):
        kth_sources(settings(), raw)


def test_a_truncated_video_stops_the_preparation_unless_it_is_excluded(raw, tmp_path):
    with zipfile.ZipFile(raw / "boxing.zip") as archive:
        content = archive.read(FIRST)
    edit(raw / "boxing.zip", {FIRST: None})
    (raw / FIRST).write_bytes(content[: len(content) // 2])  # an extracted file serves as well
    # Cut within a frame, or behind one.
    said = r"1 of 8 .*person01_boxing_d1 \((it ends after \d+ of 70 frames|frame \d+ is damaged)\)"
    with pytest.raises(UserError, match=said):
        prepare_videos("kth", settings(), kth_sources(settings(), raw), tmp_path / "out", processes=1)
    without = settings(excluded=["person01_boxing_d1"])
    prepare_videos("kth", without, kth_sources(without, raw), tmp_path / "out", processes=1)
    assert len(read_json(tmp_path / "out/manifest.json")["videos"]) == 7


def test_the_whole_of_kth_is_599_videos(tmp_path):
    """Names alone: 600 less the one that is missing."""
    everyone = Kth.model_validate({"kind": "kth"})
    names = [
        f"person{person:02}_{action}_d{scenario}"
        for person in range(1, 26)
        for action in everyone.actions
        for scenario in range(1, 5)
    ]
    present = [name for name in names if name != MISSING]
    for name in present:
        (tmp_path / f"{name}_uncomp.avi").touch()
    lines = [f"{name}\t\tframes\t1-9\n" for name in present]
    (tmp_path / "00sequences.txt").write_text("".join(lines))
    sources = kth_sources(everyone, tmp_path)
    assert len(sources) == 599
    assert {s.labels["person"] for s in sources if s.split == "test"} == set(range(17, 26))
    paper = settings_of_paper()
    assert len(kth_sources(paper, tmp_path)) == 598  # less the one whose public file is cut short


def settings_of_paper() -> Kth:
    dataset = load_settings(ROOT / "config/paper.yaml").datasets["kth"]
    assert isinstance(dataset, Kth)
    return dataset


def test_no_person_is_in_two_splits():
    with pytest.raises(ValidationError, match="person 17 is in train_persons and in test_persons"):
        settings(train_persons=[1, 17])


def test_known_archives_are_compared_and_new_ones_recorded(tmp_path):
    lock, path = tmp_path / "lock.json", tmp_path / "boxing.zip"
    path.write_bytes(b"abc")
    sha1 = "a9993e364706816aba3e25717850c26c9cd0d89d"  # of "abc", from FIPS 180
    lock.write_text(f'{{"kth/boxing.zip": {{"from": "somebody", "sha1": "{sha1}"}}}}')
    found = verify(path, "kth/boxing.zip", lock)
    assert found == sha256_of(path)
    assert read_json(lock)["kth/boxing.zip"] == {"from": "somebody", "sha1": sha1, "sha256": found}
    verify(path, "kth/walking.zip", lock)
    assert read_json(lock)["kth/walking.zip"] == {"from": "recorded at its first use", "sha256": found}
    before = lock.read_bytes()
    path.write_bytes(b"abd")
    for key, origin in [("kth/boxing.zip", "somebody"), ("kth/walking.zip", "first use")]:
        with pytest.raises(UserError, match=rf"boxing\.zip: expected SHA-256 {found} \(.*{origin}\), found"):
            verify(path, key, lock)
    assert lock.read_bytes() == before
    lock.write_text(f'{{"kth/boxing.zip": {{"from": "somebody", "sha1": "{sha1}"}}}}')
    with pytest.raises(UserError, match=f"expected SHA-1 {sha1}"):
        verify(path, "kth/boxing.zip", lock)


def test_files_placed_by_hand_are_used(tmp_path, monkeypatch):
    """Archives, or extracted videos in their place; nothing is downloaded."""

    def refuse(*arguments):
        raise AssertionError(arguments)

    monkeypatch.setattr("convttlstm.data.kth.download", refuse)
    names = [f"{action}.zip" for action in Kth.model_validate({"kind": "kth"}).actions]
    for name in [*names[1:], "00sequences.txt"]:
        (tmp_path / name).write_text(name)
    (tmp_path / "boxing").mkdir()
    (tmp_path / "boxing" / FIRST).touch()
    fetch_kth(tmp_path, tmp_path / "lock.json")
    receipt = read_json(tmp_path / "archives.json")
    assert receipt["boxing.zip"] == "extracted"
    assert receipt["walking.zip"] == sha256_of(tmp_path / "walking.zip")


def test_videos_in_linked_folders_are_used(tmp_path, monkeypatch):
    (tmp_path / "disk/boxing").mkdir(parents=True)
    (tmp_path / "disk/boxing" / FIRST).touch()
    raw = tmp_path / "raw"
    raw.mkdir()
    (raw / "boxing").symlink_to(tmp_path / "disk/boxing")
    for name in [*(f"{action}.zip" for action in ALL_ACTIONS if action != "boxing"), "00sequences.txt"]:
        (raw / name).write_text(name)
    fetch_kth(raw, tmp_path / "lock.json")
    assert read_json(raw / "archives.json")["boxing.zip"] == "extracted"


@pytest.mark.parametrize("name", ["boxing.zip", "00sequences.txt"])
def test_a_login_page_is_not_taken_for_the_file(tmp_path, monkeypatch, name):
    raw, lock = tmp_path / "raw", tmp_path / "lock.json"
    raw.mkdir()
    for other in [*(f"{action}.zip" for action in ALL_ACTIONS), "00sequences.txt"]:
        if other != name:
            (raw / other).write_text(other)
    page = "<html>\xe8".encode("latin-1")
    monkeypatch.setattr("convttlstm.data.kth.download", lambda urls, sha256, path: path.write_bytes(page))
    with pytest.raises(UserError, match=rf"{name}: the server sent another file"):
        fetch_kth(raw, lock)
    assert not (raw / name).exists() and name not in (lock.read_text() if lock.exists() else "")


def test_after_a_refusal_the_archives_are_fetched_again(raw):
    """Snakemake fetches them if their receipt is missing."""
    (raw / "archives.json").write_text("{}")
    (raw / "00sequences.txt").unlink()
    with pytest.raises(UserError, match=r"00sequences\.txt: no such file"):
        KIND.prepare(settings(), Preparation("kth", raw, raw / "out", Path("unused"), Path("unused"), 1))
    assert not (raw / "archives.json").exists()


def test_the_demos_stand_in_is_called_synthetic(monkeypatch):
    monkeypatch.chdir(ROOT)
    dataset = settings_of_scale("demo").datasets["kth"]
    assert "synthetic" in dataset.title and "synthetic" in dataset.stand_in
    assert not settings_of_paper().stand_in
