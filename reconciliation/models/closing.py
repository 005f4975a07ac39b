"""Days of the books that were closed, and what the books said then."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models

from payments import public_ids


class BooksClose(models.Model):
    """One close: through which day, of which PSP accounts, by whom, and the books' state then.

    Never changed or deleted.
    """

    application_rights = ("select", "insert")

    id = models.UUIDField(primary_key=True, default=public_ids.new_id, editable=False)
    through = models.DateField()
    psp_accounts = ArrayField(models.CharField(max_length=64, blank=True))
    """Their codes; an empty one for what is posted for none."""
    author = models.CharField(max_length=200)
    reason = models.CharField(max_length=1000, blank=True)
    open_points = models.JSONField(default=list)
    """What was open when it was closed all the same: a sentence each."""
    accounts_count = models.IntegerField()
    """Accounts of the books with a balance at the end of the day."""
    balances_sha256 = models.CharField(max_length=64)
    """Of all balances at the end of the day: no later posting may change them."""
    head_number = models.BigIntegerField()
    """The newest block of the hash chain then."""
    head_sha256 = models.CharField(max_length=64)
    closed_at = models.DateTimeField()

    class Meta:
        db_table = "reconciliation_books_close"
        verbose_name = "close of the books"
        verbose_name_plural = "closes of the books"
        indexes = [models.Index("through", name="books_close_through")]
        constraints = [
            models.CheckConstraint(
                condition=~models.Q(author="") & ~models.Q(psp_accounts=[]),
                name="books_close_has_an_author",
            ),
        ]

    def __str__(self) -> str:
        return f"closed through {self.through}"
