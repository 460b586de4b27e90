"""Resumable downloads, verified by checksum."""

import http.client
import shutil
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path

from convttlstm.files import UserError, sha256_of

TIMEOUT = 60  # seconds without a byte


def download(urls: Sequence[str], sha256: str | None, destination: Path) -> None:
    """Download a file from the first mirror that has it; do nothing if it is there already.

    A partial download is kept as `<destination>.part`; the next mirror, or the next call, resumes it.
    A wrong file is deleted, also an earlier one at `destination`.

    Args:
        urls: the same file on several mirrors, http or https, tried in turn.
        sha256: the file's checksum, hexadecimal; None if none is known, and any whole file is taken.
        destination: where the file belongs.

    Raises:
        UserError: no mirror gave the right file.
    """
    for url in urls:
        if not url.startswith(("http://", "https://")):
            raise UserError(f"{url}: only http and https are possible")
    part = destination.with_name(f"{destination.name}.part")
    failures = []
    waiting = list(urls)
    try:
        if destination.is_file() and sha256 in (None, sha256_of(destination)):
            return
        destination.unlink(missing_ok=True)
        destination.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{destination}: {error.strerror}") from error
    while waiting:
        url = waiting.pop(0)
        resumes = part.exists()
        try:
            _complete(url, part)
            found = sha256_of(part)
            if sha256 in (None, found):
                part.replace(destination)
                return
            part.unlink()
        except (OSError, http.client.HTTPException) as error:
            failures.append(f"{url}: {error}")
            continue
        if resumes:  # what was there before may be at fault; ask for the whole file
            waiting.insert(0, url)
        else:
            failures.append(f"{url}: expected SHA-256 {sha256}, found {found}")
    raise UserError(
        f"{destination}: could not be downloaded ({'; '.join(failures)}); "
        "run the same command again later, or put the right file there by hand"
    )


def _complete(url: str, part: Path) -> None:
    """Fetch what `part` lacks; after a broken connection ask again, as long as bytes come."""
    while True:
        have = part.stat().st_size if part.exists() else 0
        headers = {"Range": f"bytes={have}-"} if have else {}
        try:
            response = urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=TIMEOUT)
        except urllib.error.HTTPError as error:
            if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
                return  # nothing is left to fetch; the checksum decides whether `part` is the file
            raise
        # A server that cannot resume answers 200 instead of 206 and sends everything.
        partial = response.status == http.HTTPStatus.PARTIAL_CONTENT
        with response, part.open("ab" if partial else "wb") as file:
            length = response.headers["Content-Length"]
            end = file.tell() + int(length) if length else None
            try:
                shutil.copyfileobj(response, file)
                if end in (None, file.tell()):
                    return
            except (ConnectionError, TimeoutError, http.client.IncompleteRead):
                pass
            reached = file.tell()
        if reached <= have:
            raise ConnectionError(f"connection lost at byte {reached}")
