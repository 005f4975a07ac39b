"""Exports that are written by themselves: which day or month of which export has its file."""

from __future__ import annotations

from django.db import models


class ScheduledExport(models.Model):
    """One export of a day or month that is over; written once, into EXPORTS_FOLDER."""

    application_rights = ("select", "insert", "update")
    permanent_columns = ("export", "first_day", "last_day", "planned_at")

    export = models.CharField(max_length=32)
    first_day = models.DateField()
    last_day = models.DateField()
    """Another day than the first: it is of a month."""
    planned_at = models.DateTimeField()
    next_attempt_at = models.DateTimeField(null=True, blank=True)
    """When to write it; NULL: it is written."""
    attempts = models.PositiveIntegerField(default=0)
    failing_since = models.DateTimeField(null=True, blank=True)
    last_error = models.CharField(max_length=500, blank=True)
    written_at = models.DateTimeField(null=True, blank=True)
    file = models.CharField(max_length=200, blank=True)
    """Below EXPORTS_FOLDER; empty until it is written."""
    row_count = models.BigIntegerField(null=True, blank=True)
    file_sha256 = models.CharField(max_length=64, blank=True)

    class Meta:
        db_table = "reconciliation_scheduled_export"
        constraints = [
            models.UniqueConstraint(
                fields=["export", "first_day", "last_day"], name="scheduled_export_once"
            ),
            models.CheckConstraint(
                condition=models.Q(
                    written_at__isnull=True,
                    next_attempt_at__isnull=False,
                    file="",
                    file_sha256="",
                    row_count__isnull=True,
                )
                | (
                    models.Q(
                        written_at__isnull=False,
                        next_attempt_at__isnull=True,
                        row_count__isnull=False,
                    )
                    & ~models.Q(file="")
                    & ~models.Q(file_sha256="")
                ),
                name="scheduled_export_waits_or_is_written",
            ),
        ]
        indexes = [
            models.Index(
                "next_attempt_at",
                name="scheduled_export_due",
                condition=models.Q(next_attempt_at__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.export} of {self.period}"

    @property
    def is_of_a_month(self) -> bool:
        return self.first_day != self.last_day

    @property
    def period(self) -> str:
        """The day, or the month."""
        return f"{self.last_day:%Y-%m}" if self.is_of_a_month else f"{self.last_day}"
