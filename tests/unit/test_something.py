"""Labels and clips of Something-Something V2: faults that are refused, and frames that are seen."""

import io
import json
import re
import shutil
import tarfile
import zipfile
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from torch import nn

from convttlstm.config import Something, load_settings, resolve_run
from convttlstm.config.dataset import Category
from convttlstm.config.something import read_categories
from convttlstm.data.activities import Activities, evaluation_plan, training_plan
from convttlstm.data.kinds import Preparation
from convttlstm.data.something import (
    CLIPS,
    KIND,
    fetch_something,
    frames_seen,
    index_clips,
    labelled_clips,
    missing_clips,
    plain_template,
    validates,
)
from convttlstm.data.something_files import extract_parts, missing_parts, parts_in
from convttlstm.data.synthetic_something import write_clips
from convttlstm.evaluation.recognition import evaluate_recognizer
from convttlstm.files import UserError, read_json

ROOT = Path(__file__).parents[2]
SIZE = 16
ACTIVITIES = [("Moving", "Pushing something from left to right"), ("Poking", "Poking something so it falls")]


def write_clip(path: Path, frames: np.ndarray) -> None:
    """Write grey frames, (time, height, width), without loss, under the name of a WebM file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w", format="matroska") as container:
        stream = container.add_stream("ffv1", rate=12)
        stream.height, stream.width = frames.shape[1:]
        stream.pix_fmt = "bgr0"
        for frame in frames:
            picture = av.VideoFrame.from_ndarray(np.repeat(frame[..., None], 3, axis=2), format="rgb24")
            container.mux(stream.encode(picture))
        container.mux(stream.encode())


def length(clip: int) -> int:
    return 5 + clip % 20


def noise(clip: int, frames: int) -> np.ndarray:
    return np.random.default_rng(clip).integers(256, size=(frames, SIZE, SIZE), dtype=np.uint8)


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    """Forty clips of 5 to 24 frames, thirty for training; even ids push, odd ids poke."""
    folder = tmp_path / "raw"
    for clip in range(1, 41):
        write_clip(folder / CLIPS / f"{clip}.webm", noise(clip, length(clip)))
    rows = [("activities", "group,template")]
    rows += [("activities", f'{group},"{template}"') for group, template in ACTIVITIES]
    (tmp_path / "activities.csv").write_text("\n".join(row for _, row in rows) + "\n")
    write_labels(folder, "train", range(1, 31))
    write_labels(folder, "validation", range(31, 41))
    return folder


def write_labels(folder: Path, split: str, clips: range | list[int]) -> None:
    entries = []
    for clip in clips:
        template = ACTIVITIES[clip % 2][1].replace("something", "[something]")
        entries.append(
            {"id": str(clip), "label": "a label", "template": template, "placeholders": ["a thing"]}
        )
    entries.append({"id": f"9{clip}", "template": "Doing [something] else", "placeholders": []})
    (folder / f"something-something-v2-{split}.json").write_text(json.dumps(entries))


def settings(raw: Path, **changes: object) -> Something:
    content = {
        "kind": "something",
        "categories": str(raw.parent / "activities.csv"),
        "size": SIZE,
        "horizon": 4,
    }
    return Something.model_validate(content | {"validation_share": 0.3, "test_horizons": [4]} | changes)


def activities(raw: Path, split: str = "train", **changes: object) -> Activities:
    dataset, folder = settings(raw, **changes), raw.parent / "data"
    index_clips("clips", dataset, raw, folder, processes=1)
    return Activities(dataset, folder, split)


@pytest.mark.parametrize(
    "frames, fraction, seen",
    [
        (8, 0.25, 2),
        (9, 0.25, 2),
        (11, 0.25, 2),
        (12, 0.25, 3),
        (3, 0.25, 1),
        (1, 0.5, 1),
        (7, 0.5, 3),
        (9, 0.5, 4),
        # In floating point 0.29 x 100 is 28.999...
        (100, 0.29, 29),
        (10, 0.3, 3),
        (30, 0.1, 3),
    ],
)
def test_at_most_the_fraction_and_at_least_one_frame_is_seen(frames, fraction, seen):
    assert frames_seen(frames, fraction) == seen


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-8", "latin-1", "utf-16"])
def test_lists_of_activities_must_be_utf_8(tmp_path, encoding):
    path = tmp_path / "activities.csv"
    path.write_bytes("group,template\r\nä,Pushing something\r\nb,Poking something\r\n".encode(encoding))
    if encoding.startswith("utf-8"):
        assert [row.group for row in read_categories(path)] == ["ä", "b"]
    else:
        with pytest.raises(ValueError, match="is not UTF-8 text; save it as UTF-8"):
            read_categories(path)


def test_templates_match_with_brackets_and_quotes_or_without():
    expected = "Putting something that can't roll, so it stays"
    assert plain_template('Putting [something that can\'t roll], so "it" stays') == expected
    assert plain_template(expected) == expected


def test_clips_are_labelled_and_split_by_their_ids_alone(raw):
    clips = labelled_clips(settings(raw), raw)
    assert [int(entry["clip"]) for entry in clips] == list(range(1, 41))
    assert all(entry["label"] == int(entry["clip"]) % 2 for entry in clips)
    splits = {entry["clip"]: entry["split"] for entry in clips}
    assert {splits[str(clip)] for clip in range(31, 41)} == {"test"}
    assert set(splits.values()) == {"train", "validation", "test"}
    # Another order, or fewer clips, leave each clip where it was.
    write_labels(raw, "train", list(range(20, 0, -1)))
    again = {entry["clip"]: entry["split"] for entry in labelled_clips(settings(raw), raw)}
    assert all(splits[clip] == split for clip, split in again.items())


def test_about_a_tenth_of_clips_is_for_validation():
    share = sum(validates(str(clip), 0.1) for clip in range(20_000)) / 20_000
    assert share == pytest.approx(0.1, abs=0.01)


def test_parts_hold_the_expected_frames(raw):
    clips = activities(raw)
    for clip in range(len(clips)):
        number = int(clips.names[clip])
        frames = noise(number, length(number))
        for fraction in (0.25, 0.5):
            seen = frames_seen(len(frames), fraction)
            future = [min(seen + i, len(frames) - 1) for i in range(4)]
            expected = frames[[*range(seen), *future]]
            found = clips.read(clips.part(clip, fraction))
            assert found.shape == (seen + 4, 3, SIZE, SIZE)
            np.testing.assert_array_equal(found[:, 0], expected)


def test_resampling_takes_instants_of_the_first_part_only(raw):
    clips = activities(raw, lengths="resample", context=3)
    number = int(clips.names[0])
    frames = noise(number, length(number))
    seen = frames_seen(len(frames), 0.5)
    found = clips.read(clips.part(0, 0.5))
    assert found.shape[0] == 3 + 4
    np.testing.assert_array_equal(found[[0, 2, 3], 0], frames[[0, seen - 1, seen]])


def test_short_clips_can_be_left_out_of_training(raw):
    clips = activities(raw, padding="leave_out")
    lengths = [length(int(name)) for name in clips.names]
    for clip, frames in enumerate(lengths):
        assert clips.serves(clip, 0.5) == (frames // 2 + 4 <= frames)
    assert not all(clips.serves(clip, 0.5) for clip in range(len(clips)))


def test_training_batches_share_a_context_and_use_every_clip_once(raw):
    clips = activities(raw)
    chosen = np.arange(len(clips))[: len(clips) // 4 * 4]
    draws = np.random.default_rng(0).random(len(chosen))
    plan = training_plan(clips, chosen, draws, 4)
    assert sorted(part.clip for batch in plan for part in batch) == chosen.tolist()
    for batch in plan:
        assert len(batch) == 4 and len({part.context for part in batch}) == 1
        assert batch[0].context == min(part.seen for part in batch)
    fractions = {part.clip: part.seen for batch in plan for part in batch}
    for clip, draw in zip(chosen, draws, strict=True):
        assert fractions[clip] == clips.part(clip, 0.25 if draw < 0.5 else 0.5).seen


def test_evaluation_sees_exactly_the_fraction_of_every_clip(raw):
    clips = activities(raw, "test")
    parts = [part for batch in evaluation_plan(clips, 0.5, 3) for part in batch]
    assert sorted(part.clip for part in parts) == list(range(10))
    assert all(part.context == part.seen == clips.part(part.clip, 0.5).seen for part in parts)


def test_the_number_of_workers_changes_nothing(raw):
    clips = activities(raw)
    plan = evaluation_plan(clips, 0.25, 4)
    alone = list(clips.batches(plan, workers=0))
    for batch, other in zip(clips.batches(plan, workers=2), alone, strict=True):
        assert batch.frames.equal(other.frames) and batch.labels.equal(other.labels)
        assert batch.parts == other.parts


def test_a_missing_clip_is_named(raw):
    (raw / CLIPS / "7.webm").unlink()
    with pytest.raises(UserError, match=r"1 of 40 clips are missing: 7\.webm; put .*-00, -01, \.\.\. there"):
        activities(raw)


def test_after_a_refusal_the_clips_are_looked_for_again(raw):
    """Snakemake checks and extracts them if their receipt is missing."""
    (raw / "clips.json").write_text("{}")
    (raw / f"{CLIPS}-00").write_bytes(b"a part")
    (raw / CLIPS / "7.webm").unlink()
    job = Preparation("clips", raw, raw.parent / "data", Path("unused"), Path("unused"), 1)
    with pytest.raises(UserError, match=r"7\.webm; run snakemake again, or .* to extract them"):
        KIND.prepare(settings(raw), job)
    assert not (raw / "clips.json").exists()


def test_activities_are_listed_once_whatever_their_brackets(raw):
    path = raw.parent / "activities.csv"
    path.write_text(path.read_text() + f'other,"{ACTIVITIES[0][1].replace("something", "[something]")}"\n')
    with pytest.raises(ValueError, match="is listed twice"):
        read_categories(path)


def test_an_unreadable_clip_stops_or_is_skipped_and_counted(raw):
    path = raw / CLIPS / "33.webm"
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(UserError, match=r"1 of 40 clips cannot be decoded: 33\.webm .*skip_unreadable"):
        activities(raw)
    clips = activities(raw, "test", skip_unreadable=True)
    assert clips.skipped == 1 and "33" not in clips.names and len(clips) == 9

    run = resolve_run(
        load_settings(ROOT / "config/demo.yaml"), "demo", "something", "recognizer_conv_tt-seed0"
    ).model_copy(update={"dataset": clips.dataset})
    evaluate_recognizer(run, Undecided(), raw.parent / "data", raw.parent / "run", "cpu", {})
    metrics = read_json(raw.parent / "run/metrics.json")
    assert metrics["skipped"] == 1 and metrics["clips"] == 9


class Undecided(nn.Module):
    """Predicts the last frame, and takes both activities for equally likely."""

    def forward(self, frames, context, horizon, sampling=None):
        return frames[:, -1:].repeat(1, horizon, 1, 1, 1), torch.zeros(len(frames), 2)


def test_a_clip_changed_after_listing_is_refused(raw):
    clips = activities(raw)
    path = raw / CLIPS / f"{clips.names[0]}.webm"
    path.write_bytes(b"no video")
    with pytest.raises(UserError, match=re.escape(f"{path}: it cannot be decoded")):
        list(clips.batches([[clips.part(0, 0.5)]], workers=1))


def test_labels_that_cannot_be_right_are_refused(raw):
    labels = raw / "something-something-v2-train.json"
    entries = json.loads(labels.read_text())
    labels.write_text(json.dumps([*entries, entries[3]]))
    with pytest.raises(UserError, match="clip 4 is listed twice"):
        activities(raw)
    labels.write_text(json.dumps([*entries, entries[0] | {"id": "31"}]))
    with pytest.raises(UserError, match=r"clip 31 is in .*train\.json and .*validation\.json"):
        activities(raw)
    labels.write_text(json.dumps({"id": 1}))
    with pytest.raises(UserError, match="not a list of entries"):
        activities(raw)
    labels.unlink()
    with pytest.raises(
        UserError,
        match=r"no labels something-something-v2-train\.json or train\.json, nor .*; get the package",
    ):
        activities(raw)


def test_an_activity_that_no_label_knows_is_named(raw):
    path = raw.parent / "activities.csv"
    path.write_text(path.read_text() + "Tearing,Tearing something\n")
    with pytest.raises(UserError, match=r"'Tearing something' is not a template in .*train\.json"):
        activities(raw)


def parts_of(raw: Path, names: list[str]) -> list[Path]:
    """The archive with the clips under these names, cut into three parts."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as archive:
        for name in names:
            clip = Path(name).name
            data = (raw / CLIPS / clip).read_bytes() if (raw / CLIPS / clip).is_file() else b"other"
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    whole, paths = content.getvalue(), []
    for i in range(3):
        path = raw.parent / f"{CLIPS}-{i:02}"
        path.write_bytes(whole[i * len(whole) // 3 : (i + 1) * len(whole) // 3])
        paths.append(path)
    return paths


def test_parts_of_an_archive_are_read_as_one(raw, tmp_path):
    parts = parts_of(raw, [f"{CLIPS}/{clip}.webm" for clip in range(1, 11)] + [f"{CLIPS}/notes.txt"])
    folder = tmp_path / "out"
    extract_parts(parts, folder, {str(clip) for clip in range(3, 11)})
    assert sorted(int(path.stem) for path in folder.iterdir()) == list(range(3, 11))
    for path in folder.iterdir():
        assert path.read_bytes() == (raw / CLIPS / path.name).read_bytes()


def test_a_part_that_was_unpacked_next_to_its_zip_is_read_once(raw, tmp_path):
    parts = parts_of(raw, [f"{CLIPS}/{clip}.webm" for clip in range(1, 11)])
    for part in parts:
        with zipfile.ZipFile(part.with_name(f"{part.name}.zip"), "w") as archive:
            archive.write(part, part.name)
    assert parts_in(parts[0].parent) == parts
    extract_parts(parts_in(parts[0].parent), tmp_path / "out", {"1", "10"})
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["1.webm", "10.webm"]


def test_unknown_groups_have_no_synthetic_clips(tmp_path):
    with pytest.raises(UserError, match="no synthetic clips of the group 'Walking'; there are "):
        write_clips(
            [Category(group="Walking", template="Walking [something]")],
            (1, 1),
            0,
            tmp_path,
            ("a.json", "b.json"),
        )
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize(
    ("damage", "says"),
    [
        ("lacks the second", r"of the archive's parts \S+-01 is missing; fetch that"),
        ("lacks the last", r"does not end with it; fetch \S+-01(\.zip)? and what follows it again"),
        (
            "second cut",
            r"the archive is damaged: \S+-01(\.zip)? is smaller than the others; fetch that part again",
        ),
        ("last cut", r"does not end with it; fetch \S+-02(\.zip)? and what follows it again"),
    ],
)
def test_missing_and_damaged_parts_are_named(raw, tmp_path, zipped, damage, says):
    parts = parts_of(raw, [f"{CLIPS}/{clip}.webm" for clip in range(1, 41)])
    if "cut" in damage:
        part = parts[1 if "second" in damage else 2]
        part.write_bytes(part.read_bytes()[:-500])
    if "lacks" in damage:
        parts.pop(1 if "second" in damage else 2).unlink()
    parts = [in_package(part) for part in parts] if zipped else parts
    with pytest.raises(UserError, match=says):
        extract_parts(parts_in(tmp_path), tmp_path / "out", {str(clip) for clip in range(1, 41)})
    assert missing_parts(parts) == ([f"{CLIPS}-01"] if damage == "lacks the second" else [])
    for path in tmp_path.glob("out/*"):  # written clips are complete
        assert path.read_bytes() == (raw / CLIPS / path.name).read_bytes()


def in_package(path: Path, name: str = "") -> Path:
    """Put a file into a zip package of its own, as macOS would, in its place."""
    package = path.with_name(f"{path.name}.zip")
    with zipfile.ZipFile(package, "w") as archive:
        archive.write(path, name or path.name)
        archive.writestr(f"__MACOSX/._{path.name}", b"x")
    path.unlink()
    return package


@pytest.mark.parametrize("clips", ["in parts", "in packages of parts", "in a package"])
@pytest.mark.parametrize("labels", ["short names", "in a folder", "in a package", "your own names"])
def test_every_official_layout_is_read(raw, clips, labels):
    """The result is the same as with the extracted folder and the official names."""
    expected = labelled_clips(settings(raw), raw)
    names = {"train_labels": "something-something-v2-train.json"}
    names |= {"test_labels": "something-something-v2-validation.json"}
    for key, name in list(names.items()):
        short = name.removeprefix("something-something-v2-")
        if labels == "your own names":
            names[key] = f"own-{short}"
            (raw / name).rename(raw / names[key])
            continue
        (raw / "labels").mkdir(exist_ok=True)
        (raw / name).rename(raw / ("" if labels == "short names" else "labels") / short)
    if labels == "in a package":
        with zipfile.ZipFile(raw / "20bn-something-something-download-package-labels.zip", "w") as archive:
            for path in (raw / "labels").iterdir():
                archive.write(path, f"labels/{path.name}")
        shutil.rmtree(raw / "labels")
    assert labelled_clips(settings(raw, **names), raw) == expected

    wanted = {path.name: path.read_bytes() for path in (raw / CLIPS).iterdir()}
    parts = [part.rename(raw / part.name) for part in parts_of(raw, [f"{CLIPS}/{name}" for name in wanted])]
    if clips == "in packages of parts":
        parts = [in_package(part) for part in parts]
    elif clips == "in a package":
        [part.unlink() for part in parts]
        with zipfile.ZipFile(raw / f"{CLIPS}-00.zip", "w") as archive:
            for name, content in wanted.items():
                archive.writestr(f"{CLIPS}/{name}", content)
    shutil.rmtree(raw / CLIPS)
    extract_parts(parts_in(raw), raw / CLIPS, {Path(name).stem for name in wanted})
    assert {path.name: path.read_bytes() for path in (raw / CLIPS).iterdir()} == wanted


def test_your_own_label_files_replace_the_official_ones(raw):
    """Official ones are not asked for then, nor is their number of clips."""
    for name in ("train", "validation"):
        path = raw / f"something-something-v2-{name}.json"
        entries = [entry for entry in json.loads(path.read_text()) if int(entry["id"]) <= 40]
        (raw / f"own-{name}.json").write_text(json.dumps(entries))
        path.unlink()
    fetch_something(raw, ["own-train.json", "own-validation.json"])
    assert read_json(raw / "clips.json") == {"clips": 40}


def test_an_archive_that_points_outside_is_refused(raw, tmp_path):
    parts = parts_of(raw, [f"{CLIPS}/../../1.webm"])
    with pytest.raises(UserError, match="points outside"):
        extract_parts(parts, tmp_path / "out", {"1"})
    assert not (tmp_path / "1.webm").exists()


def test_missing_licensed_labels_are_named(tmp_path):
    with pytest.raises(UserError, match=r"no labels .*train\.json.*; register for the data set"):
        fetch_something(tmp_path)


def test_labels_with_another_number_of_clips_are_refused(raw):
    with pytest.raises(UserError, match="lists 31 clips, the official file 168,913"):
        fetch_something(raw)


def test_the_manifest_lists_clips_and_their_frames(raw):
    activities(raw)
    manifest = read_json(raw.parent / "data/manifest.json")
    assert sum(split["clips"] for split in manifest["splits"].values()) == 40
    assert {clip["clip"]: clip["frames"] for clip in manifest["clips"]} == {
        str(clip): length(clip) for clip in range(1, 41)
    }
    assert missing_clips(raw / CLIPS, {"1", "500"}) == {"500"}
