"""Settlement reports: files of a PSP, stored as they came."""

from __future__ import annotations

from django.db import models
from django_fsm import transition

from payments import public_ids
from payments.models import PspAccount
from payments.models.machine import MachineModel, StatusField
from payments.states import sources_of
from reconciliation.states import REPORT_TRANSITIONS, ReportStatus

S = ReportStatus


class SettlementReport(MachineModel):
    """What a PSP says it did with the money of one account, in one file."""

    application_rights = ("select", "insert", "update")
    permanent_columns = (
        *("psp_account_id", "name", "closed_at", "imported_by", "body_sha256", "lines_announced"),
        *("received_at",),
    )

    id = models.UUIDField(primary_key=True, default=public_ids.new_id, editable=False)
    psp_account = models.ForeignKey(PspAccount, on_delete=models.PROTECT, db_constraint=False)
    name = models.CharField(max_length=128)
    """The PSP's; the same name with other bytes is another version, and a case."""
    closed_at = models.DateTimeField(null=True, blank=True)
    """By the PSP; NULL for a file that an operator imported."""
    imported_by = models.CharField(max_length=64)
    """`job:settlement_reports`, or the operator who imported the file."""
    body_sha256 = models.CharField(max_length=64)
    lines_announced = models.PositiveIntegerField(null=True, blank=True)
    """How many lines the PSP said that there are; NULL if it did not."""
    received_at = models.DateTimeField()

    status = StatusField(max_length=16, default=S.STORED)
    lines_read = models.PositiveIntegerField(default=0)
    """How far reading is; known lines count too."""
    lines_new = models.PositiveIntegerField(default=0)
    """How many of them no earlier report contained."""
    read_at = models.DateTimeField(null=True, blank=True)
    attempts = models.PositiveIntegerField(default=0)
    """Of reading it, since one went well."""
    failing_since = models.DateTimeField(null=True, blank=True)
    next_attempt_at = models.DateTimeField(null=True, blank=True)
    """When to read on; during a slice the end of its lease. NULL: read or unreadable."""
    last_error = models.CharField(max_length=500, blank=True)

    class Meta:
        db_table = "reconciliation_settlement_report"
        constraints = [
            models.UniqueConstraint(
                fields=["psp_account", "name", "body_sha256"], name="report_once"
            ),
            models.CheckConstraint(
                condition=models.Q(
                    status=S.READ, read_at__isnull=False, next_attempt_at__isnull=True
                )
                | models.Q(status=S.STORED, read_at__isnull=True, next_attempt_at__isnull=False)
                | models.Q(status=S.UNREADABLE, read_at__isnull=True, next_attempt_at__isnull=True),
                name="report_waits_or_is_done",
            ),
        ]
        indexes = [
            models.Index(
                "next_attempt_at",
                name="report_due",
                condition=models.Q(next_attempt_at__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @transition(field=status, source=sources_of(REPORT_TRANSITIONS, S.READ), target=S.READ)
    def finish(self) -> None:
        """Every line of it is stored."""

    @transition(
        field=status, source=sources_of(REPORT_TRANSITIONS, S.UNREADABLE), target=S.UNREADABLE
    )
    def refuse(self) -> None:
        """It is not a whole report."""

    @transition(field=status, source=sources_of(REPORT_TRANSITIONS, S.STORED), target=S.STORED)
    def requeue(self) -> None:
        """An operator wants it read again."""


class ReportBody(models.Model):
    """The file itself, apart from the row that changes while it is read."""

    application_rights = ("select", "insert")

    report = models.OneToOneField(
        SettlementReport, on_delete=models.PROTECT, primary_key=True, related_name="file"
    )
    body = models.BinaryField()

    class Meta:
        db_table = "reconciliation_report_body"
        verbose_name_plural = "report bodies"

    def __str__(self) -> str:
        return "the file of a report"
