"""Properties of everything that reads foreign input, for inputs that Hypothesis makes up.

Crashes that were found are `example`s of their tests. tests/fuzz.py and tests/fuzz_files.py damage files.
"""

import csv
import gzip
import hashlib
import io
import json
import zipfile
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from convttlstm.config import RunId, Settings, Videos, load_settings, resolve_run
from convttlstm.config.something import read_categories
from convttlstm.data.arrays import open_array
from convttlstm.data.clips import open_windows
from convttlstm.data.digits import read_idx
from convttlstm.data.kth import parse_boundaries
from convttlstm.data.something import frames_seen, plain_template, read_labels
from convttlstm.data.something_files import extract_parts
from convttlstm.data.videos import Source, prepare_video
from convttlstm.evaluation.intervals import difference, mean, proportion
from convttlstm.files import UserError, write_json
from convttlstm.sharing.bundle import METADATA, verify_bundle
from convttlstm.sharing.exchange import import_weights
from tests.conftest import ROOT, RUN
from tests.scales import TINY
from tests.video_files import noise, write_video

# The same inputs each time, as CI must not fail by chance.
settings.register_profile(
    "ours", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
settings.load_profile("ours")

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)
PAPER = load_settings(ROOT / "config/paper.yaml")
NAMES = st.from_regex(r"[A-Za-z0-9_]{1,12}", fullmatch=True)


def read_or_refused(read: Callable[..., Any], *arguments: Any) -> Any:
    """Return the result, or None after one line of error that people can read."""
    try:
        return read(*arguments)
    except (UserError, ValueError) as error:
        refused = error
    message = str(refused).replace(str(Path(arguments[0]).parent), "")
    assert type(refused) in (UserError, ValueError)
    assert message and "\n" not in message and len(message) < 500
    return None


def new(folder: Path) -> Path:
    """Return a new folder: the inputs of a test share its `tmp_path`."""
    made = folder / str(len(list(folder.iterdir())))
    made.mkdir()
    return made


# Names of runs


@given(
    NAMES,
    st.dictionaries(st.sampled_from(["S", "G", "N", "C", "M"]), st.integers(0, 10**20 - 1)),
    st.none() | st.integers(0, 2**64 - 1),
)
def test_a_runs_name_is_parsed_as_it_was_written(system, values, seed):
    name = RunId(system, values, seed)
    assert RunId.parse(str(name)) == name


@given(st.text(max_size=40) | st.from_regex(r"[a-z_]+(-[A-Za-z]+[0-9]+)*", fullmatch=True))
def test_other_texts_are_no_runs(text):
    found = read_or_refused(RunId.parse, text)
    assert found is None or RunId.parse(str(found)) == found


# Settings, templates and labels


def places(content: Any, path: tuple = ()) -> list[tuple]:
    """Return the path of each value in nested dictionaries."""
    items = content.items() if isinstance(content, dict) else ()
    return [found for key, value in items for found in [(*path, key), *places(value, (*path, key))]]


@given(st.sampled_from(places(TINY)), JSON)
@settings(max_examples=100)
def test_a_setting_of_any_value_loads_or_is_one_line(tmp_path, place, value):
    content = json.loads(json.dumps(TINY))
    container = content
    for key in place[:-1]:
        container = container[key]
    container[place[-1]] = value
    (tmp_path / "paper.yaml").write_bytes((ROOT / "config/paper.yaml").read_bytes())
    path = tmp_path / "own.yaml"
    path.write_text(yaml.safe_dump(content, allow_unicode=True))
    found = read_or_refused(load_settings, path)
    assert found is None or isinstance(found, Settings)


PRINTABLE = st.text(st.characters(exclude_categories=["C", "Zl", "Zp"]), min_size=1)


@given(st.lists(st.tuples(PRINTABLE, PRINTABLE), min_size=2, unique_by=lambda row: row[1]))
def test_categories_are_read_as_they_were_written(tmp_path, rows):
    path = tmp_path / "categories.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerows([("group", "template"), *rows])
    assert [(row.group, row.template) for row in read_categories(path)] == rows


@given(st.binary(max_size=200) | st.text(max_size=100).map(lambda text: f"group,template\n{text}".encode()))
@example(b"group,template\n\0")
def test_other_bytes_are_no_categories(tmp_path, content):
    path = tmp_path / "categories.csv"
    path.write_bytes(content)
    read_or_refused(read_categories, path)


@given(JSON | st.lists(st.fixed_dictionaries({"id": st.text(max_size=5)}, optional={"template": JSON})))
def test_labels_are_read_or_refused(tmp_path, content):
    (tmp_path / "train.json").write_text(json.dumps(content))
    found = read_or_refused(read_labels, tmp_path, "train.json")
    assert found is None or len(found[1]) == len(content)


@given(st.text())
def test_plain_templates_stay_plain(text):
    plain = plain_template(text)
    assert plain_template(plain) == plain and not set('[]"“”') & set(plain)


