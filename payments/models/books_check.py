"""How far the checks of the books have come.

What may not live here: what is compared, and what a difference causes.
"""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

from django.db import models

from payments import public_ids


class BooksCheck(models.Model):
    """How far one verification has come; the next run goes on from here, also after a crash."""

    application_rights = ("select", "insert", "update")

    name = models.CharField(primary_key=True, max_length=32)
    part = models.CharField(max_length=64, blank=True)
    """What of a pass is being checked; empty while none is under way."""
    position = models.UUIDField(default=UUID(int=0))
    """The last row of the part that was compared: the id of an event, a payment, a row of the
    books."""
    began_at = models.DateTimeField(null=True, blank=True)
    """When the last pass began."""
    finished_at = models.DateTimeField(null=True, blank=True)
    """When the last pass ended that left nothing out."""
    compared = models.PositiveBigIntegerField(default=0)
    """Payments, since the pass began."""
    differences = models.PositiveBigIntegerField(default=0)
    unchecked = models.PositiveIntegerField(default=0)
    """Steps of the pass that took too long and were left out."""
    added_at = models.DateTimeField()

    class Meta:
        db_table = "payments_books_check"
        verbose_name = "check of the books"
        verbose_name_plural = "checks of the books"

    def __str__(self) -> str:
        return self.name

    @property
    def compared_to(self) -> datetime | None:
        """When the last row that was compared was made; None before the first."""
        created_ms = public_ids.created_ms_of(self.position)
        return datetime.fromtimestamp(created_ms / 1000, UTC) if created_ms else None
