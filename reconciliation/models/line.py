"""Lines of settlement reports, each once, and the ledger transactions that they match."""

from __future__ import annotations

from datetime import datetime

from django.db import models
from django.db.models.functions import Coalesce
from django_fsm import transition

from ledger.money import Money
from payments.models import Dispute, Operation, PspAccount
from payments.models.machine import MachineModel, StatusField
from payments.states import sources_of
from psp_adapters.contract.settlement_reports import (
    ACCOUNT_LINES,
    DISPUTE_LINES,
    PAYOUT_LINES,
    Conversion,
    FeeParts,
    LineKind,
    ReportLine,
)
from reconciliation.discrepancies import OF_LINES
from reconciliation.models.report import SettlementReport
from reconciliation.states import LINE_TRANSITIONS, LineStatus

S = LineStatus
_OF_THE_ACCOUNT = models.Q(kind__in=sorted(each.value for each in ACCOUNT_LINES))


class SettlementLine(MachineModel):
    """One change of what a PSP holds for us, as reported. Its content never changes."""

    application_rights = ("select", "insert", "update")
    permanent_columns = (
        *("report_id", "psp_account_id", "number", "identity", "occurrence", "content_sha256"),
        *("psp_type", "psp_id", "psp_payment_id", "reference", "currency", "gross_minor"),
        *("fee_minor", "markup_minor", "interchange_minor", "scheme_fee_minor", "occurred_at"),
        *("psp_payout_id", "converted_from_minor", "converted_from_currency", "exchange_rate"),
        *("available_on", "stored_at"),
    )

    report = models.ForeignKey(
        SettlementReport, on_delete=models.PROTECT, db_constraint=False, related_name="lines"
    )
    """The first report with this line."""
    psp_account = models.ForeignKey(
        PspAccount, on_delete=models.PROTECT, db_constraint=False, db_index=False
    )
    number = models.PositiveIntegerField()
    """Its place in that report, from 1."""
    identity = models.CharField(max_length=128)
    """The PSP's permanent id of the line; else the hash of what it says."""
    occurrence = models.PositiveIntegerField(default=1)
    """Counts equal lines without an id within their report."""
    content_sha256 = models.CharField(max_length=64)

    kind = models.CharField(max_length=24)
    """Only `unknown` may change, once the adapter knows the PSP's type."""
    psp_type = models.CharField(max_length=64)
    psp_id = models.CharField(max_length=128, blank=True)
    psp_payment_id = models.CharField(max_length=128, blank=True)
    reference = models.CharField(max_length=128, blank=True)
    """Cut, if another system set a long one."""
    currency = models.CharField(max_length=3)
    gross_minor = models.BigIntegerField()
    fee_minor = models.BigIntegerField()
    markup_minor = models.BigIntegerField(db_default=0)
    """Of the fee, the PSP's own price; all of it if the PSP states one amount."""
    interchange_minor = models.BigIntegerField(db_default=0)
    scheme_fee_minor = models.BigIntegerField(db_default=0)
    occurred_at = models.DateTimeField()
    psp_payout_id = models.CharField(max_length=128, blank=True, db_default="")
    """The PSP's id of the payout that the line is in; empty if it does not say."""
    converted_from_minor = models.BigIntegerField(null=True, blank=True)
    """Of what the PSP converted: the gross in the currency of the payment."""
    converted_from_currency = models.CharField(max_length=3, null=True, blank=True)
    exchange_rate = models.CharField(max_length=32, blank=True, db_default="")
    """As the PSP states it; empty if it does not."""
    paid_minor = models.GeneratedField(
        expression=Coalesce("converted_from_minor", "gross_minor"),
        output_field=models.BigIntegerField(),
        db_persist=True,
    )
    """The gross in the currency of the payment, which is that of its operation."""
    paid_currency = models.GeneratedField(
        expression=Coalesce("converted_from_currency", "currency"),
        output_field=models.CharField(max_length=3),
        db_persist=True,
    )
    available_on = models.DateField(null=True, blank=True)
    """From this day on its money can be paid out: as the line says, else the day of the payout that
    its report is about, else the day of the line. NULL: the day of the line."""

    status = StatusField(max_length=16, default=S.OPEN)
    attempts = models.PositiveIntegerField(default=0)
    next_attempt_at = models.DateTimeField(null=True, blank=True)
    """When to match it next; during an attempt the end of its lease. NULL: done or given up."""
    retrying_since = models.DateTimeField()
    """Start of the retry window; a case opens when it ends."""
    last_error = models.CharField(max_length=500, blank=True)
    discrepancy = models.CharField(max_length=32, blank=True, default="", db_default="")
    """Why it is not matched, one of discrepancies.OF_LINES; empty before the first attempt."""
    dispute = models.ForeignKey(
        Dispute, on_delete=models.PROTECT, null=True, blank=True, db_constraint=False
    )
    """Of a matched line of a dispute."""
    operation = models.ForeignKey(
        Operation, on_delete=models.PROTECT, null=True, blank=True, db_constraint=False
    )
    """Of a matched line of a charge or refund."""
    accounted_at = models.DateTimeField(null=True, blank=True)
    stored_at = models.DateTimeField()

    class Meta:
        db_table = "reconciliation_settlement_line"
        constraints = [
            models.UniqueConstraint(
                fields=["psp_account", "identity", "occurrence"], name="line_once"
            ),
            models.CheckConstraint(
                condition=models.Q(
                    status__in=[S.OPEN, S.FAILING],
                    accounted_at__isnull=True,
                    next_attempt_at__isnull=False,
                )
                | models.Q(
                    status__in=[S.DEAD, S.WRITTEN_OFF],
                    accounted_at__isnull=True,
                    next_attempt_at__isnull=True,
                )
                | models.Q(
                    status=S.MATCHED, accounted_at__isnull=False, next_attempt_at__isnull=True
                ),
                name="line_waits_or_is_done",
            ),
            models.CheckConstraint(
                condition=models.Q(status=S.MATCHED, dispute__isnull=False, operation__isnull=True)
                | models.Q(status=S.MATCHED, dispute__isnull=True, operation__isnull=False)
                | models.Q(_OF_THE_ACCOUNT, dispute__isnull=True, operation__isnull=True)
                | models.Q(
                    status__in=[S.OPEN, S.FAILING, S.DEAD, S.WRITTEN_OFF],
                    dispute__isnull=True,
                    operation__isnull=True,
                ),
                name="line_says_what_it_is",
            ),
            models.CheckConstraint(
                condition=models.Q(
                    status__in=[S.FAILING, S.DEAD],
                    discrepancy__in=sorted(each.value for each in OF_LINES),
                )
                | models.Q(status__in=[S.OPEN, S.MATCHED, S.WRITTEN_OFF], discrepancy=""),
                name="line_unmatched_has_its_discrepancy",
            ),
            models.CheckConstraint(
                condition=~models.Q(status=S.MATCHED)
                | models.Q(
                    fee_minor=models.F("markup_minor")
                    + models.F("interchange_minor")
                    + models.F("scheme_fee_minor")
                ),
                name="line_fee_is_its_parts",
            ),
            models.CheckConstraint(
                condition=models.Q(
                    converted_from_minor__isnull=True, converted_from_currency__isnull=True
                )
                | models.Q(converted_from_minor__isnull=False)
                & models.Q(converted_from_currency__isnull=False)
                & ~models.Q(converted_from_currency=models.F("currency")),
                name="line_is_converted_from_another_currency",
            ),
        ]
        indexes = [
            models.Index(
                "next_attempt_at",
                name="line_due",
                condition=models.Q(next_attempt_at__isnull=False),
            ),
            models.Index(
                "next_attempt_at",
                name="line_of_dispute_due",
                condition=models.Q(
                    next_attempt_at__isnull=False,
                    kind__in=sorted(each.value for each in DISPUTE_LINES),
                ),
            ),
            models.Index("id", name="line_dead", condition=models.Q(status=S.DEAD)),
            models.Index(
                "discrepancy", name="line_discrepancy", condition=~models.Q(discrepancy="")
            ),
            models.Index(fields=["psp_account", "psp_id"], name="line_of_act"),
            models.Index(
                fields=["psp_account", "occurred_at"],
                name="line_of_payout",
                condition=models.Q(kind__in=sorted(each.value for each in PAYOUT_LINES)),
            ),
            models.Index(
                "psp_account",
                "psp_payout_id",
                name="line_in_payout",
                condition=~models.Q(psp_payout_id=""),
            ),
            models.Index(
                "psp_account",
                "psp_payment_id",
                name="line_of_payment",
                condition=~models.Q(psp_payment_id=""),
            ),
        ]

    def __str__(self) -> str:
        return self.identity

    @property
    def gross(self) -> Money:
        return Money(self.gross_minor, self.currency)

    @property
    def fee(self) -> Money:
        return Money(self.fee_minor, self.currency)

    @property
    def fee_parts(self) -> FeeParts:
        return FeeParts(
            markup=Money(self.markup_minor, self.currency),
            interchange=Money(self.interchange_minor, self.currency),
            scheme_fee=Money(self.scheme_fee_minor, self.currency),
        )

    @property
    def paid(self) -> Money:
        """The gross in the currency of the payment."""
        return self.gross if self.conversion is None else self.conversion.paid

    @property
    def conversion(self) -> Conversion | None:
        if self.converted_from_minor is None or self.converted_from_currency is None:
            return None
        paid = Money(self.converted_from_minor, self.converted_from_currency)
        return Conversion(paid=paid, rate=self.exchange_rate)

    @property
    def net(self) -> Money:
        """By how much what the PSP holds for us changed."""
        return self.gross - self.fee

    @property
    def reported(self) -> ReportLine:
        """The line as the adapter read it."""
        return ReportLine(
            identity=self.identity,
            kind=LineKind(self.kind),
            psp_type=self.psp_type,
            psp_id=self.psp_id,
            psp_payment_id=self.psp_payment_id,
            reference=self.reference,
            gross=self.gross,
            fee=self.fee,
            stated_fee_parts=self.fee_parts,
            occurred_at=self.occurred_at,
            psp_payout_id=self.psp_payout_id,
            conversion=self.conversion,
            available_on=self.available_on,
        )

    @transition(field=status, source=sources_of(LINE_TRANSITIONS, S.MATCHED), target=S.MATCHED)
    def match(self) -> None:
        """Ledger transactions of ours equal it."""

    @transition(field=status, source=sources_of(LINE_TRANSITIONS, S.FAILING), target=S.FAILING)
    def fail(self) -> None:
        """An attempt failed; it is repeated."""

    @transition(field=status, source=sources_of(LINE_TRANSITIONS, S.DEAD), target=S.DEAD)
    def dead_letter(self) -> None:
        """Not attempted again until an operator requeues it."""

    @transition(field=status, source=sources_of(LINE_TRANSITIONS, S.OPEN), target=S.OPEN)
    def requeue(self) -> None:
        """An operator wants it matched again, or the rest of its amount has come."""

    @transition(
        field=status, source=sources_of(LINE_TRANSITIONS, S.WRITTEN_OFF), target=S.WRITTEN_OFF
    )
    def write_off(self) -> None:
        """Two people have written its amount off."""

    def requeue_at(self, now: datetime) -> None:
        """Have a line that was given up matched again, with all the time that a new one has."""
        self.requeue()
        self.attempts, self.discrepancy = 0, ""
        self.next_attempt_at = self.retrying_since = now
        self.save(
            update_fields=[
                *("status", "attempts", "next_attempt_at", "retrying_since", "discrepancy"),
            ]
        )


