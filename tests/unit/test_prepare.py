"""Prepared data: the files, the checksums on record, and the clips read from them."""

import hashlib
import json
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from convttlstm.config import MovingMnist, load_settings
from convttlstm.data.clips import Clips
from convttlstm.data.digits import load_digits
from convttlstm.data.moving_mnist import generate
from convttlstm.data.prepare import CHUNK, SPLITS, checksum_key, prepare
from convttlstm.data.verify import verify_data
from convttlstm.files import UserError

ROOT = Path(__file__).parents[2]
DATASET = MovingMnist.model_validate(
    {
        "digits": "embedded",
        "size": 32,
        "digit_size": 14,
        "train": {"sequences": CHUNK + 7, "frames": 20},
        "validation": {"sequences": 3, "frames": 20},
        "test": {"sequences": 5, "frames": 40},
    }
)


@pytest.fixture(scope="module")
def digits() -> np.ndarray:
    return load_digits("embedded", Path("unused"), ROOT / "data" / "embedded")


@pytest.fixture
def prepared(digits: np.ndarray, tmp_path: Path) -> Path:
    prepare("bounce", DATASET, digits, tmp_path / "bounce", tmp_path / "checksums.json")
    return tmp_path / "bounce"


def test_test_sequences_from_a_file_leave_training_data_unchanged(digits: np.ndarray, tmp_path: Path) -> None:
    """As in the public file, time comes first."""
    sequences = np.random.default_rng(0).integers(256, size=(CHUNK + 3, 20, 32, 32), dtype=np.uint8)
    path = tmp_path / "mnist_test_seq.npy"
    np.save(path, sequences.transpose(1, 0, 2, 3))
    there = {"test": {"sequences": CHUNK + 3, "frames": 20}, "test_horizons": [10], "test_file": str(path)}
    dataset = MovingMnist.model_validate(DATASET.model_dump() | there)
    prepare("bounce", DATASET, digits, tmp_path / "drawn", tmp_path / "checksums.json")
    prepare("bounce", dataset, digits, tmp_path / "taken", tmp_path / "checksums.json")
    assert np.array_equal(np.load(tmp_path / "taken/test.npy"), sequences)
    for split in ("train", "validation"):
        drawn, taken = (tmp_path / f"{folder}/{split}.npy" for folder in ("drawn", "taken"))
        assert drawn.read_bytes() == taken.read_bytes()
    assert set(there) <= MovingMnist.evaluation_only
    other = dataset.model_copy(update={"size": 16})
    with pytest.raises(UserError, match=r"53 sequences of 20 frames, 32 x 32, .* say 53 of 20, 16 x 16"):
        prepare("bounce", other, digits, tmp_path / "other", tmp_path / "checksums.json")


