"""Snakemake's records of how files were made, in one file beside the results, so that both travel together.

For each file Snakemake writes a record into .snakemake/metadata: its rule, parameters, time, inputs and
their checksums. Without them it takes files that were copied, or pulled by DVC, for outdated, since their
times say nothing; or for up to date, where DVC has copied them since; and it would not notice a setting
that has changed since they were made.
"""

import json
import os
from base64 import urlsafe_b64decode
from pathlib import Path
from typing import Any

from convttlstm.files import read_json, sha256_of, write_json, write_text


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
    if not kept.exists() or read_json(kept) != records:
        write_json(kept, records)
    _stamp(project, scale).write_text(sha256_of(kept))


def restore(project: Path, scale: str) -> None:
    """Make Snakemake see the scale's files as they were made, after they were copied or pulled.

    The kept records replace Snakemake's own, unless they are those that it left here. Files that are still
    what later ones were made from, by checksum, get back the times that they were made at.

    Args:
        project: the folder that Snakemake will run in.
        scale: the scale's name.

    Raises:
        UserError: the kept records are damaged.
    """
    kept, stamp = records_path(project, scale), _stamp(project, scale)
    if kept.exists() and not (stamp.exists() and stamp.read_text() == sha256_of(kept)):
        for name, record in read_json(kept).items():
            path = project / ".snakemake/metadata" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(record))
        # Without this folder Snakemake would take the records for those of an older version of itself.
        (project / ".snakemake/incomplete").mkdir(exist_ok=True)
        write_text(stamp, sha256_of(kept))
    _restore_times(project, _own_records(project, scale))


def _restore_times(project: Path, records: dict[str, Any]) -> None:
    checksums: dict[str, set[str]] = {}
    for record in records.values():
        for path, checksum in (record["input_checksums"] or {}).items():
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
    return {name: read_json(metadata / name) for name in names if _subject(name).startswith(folders)}


def _subject(name: str) -> str:
    """Return the file that a record is about, which its name encodes; long names are cut into folders."""
    return urlsafe_b64decode(name.replace("@", "").replace("/", "")).decode()


def _stamp(project: Path, scale: str) -> Path:
    return project / f".snakemake/records-{scale}.sha256"
