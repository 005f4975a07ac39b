"""The tables of the books and their constraints. Only `ledger.services` writes them.

Nothing here is ever updated or deleted: the triggers of `ledger/sql/` refuse it, and the
application's login lacks the rights. Foreign keys carry no database constraint: Django would defer
every one of them to commit, about twenty checks for a sale; one set-based trigger per INSERT checks
the same and more.
"""

from __future__ import annotations

from typing import ClassVar, Final

from django.contrib.postgres.indexes import BrinIndex
from django.db import models
from django.db.models import Q
from uuid_utils.compat import uuid7

from ledger.chart import CHART, AccountKind, Direction
from ledger.database.instances import QuicklyLoaded
from ledger.fields import CurrentTransactionId, TransactionIdField
from ledger.posting_rules import EntryType

_APPEND_ONLY: Final = ("select", "insert")
_CURRENCY: Final = Q(currency__regex=r"^[A-Z]{3}$")


def _codes(kind: AccountKind) -> list[int]:
    return sorted(line.code for line in CHART.values() if line.kind is kind)


class LedgerAccount(QuicklyLoaded):
    """One account. Its id follows from code, dimension and currency (`chart.AccountRef.id`)."""

    application_rights: ClassVar[tuple[str, ...]] = _APPEND_ONLY

    id = models.UUIDField(primary_key=True)
    code = models.SmallIntegerField()
    dimension = models.CharField(max_length=64)
    currency = models.CharField(max_length=3)
    kind = models.CharField(max_length=4, choices=[(k.value, k.name.lower()) for k in AccountKind])

    class Meta:
        db_table = "ledger_account"
        ordering = ("code", "dimension", "currency")
        constraints = (
            models.UniqueConstraint(
                fields=["code", "dimension", "currency"], name="ledger_account_once"
            ),
            models.CheckConstraint(
                condition=Q(kind=AccountKind.MEMO.value, code__in=_codes(AccountKind.MEMO))
                | Q(kind=AccountKind.REAL.value, code__in=_codes(AccountKind.REAL)),
                name="ledger_account_is_of_the_chart",
            ),
            models.CheckConstraint(condition=_CURRENCY, name="ledger_account_currency"),
        )

    def __str__(self) -> str:
        return f"{self.code} {self.dimension} {self.currency}"


class LedgerTransaction(QuicklyLoaded):
    """Entries that belong together. `source_type`, `source_id` name what caused it."""

    application_rights: ClassVar[tuple[str, ...]] = _APPEND_ONLY

    id = models.UUIDField(primary_key=True, default=uuid7)
    rule = models.CharField(max_length=64)
    source_type = models.CharField(max_length=32)
    source_id = models.UUIDField()
    payment_id = models.UUIDField(null=True)
    merchant_id = models.UUIDField(null=True)
    psp_account = models.CharField(max_length=64, blank=True)
    effective_date = models.DateField()
    """The day it counts for (UTC)."""
    value_date = models.DateField(null=True)
    """The day of what it is about, if that day was closed already; else NULL: `effective_date`."""
    available_on = models.DateField(null=True)
    """From this day (UTC) on the merchant may have what it changed; NULL: from `effective_date`.
    An estimate: once the PSP has settled it, `Availability` says the day."""
    posted_at = models.DateTimeField()
    """When we wrote it."""
    reverses = models.ForeignKey(
        "self",
        on_delete=models.PROTECT,
        null=True,
        db_constraint=False,
        db_index=False,
        related_name="reversals",
    )
    xid = TransactionIdField(db_default=CurrentTransactionId(), editable=False)

    class Meta:
        db_table = "ledger_transaction"
        ordering = ("-id",)
        constraints = (
            models.UniqueConstraint(
                fields=["source_type", "source_id", "rule"], name="ledger_transaction_posted_once"
            ),
            models.UniqueConstraint(
                fields=["reverses"],
                condition=Q(reverses__isnull=False),
                name="ledger_transaction_reversed_once",
            ),
        )
        indexes = (
            models.Index(fields=["payment_id"], name="ledger_transaction_payment"),
            models.Index(fields=["merchant_id", "id"], name="ledger_transaction_merchant"),
            models.Index(
                fields=["merchant_id", "available_on"],
                name="ledger_transaction_pending",
                condition=Q(available_on__isnull=False),
            ),
            # Statements by date read some days of all transactions. A block index costs an insert
            # no entry of its own.
            BrinIndex(
                fields=["effective_date"], name="ledger_transaction_by_date", pages_per_range=32
            ),
        )

    def __str__(self) -> str:
        return f"{self.rule} {self.id}"


class Availability(models.Model):
    """From which day on a merchant may have what a transaction changed, as the PSP has settled it.

    There is no row while the estimate of the transaction holds.
    """

    application_rights: ClassVar[tuple[str, ...]] = ("select", "insert", "update")
    permanent_columns: ClassVar[tuple[str, ...]] = ("transaction_id", "merchant_id")

    transaction = models.OneToOneField(
        LedgerTransaction, on_delete=models.PROTECT, primary_key=True, db_constraint=False
    )
    merchant_id = models.UUIDField()
    available_on = models.DateField()
    is_stated = models.BooleanField()
    """Settlement lines of its own say so; else it follows its charge."""
    written_on = models.DateField()
    """The day (UTC) of the last change."""

    class Meta:
        db_table = "ledger_availability"
        verbose_name_plural = "availabilities"
        indexes = (
            models.Index(fields=["merchant_id", "available_on"], name="availability_of_merchant"),
        )

    def __str__(self) -> str:
        return f"{self.transaction_id} on {self.available_on}"