def test_data_sets_that_are_prepared_at_once_are_both_recorded(
    digits: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = tmp_path / "checksums.json"

    def other(*arguments: Any) -> np.ndarray:
        record.write_text(json.dumps({"other/test": "abc"}))
        return generate(*arguments)

    monkeypatch.setattr("convttlstm.data.prepare.generate", other)
    prepare("bounce", DATASET, digits, tmp_path / "bounce", record)
    found = json.loads(record.read_text())
    assert len(found) == 4 and found["other/test"] == "abc"


def test_an_unset_test_file_is_left_out_of_the_settings() -> None:
    assert "test_file" not in DATASET.model_dump(mode="json") and "test_file" not in DATASET.model_dump_json()


def test_files_hold_the_generated_frames(prepared: Path, digits: np.ndarray) -> None:
    manifest = json.loads((prepared / "manifest.json").read_text())
    assert MovingMnist.model_validate(manifest["dataset"]) == DATASET
    assert manifest["digits_sha256"] == hashlib.sha256(digits.tobytes()).hexdigest()
    for split in SPLITS:
        path, sequences = prepared / f"{split}.npy", getattr(DATASET, split).sequences
        frames = np.load(path)
        assert frames.dtype == np.uint8
        assert np.array_equal(frames, generate(DATASET, split, digits, np.arange(sequences)))
        assert manifest["splits"][split] == {
            "sha256": hashlib.sha256(frames.tobytes()).hexdigest(),
            "shape": list(frames.shape),
            "bytes": path.stat().st_size,
        }
    assert len(list(prepared.iterdir())) == 4


def test_first_checksums_are_recorded_and_compared_afterwards(
    digits: np.ndarray, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record = tmp_path / "checksums.json"
    prepare("bounce", DATASET, digits, tmp_path / "first", record)
    assert capsys.readouterr().out.count("recorded now") == 3
    before = record.read_bytes()
    assert list(json.loads(before)) == sorted(json.loads(before))
    assert "bounce/embedded-size32-digit14-x2-step0.1-shared-seed0/test-5x40" in json.loads(before)
    prepare("bounce", DATASET, digits, tmp_path / "second", record)
    assert capsys.readouterr().out.count("as recorded") == 3
    assert record.read_bytes() == before


def test_other_bytes_than_recorded_are_refused(prepared: Path, digits: np.ndarray) -> None:
    record = prepared.parent / "checksums.json"
    before = record.read_bytes()
    expected = json.loads(before)[checksum_key("bounce", DATASET, "train")]
    with pytest.raises(UserError) as caught:
        prepare("bounce", DATASET, digits[::-1], prepared, record)
    message = str(caught.value)
    assert "train" in message
    assert f"expected SHA-256 {expected}, found " in message
    assert "\n" not in message
    assert not (prepared / "train.npy").exists()
    assert not (prepared / "manifest.json").exists()
    assert not list(prepared.glob(".*"))
    assert record.read_bytes() == before
    with pytest.raises(UserError, match=r"manifest.json: no such file"):
        Clips(prepared, "validation")


@pytest.mark.parametrize(
    "change",
    [
        {"digits": "mnist"},
        {"seed": 1},
        {"size": 33},
        {"digit_size": 7},
        {"digits_per_frame": 3},
        {"step": 0.1000001},
        {"disjoint_digits": True},
        {"train": {"sequences": 58, "frames": 20}},
        {"train": {"sequences": 57, "frames": 21}},
    ],
)
def test_settings_that_change_frames_change_the_key(change: dict[str, Any]) -> None:
    changed = MovingMnist.model_validate(DATASET.model_dump() | change)
    assert checksum_key("a", changed, "train") != checksum_key("a", DATASET, "train")


@pytest.mark.parametrize("change", [{"title": "Other"}, {"context": 5}, {"test_horizons": [7]}])
def test_settings_that_keep_frames_keep_the_key(change: dict[str, Any]) -> None:
    changed = MovingMnist.model_validate(DATASET.model_dump() | change)
    assert checksum_key("a", changed, "train") == checksum_key("a", DATASET, "train")


def test_the_demos_checksums_are_committed_and_correct(
    digits: np.ndarray, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record = ROOT / "data" / "checksums.json"
    copy = tmp_path / "checksums.json"
    copy.write_bytes(record.read_bytes())
    datasets = load_settings(ROOT / "config" / "demo.yaml").datasets
    prepare("moving_mnist_2", datasets["moving_mnist_2"], digits, tmp_path / "demo", copy)
    assert capsys.readouterr().out.count("as recorded") == 3


def test_checksums_of_the_papers_sizes_are_committed() -> None:
    record = json.loads((ROOT / "data" / "checksums.json").read_text())
    dataset = MovingMnist.model_validate({"digits": "embedded"})
    assert {checksum_key("moving_mnist_2", dataset, split) for split in SPLITS} <= set(record)


def test_full_disk_leaves_nothing_half_written(digits: np.ndarray, tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))  # Python ignores SIGXFSZ
    try:
        with pytest.raises(UserError, match=r"train.npy: cannot be written"):
            prepare("bounce", DATASET, digits, tmp_path / "out", tmp_path / "checksums.json")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list((tmp_path / "out").iterdir()) == []
    assert not (tmp_path / "checksums.json").exists()


def test_clips_are_the_frames_as_fractions(prepared: Path) -> None:
    clips = Clips(prepared, "test")
    frames = np.load(prepared / "test.npy")
    assert len(clips) == 5
    assert clips.shape == (5, 40, 32, 32)
    assert clips.sha256 == hashlib.sha256(frames.tobytes()).hexdigest()
    batch = clips.batch([3, 0])
    assert batch.dtype == torch.float32
    assert batch.shape == (2, 40, 1, 32, 32)
    assert np.array_equal(batch[:, :, 0].numpy(), frames[[3, 0]].astype(np.float32) / np.float32(255))
    batch.zero_()  # a batch is a copy, not the file
    assert np.array_equal(np.load(prepared / "test.npy"), frames)
    assert clips.batch([3]).max() > 0.9


def test_unusable_folders_are_refused(prepared: Path) -> None:
    with pytest.raises(UserError, match=r"manifest.json: no such file; run snakemake"):
        Clips(prepared.parent / "elsewhere", "train")
    path = prepared / "train.npy"
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    with pytest.raises(UserError, match=r"train.npy: \d+ bytes, but its manifest says \d+; run"):
        Clips(prepared, "train")
    path.write_bytes(bytes(len(whole)))
    with pytest.raises(UserError, match=r"train.npy: damaged, not an array"):
        Clips(prepared, "train")
    path.write_bytes(whole.replace(b"20, 32, 32", b"32, 20, 32", 1))
    with pytest.raises(UserError, match=r"but its manifest says uint8 \(57, 20, 32, 32\)"):
        Clips(prepared, "train")
    path.unlink()
    with pytest.raises(UserError, match=r"train.npy: no such file; run snakemake"):
        Clips(prepared, "train")
    (prepared / "manifest.json").write_text('{"splits": {}}')
    with pytest.raises(UserError, match=r"manifest.json: no entry for split 'test'"):
        Clips(prepared, "test")


def test_importing_the_data_package_loads_no_heavy_library() -> None:
    program = (
        "import sys, convttlstm.data, convttlstm.data.prepare, convttlstm.data.digits\n"
        "print({'torch', 'lpips', 'matplotlib', 'pandas'} & set(sys.modules))"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "set()"


@pytest.mark.parametrize("spoil", ["bit", "length", "missing"])
def test_a_changed_array_is_named(prepared: Path, spoil: str) -> None:
    assert "1 data sets, 3 arrays" in verify_data(prepared.parent)
    path = prepared / "test.npy"
    content = path.read_bytes()
    if spoil == "missing":
        path.unlink()
    else:
        path.write_bytes(content[:-1] + (bytes([content[-1] ^ 1]) if spoil == "bit" else b""))
    with pytest.raises(UserError, match=r"test.npy: (SHA-256|damaged|no such file).*`dvc checkout`"):
        verify_data(prepared.parent)


def test_every_kind_of_data_set_is_prepared_without_torch():
    code = (
        "import sys; from convttlstm.config.datasets import KINDS\n"
        "from convttlstm.data.kinds import data_kind\n"
        "assert all(data_kind(kind).prepare for kind in KINDS) and 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
