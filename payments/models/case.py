"""Cases: findings that an operator must decide, because no rule may.

A case is opened in the transaction that found the problem. Closing it never moves money.
"""

from __future__ import annotations

from django.db import models

from payments import public_ids
from payments.models.machine import MachineModel, StatusField, transition_to
from payments.models.merchant import Merchant, PspAccount, WithPublicId
from payments.states import CASE_TRANSITIONS, CaseStatus

S = CaseStatus


class Case(WithPublicId, MachineModel):
    """One finding for an operator; at most one open case per kind and subject."""

    application_rights = ("select", "insert", "update")
    permanent_columns = (
        *("merchant_id", "livemode", "psp_account_id", "kind", "subject", "intent_id"),
        *("operation_id", "amount_minor", "currency", "summary", "discrepancy"),
        "opened_at",
    )
    public_id_prefix = public_ids.CASE

    merchant = models.ForeignKey(
        Merchant, on_delete=models.PROTECT, db_constraint=False, null=True, blank=True
    )
    livemode = models.BooleanField()
    psp_account = models.ForeignKey(
        PspAccount,
        on_delete=models.PROTECT,
        db_constraint=False,
        db_index=False,
        null=True,
        blank=True,
    )
    kind = models.CharField(max_length=32)
    """One of payments.states.CaseKind."""
    subject = models.CharField(max_length=128)
    """The public id of what it is about (an operation, an intent, a dispute, a PSP's own id)."""
    status = StatusField(max_length=16, default=S.OPEN)
    intent_id = models.UUIDField(null=True, blank=True)
    operation_id = models.UUIDField(null=True, blank=True)
    amount_minor = models.BigIntegerField(null=True, blank=True)
    """What is at stake; NULL where no amount is."""
    currency = models.CharField(max_length=3, blank=True)
    summary = models.CharField(max_length=500)
    """What is wrong, in one sentence; what to do follows from the kind."""
    discrepancy = models.CharField(max_length=32, blank=True, default="", db_default="")
    """What reconciliation found, as a code of its closed list; empty for other cases."""
    opened_at = models.DateTimeField()
    closed_at = models.DateTimeField(null=True, blank=True)
    closed_by = models.CharField(max_length=200, blank=True)
    resolution = models.CharField(max_length=1000, blank=True)

    class Meta:
        db_table = "payments_case"
        constraints = [
            models.UniqueConstraint(
                fields=["kind", "subject"],
                name="one_open_case",
                condition=models.Q(status=S.OPEN.value),
            ),
            models.CheckConstraint(
                condition=models.Q(status=S.OPEN.value, closed_at__isnull=True)
                | (
                    models.Q(status=S.CLOSED.value, closed_at__isnull=False)
                    & ~models.Q(closed_by="")
                    & ~models.Q(resolution="")
                ),
                name="closed_case_names_its_closer",
            ),
        ]
        indexes = [
            models.Index("intent_id", name="case_intent"),
            models.Index(
                "opened_at", "kind", name="case_open", condition=models.Q(status=S.OPEN.value)
            ),
        ]

    @transition_to(S.CLOSED, CASE_TRANSITIONS, field=status)
    def close(self) -> None:
        """An operator explained it."""
