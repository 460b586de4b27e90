"""Snakemake's records of how files were made, in one file beside the results, so that both travel together.

For each file Snakemake writes a record into .snakemake/metadata: its rule, parameters, inputs and their
checksums. Without them it takes files that were copied, or pulled by DVC, for outdated, since their times
say nothing; and it would not notice a setting that has changed since they were made.
"""

import json
from base64 import urlsafe_b64decode
from pathlib import Path

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
    metadata = project / ".snakemake/metadata"
    folders = f"results/{scale}/", f"data/processed/{scale}/"
    names = sorted(path.relative_to(metadata).as_posix() for path in metadata.rglob("*") if path.is_file())
    records = {name: read_json(metadata / name) for name in names if _subject(name).startswith(folders)}
    kept = records_path(project, scale)
    if not kept.exists() or read_json(kept) != records:
        write_json(kept, records)
    _stamp(project, scale).write_text(sha256_of(kept))


def restore(project: Path, scale: str) -> None:
    """Give Snakemake the kept records, if the file is not the one that it left here: it came from elsewhere.

    Args:
        project: the folder that Snakemake will run in.
        scale: the scale's name.

    Raises:
        UserError: the file is damaged.
    """
    kept, stamp = records_path(project, scale), _stamp(project, scale)
    if not kept.exists() or (stamp.exists() and stamp.read_text() == sha256_of(kept)):
        return
    for name, record in read_json(kept).items():
        path = project / ".snakemake/metadata" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(record))
    # Without this folder Snakemake would take the records for those of an older version of itself.
    (project / ".snakemake/incomplete").mkdir(exist_ok=True)
    write_text(stamp, sha256_of(kept))


def _subject(name: str) -> str:
    """Return the file that a record is about, which its name encodes; long names are cut into folders."""
    return urlsafe_b64decode(name.replace("@", "").replace("/", "")).decode()


def _stamp(project: Path, scale: str) -> Path:
    return project / f".snakemake/records-{scale}.sha256"
