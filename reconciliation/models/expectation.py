"""What should have been in a settlement report and was not, and how far that was looked for."""

from __future__ import annotations

from django.db import models

from ledger.fields import TransactionIdField
from ledger.money import Money
from payments.models import Operation, PspAccount


class MissingSettlement(models.Model):
    """A capture or refund, or its reversal, that no settlement line explained in time."""

    application_rights = ("select", "insert", "update")
    permanent_columns = (
        *("operation_id", "psp_account_id", "amount_minor", "currency", "moved_at"),
        *("expected_by", "found_at"),
    )

    operation = models.ForeignKey(
        Operation, on_delete=models.PROTECT, db_constraint=False, db_index=False
    )
    psp_account = models.ForeignKey(
        PspAccount, on_delete=models.PROTECT, db_constraint=False, db_index=False
    )
    amount_minor = models.BigIntegerField()
    """By how much our balance with the PSP should have changed; negative if it should take it."""
    currency = models.CharField(max_length=3)
    moved_at = models.DateTimeField()
    """When our books say that it moved."""
    expected_by = models.DateTimeField()
    """By the settlement calendar of that day."""
    found_at = models.DateTimeField()
    checked_at = models.DateTimeField()
    settled_at = models.DateTimeField(null=True, blank=True)
    """When it was explained after all."""
    late_by = models.DurationField(null=True, blank=True)
    """How long after `expected_by` its line came; NULL if it was reversed, and needs no line."""

    class Meta:
        db_table = "reconciliation_missing_settlement"
        constraints = [
            models.UniqueConstraint(
                fields=["operation", "amount_minor"], name="missing_settlement_once"
            ),
            models.CheckConstraint(
                condition=models.Q(
                    found_at__gte=models.F("expected_by"), expected_by__gt=models.F("moved_at")
                ),
                name="missing_settlement_was_due",
            ),
            models.CheckConstraint(
                condition=models.Q(late_by__isnull=True) | models.Q(settled_at__isnull=False),
                name="missing_settlement_is_late_once_settled",
            ),
            models.CheckConstraint(
                condition=~models.Q(amount_minor=0), name="missing_settlement_has_an_amount"
            ),
        ]
        indexes = [
            models.Index(
                "checked_at",
                name="missing_settlement_open",
                condition=models.Q(settled_at__isnull=True),
            ),
            models.Index(
                "psp_account",
                "currency",
                name="missing_settlement_account",
                condition=models.Q(settled_at__isnull=True),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.amount} of {self.moved_at:%Y-%m-%d}"

    @property
    def amount(self) -> Money:
        return Money(self.amount_minor, self.currency)


class SettlementWatch(models.Model):
    """How far one ledger account was looked through for what is not in a report in time."""

    application_rights = ("select", "insert", "update")
    permanent_columns = ("ledger_account_id",)

    ledger_account = models.OneToOneField(
        "ledger.LedgerAccount", on_delete=models.PROTECT, primary_key=True, db_constraint=False
    )
    position = TransactionIdField(default=0)
    """The database transaction id of the last entries."""
    watched_at = models.DateTimeField()

    class Meta:
        db_table = "reconciliation_settlement_watch"
        verbose_name_plural = "settlement watches"

    def __str__(self) -> str:
        return f"{self.ledger_account_id} to {self.position}"


class StatedBalance(models.Model):
    """What a PSP said once that it held for us, and what our books said of that moment later."""

    application_rights = ("select", "insert", "update")
    permanent_columns = ("psp_account_id", "currency", "stated_minor", "stated_at")

    psp_account = models.ForeignKey(PspAccount, on_delete=models.PROTECT, db_constraint=False)
    currency = models.CharField(max_length=3)
    stated_minor = models.BigIntegerField()
    stated_at = models.DateTimeField()
    books_minor = models.BigIntegerField(null=True, blank=True)
    """Of that moment, once every report about it was due; NULL until then."""
    judged_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "reconciliation_stated_balance"
        constraints = [
            models.UniqueConstraint(
                fields=["psp_account", "currency", "stated_at"], name="stated_balance_once"
            ),
            models.CheckConstraint(
                condition=models.Q(books_minor__isnull=True, judged_at__isnull=True)
                | models.Q(books_minor__isnull=False, judged_at__gt=models.F("stated_at")),
                name="stated_balance_is_judged_later",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.stated} of {self.stated_at:%Y-%m-%d %H:%M}"

    @property
    def stated(self) -> Money:
        return Money(self.stated_minor, self.currency)

    @property
    def books(self) -> Money | None:
        return None if self.books_minor is None else Money(self.books_minor, self.currency)

    @property
    def drift(self) -> Money | None:
        """What the PSP said less what our books say; None while it is not judged."""
        return None if self.books is None else self.stated - self.books
