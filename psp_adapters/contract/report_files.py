"""A settlement report's file while an adapter reads it: a line of text at a time, in any number of
sittings. Only so much of it is in memory as one line needs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO, Final

from psp_adapters.contract.settlement_reports import ReportUnreadable

ROW_BYTES_MAX: Final = 16 * 1024
REPORT_BYTES_MAX: Final = 4 * 1024**3
"""Of a file: some 20 million lines. It bounds what one file may take of a disk, not of memory."""


@dataclass(slots=True)
class ReadingProgress:
    """How far a file was read, and what its adapter must know to go on: plain JSON."""

    bytes_read: int = 0
    text_lines: int = 0
    columns: list[str] = field(default_factory=list)
    """Of a file with a header."""
    sums: dict[str, list[int]] = field(default_factory=dict)
    """By currency, of the lines read so far; the adapter says of what."""
    confirmed: list[str] = field(default_factory=list)
    """Currencies whose control row has come, and agreed."""


class ReportFile:
    """The file, from where its progress says that reading has come to.

    `progress` is right whenever the adapter has yielded a line: reading can stop there, and go on
    with another ReportFile.
    """

    def __init__(self, stream: BinaryIO, progress: ReadingProgress | None = None) -> None:
        """`stream` can be sought."""
        self._stream = stream
        self.progress = progress or ReadingProgress()

    def begins_with(self, prefix: bytes) -> bool:
        """Whether these are the first bytes of the file, wherever reading is."""
        self._stream.seek(0)
        return self._stream.read(len(prefix)) == prefix

    def text_lines(self) -> Iterator[tuple[int, bytes]]:
        """Each further line of text with its number.

        Raises ReportUnreadable for one that is too long, cut, or has a NUL.
        """
        progress = self.progress
        self._stream.seek(progress.bytes_read)
        while raw := self._stream.readline(ROW_BYTES_MAX + 1):
            progress.text_lines += 1
            progress.bytes_read += len(raw)
            number = progress.text_lines
            if len(raw) > ROW_BYTES_MAX:
                raise ReportUnreadable(f"line {number}: too long")
            if not raw.endswith(b"\n"):
                raise ReportUnreadable(f"line {number}: it ends in the middle")
            if b"\0" in raw:
                raise ReportUnreadable(f"line {number}: a NUL")
            yield number, raw