@given(st.integers(1, 10_000), st.integers(1, 99))
def test_the_frames_seen_are_the_most_within_the_share(frames, percent):
    seen = frames_seen(frames, percent / 100)
    share = Fraction(percent, 100) * frames
    assert seen == 1 if share < 1 else seen <= share < seen + 1


# Windows


@given(
    st.lists(st.tuples(st.integers(1, 30), st.integers(0, 12)), min_size=1, max_size=4),
    st.integers(1, 8),
    st.booleans(),
)
def test_windows_are_those_that_counting_finds(tmp_path, videos, horizon, training):
    """All of them in training; else each begins where the one before ends. None leaves its video's range."""
    folder, split = new(tmp_path), "train" if training else "test"
    entries, expected, frames = [], [], 2 + horizon
    for number, (length, first) in enumerate(videos):
        array = np.zeros((length, 1, 2, 2), np.uint8) + np.arange(length, dtype=np.uint8)[:, None, None, None]
        path = folder / f"{number}.npy"
        np.save(path, array)
        about = {"name": path.stem, "file": path.name, "split": split, "shape": array.shape, "labels": {}}
        about |= {"bytes": path.stat().st_size, "ranges": [[min(first, length), length]]}
        entries.append(about | {"sha256": hashlib.sha256(array).hexdigest()})
        start = first
        while start + frames <= length:
            expected.append([number, start])
            start += 1 if training else frames
    write_json(folder / "manifest.json", {"splits": {split: {"sha256": "0"}}, "videos": entries})
    changes = {"context": 2, "horizon": horizon, "evaluation_size": None, "size": 2}
    dataset = PAPER.datasets["kth"].model_copy(update=changes)
    if not expected:
        with pytest.raises(UserError, match="no video of split"):
            open_windows(dataset, folder, split, None if training else horizon)
        return
    found = open_windows(dataset, folder, split, None if training else horizon)
    assert found.places.tolist() == expected
    batch = found.read(range(len(found)))
    assert batch[:, :, 0, 0, 0].tolist() == [[*range(start, start + frames)] for _, start in expected]


# Intervals

VALUES = arrays.arrays(
    np.float64, st.tuples(st.integers(1, 4), st.integers(2, 12)), elements=st.floats(-100, 100)
)


@given(VALUES, st.floats(-50, 50), st.floats(0.5, 2), st.randoms())
def test_an_interval_moves_with_its_values_and_knows_no_order(values, shift, factor, chance):
    groups = np.arange(values.shape[1]) // 2
    found = mean(values, groups)
    low, high = found.interval
    assert found.value == pytest.approx(values.mean())
    if np.isnan(low):
        assert len(np.unique(groups)) == 1
        return
    assert low - 1e-9 <= found.value <= high + 1e-9
    moved = mean(factor * values + shift, groups)
    assert moved.interval == pytest.approx((factor * low + shift, factor * high + shift), abs=1e-6)
    order = chance.sample(range(values.shape[1]), values.shape[1])
    seeds = chance.sample(range(values.shape[0]), values.shape[0])
    shuffled = mean(values[seeds][:, order], groups[order])
    assert shuffled.interval == pytest.approx((low, high), abs=1e-6)


@given(VALUES, st.randoms())
def test_a_difference_changes_its_sign_with_its_sides(values, chance):
    other = values[: chance.randint(1, len(values))] * chance.uniform(0.5, 1.5)
    groups = np.arange(values.shape[1])
    (low, high), back = difference(values, other, groups).interval, difference(other, values, groups).interval
    assert back == pytest.approx((-high, -low), abs=1e-6)


@given(arrays.arrays(bool, st.tuples(st.integers(1, 4), st.integers(2, 30))))
@example(np.array([[False, False]]))
@example(np.array([[True, False], [False, True]]))
def test_an_interval_of_a_share_stays_between_none_and_all(hits):
    found = proportion(hits.astype(float), np.arange(hits.shape[1]))
    low, high = found.interval
    assert 0 <= low <= found.value <= high <= 1
    low, high = proportion(1 - hits.astype(float), np.arange(hits.shape[1])).interval
    assert (1 - high, 1 - low) == pytest.approx(found.interval)


# Archives, videos and arrays


@given(st.dictionaries(st.text(min_size=1, max_size=30), st.binary(max_size=20), max_size=4))
@example({"../1.webm": b"x"})
@example({"/1.webm": b"x"})
@example({"a/1.webm": b"x"})
def test_an_archive_writes_wanted_clips_and_nothing_else(tmp_path, members):
    folder = new(tmp_path)
    archive = folder / "20bn-something-something-v2.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for name, content in members.items():
            file.writestr(zipfile.ZipInfo(name.encode(errors="ignore").decode() or "x"), content)
    clips = folder / "inside/clips"
    read_or_refused(lambda path: extract_parts([path], clips, {"1"}), archive)
    written = {path for path in folder.rglob("*") if path.is_file()}
    assert written <= {archive, clips / "1.webm"}


