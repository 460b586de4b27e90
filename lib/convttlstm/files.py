"""Atomic writes, checked reads, and errors on one line."""

import contextlib
import difflib
import hashlib
import json
import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from safetensors import SafetensorError


class UserError(Exception):
    """An error that the user can fix; the message says what is wrong, where, and what to do, in one line."""


@contextlib.contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path next to `path`; on success it is synced and renamed to `path`, else removed.

    Raises:
        UserError: the disk is full, the file-size limit is reached, the folder is not writable, or `path` is
            not a regular file.
    """
    temporary: Path | None = None
    if path.exists() and not path.is_file():
        raise UserError(f"{path}: is not a regular file; name a file to write to")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
        os.close(handle)
        temporary = Path(name)
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
    except (OSError, SafetensorError) as error:  # safetensors' error, on a full disk
        raise UserError(
            f"{path}: cannot be written ({getattr(error, 'strerror', None) or error}); an earlier version is "
            "unchanged, free space and run the same command again"
        ) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def _umask() -> int:
    """Return the process's umask."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def with_suffix(stem: Path, suffix: str) -> Path:
    """Return `stem` with `suffix` appended, such as tables/table2 with .csv."""
    return stem.with_name(stem.name + suffix)


def listed(names: Sequence[str]) -> str:
    """Return the first five names, and how many more there are."""
    more = f" and {len(names) - 5:,} more" if len(names) > 5 else ""
    return ", ".join(names[:5]) + more


def nearest(name: str, names: Iterable[str]) -> str:
    """Return a hint for an unknown name: the most similar of `names`, or the first of them."""
    known = list(names)
    near = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {near[0]!r}?" if near else f"known are {listed(known)}"


def write_bytes(path: Path, content: bytes) -> None:
    """Write `content` to `path` by rename."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path` as UTF-8, by rename."""
    write_bytes(path, text.encode())


def write_json(path: Path, value: Any) -> None:
    """Write `value` to `path` as indented JSON, by rename."""
    write_text(path, json.dumps(value, indent=2) + "\n")


def read_text(path: Path) -> str:
    """Return the content of a text file in UTF-8, with or without a byte-order mark.

    Raises:
        UserError: the file is missing, is not a regular file, cannot be read, or has another encoding.
    """
    try:
        if path.exists() and not path.is_file():
            raise UserError(f"{path}: is not a regular file; name a file")
        return path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except UnicodeDecodeError:
        raise UserError(f"{path}: is not UTF-8 text; save it as UTF-8") from None
    except (OSError, ValueError) as error:  # a path may contain a null character
        raise UserError(f"{path}: cannot be read ({shortened(error)})") from None


def shortened(value: Any) -> str:
    """Return an exception's message, or another value's repr, in one line of at most 200 characters."""
    text = " ".join((str(value) if isinstance(value, Exception) else repr(value)).split())
    return cut(text or type(value).__name__, 200)


def cut(text: str, length: int) -> str:
    """Return a text without control characters, cut to `length` characters."""
    text = "".join(letter if letter.isprintable() else "?" for letter in text)
    return text if len(text) <= length else f"{text[: length - 3]}..."


def read_json(path: Path) -> Any:
    """Return the content of a JSON file.

    Raises:
        UserError: the file is missing or not JSON.
    """
    text = read_text(path)
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UserError(
            f"{path}: not valid JSON ({shortened(error)}); delete it and make it again"
        ) from error


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file as hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
