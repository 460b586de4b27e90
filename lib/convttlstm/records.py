"""Save Snakemake's records of how files were made in one file next to the results, and restore them.

For each file Snakemake writes a record into .snakemake/metadata: its rule, parameters, time, inputs and
their checksums. Without the records, modification times mislead it after files were copied or pulled by DVC:
it treats current files as outdated or outdated ones as current, and misses changed settings.

Other workflows can copy this module: it imports only the standard library. docs/records.md of the convttlstm
repository explains how.
"""

import hashlib
import json
import os
import sys
from base64 import urlsafe_b64decode
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

LATEST = 1e10  # seconds since 1970, the year 2286


def keep(project: Path, kept: str, folders: Sequence[str]) -> None:
    """Copy Snakemake's records of the files in some folders to one file.

    Args:
        project: the folder that Snakemake runs in.
        kept: the file to write, relative to `project`, such as results/records.json.
        folders: folders whose records are saved, relative to `project`.
    """
    path, records = project / kept, _own_records(project, folders)
    if _kept_records(path) != records:
        _write(path, json.dumps(records, indent=2) + "\n")
    _write(_stamp(project, kept), _sha256_of(path))


def restore(project: Path, kept: str, folders: Sequence[str]) -> None:
    """Restore Snakemake's records and modification times after files were copied or pulled.

    The saved records replace Snakemake's own, unless `keep` saved them in this folder. Files whose checksum
    is still the one that later files were made from get their old modification times back.

    Args:
        project: the folder that Snakemake will run in.
        kept: see `keep`; without this file only times are restored.
        folders: see `keep`.

    A file without valid records is renamed, and a line says so.
    """
    path, stamp = project / kept, _stamp(project, kept)
    if path.is_file() and not (stamp.exists() and stamp.read_text() == _sha256_of(path)):
        records = _kept_records(path)
        if records is None:
            aside = path.with_name(f"{path.name}.damaged")
            path.replace(aside)
            print(f"{path}: holds no valid records of Snakemake; renamed to {aside.name}", file=sys.stderr)
            return
        for name, record in records.items():
            _write(project / ".snakemake/metadata" / name, json.dumps(record))
        # Without this folder Snakemake assumes that an older version wrote the records.
        (project / ".snakemake/incomplete").mkdir(parents=True, exist_ok=True)
        _write(stamp, _sha256_of(path))
    _restore_times(project, _own_records(project, folders))


def _kept_records(path: Path) -> dict[str, Any] | None:
    """Return the records in a file, None if it is missing or one of its records is not valid."""
    content = _read(path)
    if not isinstance(content, dict) or not all(map(_is_record, content, content.values())):
        return None
    return content


def _is_record(name: str, record: Any) -> bool:
    """Return whether a record has the expected form, and its name stays inside the folder of records."""
    parts = PurePosixPath(name)
    if parts.is_absolute() or ".." in parts.parts or str(parts) != name or "\0" in name:
        return False
    subject = _subject(name)
    if not subject or PurePosixPath(subject).is_absolute() or ".." in PurePosixPath(subject).parts:
        return False
    if not isinstance(record, dict) or not isinstance(record.get("endtime"), int | float):
        return False
    if not 0 <= record["endtime"] < LATEST:
        return False
    inputs = record.get("input_checksums")
    return inputs is None or (
        isinstance(inputs, dict) and all(isinstance(value, str) for value in inputs.values())
    )


def _restore_times(project: Path, records: dict[str, Any]) -> None:
    checksums: dict[str, set[str]] = {}
    for record in records.values():
        for path, checksum in (record.get("input_checksums") or {}).items():
            checksums.setdefault(path, set()).add(checksum)
    for name, record in records.items():
        path, made = project / _subject(name), int(record["endtime"] * 1e9)
        expected = checksums.get(_subject(name))
        if expected is None or not path.is_file() or abs(path.stat().st_mtime_ns - made) < 1000:
            continue
        if expected == {f"sha256:{_sha256_of(path)}"}:
            os.utime(path, ns=(made, made))
            if path.is_symlink():
                os.utime(path, ns=(made, made), follow_symlinks=False)


def _own_records(project: Path, folders: Sequence[str]) -> dict[str, Any]:
    """Return Snakemake's records of the files in some folders, by the records' names."""
    metadata, below = project / ".snakemake/metadata", tuple(f"{folder}/" for folder in folders)
    names = sorted(path.relative_to(metadata).as_posix() for path in metadata.rglob("*") if path.is_file())
    found = {name: _read(metadata / name) for name in names if _subject(name).startswith(below)}
    return {name: record for name, record in found.items() if _is_record(name, record)}


def _subject(name: str) -> str:
    """Return the file that a record belongs to, decoded from the record's name, "" if that is not possible.

    Long names are split into folders.
    """
    try:
        return urlsafe_b64decode(name.replace("@", "").replace("/", "")).decode()
    except ValueError:
        return ""


def _stamp(project: Path, kept: str) -> Path:
    """Return the path of the file with the checksum of the saved records that are in use here."""
    return project / ".snakemake" / f"{kept.replace('/', '-')}.sha256"


def _read(path: Path) -> Any:
    """Return the content of a JSON file, None if it is missing or damaged."""
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError, RecursionError):
        return None


def _write(path: Path, text: str) -> None:
    """Write a file atomically, by rename."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(".records.tmp")
    temporary.write_text(text)
    temporary.replace(path)


def _sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
