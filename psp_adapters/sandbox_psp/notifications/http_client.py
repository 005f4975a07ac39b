"""Posts over one kept-alive HTTP/1.1 connection."""

from __future__ import annotations

import asyncio
from typing import Final
from urllib.parse import urlsplit

_TIMEOUT_SECONDS: Final = 10.0
_ANSWER_BYTES_MAX: Final = 64 * 1024
LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")


class NotDelivered(Exception):
    """There was no whole answer."""


class HttpConnection:
    """Posts to one address after another; keeps the connection while the address stays the same."""

    def __init__(self) -> None:
        self._address: tuple[str, int] | None = None
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def post(self, url: str, headers: dict[str, str], body: bytes) -> int:
        """Post, and return the answer's status. Raises NotDelivered.

        Tries once more if the server has closed a kept connection.
        """
        parts = urlsplit(url)
        address = (parts.hostname or "", parts.port or 80)
        kept = self._writer is not None and self._address == address
        lines = [f"POST {parts.path or '/'} HTTP/1.1", f"Host: {parts.netloc}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}", "", ""]
        message = "\r\n".join(lines).encode() + body
        try:
            async with asyncio.timeout(_TIMEOUT_SECONDS):
                try:
                    return await self._exchange(address, message)
                except (OSError, EOFError):
                    if not kept:
                        raise
                    return await self._exchange(address, message)
        except (OSError, EOFError, ValueError, TimeoutError) as error:
            self.close()
            raise NotDelivered(type(error).__name__) from error

    def close(self) -> None:
        """Close the connection."""
        if self._writer is not None:
            self._writer.close()
        self._reader = self._writer = self._address = None

    async def _exchange(self, address: tuple[str, int], message: bytes) -> int:
        if self._address != address or self._writer is None or self._reader is None:
            self.close()
            self._reader, self._writer = await asyncio.open_connection(*address)
            self._address = address
        try:
            self._writer.write(message)
            return await self._answer(self._reader)
        except BaseException:
            self.close()
            raise

    async def _answer(self, reader: asyncio.StreamReader) -> int:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        status = int(head.split(" ", 2)[1])
        length = None
        for line in head.split("\r\n")[1:]:
            name, _, value = line.partition(":")
            if name == "content-length":
                length = int(value)
        if length is None or length > _ANSWER_BYTES_MAX or "connection: close" in head:
            self.close()  # only the status matters
        elif length:
            await reader.readexactly(length)
        return status
