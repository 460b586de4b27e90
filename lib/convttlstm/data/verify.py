"""Compare prepared data with the checksums in their manifests."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

from convttlstm.data.arrays import map_array
from convttlstm.files import UserError, read_json, shortened

FIX = "get it back by `dvc checkout`, or delete the folder and run the same command again"


def verify_data(folder: Path) -> str:
    """Check every array of a scale's prepared data; return in words how much that was.

    Clips of activities are not checked: they stay in data/raw, as downloaded.

    Args:
        folder: such as data/processed/demo, with a folder for each data set, or one of these.

    Raises:
        UserError: nothing is prepared there, or an array is missing or has changed.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: no folder of prepared data")
    manifests = sorted([*folder.glob("manifest.json"), *folder.glob("*/manifest.json")])
    if not manifests:
        raise UserError(f"{folder}: no prepared data; run snakemake to make them")
    arrays = [entry for manifest in manifests for entry in _arrays(manifest)]
    for path, expected in arrays:
        if not path.is_file():
            raise UserError(f"{path}: no such file; {FIX}")
        found = hashlib.sha256(map_array(path, FIX)).hexdigest()
        if found != expected:
            raise UserError(f"{path}: SHA-256 {found}, but {expected} was prepared; {FIX}")
    size = sum(path.stat().st_size for path, _ in arrays)
    return f"{folder}: {len(manifests)} data sets, {len(arrays)} arrays, {size:,} bytes, as prepared"


def _arrays(manifest: Path) -> Iterator[tuple[Path, str]]:
    """Yield each array that a manifest lists, with the checksum of its values."""
    content = read_json(manifest)
    try:
        for entry in content.get("videos", []):
            yield manifest.parent / str(entry["file"]), entry["sha256"]
        for split, entry in content["splits"].items():
            if "shape" in entry:
                yield manifest.parent / f"{split}.npy", entry["sha256"]
    except (KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{manifest}: not a manifest ({shortened(error)}); {FIX}") from None
