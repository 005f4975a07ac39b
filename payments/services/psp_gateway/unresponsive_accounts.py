"""PSP accounts that give no answer, as one sweep meets them: the others do not wait for them.

What may not live here: asking, the database.
"""

from __future__ import annotations

from collections import Counter
from typing import Final
from uuid import UUID

UNANSWERED_MAX: Final = 2
"""Questions in a row: one bad answer may be about one operation only."""


class Silence:
    """Counts, per account, the questions without an answer since the last with one."""

    def __init__(self) -> None:
        self._unanswered: Counter[UUID] = Counter()

    def note(self, psp_account_id: UUID, *, answered: bool) -> None:
        """How one question ended."""
        self._unanswered[psp_account_id] = 0 if answered else self._unanswered[psp_account_id] + 1

    def is_silent(self, psp_account_id: UUID) -> bool:
        """Should the rest of the sweep leave it alone?"""
        return self._unanswered[psp_account_id] >= UNANSWERED_MAX

    @property
    def accounts(self) -> list[UUID]:
        """All that are to be left alone."""
        return [each for each in self._unanswered if self.is_silent(each)]
