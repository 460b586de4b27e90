"""The KTH human actions (Schuldt, Laptev, Caputo: "Recognizing Human Actions", ICPR 2004).

599 videos in six zip archives, one an action: 25 persons in 4 scenarios, of which one video is missing.
A text file lists the frames in which each action is performed.
"""

import hashlib
import re
import zipfile
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from convttlstm.config import Kth
from convttlstm.config.videos import ACTIONS, walk
from convttlstm.data.download import download
from convttlstm.data.kinds import Preparation, deleted_on_refusal
from convttlstm.data.layout import KTH_BOUNDARIES as BOUNDARIES
from convttlstm.data.layout import KTH_MISSING as MISSING
from convttlstm.data.videos import DAMAGED_ZIP, Source, VideoKind, refuse_unknown
from convttlstm.files import UserError, listed, read_json, read_text, sha256_of, shortened, write_json

SITES = ["https://www.csc.kth.se/cvap/actions/", "http://www.nada.kth.se/cvap/actions/"]
RECEIPT = "archives.json"
NAME = re.compile(r"person(\d\d)_([a-z]+)_d(\d)")


def fetch_kth(raw: Path, lock: Path) -> None:
    """Get the archives and the text file into the folder `raw`, and write archives.json when all are there.

    What is there already is taken as it is: archives, or the extracted AVI files anywhere below `raw`.
    A file with an entry in the lock file must match it; any other file's checksum is recorded there.

    Args:
        raw: the folder data/raw/kth.
        lock: data/archives.lock.json.

    Raises:
        UserError: a file cannot be downloaded, or differs from its recorded checksum.
    """
    recorded = read_json(lock) if lock.exists() else {}
    extracted = {path.name.split("_")[1] for path in _videos(raw) if path.match("person*_*_d*_uncomp.avi")}
    receipt = {}
    for name in [*(f"{action}.zip" for action in ACTIONS), BOUNDARIES]:
        path = raw / name
        if not path.is_file() and name.removesuffix(".zip") in extracted:
            print(f"{raw}: extracted videos instead of {name}, not compared with a checksum")
            receipt[name] = "extracted"
            continue
        if not path.is_file():
            download([site + name for site in SITES], recorded.get(f"kth/{name}", {}).get("sha256"), path)
            _refuse_other_file(path)
        receipt[name] = verify(path, f"kth/{name}", lock)
        print(f"{path}: SHA-256 {receipt[name]}")
    write_json(raw / RECEIPT, receipt)


def _refuse_other_file(path: Path) -> None:
    """Delete a download that is neither a zip file nor the text file, such as a login page."""
    try:
        right = bool(parse_boundaries(path)) if path.name == BOUNDARIES else zipfile.is_zipfile(path)
    except UserError:
        right = False
    if not right:
        path.unlink()
        raise UserError(
            f"{path}: the server sent another file; run the same command again later, or put it there by hand"
        )


def verify(path: Path, key: str, lock: Path) -> str:
    """Check a file against its entry in the lock file, or record it there at first use; return its SHA-256.

    Raises:
        UserError: it is not the file on record.
    """
    recorded = read_json(lock) if lock.exists() else {}
    entry = recorded.get(key, {})
    found = sha256_of(path)
    if "sha256" in entry:
        kind, expected, computed = "SHA-256", entry["sha256"], found
    elif "sha1" in entry:
        with path.open("rb") as file:
            computed = hashlib.file_digest(file, "sha1").hexdigest()
        kind, expected = "SHA-1", entry["sha1"]
    else:
        kind, expected, computed = "SHA-256", found, found
    if expected != computed:
        raise UserError(
            f"{path}: expected {kind} {expected} ({entry.get('from', 'recorded at its first use')}), found "
            f"{computed}; delete the file to download it again or, if you trust it, its line in {lock}"
        )
    if "sha256" not in entry:
        write_json(lock, recorded | {key: {"from": "recorded at its first use"} | entry | {"sha256": found}})
    return found


def kth_sources(dataset: Kth, raw: Path) -> list[Source]:
    """Return the videos of the persons, actions and scenarios that the settings name, by name.

    Args:
        dataset: the settings.
        raw: the folder with archives, or extracted AVI files, and the text file.

    Raises:
        UserError: videos are missing, renamed or unknown, or an archive is unsafe or damaged.
    """
    found = _find_videos(raw, dataset)
    split_of = {person: split for split, persons in dataset.persons.items() for person in persons}
    wanted = {
        f"person{person:02}_{action}_d{scenario}": (person, action, scenario)
        for person in split_of
        for action in dataset.actions
        for scenario in dataset.scenarios
    }
    wanted.pop(MISSING, None)
    refuse_unknown(dataset.excluded, list(wanted))
    for name in dataset.excluded:
        print(f"{name}: left out, as excluded says")
        del wanted[name]
    if absent := sorted(set(wanted) - set(found)):
        raise UserError(
            f"{raw}: {len(absent)} of {len(wanted)} videos are missing: {listed(absent)}; "
            "put the whole archives there, or list the videos that are missing in excluded"
        )
    boundaries = parse_boundaries(raw / BOUNDARIES)
    if unknown := sorted(set(wanted) - set(boundaries)):
        raise UserError(f"{raw / BOUNDARIES}: no line for {listed(unknown)}; delete it and fetch it again")
    sources = []
    for name, (person, action, scenario) in sorted(wanted.items()):
        path, member = found[name]
        labels = {"person": person, "action": action, "scenario": scenario}
        within = dataset.within == "sequence"
        sources.append(Source(name, split_of[person], path, member, labels, boundaries[name], within))
    return sources