class LedgerEntry(QuicklyLoaded):
    """One debit or credit. The payment is repeated here, since open items are summed by payment."""

    application_rights: ClassVar[tuple[str, ...]] = _APPEND_ONLY

    id = models.BigAutoField(primary_key=True)
    """In PostgreSQL the primary key is (transaction, id): no index finds an entry by `id` alone."""
    transaction = models.ForeignKey(
        LedgerTransaction,
        on_delete=models.PROTECT,
        db_constraint=False,
        db_index=False,
        related_name="entries",
    )
    payment_id = models.UUIDField(null=True)
    """That of its transaction, by which entries of a payment are found."""
    # No index of its own: the one on (account, xid) serves.
    account = models.ForeignKey(
        LedgerAccount,
        on_delete=models.PROTECT,
        db_constraint=False,
        db_index=False,
        related_name="entries",
    )
    direction = models.CharField(
        max_length=1, choices=[(d.value, d.name.lower()) for d in Direction]
    )
    amount_minor = models.BigIntegerField()
    currency = models.CharField(max_length=3)
    entry_type = models.CharField(max_length=16, choices=[(t.value, t.value) for t in EntryType])
    xid = TransactionIdField(db_default=CurrentTransactionId(), editable=False)

    class Meta:
        db_table = "ledger_entry"
        ordering = ("id",)
        verbose_name_plural = "ledger entries"
        constraints = (
            models.CheckConstraint(
                condition=Q(amount_minor__gt=0), name="ledger_entry_amount_positive"
            ),
            models.CheckConstraint(
                condition=Q(direction__in=[d.value for d in Direction]),
                name="ledger_entry_direction",
            ),
            models.CheckConstraint(condition=_CURRENCY, name="ledger_entry_currency"),
        )
        indexes = (
            models.Index(
                fields=["account", "xid"],
                include=["direction", "amount_minor"],
                name="ledger_entry_account_xid",
            ),
        )

    def __str__(self) -> str:
        return f"{self.direction} {self.amount_minor} {self.currency}"


class BalanceSnapshot(models.Model):
    """The sums of one account over its entries with an xid below `horizon`; a cache."""

    application_rights: ClassVar[tuple[str, ...]] = _APPEND_ONLY

    id = models.BigAutoField(primary_key=True)
    account = models.ForeignKey(
        LedgerAccount,
        on_delete=models.PROTECT,
        db_constraint=False,
        db_index=False,
        related_name="snapshots",
    )
    horizon = TransactionIdField()
    debits_minor = models.DecimalField(max_digits=38, decimal_places=0)
    credits_minor = models.DecimalField(max_digits=38, decimal_places=0)
    taken_at = models.DateTimeField()

    class Meta:
        db_table = "ledger_balance_snapshot"
        ordering = ("-id",)
        constraints = (
            models.UniqueConstraint(fields=["account", "horizon"], name="ledger_snapshot_once"),
        )

    def __str__(self) -> str:
        return f"{self.account_id} below {self.horizon}"


class Seal(models.Model):
    """One block of the hash chain over append-only rows (`ledger.seals`)."""

    application_rights: ClassVar[tuple[str, ...]] = _APPEND_ONLY

    number = models.BigIntegerField(primary_key=True)
    format = models.SmallIntegerField()
    source = models.CharField(max_length=32)
    first_id = models.UUIDField()
    until_id = models.UUIDField()
    """It covers the rows from `first_id` up to, and without, this id."""
    rows = models.IntegerField()
    content_sha256 = models.BinaryField()
    leaves = models.BinaryField()
    """Of each row, in order: its key (16 bytes) and a fingerprint (8 bytes)."""
    previous_sha256 = models.BinaryField()
    sha256 = models.BinaryField()
    sealed_at = models.DateTimeField()

    class Meta:
        db_table = "ledger_seal"
        ordering = ("-number",)
        indexes = (models.Index(fields=["source", "-number"], name="ledger_seal_source"),)
        constraints = (
            models.CheckConstraint(
                condition=Q(number__gt=0, rows__gt=0, first_id__lt=models.F("until_id")),
                name="ledger_seal_covers_rows",
            ),
        )

    def __str__(self) -> str:
        return f"block {self.number}"


class Period(models.Model):
    """How far the books of one PSP account are closed (`ledger.periods`)."""

    application_rights: ClassVar[tuple[str, ...]] = ("select", "insert", "update")

    psp_account = models.CharField(primary_key=True, max_length=64)
    """Its code; empty for what is posted for none."""
    closing_through = models.DateField()
    """What is posted for a day up to this one counts for the next."""
    closed_through = models.DateField(null=True)
    """Up to this day nothing is posted any more: PostgreSQL refuses it."""
    reopened_under = models.UUIDField(null=True)
    """The approval under which closed days were last opened again."""

    class Meta:
        db_table = "ledger_period"
        ordering = ("psp_account",)

    def __str__(self) -> str:
        return f"{self.psp_account or 'no PSP account'} closed through {self.closed_through}"
