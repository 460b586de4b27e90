"""List your own videos by checksum, to see whether prepared arrays are still up to date."""

import hashlib
from pathlib import Path
from typing import Any

from convttlstm.config import Videos
from convttlstm.config.videos import image_files, sequence_files
from convttlstm.data.videos import folder_sources
from convttlstm.files import UserError, read_json, sha256_of, write_json

CACHE = Path(".snakemake/videos.json")


def inventory(dataset: Videos, manifest: Path, cache: Path = CACHE) -> str:
    """Return a text that changes with the names, splits or contents of a data set's videos.

    If the videos are not here, for example when only the prepared arrays were copied, those that the manifest
    lists count. If they cannot be used, the text says why; "" if nothing is known of any.

    Args:
        dataset: its settings.
        manifest: what was prepared, if it was.
        cache: keeps each file's checksum, with its size, time and inode: a file is read once.
    """
    if not sequence_files(Path(dataset.folder)):
        return _of_manifest(manifest)
    try:
        sources = folder_sources(dataset)
        checksums = _checksums([source.path for source in sources], cache)
    except (UserError, OSError) as error:
        return str(error)
    lines = zip(sources, checksums, strict=True)
    return _digest([f"{source.split} {source.name} {checksum}" for source, checksum in lines])


def _of_manifest(manifest: Path) -> str:
    try:
        videos = read_json(manifest)["videos"]
        return _digest([f"{video['split']} {video['name']} {video['source_sha256']}" for video in videos])
    except (UserError, KeyError, TypeError):  # missing, or no such manifest: preparation says so
        return ""


def _digest(lines: list[str]) -> str:
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def _checksums(paths: list[Path], cache: Path) -> list[str]:
    """Return the SHA-256 of each file, and of the pictures of each folder."""
    try:
        known = dict(read_json(cache))
    except (UserError, TypeError, ValueError):
        known = {}
    before, checksums = dict(known), []
    for path in paths:
        if path.is_dir():  # as `frames.digest_of` has it
            joined = "".join(_checksum(image, known) for image in image_files(path))
            checksums.append(hashlib.sha256(joined.encode()).hexdigest())
        else:
            checksums.append(_checksum(path, known))
    if known != before:
        write_json(cache, known)
    return checksums


def _checksum(path: Path, known: dict[str, Any]) -> str:
    """Return a file's SHA-256, from `known` if its size, time and inode are those recorded there."""
    found = path.stat()
    file, stamp = str(path.resolve()), [found.st_size, found.st_mtime_ns, found.st_ino]
    match known.get(file):
        case [*recorded, str(checksum)] if recorded == stamp:
            return checksum
    known[file] = [*stamp, sha256_of(path)]
    return str(known[file][-1])
