"""The merchants' servers: `python -m bench.webhooks.receiver LOG`, prints its port.

One process, one event loop: what it writes to the log is in the order in which it arrived. Paths
begin with their behavior: `/ok/…` accepts everything, `/fail/…` answers 500, `/hang/…` hangs.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from hashlib import sha256
from typing import IO

_OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"
_FAIL = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
_FLUSH_SECONDS = 0.2


async def _serve(log: IO[str]) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await _answer_one(reader, writer, log)
        except (asyncio.IncompleteReadError, ConnectionError):
            return  # a relay that was killed
        finally:
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0, backlog=512)
    print(server.sockets[0].getsockname()[1], flush=True)
    while True:
        await asyncio.sleep(_FLUSH_SECONDS)
        log.flush()


async def _answer_one(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, log: IO[str]
) -> None:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    path = head[0].split(" ")[1]
    fields = (line.partition(": ") for line in head[1:] if line)
    headers = {name.lower(): value for name, _, value in fields}
    body = await reader.readexactly(int(headers["content-length"]))
    line = [
        path,
        headers["webhook-id"],
        headers["event-aggregate"],
        int(headers["event-sequence"]),
        time.time(),
        sha256(body).hexdigest(),
    ]
    log.write(json.dumps(line) + "\n")
    if path.startswith("/hang/"):
        await reader.read()  # until the relay closes the connection
        return
    writer.write(_OK if path.startswith("/ok/") else _FAIL)
    await writer.drain()


if __name__ == "__main__":
    with open(sys.argv[1], "w") as opened:
        asyncio.run(_serve(opened))
