"""A refund as the merchant sees it; its operation is what goes to the PSP."""

from __future__ import annotations

from django.db import models

from payments import public_ids
from payments.models.machine import MachineModel, StatusField, transition_to
from payments.models.merchant import MerchantOwned, WithAmount, WithPublicId
from payments.models.operation import Operation
from payments.models.payment_intent import PaymentIntent
from payments.states import REFUND_TRANSITIONS, RefundStatus

S = RefundStatus


class Refund(WithPublicId, MerchantOwned, WithAmount, MachineModel):
    """Money on its way back to the customer."""

    application_rights = ("select", "insert", "update")
    permanent_columns = (
        *("merchant_id", "livemode", "amount_minor", "currency", "intent_id", "charge_id"),
        *("reason", "approval_id", "created_at"),
    )
    public_id_prefix = public_ids.REFUND

    intent = models.ForeignKey(
        PaymentIntent,
        on_delete=models.PROTECT,
        db_constraint=False,
        related_name="refunds",
    )
    operation = models.OneToOneField(
        Operation,
        on_delete=models.PROTECT,
        db_constraint=False,
        null=True,
        blank=True,
        related_name="refund",
    )
    """The operation that makes it; its replacement once that one never reached the PSP. NULL while
    it waits for approval, and for good if it got none."""
    approval_id = models.UUIDField(null=True, blank=True)
    """The request for approval without which it is not made; NULL if it needs none."""
    charge_id = models.UUIDField()
    """The charging operation that is refunded."""
    status = StatusField(max_length=16, default=S.PENDING)
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
            models.UniqueConstraint(
                fields=["approval_id"],
                name="refund_approval",
                condition=models.Q(approval_id__isnull=False),
            ),
            models.CheckConstraint(
                condition=models.Q(operation__isnull=False)
                | models.Q(
                    approval_id__isnull=False, status__in=[S.PENDING.value, S.CANCELED.value]
                ),
                name="refund_without_operation_waits",
            ),
        ]

    @property
    def waits_for_approval(self) -> bool:
        return self.operation_id is None and self.status == S.PENDING

    @transition_to(S.SUCCEEDED, REFUND_TRANSITIONS, field=status)
    def succeed(self) -> None:
        """The PSP sent the money back."""

    @transition_to(S.FAILED, REFUND_TRANSITIONS, field=status)
    def fail(self, *, reason: str) -> None:
        """The money did not go back."""
        self.failure_reason = reason

    @transition_to(S.CANCELED, REFUND_TRANSITIONS, field=status)
    def cancel(self) -> None:
        """The refund never reached the PSP, or was not approved."""
