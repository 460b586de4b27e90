"""Something-Something V2 (Goyal et al., ICCV 2017): labels and clips.

220,847 WebM clips, and a JSON file of labels for each official split. They are behind a licence: you put them
into one folder, and nothing of them leaves it.
"""

import hashlib
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

from tqdm import tqdm

from convttlstm.config import Something
from convttlstm.config.something import plain_template
from convttlstm.data.decoding import frames_of
from convttlstm.data.kinds import DataKind, Preparation, deleted_on_refusal
from convttlstm.data.layout import SOMETHING_CLIPS as CLIPS
from convttlstm.data.something_files import LABELS, REGISTER, extract_parts, parts_in, read_label_file
from convttlstm.files import UserError, listed, sha256_of, shortened, write_json

RECEIPT = "clips.json"
# What the official files list; their sum is 220,847.
OFFICIAL = {
    "something-something-v2-train.json": 168_913,
    "something-something-v2-validation.json": 24_777,
    "something-something-v2-test.json": 27_157,
}


def fetch_something(raw: Path, labels: Sequence[str] = ()) -> None:
    """Check the files in `raw`, extract the clips if need be, and write clips.json when all are there.

    Clips are extracted to a folder below `raw`. After an interruption the same call extracts those that are
    missing.

    Args:
        raw: the folder data/raw/something.
        labels: names of the files that list the clips; the official training and validation labels if empty.

    Raises:
        UserError: files are missing, or are not the official ones.
    """
    clips: set[str] = set()
    for name in labels or list(OFFICIAL)[:2]:
        path, entries = read_labels(raw, name)
        if len(entries) != OFFICIAL.get(name, len(entries)):
            raise UserError(
                f"{path}: lists {len(entries):,} clips, the official file {OFFICIAL[name]:,}; {LABELS}"
            )
        clips |= {clip for clip, _ in entries}
    folder = raw / CLIPS
    missing = missing_clips(folder, clips)
    if missing and (parts := parts_in(raw)):
        extract_parts(parts, folder, missing)
        missing = missing_clips(folder, clips)
    refuse_missing(folder, missing, len(clips), extracted=True)
    write_json(raw / RECEIPT, {"clips": len(clips)})


def missing_clips(folder: Path, clips: set[str]) -> set[str]:
    """Return the clips that are not in a folder."""
    return clips - ({path.stem for path in folder.iterdir()} if folder.is_dir() else set())


def _by_number(clips: set[str]) -> list[str]:
    return sorted(clips, key=lambda clip: (len(clip), clip))


def refuse_missing(folder: Path, missing: set[str], wanted: int, extracted: bool = False) -> None:
    """Check that no clip is missing.

    Args:
        folder: where the clips are.
        missing: the clips that are not.
        wanted: the number of clips that are needed.
        extracted: whether they were looked for in the archive's parts just now.

    Raises:
        UserError: some are; the line names the first and says where to get them.
    """
    if missing:
        named = listed([f"{clip}.webm" for clip in _by_number(missing)])
        if len(missing) == wanted:
            fix = REGISTER
        elif (parts := parts_in(folder.parent)) and extracted:
            fix = f"no part of the archive holds them; fetch the parts after {parts[-1].name}"
        elif parts:
            fix = "run snakemake again, or `convttlstm fetch something`, to extract them"
        else:
            fix = f"put {CLIPS}-00, -01, ... there: they are extracted, and the others kept"
        raise UserError(f"{folder}: {len(missing):,} of {wanted:,} clips are missing: {named}; {fix}")


def read_labels(raw: Path, name: str) -> tuple[Path, list[tuple[str, str]]]:
    """Return where a file of labels lies, and id and template of each clip that it lists.

    Raises:
        UserError: it is missing, has another form, or lists a clip twice.
    """
    path, content = read_label_file(raw, name)
    try:
        entries = [(str(entry["id"]), plain_template(entry.get("template", ""))) for entry in content]
    except (TypeError, KeyError, AttributeError) as error:
        raise UserError(
            f"{path}: not a list of entries with id and template ({shortened(error)}); fetch it again"
        ) from None
    seen: set[str] = set()
    for clip, _ in entries:
        if clip in seen:
            raise UserError(f"{path}: clip {clip} is listed twice; fetch it again")
        seen.add(clip)
    return path, entries


def validates(clip: str, share: float) -> bool:
    """Return whether a clip of the training labels is kept for validation; its id alone decides."""
    return int.from_bytes(hashlib.sha256(clip.encode()).digest()[:8]) < share * 2**64


def frames_seen(frames: int, fraction: float) -> int:
    """Return how many frames lie in the first `fraction` of a clip: no more than that, at least one."""
    return max(1, int(frames * Fraction(str(fraction))))