def npy(header: str, content: bytes) -> bytes:
    text = header.encode("latin-1", "replace") + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + content


HEADERS = st.builds(
    "{{'descr': {}, 'fortran_order': {}, 'shape': {}}}".format,
    st.sampled_from(["'|u1'", "'<f4'", "'|O'", "'<U3'", "'|V8'", "[('a', '|u1')]", "None"])
    | st.text(max_size=8),
    st.sampled_from(["False", "True", "None", "0"]),
    st.lists(st.integers(-2, 2**40) | st.integers(0, 3), max_size=4).map(lambda shape: str(tuple(shape))),
)


@given(st.builds(npy, HEADERS | st.text(max_size=60), st.binary(max_size=64)) | st.binary(max_size=80))
@example(npy(")", b""))
def test_an_arrays_header_is_read_or_refused(tmp_path, content):
    path = tmp_path / "array.npy"
    path.write_bytes(content)
    found = read_or_refused(open_array, path, "thw")
    assert found is None or found.read(0).ndim == 4


@given(st.binary(max_size=64), st.integers(0, 255), st.lists(st.integers(0, 2**32 - 1), max_size=4))
@example(b"", 151, [])
def test_digits_are_read_or_refused(tmp_path, content, axes, sizes):
    path = tmp_path / "digits.gz"
    header = b"\0\0\x08" + bytes([axes]) + b"".join(size.to_bytes(4, "big") for size in sizes)
    path.write_bytes(gzip.compress(header + content))
    read_or_refused(read_idx, path)


@pytest.fixture(scope="module")
def avi(tmp_path_factory) -> bytes:
    path = tmp_path_factory.mktemp("avi") / "video.avi"
    write_video(path, noise(4, 16, seed=1))
    return path.read_bytes()


@given(st.lists(st.tuples(st.integers(0, 600), st.binary(min_size=1, max_size=8)), min_size=1, max_size=3))
@settings(max_examples=60)
def test_an_avi_of_any_header_is_read_or_refused(tmp_path, avi, changes):
    content = bytearray(avi)
    for at, other in changes:
        content[at : at + len(other)] = other
    folder = new(tmp_path)
    path = folder / "video.avi"
    path.write_bytes(content)
    clips = Videos.model_validate({"kind": "videos", "title": "x", "folder": str(folder), "size": 8})
    source = Source("video.avi", "train", path)
    found = read_or_refused(lambda path: prepare_video(clips, source, folder / "arrays"), path)
    arrays_made = [made.name for made in folder.rglob("*.npy*") if made.suffix != ".verified"]
    assert len(arrays_made) == (found is not None)


BOUNDARIES = st.from_regex(r"person0[1-9]_boxing_d[1-4]\s+frames\s+[-0-9, ]{0,30}", fullmatch=True)


@given(st.text(max_size=80) | BOUNDARIES)
def test_boundaries_are_read_or_refused(tmp_path, text):
    path = tmp_path / "00sequences.txt"
    path.write_text(text)
    found = read_or_refused(parse_boundaries, path) or {}
    assert all(isinstance(frame, int) for pairs in found.values() for pair in pairs for frame in pair)


# Checkpoints and bundles

TENSORS = st.builds(lambda shape: torch.zeros(shape), st.lists(st.integers(0, 3), max_size=4))
WEIGHTS = st.from_regex(r"(module\.)?layers\.b[0-4]l[0-3]\.\w+\.(weight|bias|\d)", fullmatch=True)


@given(st.dictionaries(WEIGHTS | st.text(max_size=12), TENSORS | JSON, max_size=5) | JSON, st.booleans())
@settings(max_examples=60)
def test_a_checkpoint_is_imported_or_refused(tmp_path, content, wrapped):
    folder = new(tmp_path)
    path = folder / "release.pt"
    torch.save({"model_state_dict": content, "epoch": 1} if wrapped else content, path)
    run = resolve_run(PAPER, "paper", "moving_mnist_2", RUN)
    checksum = hashlib.sha256(path.read_bytes()).hexdigest()
    read_or_refused(lambda path: import_weights(path, checksum, run, folder / "imported"), path)
    assert not (folder / "imported").exists()  # no such content is the paper's model


@given(
    st.dictionaries(st.text(min_size=1, max_size=20), st.binary(max_size=10), max_size=3),
    JSON | st.lists(st.fixed_dictionaries({"@id": st.text(max_size=10), "@type": JSON}), max_size=3),
)
def test_a_bundle_is_verified_or_refused(tmp_path, members, graph):
    path, written = tmp_path / "bundle.zip", io.BytesIO()
    with zipfile.ZipFile(written, "w") as file:
        for name, content in members.items():
            file.writestr(zipfile.ZipInfo(name.encode(errors="ignore").decode() or "x"), content)
        file.writestr(METADATA, json.dumps({"@graph": graph}))
    path.write_bytes(written.getvalue())
    with pytest.raises(UserError) as error:
        verify_bundle(path)
    assert "\n" not in str(error.value) and len(str(error.value)) < 500
