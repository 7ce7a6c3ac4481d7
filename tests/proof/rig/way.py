"""A way to a server that can lead to another, or be made silent."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from local_stack.ports import HOST


class Way:
    """Carries connections; the address stays the same wherever it leads."""

    def __init__(self, port: int) -> None:
        """Leads to this port at first."""
        self._to = port
        self._silent = False
        self._open: set[asyncio.StreamWriter] = set()
        self.address = ""

    def lead_to(self, port: int) -> None:
        """Ends all connections; new ones go to ``port``."""
        self._to = port
        for writer in self._open:
            writer.transport.abort()

    def fall_silent(self) -> None:
        """Connections stay open and are taken, and what is sent is lost."""
        self._silent = True

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, for as long as both sides hold it."""
        with suppress(OSError):
            there_reader, there_writer = await asyncio.open_connection(HOST, self._to)
            both = {writer, there_writer}
            self._open |= both
            try:
                await asyncio.gather(
                    self._carry(reader, there_writer), self._carry(there_reader, writer)
                )
            finally:
                self._open -= both
                there_writer.close()
        writer.close()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while content := await reader.read(1 << 16):
                if not self._silent:
                    writer.write(content)
                    await writer.drain()
        if not self._silent:
            writer.close()


@asynccontextmanager
async def way_to(port: int) -> AsyncIterator[Way]:
    """A way that leads to ``port``."""
    way = Way(port)
    server = await asyncio.start_server(way.take, HOST, 0)
    way.address = f"http://{HOST}:{server.sockets[0].getsockname()[1]}"
    try:
        yield way
    finally:
        server.close()
        way.lead_to(port)
