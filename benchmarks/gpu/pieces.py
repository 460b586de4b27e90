"""Cuts the folder of some runs into pieces small enough to copy from a machine, and joins them again.

`cut FOLDER PIECES` writes index.json and pieces of at most 15 MB, the most useful files first: small ones,
then weights, then the checkpoints of unfinished runs. Where only some pieces can be copied at a time, use
`--first` and `--count`. `join PIECES FOLDER` verifies the SHA-256 of every piece and file.
"""

import argparse
import hashlib
import sys
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from convttlstm.files import UserError, atomic_path, read_json, write_bytes, write_json
from convttlstm.training.checkpoints import LAST
from convttlstm.training.publishing import WEIGHTS

INDEX, SIZE = "index.json", 15_000_000  # bytes


def main(arguments: list[str] | None = None) -> int:
    """Cut or join; return 1 after printing an error."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    commands = parser.add_subparsers(required=True, dest="command")
    cutting, joining = commands.add_parser("cut"), commands.add_parser("join")
    cutting.add_argument("folder", type=Path)
    cutting.add_argument("pieces", type=Path)
    cutting.add_argument("--first", type=int, default=0, help="piece, counted from 0")
    cutting.add_argument("--count", type=int, help="of pieces; all by default")
    joining.add_argument("pieces", type=Path)
    joining.add_argument("folder", type=Path)
    given = parser.parse_args(arguments)
    try:
        if given.command == "cut":
            cut(given.folder, given.pieces, given.first, given.count)
        else:
            join(given.pieces, given.folder)
    except UserError as error:
        print(f"benchmarks.gpu.pieces: {error}", file=sys.stderr)
        return 1
    return 0


def chosen(folder: Path) -> list[Path]:
    """Return the paths of the files to copy, relative to the folder, the most useful first.

    Left out are finished runs' checkpoints, all but the last of unfinished runs', data, and temporary files.
    """
    runs = sorted(path for path in folder.rglob("config.json"))
    found = []
    for run in (path.parent for path in runs):
        for path in sorted(run.iterdir()):
            temporary = path.name.startswith(".") or not path.is_file()
            checkpoint = path.suffix == ".ckpt" and (path.name != LAST or (run / WEIGHTS).exists())
            if not temporary and not checkpoint:
                found.append(path)
    return [path.relative_to(folder) for path in sorted(found, key=_rank)]


def _rank(path: Path) -> int:
    return {WEIGHTS: 1, LAST: 2}.get(path.name, 0)


def cut(folder: Path, pieces: Path, first: int = 0, count: int | None = None) -> None:
    """Write all pieces of a folder, or `count` of them, and the index of all.

    Raises:
        UserError: the folder holds no run.
    """
    names = chosen(folder)
    if not names:
        raise UserError(f"{folder}: holds no run (no config.json); name the folder of the runs")
    index: dict[str, Any] = {"files": [], "pieces": []}
    wanted = range(first, first + count) if count is not None else None
    for number, piece in enumerate(_pieces(folder, names, index["files"])):
        index["pieces"].append(hashlib.sha256(piece).hexdigest())
        if wanted is None or number in wanted:
            write_bytes(pieces / piece_name(number), piece)
    write_json(pieces / INDEX, index)
    print(f"{folder}: {len(names)} files in {len(index['pieces'])} pieces of at most {SIZE:,} bytes")


def _pieces(folder: Path, names: list[Path], files: list[dict[str, Any]]) -> Iterator[bytes]:
    """Yield the joined contents of the files in pieces; append each file's size and checksum to `files`."""
    rest = b""
    for name in names:
        content = (folder / name).read_bytes()
        checksum = hashlib.sha256(content).hexdigest()
        files.append({"name": name.as_posix(), "bytes": len(content), "sha256": checksum})
        rest += content
        while len(rest) >= SIZE:
            yield rest[:SIZE]
            rest = rest[SIZE:]
    if rest:
        yield rest


def piece_name(number: int) -> str:
    """Return the name of a piece, counted from 0."""
    return f"piece.{number:03}"


def join(pieces: Path, folder: Path) -> None:
    """Write the files that pieces hold.

    Raises:
        UserError: a piece is missing or damaged, or a file would lie outside the folder; nothing is written.
    """
    index = read_json(pieces / INDEX)
    try:
        checksums = [str(checksum) for checksum in index["pieces"]]
        files = [(PurePosixPath(f["name"]), int(f["bytes"]), str(f["sha256"])) for f in index["files"]]
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{pieces / INDEX}: is no index of pieces ({error}); copy it again") from None
    for name, _, _ in files:
        if name.is_absolute() or ".." in name.parts:
            raise UserError(f"{pieces / INDEX}: {name} would lie outside {folder}; nothing was written")
    for number, checksum in enumerate(checksums):
        path = pieces / piece_name(number)
        if not path.is_file():
            raise UserError(f"{path}: is missing, one of {len(checksums)} pieces; copy it too")
        if hashlib.sha256(path.read_bytes()).hexdigest() != checksum:
            raise UserError(f"{path}: is damaged; copy it again")
    number, rest = 0, b""
    for name, size, checksum in files:
        while len(rest) < size and number < len(checksums):
            rest += (pieces / piece_name(number)).read_bytes()
            number += 1
        content, rest = rest[:size], rest[size:]
        if hashlib.sha256(content).hexdigest() != checksum:
            raise UserError(f"{pieces / INDEX}: {name} has another checksum; cut the folder again")
        with atomic_path(folder / name) as temporary:
            temporary.write_bytes(content)
    print(f"{folder}: {len(files)} files from {len(checksums)} pieces")


if __name__ == "__main__":
    sys.exit(main())
