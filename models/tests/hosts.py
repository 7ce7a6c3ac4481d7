"""A web server on loopback that stands in for the hosts of the weights, faults included."""

import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Host:
    """What it serves, how it misbehaves, and what it was asked."""

    content: bytes
    ranges: bool = True
    """Whether it answers a part of the file when a part is asked for."""
    breaks_after: list[int] = field(default_factory=list)
    """For each connection in turn: bytes of the body before it is cut. Then no more."""
    stalls_after: list[int] = field(default_factory=list)
    """For each connection in turn: bytes of the body before nothing more comes."""
    drips: bool = False
    """Sends a byte at a time with pauses, and never stops."""
    statuses: list[int] = field(default_factory=list)
    """For each connection in turn: an error status instead of the file."""
    announces_length: bool = True
    redirects: bool = False
    requests: list[tuple[str, str | None]] = field(default_factory=list)
    """Path and Range header of each request."""
    address: str = ""

    @property
    def url(self) -> str:
        return f"{self.address}/weights.bin"


@contextmanager
def serving(host: Host) -> Iterator[Host]:
    """Serves until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: Any) -> None: ...

        def do_GET(self) -> None:
            self.close_connection = True
            wanted = self.headers.get("Range")
            host.requests.append((self.path, wanted))
            if host.redirects and not self.path.endswith("/moved"):
                self.send_response(302)
                self.send_header("Location", f"{host.address}/moved")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            if host.statuses:
                self.send_error(host.statuses.pop(0))
                return
            self._answer(_start(wanted) if host.ranges else 0)

        def _answer(self, start: int) -> None:
            body, size = host.content[start:], len(host.content)
            if start and start >= size:
                self.send_error(416)
                return
            self.send_response(206 if start else 200)
            if start:
                self.send_header("Content-Range", f"bytes {start}-{size - 1}/{size}")
            if host.announces_length:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            with suppress(ConnectionError):  # the other side gives up where a test wants it to
                self._send(body)

        def _send(self, body: bytes) -> None:
            if host.drips:
                for byte in body:
                    self.wfile.write(bytes([byte]))
                    time.sleep(0.05)
            elif host.breaks_after:
                self.wfile.write(body[: host.breaks_after.pop(0)])
            elif host.stalls_after:
                self.wfile.write(body[: host.stalls_after.pop(0)])
                stopped.wait(10)
            else:
                self.wfile.write(body)

    stopped = threading.Event()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    host.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield host
    finally:
        stopped.set()
        server.shutdown()
        thread.join()
        server.server_close()


def _start(header: str | None) -> int:
    match = re.fullmatch(r"bytes=(\d+)-", header or "")
    return int(match[1]) if match else 0
