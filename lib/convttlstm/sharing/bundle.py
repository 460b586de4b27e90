"""Pack a finished reproduction into one archive, and verify it on another machine."""

import hashlib
import json
import stat
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import IO, Any
from urllib.parse import unquote

from convttlstm.config import (
    Run,
    Settings,
    evaluated_runs,
    load_settings,
    read_run,
    read_winners,
    resolve_run,
    selected_runs,
)
from convttlstm.files import UserError, atomic_path, read_json, shortened

METADATA = "ro-crate-metadata.json"
LARGEST_JSON = 2**26  # bytes; a malicious archive must not fill the memory
# Errors from reading a damaged member, one with unknown compression, or one with a password.
DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError, ValueError)


def bundle(config: Path, results: Path, output: Path) -> str:
    """Write a zip archive of a finished reproduction; return a line of summary.

    The same files with the same modification times, and the same zlib, give the same bytes.

    Args:
        config: the scale's settings file; the project's other files are found from its path.
        results: the scale's results.
        output: the archive.

    Raises:
        UserError: a file is missing, or a run has other settings.
    """
    from convttlstm.sharing.crate import Part, contents, describe, origins_of

    settings, scale = load_settings(config), config.stem
    evaluated = [
        (dataset, run) for dataset in settings.experiments for run in evaluated_runs(settings, dataset)
    ]
    folders = [results / "runs" / dataset / run for dataset, run in evaluated]
    files = contents(settings, config, results)
    if missing := [str(path) for path in files.values() if not path.is_file()]:
        raise UserError(f"{missing[0]}: no such file ({len(missing)} missing); {_finish(scale)}")
    runs = [_checked_run(settings, config, results, folder) for folder in folders]
    origins = [origin for folder in folders for origin in origins_of(folder)]
    last = max((folder / "metrics.json").stat().st_mtime for folder in folders)
    ended = datetime.fromtimestamp(int(last), UTC).isoformat()
    parts = {}
    with atomic_path(output) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for name, path in sorted(files.items()):
            content = path.read_bytes()
            parts[name] = Part(hashlib.sha256(content).hexdigest(), len(content))
            _add(archive, name, content)
        described = describe(parts, runs, origins, ended)
        _add(archive, METADATA, (json.dumps(described, indent=2, sort_keys=True) + "\n").encode())
    return f"{output}: {len(parts):,} files, {len(runs)} runs of scale {scale}"


def _finish(scale: str) -> str:
    return f"finish the reproduction first: snakemake --config scale={scale}"


def _checked_run(settings: Settings, config: Path, results: Path, folder: Path) -> Run:
    dataset, name = folder.parts[-2:]
    selection = results / "selection" / f"{dataset}.json"
    winners = read_winners(selection) if name in selected_runs(settings, dataset) else None
    run, planned = read_run(folder), resolve_run(settings, config.stem, dataset, name, winners)
    if run.digest() != planned.digest():
        raise UserError(f"{folder / 'config.json'}: has other settings than {config}; {_finish(config.stem)}")
    values = read_json(folder / "config.json"), read_json(folder / "metrics.json")
    if fault := _mismatch(PurePosixPath("results", config.stem, "runs", dataset, name), *values):
        raise UserError(f"{folder / 'metrics.json'}: {fault}; evaluate the run again")
    return run


def _mismatch(folder: PurePosixPath, config: Any, metrics: Any) -> str:
    """Return why metrics and settings in a folder do not belong to the same run, "" if they do."""
    _, scale, _, dataset, name = folder.parts
    if not isinstance(config, dict) or not isinstance(metrics, dict):
        return "it or its config.json is not a JSON object"
    keys = {"run": "id", "dataset": "dataset_name", "scale": "scale", "label": "label"}
    configured = {key: config.get(setting) for key, setting in keys.items()}
    # Only `run` is in the metrics of every version.
    measured = configured | {"run": None} | metrics
    here = configured | {"run": name, "dataset": dataset, "scale": scale}
    if all(measured[key] == configured[key] == here[key] for key in keys):
        return ""
    return f"does not belong to the config.json of {dataset}/{name}"


