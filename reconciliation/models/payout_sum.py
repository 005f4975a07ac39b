"""Payouts of PSPs beside the lines that they pay out."""

from __future__ import annotations

from django.db import models

from ledger.money import Money
from payments.models import PspAccount


class PayoutSum(models.Model):
    """A payout in one currency, and what the lines that say to be in it add up to."""

    application_rights = ("select", "insert", "update")
    permanent_columns = ("psp_account_id", "psp_payout_id", "currency")

    psp_account = models.ForeignKey(
        PspAccount, on_delete=models.PROTECT, db_constraint=False, db_index=False
    )
    psp_payout_id = models.CharField(max_length=128)
    currency = models.CharField(max_length=3)
    changed_at = models.DateTimeField()
    """When the newest of its lines came."""
    judged_at = models.DateTimeField(null=True, blank=True)
    """When it was added up; NULL: lines came since, or it never was."""
    line_count = models.PositiveIntegerField(null=True, blank=True)
    lines_minor = models.BigIntegerField(null=True, blank=True)
    """The net of its lines, without the payout's own."""
    paid_minor = models.BigIntegerField(null=True, blank=True)
    """What the payout's own line took from our balance; NULL while there is none."""

    class Meta:
        db_table = "reconciliation_payout_sum"
        constraints = [
            models.UniqueConstraint(
                fields=["psp_account", "psp_payout_id", "currency"], name="payout_sum_once"
            ),
            models.CheckConstraint(
                condition=models.Q(judged_at__isnull=True)
                | models.Q(line_count__isnull=False, lines_minor__isnull=False),
                name="payout_sum_is_judged_by_its_lines",
            ),
        ]
        indexes = [
            models.Index(
                "changed_at", name="payout_sum_due", condition=models.Q(judged_at__isnull=True)
            ),
        ]

    def __str__(self) -> str:
        return f"{self.psp_payout_id} {self.currency}"

    @property
    def lines(self) -> Money | None:
        return None if self.lines_minor is None else Money(self.lines_minor, self.currency)

    @property
    def paid(self) -> Money | None:
        return None if self.paid_minor is None else Money(self.paid_minor, self.currency)

    @property
    def difference(self) -> Money | None:
        """What its lines are together, less what was paid out; None while either is missing."""
        if self.lines is None or self.paid is None:
            return None
        return self.lines - self.paid
