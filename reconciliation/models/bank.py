"""Our bank accounts, their statements as they came, and the lines of these, each once."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django_fsm import transition

from ledger.money import Money
from payments import public_ids
from payments.models.machine import MachineModel, StatusField
from payments.states import sources_of
from reconciliation.discrepancies import OF_BANK_LINES
from reconciliation.models.line import SettlementLine
from reconciliation.states import BANK_LINE_TRANSITIONS, LineStatus

S = LineStatus


class BankAccount(models.Model):
    """An account of ours at a bank, to which PSPs pay out."""

    application_rights = ("select", "insert", "update")
    permanent_columns = ("number", "currency", "livemode", "added_at")

    id = models.UUIDField(primary_key=True, default=public_ids.new_id, editable=False)
    number = models.CharField(max_length=34, unique=True)
    """Its IBAN, or what its statements name instead; also the dimension of its account 1200."""
    currency = models.CharField(max_length=3)
    livemode = models.BooleanField()
    psp_accounts = ArrayField(models.CharField(max_length=64))
    """The codes of the PSP accounts that pay out to it."""
    payouts_since = models.DateField()
    """Payouts of that day and later are expected on its statements."""
    added_at = models.DateTimeField()

    class Meta:
        db_table = "reconciliation_bank_account"

    def __str__(self) -> str:
        return f"{self.number} {self.currency}"


class BankStatementFile(models.Model):
    """A file as an operator imported it."""

    application_rights = ("select", "insert")

    id = models.UUIDField(primary_key=True, default=public_ids.new_id, editable=False)
    name = models.CharField(max_length=128)
    """The same name with other bytes is another file, and a case."""
    format = models.CharField(max_length=16)
    body_sha256 = models.CharField(max_length=64, unique=True)
    body = models.BinaryField()
    imported_by = models.CharField(max_length=64)
    received_at = models.DateTimeField()

    class Meta:
        db_table = "reconciliation_bank_statement_file"

    def __str__(self) -> str:
        return self.name


class BankStatement(models.Model):
    """What moved on a bank account between two balances."""

    application_rights = ("select", "insert")

    id = models.UUIDField(primary_key=True, default=public_ids.new_id, editable=False)
    file = models.ForeignKey(
        BankStatementFile, on_delete=models.PROTECT, db_constraint=False, related_name="statements"
    )
    bank_account = models.ForeignKey(
        BankAccount, on_delete=models.PROTECT, db_constraint=False, db_index=False
    )
    reference = models.CharField(max_length=64)
    """The bank's name of it."""
    number = models.PositiveIntegerField(null=True, blank=True)
    """Its place in the bank's sequence; NULL if the bank does not count."""
    opened_on = models.DateField()
    """The first day on which it books a line; without lines the day of its closing balance."""
    closed_on = models.DateField()
    opening_minor = models.BigIntegerField()
    closing_minor = models.BigIntegerField()
    identities = ArrayField(models.CharField(max_length=64))
    """Of all its lines, in their order, known ones too."""
    content_sha256 = models.CharField(max_length=64)
    stored_at = models.DateTimeField()

    class Meta:
        db_table = "reconciliation_bank_statement"
        constraints = [
            models.UniqueConstraint(
                fields=["bank_account", "content_sha256"], name="bank_statement_once"
            ),
        ]
        indexes = [
            models.Index(fields=["bank_account", "closed_on"], name="bank_statement_by_day"),
        ]

    def __str__(self) -> str:
        return self.reference

    @property
    def opening(self) -> Money:
        return Money(self.opening_minor, self.bank_account.currency)

    @property
    def closing(self) -> Money:
        return Money(self.closing_minor, self.bank_account.currency)