class SettlementMatch(models.Model):
    """A ledger transaction of a dispute that a line matches. No other line can match the same one.

    What a line of a charge or refund books itself names the line as its source.
    """

    application_rights = ("select", "insert")

    line = models.ForeignKey(
        SettlementLine, on_delete=models.PROTECT, db_constraint=False, related_name="matches"
    )
    transaction_id = models.UUIDField(unique=True)
    """All transactions of a line together changed 1110 by its net."""
    matched_at = models.DateTimeField()

    class Meta:
        db_table = "reconciliation_settlement_match"
        verbose_name_plural = "settlement matches"

    def __str__(self) -> str:
        return f"line {self.line_id}"


class SettlementShare(models.Model):
    """How much of a line is about one of several captures of its payment.

    Only lines of a PSP that reports by payment have shares; any other line is about its operation.
    """

    application_rights = ("select", "insert")

    line = models.ForeignKey(
        SettlementLine,
        on_delete=models.PROTECT,
        db_constraint=False,
        db_index=False,
        related_name="shares",
    )
    operation = models.ForeignKey(Operation, on_delete=models.PROTECT, db_constraint=False)
    amount_minor = models.BigIntegerField()
    """In the currency of the payment; negative if it reverses what was settled."""

    class Meta:
        db_table = "reconciliation_settlement_share"
        constraints = [
            models.UniqueConstraint(fields=["line", "operation"], name="share_once"),
            models.CheckConstraint(condition=~models.Q(amount_minor=0), name="share_is_not_empty"),
        ]

    def __str__(self) -> str:
        return f"line {self.line_id}"