def _find_videos(raw: Path, dataset: Kth) -> dict[str, tuple[Path, str | None]]:
    """Return the place of each video by its name: a file, or an archive and the name in it."""
    found: dict[str, tuple[Path, str | None]] = {}
    for path in _videos(raw):
        found[_checked_name(path.name, path)] = path, None
    for action in dataset.actions:
        path = raw / f"{action}.zip"
        if path.is_file():
            for member in _members(path):
                found.setdefault(_checked_name(PurePosixPath(member).name, path), (path, member))
    if not found:
        raise UserError(
            f"{raw}: neither KTH's archives ({', '.join(f'{action}.zip' for action in dataset.actions)}) nor "
            "its videos are there; let snakemake fetch them, or put them there by hand"
        )
    return found


def _videos(raw: Path) -> list[Path]:
    return sorted(path for _, files in walk(raw) for path in files if path.suffix == ".avi")


def _members(path: Path) -> list[str]:
    try:
        with zipfile.ZipFile(path) as archive:
            names = [entry.filename for entry in archive.infolist() if not entry.is_dir()]
    except (OSError, *DAMAGED_ZIP) as error:
        raise UserError(
            f"{path}: not a whole zip file ({shortened(error)}); delete it and run the same command again"
        ) from None
    # macOS adds a folder and hidden files of its own.
    names = [
        n for n in names if not any(p == "__MACOSX" or p.startswith("._") for p in PurePosixPath(n).parts)
    ]
    names = [name for name in names if PurePosixPath(name).name != ".DS_Store"]
    for name in names:
        if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts or "\\" in name:
            raise UserError(f"{path}: holds {name!r}, which points outside; this is not KTH's archive")
    return names


def _checked_name(file_name: str, where: Path) -> str:
    name = file_name.removesuffix("_uncomp.avi")
    match = NAME.fullmatch(name)
    if name == file_name or not match or match[2] not in ACTIONS:
        raise UserError(
            f"{where}: {file_name!r} is not a name of KTH, such as person01_boxing_d1_uncomp.avi; "
            "restore its name, or remove the file"
        )
    return name


def parse_boundaries(path: Path) -> dict[str, tuple[tuple[int, int], ...]]:
    """Return the first and last frame of each performance, counted from 1, by the video's name.

    Raises:
        UserError: the file is missing, or a line cannot be understood.
    """
    try:
        lines = read_text(path).splitlines()
    except UserError as error:
        raise UserError(f"{error}; let snakemake fetch it") from None
    boundaries = {}
    for number, line in enumerate(lines, start=1):
        name, frames, ranges = line.partition("frames")
        if frames and NAME.fullmatch(name.strip()):
            pairs = [pair.strip().split("-") for pair in ranges.split(",") if pair.strip()]
            try:
                boundaries[name.strip()] = tuple((int(first), int(last)) for first, last in pairs)
            except ValueError:
                raise UserError(
                    f"{path}: line {number}: not ranges of frames: {shortened(ranges.strip())}"
                ) from None
    return boundaries


class KthKind(VideoKind[Kth]):
    """Videos of KTH's persons."""

    def fetch(self, raw: Path, lock: Path, labels: Sequence[str] = ()) -> None:
        """Download the archives, or take what is there."""
        fetch_kth(raw, lock)

    def synthesize(self, dataset: Kth, output: Path) -> list[Path]:
        """Draw archives of the same persons, actions and scenarios."""
        from convttlstm.data.synthetic_kth import write_archives

        persons = sorted(person for persons in dataset.persons.values() for person in persons)
        frames, seed = dataset.synthetic_frames, dataset.seed
        return write_archives(persons, dataset.actions, dataset.scenarios, frames, seed, output)

    def sources(self, dataset: Kth, raw: Path) -> list[Source]:
        """Return the videos of the persons, actions and scenarios that the settings name."""
        return kth_sources(dataset, raw)

    def prepare(self, dataset: Kth, job: Preparation) -> None:
        """Decode the videos."""
        with deleted_on_refusal(job.raw / RECEIPT):
            super().prepare(dataset, job)


KIND = KthKind()
