"""Settlement reports: files of a PSP, stored as they came."""

from __future__ import annotations

from django.db import models
from django_fsm import transition

from payments import public_ids
from payments.models import PspAccount
from payments.models.machine import MachineModel, StatusField
from payments.states import sources_of
from psp_adapters.contract.settlement_reports import LineKind
from reconciliation.states import REPORT_TRANSITIONS, ReportStatus

S = ReportStatus


class SettlementReport(MachineModel):
    """What a PSP says it did with the money of one account, in one file."""

    application_rights = ("select", "insert", "update")
    permanent_columns = (
        *("psp_account_id", "name", "closed_at", "imported_by", "body_sha256", "lines_announced"),
        *("received_at", "body_bytes"),
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
    body_bytes = models.BigIntegerField()
    lines_announced = models.PositiveIntegerField(null=True, blank=True)
    """How many lines the PSP said that there are; NULL if it did not."""
    received_at = models.DateTimeField()

    status = StatusField(max_length=16, default=S.RECEIVING)
    lines_read = models.PositiveIntegerField(default=0)
    """How far reading is; known lines count too."""
    reading_progress = models.JSONField(null=True, blank=True)
    """Of the adapter, behind that line; NULL before and after reading."""
    whole_at = models.DateTimeField(null=True, blank=True)
    """When the whole file had been read and nothing was missing: from then on its lines count."""
    lines_taken = models.PositiveIntegerField(default=0)
    """How many of its lines are among the settlement lines."""
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
        permissions = [("import_settlementreport", "Can import settlement report")]
        constraints = [
            models.UniqueConstraint(
                fields=["psp_account", "name", "body_sha256"], name="report_once"
            ),
            models.CheckConstraint(
                condition=models.Q(
                    status=S.READ,
                    read_at__isnull=False,
                    next_attempt_at__isnull=True,
                    whole_at__isnull=False,
                    lines_taken=models.F("lines_read"),
                )
                | models.Q(
                    status=S.RECEIVING,
                    read_at__isnull=True,
                    next_attempt_at__isnull=True,
                    whole_at__isnull=True,
                )
                | models.Q(status=S.STORED, read_at__isnull=True, next_attempt_at__isnull=False)
                | models.Q(
                    status=S.UNREADABLE,
                    read_at__isnull=True,
                    next_attempt_at__isnull=True,
                    whole_at__isnull=True,
                ),
                name="report_waits_or_is_done",
            ),
            models.CheckConstraint(
                condition=models.Q(whole_at__isnull=False) | models.Q(lines_taken=0),
                name="report_counts_once_whole",
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

    @transition(field=status, source=sources_of(REPORT_TRANSITIONS, S.STORED), target=S.STORED)
    def await_reading(self) -> None:
        """Its file is here, or an operator wants it read again."""

    @transition(field=status, source=sources_of(REPORT_TRANSITIONS, S.READ), target=S.READ)
    def finish(self) -> None:
        """Every line of it is stored."""

    @transition(
        field=status, source=sources_of(REPORT_TRANSITIONS, S.UNREADABLE), target=S.UNREADABLE
    )
    def refuse(self) -> None:
        """It is not a whole report."""


class ReportChunk(models.Model):
    """A part of a report's file, as it came. The parts follow each other by number, from 0."""

    application_rights = ("select", "insert")

    report = models.ForeignKey(
        SettlementReport,
        on_delete=models.PROTECT,
        db_constraint=False,
        db_index=False,
        related_name="chunks",
    )
    number = models.PositiveIntegerField()
    body = models.BinaryField()

    class Meta:
        db_table = "reconciliation_report_chunk"
        constraints = [models.UniqueConstraint(fields=["report", "number"], name="chunk_once")]

    def __str__(self) -> str:
        return f"part {self.number} of {self.report}"


class StagedLine(models.Model):
    """A line of a file of which nothing is known to be missing yet. It counts for nothing.

    Once the file was found whole, its lines are copied into settlement lines; these rows go.
    """

    application_rights = ("select", "insert", "delete")

    report = models.ForeignKey(
        SettlementReport, on_delete=models.PROTECT, db_constraint=False, db_index=False
    )
    number = models.PositiveIntegerField()
    """Its place in the file, from 1."""
    identity = models.CharField(max_length=128)
    """Empty if the PSP gave none."""
    content_sha256 = models.CharField(max_length=64)
    kind = models.CharField(max_length=24)
    psp_type = models.CharField(max_length=64)
    psp_id = models.CharField(max_length=128)
    psp_payment_id = models.CharField(max_length=128)
    reference = models.CharField(max_length=128)
    currency = models.CharField(max_length=3)
    gross_minor = models.BigIntegerField()
    fee_minor = models.BigIntegerField()
    markup_minor = models.BigIntegerField(db_default=0)
    interchange_minor = models.BigIntegerField(db_default=0)
    scheme_fee_minor = models.BigIntegerField(db_default=0)
    occurred_at = models.DateTimeField()
    psp_payout_id = models.CharField(max_length=128, blank=True, db_default="")
    converted_from_minor = models.BigIntegerField(null=True, blank=True)
    converted_from_currency = models.CharField(max_length=3, null=True, blank=True)
    exchange_rate = models.CharField(max_length=32, blank=True, db_default="")
    available_on = models.DateField(null=True)

    class Meta:
        db_table = "reconciliation_staged_line"
        constraints = [models.UniqueConstraint(fields=["report", "number"], name="staged_once")]
        indexes = [
            models.Index(
                "report",
                "content_sha256",
                "number",
                name="staged_without_id",
                condition=models.Q(identity=""),
            ),
            models.Index(
                "report",
                name="staged_payout",
                condition=models.Q(kind=LineKind.PAYOUT.value),
            ),
        ]

    def __str__(self) -> str:
        return f"line {self.number} of {self.report}"
