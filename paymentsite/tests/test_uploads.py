"""The server receives a large file of an upload page into a file, and no other large body."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

from paymentsite.receiving import UPLOADS_MAX, WholeRequests


class Sender:
    """A client as the server knows it: sends its body in pieces, and keeps the answer."""

    def __init__(self, *pieces: bytes) -> None:
        self.pieces, self.status, self.body = pieces, 0, b""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self.pieces:
            yield piece

    def response_bytes(self, status: int, _: list[tuple[str, str]], body: bytes) -> None:
        self.status, self.body = status, body


def received(server: WholeRequests, sender: Sender, *, length: int, path: str = "/upload/") -> int:
    headers = {"content-length": str(length)}
    scope = SimpleNamespace(
        headers=headers,
        path=path,
        method="POST",
        query_string="",
        server="127.0.0.1:1",
        client="127.0.0.1:2",
        http_version="1.1",
        scheme="http",
        authority="x",
    )
    asyncio.run(server.__rsgi__(scope, sender))
    return sender.status


def test_a_large_upload_is_received_into_a_file_and_no_other_large_body() -> None:
    seen: list[Any] = []

    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        body = environ["wsgi.input"]
        seen.append((isinstance(body, io.BytesIO), len(body.read())))
        start_response("200 OK", [])
        return [b""]

    most = 4 * 1024 * 1024
    server = WholeRequests(
        application, threads=1, body_within_seconds=5, uploads={"/upload/": most}
    )
    piece = b"x" * 1024 * 1024
    assert received(server, Sender(*[piece] * 3), length=3 * len(piece)) == 200
    assert received(server, Sender(*[piece] * 3), length=3 * len(piece), path="/other/") == 200
    assert seen == [(False, 3 * len(piece)), (True, 0)]
    assert server._uploads_under_way == 0
    refused = Sender(piece)
    assert received(server, refused, length=most + 1) == 413
    assert json.loads(refused.body)["error"]["code"] == "body_too_large"
    server._uploads_under_way = UPLOADS_MAX
    assert received(server, Sender(piece), length=2 * len(piece)) == 503
    assert len(seen) == 2
