"""Downloads from servers on the loopback that behave well and badly."""

import functools
import hashlib
import http.server
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from convttlstm.data.download import download
from convttlstm.files import UserError

CONTENT = bytes(range(256)) * 2_000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves `content`; notes the Range header of every request."""

    def __init__(self, settings: "Served", *args: object) -> None:
        self.settings = settings
        super().__init__(*args)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        served, content, start = self.settings, self.settings.content, 0
        asked = self.headers["Range"]
        if self.path != "/file":
            self.send_error(404)
            return
        served.ranges.append(asked)
        if asked and served.resumes:
            start = int(asked.removeprefix("bytes=").removesuffix("-"))
            if start >= len(content):
                self.send_error(416)
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        stop = len(content) if served.drop_after is None else start + served.drop_after
        self.wfile.write(content[start:stop])

    def log_message(self, *args: object) -> None:
        """Keep the test's output clean."""


class Served:
    """A server's content and behaviour."""

    def __init__(self, content: bytes, resumes: bool, drop_after: int | None) -> None:
        self.content, self.resumes, self.drop_after = content, resumes, drop_after
        self.ranges: list[str | None] = []
        self.url = ""


Serve = Callable[..., Served]


@pytest.fixture
def serve() -> Iterator[Serve]:
    servers = []

    def start(content: bytes = CONTENT, resumes: bool = True, drop_after: int | None = None) -> Served:
        served = Served(content, resumes, drop_after)
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, served))
        threading.Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
        servers.append(server)
        served.url = f"http://127.0.0.1:{server.server_port}/file"
        return served

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def part_of(path: Path) -> Path:
    return path.with_name(path.name + ".part")


def test_a_whole_file_is_downloaded(serve: Serve, tmp_path: Path) -> None:
    target = tmp_path / "new" / "file.gz"
    download([serve().url], SHA256, target)
    assert target.read_bytes() == CONTENT
    assert list(target.parent.iterdir()) == [target]


def test_a_correct_file_is_not_downloaded_again(serve: Serve, tmp_path: Path) -> None:
    target, served = tmp_path / "file", serve()
    target.write_bytes(CONTENT)
    download([served.url], SHA256, target)
    assert served.ranges == []


def test_wrong_file_in_place_is_replaced(serve: Serve, tmp_path: Path) -> None:
    target = tmp_path / "file"
    target.write_bytes(b"something else")
    download([serve().url], SHA256, target)
    assert target.read_bytes() == CONTENT


def test_partial_file_is_completed(serve: Serve, tmp_path: Path) -> None:
    target, served = tmp_path / "file", serve()
    part_of(target).write_bytes(CONTENT[:1000])
    download([served.url], SHA256, target)
    assert target.read_bytes() == CONTENT
    assert served.ranges == ["bytes=1000-"]


def test_complete_part_needs_nothing_more(serve: Serve, tmp_path: Path) -> None:
    target, served = tmp_path / "file", serve()
    part_of(target).write_bytes(CONTENT)
    download([served.url], SHA256, target)
    assert target.read_bytes() == CONTENT
    assert served.ranges == [f"bytes={len(CONTENT)}-"]


def test_dropped_connections_are_resumed(serve: Serve, tmp_path: Path) -> None:
    target, served = tmp_path / "file", serve(drop_after=200_000)
    download([served.url], SHA256, target)
    assert target.read_bytes() == CONTENT
    assert served.ranges == [None, "bytes=200000-", "bytes=400000-"]


def test_the_next_mirror_resumes_a_partial_download(serve: Serve, tmp_path: Path) -> None:
    target, dropping, good = tmp_path / "file", serve(resumes=False, drop_after=300_000), serve()
    download([dropping.url, good.url], SHA256, target)
    assert target.read_bytes() == CONTENT
    assert good.ranges == ["bytes=300000-"]


def test_server_without_range_sends_everything(serve: Serve, tmp_path: Path) -> None:
    target = tmp_path / "file"
    part_of(target).write_bytes(CONTENT[:1000])
    download([serve(resumes=False).url], SHA256, target)
    assert target.read_bytes() == CONTENT


@pytest.mark.parametrize("length", [1000, len(CONTENT), len(CONTENT) + 1])
def test_a_damaged_part_is_discarded(serve: Serve, tmp_path: Path, length: int) -> None:
    target = tmp_path / "file"
    part_of(target).write_bytes(b"\1" * length)
    download([serve().url], SHA256, target)
    assert target.read_bytes() == CONTENT


def test_truncated_file_is_refused_and_kept_for_another_try(serve: Serve, tmp_path: Path) -> None:
    target, served = tmp_path / "file", serve(resumes=False, drop_after=1000)
    with pytest.raises(UserError, match="connection lost at byte 1000"):
        download([served.url], SHA256, target)
    assert list(tmp_path.iterdir()) == [part_of(target)]
    download([serve().url], SHA256, target)
    assert target.read_bytes() == CONTENT


def test_wrong_file_is_refused_and_deleted(serve: Serve, tmp_path: Path) -> None:
    target, served = tmp_path / "file", serve(content=b"another file")
    with pytest.raises(UserError) as caught:
        download([served.url], SHA256, target)
    message = str(caught.value)
    assert served.url in message
    assert f"expected SHA-256 {SHA256}" in message
    assert f"found {hashlib.sha256(b'another file').hexdigest()}" in message
    assert "\n" not in message
    assert list(tmp_path.iterdir()) == []


def test_a_mirror_with_another_file_is_skipped(serve: Serve, tmp_path: Path) -> None:
    target = tmp_path / "file"
    download([serve(content=b"another file").url, serve().url], SHA256, target)
    assert target.read_bytes() == CONTENT


def test_all_failing_mirrors_are_named(serve: Serve, tmp_path: Path) -> None:
    missing = serve().url + "/not/here"
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        closed = f"http://127.0.0.1:{unused.getsockname()[1]}/file"
    with pytest.raises(UserError) as caught:
        download([closed, missing], SHA256, tmp_path / "file")
    assert closed in str(caught.value)
    assert f"{missing}: HTTP Error 404" in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("url", ["file:///etc/hostname", "ftp://example.org/file", "file"])
def test_only_http_and_https_are_allowed(tmp_path: Path, url: str) -> None:
    with pytest.raises(UserError, match="only http and https"):
        download([url], SHA256, tmp_path / "file")
