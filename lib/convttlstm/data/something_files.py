"""Read the files in which Something-Something V2 is distributed: labels, and an archive of clips in parts.

Labels are JSON files with the official names or short ones (train.json), in the folder, in its folder labels
or in the zip package of labels. Clips lie in a folder, or in a gzipped tar archive that is cut into numbered
parts, each a file or a zip package with that file in it; a package may also hold clips themselves.
"""

import gzip
import io
import json
import re
import tarfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import IO, Any

from tqdm import tqdm

from convttlstm.data.layout import SOMETHING_CLIPS as CLIPS
from convttlstm.data.videos import DAMAGED_ZIP
from convttlstm.files import UserError, atomic_path, listed, read_json, shortened

PART = re.compile(rf"{CLIPS}-(\d+)(\.zip)?")
CLIP_NAME = re.compile(r"\d+\.webm")
OFFICIAL = "something-something-v2-"
REGISTER = (
    "register for the data set with its publisher (search for 'Something-Something V2'), then put the labels "
    f"and {CLIPS}-00, -01, ... (or the extracted folder {CLIPS}) there"
)
LABELS = "get the package of labels from where the clips come from"


def read_label_file(raw: Path, name: str) -> tuple[Path, Any]:
    """Return where a file of labels lies, and its content.

    Raises:
        UserError: it lies nowhere, or is not JSON.
    """
    names = [name, *([name.removeprefix(OFFICIAL)] if name.startswith(OFFICIAL) else [])]
    places = [raw / folder / known for known in names for folder in ("", "labels")]
    if found := next((path for path in places if path.is_file()), None):
        return found, read_json(found)
    for package in sorted(raw.glob("*labels*.zip")):
        with _opened(package) as archive:
            for member in archive.namelist():
                if PurePosixPath(member).name in names and "__MACOSX" not in member:
                    return package, _json(package, _content(package, archive, member))
    fix = LABELS if (raw / CLIPS).is_dir() or parts_in(raw) else REGISTER
    raise UserError(f"{raw}: no labels {' or '.join(names)}, nor a zip package of labels; {fix}")