def _add(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    entry = zipfile.ZipInfo(name)  # dated 1980
    entry.create_system, entry.external_attr = 3, (stat.S_IFREG | 0o644) << 16  # on every machine
    archive.writestr(entry, content, zipfile.ZIP_DEFLATED, 9)


def verify_bundle(path: Path) -> str:
    """Verify an archive that `bundle` wrote, without unpacking it; return a line of summary.

    Raises:
        UserError: it is damaged or incomplete, or holds files that it does not list; the message names the
            first fault.
    """
    if path.exists() and not path.is_file():
        raise UserError(f"{path}: is not a file; name a bundle")
    try:
        with zipfile.ZipFile(path) as archive:
            graph = _read(archive, METADATA)["@graph"]
            listed = {
                unquote(entity["@id"]): (entity.get("sha256"), entity.get("contentSize"))
                for entity in graph
                if "File" in entity["@type"]
            }
            faults = list(_faults(archive, listed)) or list(_run_faults(archive))
            if faults:
                more = f" (and {len(faults) - 1:,} more)" if len(faults) > 1 else ""
                raise UserError(f"{path}: {faults[0]}{more}; get the archive again")
            one = _read(archive, next(name for name in sorted(listed) if _is_config(name)))
            size = sum(entry.file_size for entry in archive.infolist())
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except (*DAMAGE, KeyError, TypeError, AttributeError, StopIteration) as error:
        raise UserError(f"{path}: not a bundle, or damaged ({shortened(error)}); get it again") from None
    holds = f"{len(listed) + 1:,} files, {size:,} bytes, all as described"
    return f"{path}: {holds}; scale {one['scale']}, {one['label']!r}"


def _read(archive: zipfile.ZipFile, name: str) -> Any:
    if archive.getinfo(name).file_size > LARGEST_JSON:
        raise ValueError(f"{name} is too large")
    with _open(archive, name) as file:
        return json.loads(file.read())


def _open(archive: zipfile.ZipFile, name: str) -> IO[bytes]:
    if archive.getinfo(name).compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise zipfile.BadZipFile("compressed by a method that `bundle` does not use")
    return archive.open(name)


def _is_config(name: str) -> bool:
    return PurePosixPath(name).match("results/*/runs/*/*/config.json")


def _faults(archive: zipfile.ZipFile, listed: dict[str, tuple[Any, Any]]) -> Iterator[str]:
    """Yield faults of names and contents, one per name, dangerous ones first."""
    counts = Counter(entry.filename for entry in archive.infolist())
    for name in sorted(counts.keys() | listed.keys()):
        if not name.isprintable() or _is_outside(name):
            yield f"{name!r} is not a valid name of a file in a bundle"
    for entry in archive.infolist():
        if stat.S_ISLNK(entry.external_attr >> 16):
            yield f"{entry.filename!r} is a link"
    yield from (f"{name} occurs {count} times" for name, count in sorted(counts.items()) if count > 1)
    yield from (f"{name} is missing" for name in sorted(listed.keys() - counts.keys()))
    yield from (f"{name} is not listed" for name in sorted(counts.keys() - listed.keys() - {METADATA}))
    for name in sorted(listed.keys() & counts.keys()):
        try:
            with _open(archive, name) as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]
        except DAMAGE:
            yield f"{name} is damaged"
            continue
        if (found, str(archive.getinfo(name).file_size)) != listed[name]:
            yield f"{name} has another SHA-256 or size than listed"


def _is_outside(name: str) -> bool:
    path = PurePosixPath(name)
    return path.is_absolute() or ".." in path.parts or "\\" in name or ":" in name or str(path) != name


def _run_faults(archive: zipfile.ZipFile) -> Iterator[str]:
    names = set(archive.namelist())
    runs = {PurePosixPath(name).parent for name in names if PurePosixPath(name).match("results/*/runs/*/*/*")}
    for folder in sorted(runs):
        config, metrics = f"{folder}/config.json", f"{folder}/metrics.json"
        if not {config, metrics} <= names:
            yield f"{folder} has no config.json or no metrics.json"
        elif fault := _mismatch(folder, _read(archive, config), _read(archive, metrics)):
            yield f"{metrics}: {fault}"
