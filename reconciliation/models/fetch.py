"""Settlement reports to fetch from PSPs: the list of each account, and each listed report."""

from __future__ import annotations

from django.db import models

from payments.models import PspAccount
from reconciliation.models.report import SettlementReport


class ReportFetch(models.Model):
    """A list of reports to fetch again and again, or one report to fetch once."""

    application_rights = ("select", "insert", "update")
    permanent_columns = ("psp_account_id", "name", "added_at")

    psp_account = models.ForeignKey(
        PspAccount, on_delete=models.PROTECT, db_constraint=False, db_index=False
    )
    name = models.CharField(max_length=128, blank=True)
    """Of the report; empty for the list."""
    closed_at = models.DateTimeField(null=True, blank=True)
    lines_announced = models.PositiveIntegerField(null=True, blank=True)
    report = models.ForeignKey(
        SettlementReport, on_delete=models.PROTECT, null=True, blank=True, db_constraint=False
    )
    """What came, the last time something did."""
    attempts = models.PositiveIntegerField(default=0)
    """Since it last went well."""
    failing_since = models.DateTimeField(null=True, blank=True)
    next_attempt_at = models.DateTimeField(null=True, blank=True)
    """When to fetch it next; during an attempt the end of its lease. NULL: the report is here."""
    last_error = models.CharField(max_length=500, blank=True)
    added_at = models.DateTimeField()

    class Meta:
        db_table = "reconciliation_report_fetch"
        verbose_name_plural = "report fetches"
        constraints = [
            models.UniqueConstraint(fields=["psp_account", "name"], name="fetch_once"),
            models.CheckConstraint(
                condition=~models.Q(name="") | models.Q(next_attempt_at__isnull=False),
                name="fetch_list_recurs",
            ),
        ]
        indexes = [
            models.Index(
                "next_attempt_at",
                name="fetch_due",
                condition=models.Q(next_attempt_at__isnull=False),
            )
        ]

    def __str__(self) -> str:
        return self.name or "the list"


class LookUpBudget(models.Model):
    """How often settlement lines looked something up at a PSP account in the present minute."""

    application_rights = ("select", "insert", "update")
    permanent_columns = ("psp_account_id",)

    psp_account = models.OneToOneField(
        PspAccount, on_delete=models.PROTECT, primary_key=True, db_constraint=False
    )
    minute = models.DateTimeField()
    used = models.PositiveIntegerField()
    """In that minute."""
    given_until = models.DateTimeField()
    """Until when the times are given away at which lines that wait will look up."""

    class Meta:
        db_table = "reconciliation_look_up_budget"

    def __str__(self) -> str:
        return f"{self.used} of {self.psp_account.look_ups_per_minute}"
