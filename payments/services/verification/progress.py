"""Keeps how far each verification has come, so that one worker at a time advances it."""

from __future__ import annotations

from typing import Any, Final
from uuid import UUID

from payments.clock import now_utc
from payments.models import BooksCheck
from payments.selectors.books_checks import EVERYTHING, RECENT

BEFORE_EVERY_ID: Final = UUID(int=0)


def progress(name: str, *, from_position: UUID = BEFORE_EVERY_ID) -> BooksCheck:
    """The row of a verification; made on first use, starting after `from_position`."""
    row, _ = BooksCheck.objects.get_or_create(
        name=name, defaults={"position": from_position, "added_at": now_utc()}
    )
    return row


def advance(row: BooksCheck, **changes: Any) -> bool:
    """Write how far it has come. Returns False, writing nothing, if another worker advanced it."""
    unchanged = BooksCheck.objects.filter(pk=row.pk, part=row.part, position=row.position)
    if not unchanged.update(**changes):
        return False
    for name, value in changes.items():
        setattr(row, name, value)
    return True


__all__ = ["BEFORE_EVERY_ID", "EVERYTHING", "RECENT", "advance", "progress"]
