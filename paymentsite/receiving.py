"""Receives each request whole, within a deadline, before a thread works on it.

granian's own WSGI interface hands a request to a thread once its headers are there. Clients that
never finish a body would then hold every thread, without any key. Here an event loop receives the
body; a thread runs the WSGI application afterwards. Sources: RSGI 1.6 (granian), PEP 3333.
"""

from __future__ import annotations

import asyncio
import io
import logging
import sys
import tempfile
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, BinaryIO, Final
from wsgiref.types import WSGIApplication

import orjson

from payments.api.decoding import MAX_BODY_BYTES
from payments.api.error_codes import doc_url, type_of

HEADER_BYTES_MAX: Final = 32 * 1024
"""All names and values together. The number of headers is limited by granian: 100."""
LARGE_BODY_BYTES: Final = 64 * 1024
LARGE_BODIES_MAX: Final = 64
"""Bodies above that size that one process receives at once: they are held in memory."""
UPLOADS_MAX: Final = 2
"""Files that one process receives at once: they are held on disk."""
UPLOAD_WITHIN_SECONDS: Final = 30.0
_NAMES_KEPT_MAX: Final = 500

logger = logging.getLogger(__name__)


class WholeRequests:
    """Serves a WSGI application through granian's RSGI interface, in `threads` threads."""

    def __init__(
        self,
        application: WSGIApplication,
        *,
        threads: int,
        body_within_seconds: float,
        uploads: Mapping[str, int] | None = None,
    ) -> None:
        """`uploads`: paths whose larger bodies are received into a file, and how large at most."""
        self._application = application
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="request")
        self._body_within_seconds = body_within_seconds
        self._large_bodies = 0
        self._uploads, self._uploads_under_way = uploads or {}, 0
        self._variables = {"content-type": "CONTENT_TYPE", "content-length": "CONTENT_LENGTH"}

    async def __rsgi__(self, scope: Any, protocol: Any) -> None:
        """Receive one request, have a thread answer it, and wait until it has.

        A WSGI environment cannot tell `X_Forwarded_Proto` from the header that a proxy guards.
        """
        headers = scope.headers.items()
        if sum(len(name) + len(value) for name, value in headers) > HEADER_BYTES_MAX:
            message = f"The headers are larger than {HEADER_BYTES_MAX} bytes."
            return _refuse(protocol, 431, "headers_too_large", message)
        if any("_" in name for name in scope.headers.keys()):  # noqa: SIM118  (no dictionary)
            message = "A header's name holds an underscore: write a dash, as in Idempotency-Key."
            return _refuse(protocol, 400, "header_name_invalid", message)
        body: BinaryIO | None = io.BytesIO()
        length = _length_of(scope.headers)
        if 0 < length <= MAX_BODY_BYTES:
            body = await self._receive(protocol, length)
        elif length and scope.path in self._uploads:
            body = await self._receive_file(protocol, length, most=self._uploads[scope.path])
        if body is None:
            return
        environ = self._environ(scope, headers, body)
        loop = asyncio.get_running_loop()
        with body:  # the file of an upload ends with it
            await loop.run_in_executor(self._threads, self._answer, environ, protocol)

    async def _receive(self, protocol: Any, length: int) -> BinaryIO | None:
        """The body. Returns None if it was refused, with the answer already sent."""
        is_large = length > LARGE_BODY_BYTES
        if is_large and self._large_bodies >= LARGE_BODIES_MAX:
            message = "Too many large requests are on their way. Send it again in a second."
            _refuse(protocol, 503, "too_many_large_requests", message)
            return None
        self._large_bodies += is_large
        try:
            async with asyncio.timeout(self._body_within_seconds):
                return io.BytesIO(await protocol())
        except TimeoutError:
            _refuse_late(protocol, self._body_within_seconds)
        except RuntimeError:  # the client closed its connection, or its side of it
            _refuse(protocol, 400, "body_malformed", "The request body ended too early.")
        finally:
            self._large_bodies -= is_large
        return None

    async def _receive_file(self, protocol: Any, length: int, *, most: int) -> BinaryIO | None:
        """The body, in a file without a name. Returns None if it was refused."""
        if length > most:
            message = f"The request body is larger than {most} bytes."
            _refuse(protocol, 413, "body_too_large", message)
            return None
        if self._uploads_under_way >= UPLOADS_MAX:
            message = "Other files are on their way. Send it again in a minute."
            _refuse(protocol, 503, "too_many_large_requests", message)
            return None
        self._uploads_under_way += 1
        file = tempfile.TemporaryFile()  # noqa: SIM115  (the environment keeps it)
        try:
            async with asyncio.timeout(UPLOAD_WITHIN_SECONDS):
                async for piece in protocol:
                    file.write(piece)
            file.seek(0)
            return file
        except TimeoutError:
            _refuse_late(protocol, UPLOAD_WITHIN_SECONDS)
        except RuntimeError:  # the client closed its connection, or its side of it
            _refuse(protocol, 400, "body_malformed", "The request body ended too early.")
        finally:
            self._uploads_under_way -= 1
        return None

    def _answer(self, environ: dict[str, Any], protocol: Any) -> None:
        """Run the application and send its answer; runs in one of the threads."""
        status, headers = 500, []

        def start_response(line: str, given: list[tuple[str, str]], *_: Any) -> Any:
            nonlocal status, headers
            status, headers = int(line[:3]), given

        try:
            parts: Iterable[bytes] = self._application(environ, start_response)
            try:
                content = b"".join(parts)
            finally:
                getattr(parts, "close", bool)()
        except Exception:
            logger.exception("the web application failed")
            status, headers, content = 500, [], b""
        protocol.response_bytes(status, headers, content)

    def _environ(
        self, scope: Any, headers: list[tuple[str, str]], body: BinaryIO
    ) -> dict[str, Any]:
        server, _, port = scope.server.rpartition(":")
        environ: dict[str, Any] = {
            "REQUEST_METHOD": scope.method,
            "SCRIPT_NAME": "",
            "PATH_INFO": scope.path.encode().decode("latin-1"),
            "QUERY_STRING": scope.query_string,
            "SERVER_NAME": server,
            "SERVER_PORT": port,
            "SERVER_PROTOCOL": f"HTTP/{scope.http_version}",
            "REMOTE_ADDR": scope.client.rpartition(":")[0].strip("[]"),
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": scope.scheme,
            "wsgi.input": body,
            "wsgi.errors": sys.stderr,
            "wsgi.multithread": True,
            "wsgi.multiprocess": True,
            "wsgi.run_once": False,
        }
        whole = len(environ) + len(scope.headers)
        for name, value in headers:
            variable = self._variable(name)
            if variable in environ:
                value = f"{environ[variable]}{'; ' if name == 'cookie' else ','}{value}"
            environ[variable] = value
        if len(environ) < whole:  # a value that is not ASCII is not among them
            for name in scope.headers:
                environ.setdefault(self._variable(name), "")
        environ.setdefault("HTTP_HOST", scope.authority or "")
        return environ

    def _variable(self, name: str) -> str:
        """The name of a header in a WSGI environment."""
        variable = self._variables.get(name)
        if variable is None:
            variable = f"HTTP_{name.upper().replace('-', '_')}"
            if len(self._variables) < _NAMES_KEPT_MAX:  # clients choose names
                self._variables[name] = variable
        return variable


def _length_of(headers: Any) -> int:
    """Bytes of the body; 0 if it has no length.

    A body that is too large, or has no length, is not received: the page refuses it by its headers.
    """
    text = headers.get("content-length", "")
    return int(text) if text.isdigit() and len(text) < 20 else 0


def _refuse_late(protocol: Any, seconds: float) -> None:
    message = f"The request body was not complete after {seconds:g} s."
    _refuse(protocol, 408, "body_timeout", message)


def _refuse(protocol: Any, status: int, code: str, message: str) -> None:
    """Answer as the merchant API does, and close the connection."""
    error = {"type": type_of(status), "code": code, "message": message}
    if link := doc_url(code):
        error["doc_url"] = link
    headers = [("content-type", "application/json"), ("connection", "close")]
    if status == 503:
        headers.append(("retry-after", "1"))
    protocol.response_bytes(status, headers, orjson.dumps({"error": error}))
