"""Snakemake's records of how files were made, in one file beside the results, so that both travel together.

For each file Snakemake writes a record into .snakemake/metadata: its rule, parameters, time, inputs and
their checksums. Without them it takes files that were copied, or pulled by DVC, for outdated, since their
times say nothing; or for up to date, where DVC has copied them since; and it would not notice a setting
that has changed since they were made.
"""

import json
import os
import sys
from base64 import urlsafe_b64decode
from pathlib import Path, PurePosixPath
from typing import Any

from convttlstm.files import UserError, read_json, sha256_of, write_json, write_text


def records_path(project: Path, scale: str) -> Path:
    """Return where the records of a scale's files are kept."""
    return project / "results" / scale / "records.json"


def keep(project: Path, scale: str) -> None:
    """Copy Snakemake's records of a scale's files to `records_path`.

    Args:
        project: the folder that Snakemake runs in.
        scale: the scale's name.
    """
    kept, records = records_path(project, scale), _own_records(project, scale)
    if _kept_records(kept) != records:
        write_json(kept, records)
    _stamp(project, scale).write_text(sha256_of(kept))


def restore(project: Path, scale: str) -> None:
    """Make Snakemake see the scale's files as they were made, after they were copied or pulled.

    The kept records replace Snakemake's own, unless they are those that it left here. Files that are still
    what later ones were made from, by checksum, get back the times that they were made at.

    Args:
        project: the folder that Snakemake will run in.
        scale: the scale's name.

    A file that holds no such records is set aside, with a line that says so: it may come from anywhere.
    """
    kept, stamp = records_path(project, scale), _stamp(project, scale)
    if kept.is_file() and not (stamp.exists() and stamp.read_text() == sha256_of(kept)):
        records = _kept_records(kept)
        if records is None:
            aside = kept.with_name(f"{kept.name}.damaged")
            kept.replace(aside)
            print(f"{kept}: holds no records of Snakemake's; set aside as {aside.name}", file=sys.stderr)
            return
        for name, record in records.items():
            write_text(project / ".snakemake/metadata" / name, json.dumps(record))
        # Without this folder Snakemake would take the records for those of an older version of itself.
        (project / ".snakemake/incomplete").mkdir(exist_ok=True)
        write_text(stamp, sha256_of(kept))
    _restore_times(project, _own_records(project, scale))


def _kept_records(path: Path) -> dict[str, Any] | None:
    """Return the records in a file, None if it is missing or one of them is no record of a file of ours."""
    try:
        content = read_json(path)
    except UserError:
        return None
    if not isinstance(content, dict) or not all(map(_is_record, content, content.values())):
        return None
    return content


def _is_record(name: str, record: Any) -> bool:
    """Return whether a record has the form that is relied on, and stays in the folder of the records."""
    parts = PurePosixPath(name)
    if parts.is_absolute() or ".." in parts.parts or str(parts) != name or "\0" in name:
        return False
    subject = _subject(name)
    if not subject or PurePosixPath(subject).is_absolute() or ".." in PurePosixPath(subject).parts:
        return False
    if not isinstance(record, dict) or not isinstance(record.get("endtime"), int | float):
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
        if expected == {f"sha256:{sha256_of(path)}"}:
            os.utime(path, ns=(made, made))
            if path.is_symlink():
                os.utime(path, ns=(made, made), follow_symlinks=False)


def _own_records(project: Path, scale: str) -> dict[str, Any]:
    """Return Snakemake's records of a scale's files and of raw ones, by the records' names."""
    metadata = project / ".snakemake/metadata"
    folders = f"results/{scale}/", f"data/processed/{scale}/", "data/raw/"
    names = sorted(path.relative_to(metadata).as_posix() for path in metadata.rglob("*") if path.is_file())
    found = {name: read_json(metadata / name) for name in names if _subject(name).startswith(folders)}
    return {name: record for name, record in found.items() if _is_record(name, record)}


def _subject(name: str) -> str:
    """Return the file that a record is about, which its name encodes, "" if it encodes none.

    Long names are cut into folders.
    """
    try:
        return urlsafe_b64decode(name.replace("@", "").replace("/", "")).decode()
    except ValueError:
        return ""


def _stamp(project: Path, scale: str) -> Path:
    return project / f".snakemake/records-{scale}.sha256"