def _opened(package: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(package)
    except (OSError, zipfile.BadZipFile) as error:
        raise UserError(f"{package}: not a whole zip package ({error}); fetch it again") from None


def _content(package: Path, archive: zipfile.ZipFile, member: str) -> bytes:
    try:
        return archive.read(member)
    except (OSError, *DAMAGED_ZIP) as error:
        raise UserError(f"{package}: {member} is damaged ({shortened(error)}); fetch it again") from None


def _json(package: Path, content: bytes) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{package}: holds labels that are not JSON ({shortened(error)})") from None


def parts_in(raw: Path) -> list[Path]:
    """Return the parts of the archive that lie in a folder, by their numbers; unpacked ones before zips."""
    found = {
        int(match[1]): path
        for path in sorted(raw.glob(f"{CLIPS}-*"), reverse=True)  # so that "-00" comes after "-00.zip"
        if (match := PART.fullmatch(path.name))
    }
    return [found[number] for number in sorted(found)]


def missing_parts(parts: Sequence[Path]) -> list[str]:
    """Return the parts that must lie between those that are there."""
    numbers = {int(match[1]) for path in parts if (match := PART.fullmatch(path.name))}
    return [f"{CLIPS}-{number:02}" for number in range(max(numbers, default=-1)) if number not in numbers]


def extract_parts(parts: Sequence[Path], folder: Path, wanted: set[str]) -> None:
    """Write the wanted clips of an archive that lies there in parts.

    Raises:
        UserError: a part is missing or damaged, or names point elsewhere; which part, the line says.
    """
    if gap := missing_parts(parts):
        raise UserError(f"{parts[0].parent}: of the archive's parts {listed(gap)} is missing; fetch that")
    openers: list[Callable[[], IO[bytes]]] = []
    for part in parts:
        if part.suffix != ".zip":
            openers.append(lambda part=part: part.open("rb"))  # type: ignore[misc]
            continue
        archive = _opened(part)
        inner = [name for name in archive.namelist() if PART.fullmatch(PurePosixPath(name).name)]
        openers += [lambda archive=archive, name=name: archive.open(name) for name in inner]  # type: ignore[misc]
        if not inner:
            _extract_members(part, _members(part, archive), folder, wanted)
    if openers:
        _extract_tar(parts, openers, folder, wanted)


def _members(package: Path, archive: zipfile.ZipFile) -> Iterator[tuple[str, Callable[[], bytes]]]:
    for name in archive.namelist():
        yield name, lambda name=name: _content(package, archive, name)  # type: ignore[misc]


def _extract_members(
    source: Path, members: Iterator[tuple[str, Callable[[], bytes]]], folder: Path, wanted: set[str]
) -> None:
    """Write the wanted clips of an archive's files, given by name with what reads each."""
    for name, read in tqdm(members, "extract", unit="file", disable=None):
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts:
            raise UserError(f"{source}: holds {shortened(name)}, which points outside")
        if CLIP_NAME.fullmatch(path.name) and path.stem in wanted and "__MACOSX" not in path.parts:
            content = read()
            with atomic_path(folder / path.name) as temporary:
                temporary.write_bytes(content)


def _extract_tar(
    parts: Sequence[Path], openers: Sequence[Callable[[], IO[bytes]]], folder: Path, wanted: set[str]
) -> None:
    joined = _Joined(openers)
    before = set(folder.glob("*"))
    try:
        with (
            joined,
            gzip.GzipFile(fileobj=joined) as stream,
            tarfile.open(fileobj=stream, mode="r|") as archive,
        ):
            files = ((member.name, _reader(archive, member)) for member in archive if member.isfile())
            _extract_members(parts[0], files, folder, wanted)
            while stream.read(2**20):  # to the end, where the archive's own checksum is compared
                pass
    except (tarfile.TarError, OSError, *DAMAGED_ZIP) as error:
        whole = 0.999 * max(part.stat().st_size for part in parts)
        cut = [part.name for part in parts[:-1] if part.stat().st_size < whole]  # all are equally large
        at = parts[min(joined.opened, len(parts)) - 1]
        if joined.ended and not cut:
            raise UserError(
                f"{at}: the archive does not end with it; fetch {at.name} and what follows it again; the "
                f"clips before that are in {folder}"
            ) from None
        for path in set(folder.glob("*")) - before:  # may hold what was damaged
            path.unlink()
        damaged = (
            f"{listed(cut)} is smaller than the others"
            if cut
            else f"it or the part before it ({shortened(error)})"
        )
        raise UserError(f"{at}: the archive is damaged: {damaged}; fetch that part again") from None


def _reader(archive: tarfile.TarFile, member: tarfile.TarInfo) -> Callable[[], bytes]:
    def read() -> bytes:
        content = archive.extractfile(member)
        assert content is not None  # it is a file
        return content.read()

    return read


class _Joined(io.RawIOBase):
    """Several files, read as one.

    Attributes:
        opened: how many were opened so far.
        ended: whether all were read to their end.
    """

    def __init__(self, openers: Sequence[Callable[[], IO[bytes]]]) -> None:
        self._openers = iter(openers)
        self._file: IO[bytes] | None = None
        self.opened, self.ended = 0, False

    def readable(self) -> bool:
        return True

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
        super().close()

    def read(self, size: int = -1) -> bytes:
        parts: list[bytes] = []
        while size != 0:
            if self._file is None:
                opener = next(self._openers, None)
                if opener is None:
                    self.ended = True
                    break
                self._file = opener()
                self.opened += 1
            content = self._file.read(size)
            if not content:
                self._file.close()
                self._file = None
                continue
            parts.append(content)
            size = size - len(content) if size > 0 else size
        return b"".join(parts)
