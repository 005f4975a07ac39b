"""Refuses a report's file with a card number in it, before any part of it is stored."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from typing import BinaryIO, Final

from payments.models import PspAccount
from payments.services.psp_gateway.accounts import adapter_of
from psp_adapters.contract.card_numbers import card_numbers_in
from psp_adapters.contract.report_files import ReportFile
from psp_adapters.contract.settlement_reports import ReportUnreadable

_PIECE_BYTES: Final = 64 * 1024
"""A line is looked at in pieces, so that one without end takes no memory."""
_OVERLAP_BYTES: Final = 256
"""Between pieces of a line: a number that two of them share is seen whole."""
_FOUND_AT_ONCE: Final = 10_000


def require_no_card_number(account: PspAccount, file: BinaryIO) -> None:
    """Refuse a file with a card number in it: masked, it would no longer be the PSP's file.

    Ids of the PSP that look like one are none: they are looked for if some number was found. Raises
    ValueError, which names the line and does not quote it.
    """
    found = _numbers_in(file)
    while some := dict(islice(found, _FOUND_AT_ONCE)):
        place = file.tell()
        for card in some.keys() - _ids_among(some, account, file):
            raise ValueError(
                f"line {some[card]} holds what looks like a card number. Nothing of the file was "
                "stored: ask the PSP for a report without card numbers"
            )
        file.seek(place)


def _numbers_in(file: BinaryIO) -> Iterator[tuple[str, int]]:
    """What looks like a card number, with the number of its line."""
    file.seek(0)
    number, before = 1, b""
    while raw := file.readline(_PIECE_BYTES):
        for text in (before + raw).decode("utf-8", "replace").splitlines():
            for each in card_numbers_in(text):
                yield each, number
        is_end = raw.endswith(b"\n")
        number += is_end
        before = b"" if is_end else raw[-_OVERLAP_BYTES:]


def _ids_among(found: dict[str, int], account: PspAccount, file: BinaryIO) -> set[str]:
    ids: set[str] = set()
    with suppress(ReportUnreadable):
        for line in adapter_of(account).read_report(ReportFile(file)):
            for each in (line.identity, line.psp_id, line.psp_payment_id):
                # Also a part of one: of a hundred thousand ids of random digits, some have one.
                ids |= found.keys() & {each, *card_numbers_in(each)}
    return ids
