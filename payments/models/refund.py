"""A refund as the merchant sees it; its operation is what goes to the PSP."""

from __future__ import annotations

from django.db import models
from django_fsm import FSMField, transition

from payments import public_ids
from payments.models.machine import MachineModel
from payments.models.merchant import MerchantOwned, WithAmount
from payments.models.operation import Operation
from payments.models.payment_intent import PaymentIntent
from payments.states import REFUND_TRANSITIONS, RefundStatus, sources_of

S = RefundStatus


class Refund(MerchantOwned, WithAmount, MachineModel):
    """Money on its way back to the customer."""

    application_rights = ("select", "insert", "update")

    id = models.UUIDField(primary_key=True, default=public_ids.new_id, editable=False)
    intent = models.ForeignKey(
        PaymentIntent,
        on_delete=models.PROTECT,
        db_constraint=False,
        related_name="refunds",
    )
    operation = models.OneToOneField(
        Operation, on_delete=models.PROTECT, db_constraint=False, related_name="refund"
    )
    charge_id = models.UUIDField()
    """The charging operation that is refunded."""
    status = FSMField(max_length=16, default=S.PENDING, protected=True)
    reason = models.CharField(max_length=32, blank=True)
    failure_reason = models.CharField(max_length=64, blank=True)
    description = models.CharField(max_length=1000, blank=True)
    metadata = models.JSONField(default=dict)
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()

    class Meta:
        db_table = "payments_refund"
        indexes = [
            models.Index("merchant", "livemode", models.F("id").desc(), name="refund_newest"),
            models.Index("charge_id", name="refund_charge"),
        ]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(amount_minor__gt=0), name="refund_amount_positive"
            ),
        ]

    def __str__(self) -> str:
        return self.public_id

    @property
    def public_id(self) -> str:
        return public_ids.encode(public_ids.REFUND, self.id)

    @transition(
        field=status, source=sources_of(REFUND_TRANSITIONS, S.SUCCEEDED), target=S.SUCCEEDED
    )
    def succeed(self) -> None:
        """The PSP sent the money back."""

    @transition(field=status, source=sources_of(REFUND_TRANSITIONS, S.FAILED), target=S.FAILED)
    def fail(self, *, reason: str) -> None:
        """The money did not go back."""
        self.failure_reason = reason

    @transition(field=status, source=sources_of(REFUND_TRANSITIONS, S.CANCELED), target=S.CANCELED)
    def cancel(self) -> None:
        """The refund never reached the PSP."""
