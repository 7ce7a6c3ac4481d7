"""Callers over HTTP with nothing but Python's own library."""

import http.client
import json
import socket
import ssl
import struct
import threading
import time
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

BOUNDARY = "lacuna-containers"
Fields = Mapping[str, str | int]
"""The fields of a form beside its files."""
_SECONDS = 150.0


@dataclass(frozen=True)
class Answer:
    """What became of one request; the status is 0 where there was no answer."""

    status: int
    headers: Mapping[str, str]
    content: bytes
    seconds: float

    def __str__(self) -> str:
        if self.status in (0, 200):
            return f"{self.status or 'none'} {self.headers.get('x-knockout-mode', '')}".strip()
        try:
            return f"{self.status} {json.loads(self.content)['error']}"
        except (ValueError, KeyError):
            return f"{self.status}"


@dataclass(frozen=True)
class Service:
    """Where the gateway is, and with which token; ``tls`` trusts whatever certificate it shows."""

    port: int
    token: str
    tls: bool = False
    host: str = "127.0.0.1"

    def connection(self) -> http.client.HTTPConnection:
        """One for each request, as callers that come through a balancer have."""
        if not self.tls:
            return http.client.HTTPConnection(self.host, self.port, timeout=_SECONDS)
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return http.client.HTTPSConnection(self.host, self.port, timeout=_SECONDS, context=context)

    def get(self, path: str) -> Answer:
        """Asks for a path."""
        return self._ask("GET", path, None, {})

    def inpaint(self, photo: bytes, fields: Fields, mask: bytes = b"") -> Answer:
        """Has something erased."""
        return self._ask("POST", "/inpaint", form(photo, fields, mask), {
            "Content-Type": f"multipart/form-data; boundary={BOUNDARY}",
        })  # fmt: skip

    def _ask(
        self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]
    ) -> Answer:
        begin = time.monotonic()
        connection = self.connection()
        try:
            connection.request(
                method, path, body, {"Authorization": f"Bearer {self.token}", **headers}
            )
            answer = connection.getresponse()
            content = answer.read()
            said = {name.lower(): value for name, value in answer.getheaders()}
            return Answer(answer.status, said, content, time.monotonic() - begin)
        except (OSError, http.client.HTTPException) as error:
            return Answer(0, {}, repr(error).encode(), time.monotonic() - begin)
        finally:
            connection.close()


def form(photo: bytes, fields: Fields, mask: bytes = b"") -> bytes:
    """A multipart body."""
    parts = [
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in fields.items()
    ]
    for name, content in (("file", photo), ("mask", mask)):
        if content:
            head = (
                f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"; filename="{name}"'
                "\r\nContent-Type: application/octet-stream\r\n\r\n"
            )
            parts.append(head.encode() + content + b"\r\n")
    return b"".join([*parts, f"--{BOUNDARY}--\r\n".encode()])


@dataclass
class Load:
    """Callers that each send their next request once the last is answered."""

    count: int
    service: Service
    photo: bytes
    fields: Fields
    answers: list[Answer] = field(default_factory=list)
    _end: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def __enter__(self) -> "Load":
        for _ in range(self.count):
            thread = threading.Thread(target=self._call)
            thread.start()
            self._threads.append(thread)
        return self

    def __exit__(self, *_error: object) -> None:
        self.finish()

    def hold(self) -> None:
        """Sends nothing more."""
        self._end.set()

    def finish(self) -> list[Answer]:
        """Sends nothing more, and waits for what is under way."""
        self.hold()
        for thread in self._threads:
            thread.join()
        return self.answers

    def _call(self) -> None:
        while not self._end.is_set():
            self.answers.append(self.service.inpaint(self.photo, self.fields))


def once_each(calls: Sequence[tuple[Service, bytes, Fields]]) -> list[Answer]:
    """Sends all of them at once, each once."""
    answers: list[Answer] = []

    def call(service: Service, photo: bytes, fields: Fields) -> None:
        answers.append(service.inpaint(photo, fields))

    threads = [threading.Thread(target=call, args=each) for each in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


def count(answers: Sequence[Answer]) -> str:
    """How many of each kind."""
    kinds = Counter(map(str, answers))
    return ", ".join(f"{number} x {kind}" for kind, number in kinds.most_common()) or "none"


def png(
    width: int,
    height: int,
    *,
    depth: int = 8,
    channels: int = 3,
    white: tuple[int, int, int, int] = (0, 0, 0, 0),
) -> bytes:
    """Slow gradients, so that the largest photo that is allowed is a small file.

    With a box ``white`` (left, top, right, bottom) it is a mask: white there, black elsewhere.
    """
    size = channels * depth // 8

    def chunk(name: bytes, content: bytes) -> bytes:
        checked = struct.pack(">I", zlib.crc32(name + content))
        return struct.pack(">I", len(content)) + name + content + checked

    def rows() -> Iterator[bytes]:
        left, top, right, bottom = white
        if right:
            for y in range(height):
                level = 255 if top <= y < bottom else 0
                row = bytes(level if left <= x < right else 0 for x in range(width))
                yield b"\0" + b"".join(bytes([each]) * size for each in row)
            return
        yield b"\0" + b"".join(bytes([16 + (x // 16) % 200]) * size for x in range(width))
        for y in range(1, height):
            # As the row above it (filter 2, "up"), now and then one level more.
            yield b"\2" + (b"\1" if y % 64 == 0 else b"\0") * (width * size)

    colour = {1: 0, 3: 2, 4: 6}[channels]
    packer = zlib.compressobj(6)
    data = b"".join([*(packer.compress(row) for row in rows()), packer.flush()])
    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        [chunk(b"IHDR", head), chunk(b"IDAT", data), chunk(b"IEND", b"")]
    )


def free_port() -> int:
    """A port that nobody has at the moment."""
    with socket.socket() as opened:
        opened.bind(("127.0.0.1", 0))
        return int(opened.getsockname()[1])