class BankLine(MachineModel):
    """One booked entry of a bank account. Its content never changes."""

    application_rights = ("select", "insert", "update")
    permanent_columns = (
        *("statement_id", "bank_account_id", "number", "identity", "occurrence", "currency"),
        *("amount_minor", "booked_on", "value_on", "bank_reference", "end_to_end_id", "text"),
        "stored_at",
    )

    statement = models.ForeignKey(
        BankStatement, on_delete=models.PROTECT, db_constraint=False, related_name="lines"
    )
    """The first statement with this line."""
    bank_account = models.ForeignKey(
        BankAccount, on_delete=models.PROTECT, db_constraint=False, db_index=False
    )
    number = models.PositiveIntegerField()
    """Its place in that statement, from 1."""
    identity = models.CharField(max_length=64)
    """The hash of what says which line it is."""
    occurrence = models.PositiveIntegerField()
    """Counts equal lines of the account."""
    currency = models.CharField(max_length=3)
    amount_minor = models.BigIntegerField()
    """Positive: a credit of the bank; negative: a debit."""
    booked_on = models.DateField()
    value_on = models.DateField()
    bank_reference = models.CharField(max_length=128, blank=True)
    end_to_end_id = models.CharField(max_length=128, blank=True)
    text = models.CharField(max_length=2000, blank=True)
    """Every reference and remittance text of the line."""

    status = StatusField(max_length=16, default=S.OPEN)
    attempts = models.PositiveIntegerField(default=0)
    next_attempt_at = models.DateTimeField(null=True, blank=True)
    """When to match it next; during an attempt the end of its lease. NULL: done or given up."""
    retrying_since = models.DateTimeField()
    given_up_at = models.DateTimeField(null=True, blank=True)
    """The last time it was given up: since then its amount is in suspense."""
    discrepancy = models.CharField(max_length=32, blank=True)
    """Why it is not matched, as a code of the closed list; empty before an attempt, and after."""
    last_error = models.CharField(max_length=500, blank=True)
    payout = models.OneToOneField(
        SettlementLine,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        db_constraint=False,
        related_name="bank_line",
    )
    """The line of a settlement report that says the same."""
    named_by = models.CharField(max_length=128, blank=True)
    """The reference of the payout that the text of a matched line contains."""
    matched_at = models.DateTimeField(null=True, blank=True)
    stored_at = models.DateTimeField()

    class Meta:
        db_table = "reconciliation_bank_line"
        constraints = [
            models.UniqueConstraint(
                fields=["bank_account", "identity", "occurrence"], name="bank_line_once"
            ),
            models.CheckConstraint(
                condition=models.Q(
                    status__in=[S.OPEN, S.FAILING],
                    next_attempt_at__isnull=False,
                    payout__isnull=True,
                    matched_at__isnull=True,
                )
                | models.Q(
                    status=S.DEAD,
                    next_attempt_at__isnull=True,
                    payout__isnull=True,
                    matched_at__isnull=True,
                    given_up_at__isnull=False,
                )
                | models.Q(
                    ~models.Q(named_by=""),
                    status=S.MATCHED,
                    next_attempt_at__isnull=True,
                    payout__isnull=False,
                    matched_at__isnull=False,
                ),
                name="bank_line_waits_or_is_done",
            ),
            models.CheckConstraint(
                condition=~models.Q(amount_minor=0), name="bank_line_moves_money"
            ),
            models.CheckConstraint(
                condition=models.Q(discrepancy__in=["", *sorted(OF_BANK_LINES)]),
                name="bank_line_discrepancy_is_known",
            ),
        ]
        indexes = [
            models.Index(
                "next_attempt_at",
                name="bank_line_due",
                condition=models.Q(next_attempt_at__isnull=False),
            ),
            models.Index("id", name="bank_line_dead", condition=models.Q(status=S.DEAD)),
        ]

    def __str__(self) -> str:
        return f"line {self.number}"

    @property
    def amount(self) -> Money:
        """By how much what the bank holds for us changed."""
        return Money(self.amount_minor, self.currency)

    @transition(field=status, source=sources_of(BANK_LINE_TRANSITIONS, S.MATCHED), target=S.MATCHED)
    def match(self) -> None:
        """A payout explains it, and its booking is written."""

    @transition(field=status, source=sources_of(BANK_LINE_TRANSITIONS, S.FAILING), target=S.FAILING)
    def fail(self) -> None:
        """An attempt failed; it is repeated."""

    @transition(field=status, source=sources_of(BANK_LINE_TRANSITIONS, S.DEAD), target=S.DEAD)
    def dead_letter(self) -> None:
        """In suspense, and not attempted again until something of its amount is paid out."""

    @transition(field=status, source=sources_of(BANK_LINE_TRANSITIONS, S.OPEN), target=S.OPEN)
    def requeue(self) -> None:
        """A payout of its amount was booked, or an operator wants it matched again."""
