"""Settlement lines whose amounts are not the agreed ones."""

from __future__ import annotations

from django.db import models

from ledger.money import Money
from payments.models import PspAccount
from reconciliation.discrepancies import OF_MATCHED_LINES, Discrepancy
from reconciliation.models.line import SettlementLine
from reconciliation.models.report import SettlementReport


class LineVariance(models.Model):
    """A fee or an amount of a matched line that is not what was agreed. It is booked as it is."""

    application_rights = ("select", "insert", "update")
    permanent_columns = (
        *("line_id", "report_id", "psp_account_id", "discrepancy", "component", "currency"),
        *("agreed_minor", "stated_minor", "found_at"),
    )

    line = models.ForeignKey(
        SettlementLine,
        on_delete=models.PROTECT,
        db_constraint=False,
        db_index=False,
        related_name="variances",
    )
    report = models.ForeignKey(SettlementReport, on_delete=models.PROTECT, db_constraint=False)
    psp_account = models.ForeignKey(
        PspAccount, on_delete=models.PROTECT, db_constraint=False, db_index=False
    )
    discrepancy = models.CharField(max_length=32)
    component = models.CharField(max_length=16, blank=True)
    """Of a fee: which part of it; empty for all of it."""
    currency = models.CharField(max_length=3)
    agreed_minor = models.BigIntegerField()
    stated_minor = models.BigIntegerField()
    found_at = models.DateTimeField()
    told_at = models.DateTimeField(null=True, blank=True)
    """When the case of its report was opened."""

    class Meta:
        db_table = "reconciliation_line_variance"
        constraints = [
            models.UniqueConstraint(
                fields=["line", "discrepancy", "component"], name="line_variance_once"
            ),
            models.CheckConstraint(
                condition=models.Q(discrepancy__in=sorted(each.value for each in OF_MATCHED_LINES))
                & ~models.Q(agreed_minor=models.F("stated_minor")),
                name="line_variance_is_a_difference",
            ),
        ]
        indexes = [
            models.Index(
                "report", name="line_variance_untold", condition=models.Q(told_at__isnull=True)
            ),
        ]

    def __str__(self) -> str:
        if self.discrepancy == Discrepancy.FX_VARIANCE:
            return f"{self.discrepancy} {self.stated}, by the stated rate {self.agreed}"
        return f"{self.discrepancy} {self.component or 'fee'} {self.stated}, agreed {self.agreed}"

    @property
    def agreed(self) -> Money:
        return Money(self.agreed_minor, self.currency)

    @property
    def stated(self) -> Money:
        return Money(self.stated_minor, self.currency)
