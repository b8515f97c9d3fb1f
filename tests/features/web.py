"""A web server on this computer that stands for the places where weights are."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Web:
    """Files by path, the headers of each answer, and what was asked for."""

    files: dict[str, bytes] = field(default_factory=dict)
    status: dict[str, int] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    address: str = ""

    def sent(self) -> list[str]:
        """Paths whose content was sent."""
        return [line.removeprefix("GET ") for line in self.asked if line.startswith("GET ")]


@contextmanager
def serving() -> Iterator[Web]:
    """Serve on a free port until the block ends."""
    web = Web()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(with_content=True)

        def do_HEAD(self) -> None:
            self._answer(with_content=False)

        def _answer(self, with_content: bool) -> None:
            path = self.path.partition("?")[0]
            web.asked.append(f"{self.command} {path}")
            content = web.files.get(path)
            status = web.status.get(path, 404 if content is None else 200)
            self.send_response(status)
            for name, value in web.headers.items():
                self.send_header(name, value)
            self.send_header("ETag", f'"{hashlib.sha256(content or b"").hexdigest()}"')
            if status == 404:
                self.send_header("X-Error-Code", "EntryNotFound")
            if status in (401, 403):
                self.send_header("X-Error-Code", "GatedRepo")
            body = content if content is not None and status == 200 else b""
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if with_content:
                self.wfile.write(body)

        def log_message(self, *what: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    web.address = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield web
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def closed_address() -> str:
    """An address at which nothing answers."""
    with serving() as web:
        return web.address
