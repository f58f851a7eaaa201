"""A Hugging Face Hub on 127.0.0.1 that serves the files of a folder: metadata, ranges, cut connections."""

import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

_COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub(ThreadingHTTPServer):
    """Serves `folder/OWNER/NAME/FILE` as the Hub serves a repository's files.

    Attributes:
        cut_after: bytes after which the connection is cut, once; None for never.
        damage: serve other bytes than those whose digest is told.
        status: answer every request with this status; None answers properly.
        requests: method, path and range of every request.
    """

    daemon_threads = True

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.folder = folder
        self.cut_after: int | None = None
        self.damage = False
        self.status: int | None = None
        self.requests: list[tuple[str, str, str]] = []
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that left is no news."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Hub

    def log_message(self, *arguments: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, body: bool) -> None:
        hub = self.server
        hub.requests.append((self.command, self.path, self.headers.get("Range", "")))
        parts = self.path.split("?")[0].strip("/").split("/")
        path = hub.folder.joinpath(*parts[:2], *parts[4:]) if parts[2:3] == ["resolve"] else None
        if hub.status is not None:
            return self._refuse(hub.status, "")
        if path is None or not path.is_file():
            return self._refuse(404, "EntryNotFound")
        data = path.read_bytes()
        digest = hashlib.sha256(data).hexdigest()
        if hub.damage:
            data = b"\x00" * len(data)
        start = 0
        if wanted := self.headers.get("Range", ""):
            start = int(wanted.removeprefix("bytes=").split("-")[0])
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(data) - start))
        self.send_header("X-Repo-Commit", _COMMIT)
        self.send_header("Accept-Ranges", "bytes")
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        large = path.suffix != ".json"
        self.send_header("ETag", f'"{digest if large else digest[:40]}"')
        if large:
            self.send_header("X-Linked-Etag", f'"{digest}"')
            self.send_header("X-Linked-Size", str(len(data)))
        self.end_headers()
        if not body:
            return None
        if hub.cut_after is not None and large:
            self.wfile.write(data[start : start + hub.cut_after])
            self.wfile.flush()
            hub.cut_after = None
            self.close_connection = True
            self.connection.shutdown(2)
            return None
        self.wfile.write(data[start:])
        return None

    def _refuse(self, status: int, code: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", "0")
        if code:
            self.send_header("X-Error-Code", code)
            self.send_header("X-Repo-Commit", _COMMIT)
        self.end_headers()
