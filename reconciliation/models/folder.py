"""Files of the watched folders: what was taken in from there, so that it is not read again."""

from __future__ import annotations

from django.db import models

from payments.models import PspAccount
from reconciliation.models.report import SettlementReport


class WatchedFile(models.Model):
    """A file of an account's folder, as it was when it was taken in or refused."""

    application_rights = ("select", "insert", "update")
    permanent_columns = ("psp_account_id", "name", "found_at")

    psp_account = models.ForeignKey(
        PspAccount, on_delete=models.PROTECT, db_constraint=False, db_index=False
    )
    name = models.CharField(max_length=128)
    size_bytes = models.BigIntegerField()
    modified_ns = models.BigIntegerField()
    """By the file system; a file of another size or time is another version, and is taken in."""
    report = models.ForeignKey(
        SettlementReport, on_delete=models.PROTECT, null=True, blank=True, db_constraint=False
    )
    """Which report it is; NULL: it was not stored."""
    failing_since = models.DateTimeField(null=True, blank=True)
    next_attempt_at = models.DateTimeField(null=True, blank=True)
    """When to try this version again; NULL: it was stored, or refused for good."""
    last_error = models.CharField(max_length=500, blank=True)
    found_at = models.DateTimeField()

    class Meta:
        db_table = "reconciliation_watched_file"
        constraints = [
            models.UniqueConstraint(fields=["psp_account", "name"], name="watched_file_once"),
        ]

    def __str__(self) -> str:
        return self.name