def labelled_clips(dataset: Something, raw: Path) -> list[dict[str, Any]]:
    """Return the clips of the data set's activities: clip, split and label, the activity's number.

    Raises:
        UserError: labels are missing, or do not know an activity; or a clip is in both files.
    """
    categories = dataset.activities()
    number = {plain_template(category.template): i for i, category in enumerate(categories)}
    place, training = read_labels(raw, dataset.train_labels)
    _, testing = read_labels(raw, dataset.test_labels)
    if both := {clip for clip, _ in training} & {clip for clip, _ in testing}:
        raise UserError(
            f"{raw}: clip {_by_number(both)[0]} is in {dataset.train_labels} and {dataset.test_labels}"
        )
    known = {template for _, template in training}
    for category in categories:
        if plain_template(category.template) not in known:
            raise UserError(f"{dataset.categories}: {category.template!r} is not a template in {place}")
    clips = []
    for official, entries in (("train", training), ("test", testing)):
        for clip, template in entries:
            if template in number:
                validating = official == "train" and validates(clip, dataset.validation_share)
                split = "validation" if validating else official
                clips.append({"clip": clip, "split": split, "label": number[template]})
    return clips


def index_clips(name: str, dataset: Something, raw: Path, output: Path, processes: int) -> None:
    """Decode every clip once, and write manifest.json: the usable clips, their lengths and checksums.

    Args:
        name: the data set's name in the settings.
        dataset: its settings.
        raw: the folder with labels and clips.
        output: the folder of the manifest.
        processes: how many clips are decoded at a time.

    Raises:
        UserError: clips are missing or cannot be decoded, and the settings do not allow to skip those.
    """
    manifest = output / "manifest.json"
    manifest.unlink(missing_ok=True)  # without it, what follows is known to be unfinished
    clips, folder = labelled_clips(dataset, raw), raw / CLIPS
    wanted = {entry["clip"] for entry in clips}
    refuse_missing(folder, missing_clips(folder, wanted), len(wanted))
    unreadable: list[str] = []
    with ProcessPoolExecutor(processes) as pool:
        counts = pool.map(partial(_look_at, folder), [e["clip"] for e in clips], chunksize=8)
        # disable=None: a bar on a terminal only.
        bar = tqdm(counts, f"decode {name}", len(clips), unit="clip", disable=None)
        for entry, (frames, said) in zip(clips, bar, strict=True):
            entry |= {"frames": frames, "sha256": said}
            if not frames:
                unreadable.append(f"{entry['clip']}.webm ({said})")
    if unreadable and not dataset.skip_unreadable:
        raise UserError(
            f"{folder}: {len(unreadable):,} of {len(clips):,} clips cannot be decoded: "
            f"{listed(unreadable)}; delete them to extract them again, or set datasets.{name}.skip_unreadable"
        )
    splits = {}
    for split in ("train", "validation", "test"):
        own = [entry for entry in clips if entry["split"] == split]
        readable = [entry for entry in own if entry["frames"]]
        lines = "".join(f"{e['clip']} {e['label']} {e['sha256']}\n" for e in readable)
        splits[split] = {
            "sha256": hashlib.sha256(lines.encode()).hexdigest(),
            "clips": len(readable),
            "skipped": len(own) - len(readable),
        }
        print(f"{output}: {split}: {len(readable):,} clips, {len(own) - len(readable):,} skipped")
        if not readable:
            raise UserError(f"{raw}: no clip for the split {split!r}; see validation_share and the labels")
    kept = [entry for entry in clips if entry["frames"]]
    content = {
        "dataset": dataset.stated(),
        "folder": str(folder),
        "splits": splits,
        "clips": kept,
    }
    write_json(manifest, content)


def _look_at(folder: Path, clip: str) -> tuple[int, str]:
    """Return a clip's number of frames and its file's SHA-256; or 0 and why it cannot be decoded."""
    path = folder / f"{clip}.webm"
    try:
        return sum(1 for _ in frames_of(path)), sha256_of(path)
    except UserError as error:
        return 0, str(error)


class SomethingKind(DataKind[Something]):
    """Labelled clips, decoded when they are asked for: `data.activities` opens them."""

    def fetch(self, raw: Path, lock: Path, labels: Sequence[str] = ()) -> None:
        """Check the clips that lie there; they are behind a licence, so no lock knows them."""
        fetch_something(raw, labels)

    def synthesize(self, dataset: Something, output: Path) -> list[Path]:
        """Draw clips of the same activities."""
        from convttlstm.data.synthetic_something import write_clips

        files = dataset.train_labels, dataset.test_labels
        return write_clips(dataset.activities(), dataset.synthetic_clips, dataset.seed, output, files)

    def prepare(self, dataset: Something, job: Preparation) -> None:
        """List the usable clips."""
        with deleted_on_refusal(job.raw / RECEIPT):
            index_clips(job.name, dataset, job.raw, job.output, job.processes)


KIND = SomethingKind()
