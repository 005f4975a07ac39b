"""The file of a stored report, part by part: written once, read as one file."""

from __future__ import annotations

import io
from typing import BinaryIO, Final
from uuid import UUID

from ledger.database.statements import execute, table_of
from reconciliation.models import ReportChunk, SettlementReport
from reconciliation.states import ReportStatus

CHUNK_BYTES: Final = 1024 * 1024
"""Of every part but the last."""
_CHUNKS: Final = table_of(ReportChunk)
# Another worker may have stored the last part of the same file, and said so, in between.
_STORE: Final = (
    f"INSERT INTO {_CHUNKS} (report_id, number, body) SELECT id, %s::int, %s::bytea "
    f"FROM {table_of(SettlementReport)} WHERE id = %s AND status = '{ReportStatus.RECEIVING}' "
    "FOR SHARE ON CONFLICT (report_id, number) DO NOTHING"
)


def store_chunks(report_id: UUID, file: BinaryIO) -> None:
    """Store a file in parts, each in its own transaction outside one of the caller.

    Parts that are here already stay: storing it was interrupted, and they are of the same file.
    """
    file.seek(0)
    number = 0
    while body := file.read(CHUNK_BYTES):
        execute(_STORE, [number, body, report_id])
        number += 1


def stored_file(report_id: UUID) -> BinaryIO:
    """The file as it came, to be read from any place. One part of it is in memory."""
    return io.BufferedReader(_StoredFile(report_id))


class _StoredFile(io.RawIOBase):
    def __init__(self, report_id: UUID) -> None:
        super().__init__()
        self._report_id = report_id
        self._place = 0
        self._chunk = (-1, b"")

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        if whence == io.SEEK_END:
            raise io.UnsupportedOperation("a stored file is sought from its beginning")
        self._place = offset if whence == io.SEEK_SET else self._place + offset
        return self._place

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        number, start = divmod(self._place, CHUNK_BYTES)
        if self._chunk[0] != number:
            self._chunk = (number, self._read_chunk(number))
        piece = self._chunk[1][start : start + len(buffer)]
        buffer[: len(piece)] = piece
        self._place += len(piece)
        return len(piece)

    def _read_chunk(self, number: int) -> bytes:
        rows = execute(
            f"SELECT body FROM {_CHUNKS} WHERE report_id = %s AND number = %s",
            [self._report_id, number],
        )
        return bytes(rows[0][0]) if rows else b""
