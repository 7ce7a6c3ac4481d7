"""Hostile connections, as a program of its own so that they do not slow the callers they disturb.

``python slow.py PORT COUNT`` keeps COUNT connections open, a third of each kind: headers that come
a byte a second, bodies that stall, readers that do not read. One that is cut off is opened again.
The program ends with its standard input.
"""

import asyncio
import os
import socket
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress

HOST = "127.0.0.1"
BODY_BYTES = 64 * 1024
"""What a stalling body sends before it stalls."""
PAGES = 400
"""Pages that a reader asks for at once, and does not read: more than the buffers between hold."""
RECEIVE_BUFFER = 4096


async def main(port: int, count: int) -> None:
    """Opens all connections and keeps them until standard input ends."""
    kinds = (slow_headers, stalling_body, lazy_reader)
    tasks = [asyncio.create_task(again(kinds[number % 3], port)) for number in range(count)]
    await asyncio.to_thread(sys.stdin.read)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def again(kind: Callable[[int], Awaitable[None]], port: int) -> None:
    """One connection after the other."""
    while True:
        with suppress(OSError):
            await kind(port)
        await asyncio.sleep(0.1)


async def slow_headers(port: int) -> None:
    """A header that never ends, a byte a second."""
    _, writer = await asyncio.open_connection(HOST, port)
    try:
        writer.write(b"POST /inpaint HTTP/1.1\r\nHost: lacuna\r\nX-Slow: ")
        while True:
            writer.write(b"a")
            await writer.drain()
            await asyncio.sleep(1)
    finally:
        writer.transport.abort()


async def stalling_body(port: int) -> None:
    """A good caller's request whose body stops in its middle."""
    reader, writer = await asyncio.open_connection(HOST, port)
    try:
        head = (
            "POST /inpaint HTTP/1.1\r\nHost: lacuna\r\n"
            f"Authorization: Bearer {os.environ['PROOF_TOKEN']}\r\n"
            "Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 1000000\r\n\r\n"
            '--b\r\nContent-Disposition: form-data; name="file"\r\n\r\n'
        )
        writer.write(head.encode() + bytes(BODY_BYTES))
        await reader.read()
    finally:
        writer.transport.abort()


async def lazy_reader(port: int) -> None:
    """Many pages asked for, and not a byte of them read, until the service gives up."""
    plain = socket.socket()
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
    plain.setblocking(False)
    try:
        loop = asyncio.get_running_loop()
        await loop.sock_connect(plain, (HOST, port))
        asked = b"GET /docs HTTP/1.1\r\nHost: lacuna\r\n\r\n" * PAGES
        await asyncio.wait_for(loop.sock_sendall(plain, asked), 40)
        # Nothing tells a connection that does not read that it was cut off.
        await asyncio.sleep(40)
    finally:
        plain.close()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2])))
