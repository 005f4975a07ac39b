"""One instruction to a PSP, stored before it is sent, with its permanent idempotency key there.

A charging operation (kind authorize) is what a merchant sees as a charge.
"""

from __future__ import annotations

import hashlib
from typing import Final

from django.db import models

from payments import public_ids
from payments.models.machine import MachineModel, StatusField, transition_to
from payments.models.merchant import MerchantOwned, PspAccount, WithAmount, WithPublicId
from payments.models.payment_intent import PaymentIntent
from payments.states import (
    BLOCKING_CHARGE,
    CHARGE_WITH_OWN_AMOUNT,
    OPERATION_OPEN,
    OPERATION_TRANSITIONS,
    OperationStatus,
)
from psp_adapters.contract.operations import OperationKind

S = OperationStatus
_GIVE_BACK = (OperationKind.VOID, OperationKind.REFUND)
EXTERNAL_KEY_PREFIX: Final = "psp:"
"""Begins the key of an external operation: one that began at the PSP, and is never sent."""

_KEY_LENGTH_MAX: Final = 64


def external_operation_key(kind: str, psp_id: str) -> str:
    """The key of an external operation; its prefix tells it apart from keys that we send.

    PSPs may give operations of two kinds the same id.
    """
    key = f"{EXTERNAL_KEY_PREFIX}{kind}:{psp_id}"
    if len(key) <= _KEY_LENGTH_MAX:
        return key
    digest = hashlib.sha256(key.encode()).hexdigest()
    return (EXTERNAL_KEY_PREFIX + digest)[:_KEY_LENGTH_MAX]


class Operation(WithPublicId, MerchantOwned, WithAmount, MachineModel):
    """An instruction to a PSP; everything needed to send it again is on this row."""

    application_rights = ("select", "insert", "update")
    permanent_columns = (
        *("merchant_id", "livemode", "amount_minor", "currency", "intent_id", "psp_account_id"),
        *("kind", "psp_key", "charge_id", "order_id", "token", "capture_now", "final"),
        *("purchase_details", "save_for", "off_session", "network_transaction_id"),
        *("mandate_id", "ends_challenge", "actor", "request_id", "idempotency_id", "replaces_id"),
        *("requested_at", "created_at"),
    )

    intent = models.ForeignKey(
        PaymentIntent,
        on_delete=models.PROTECT,
        db_constraint=False,
        related_name="operations",
    )
    psp_account = models.ForeignKey(
        PspAccount, on_delete=models.PROTECT, db_constraint=False, db_index=False
    )
    kind = models.CharField(max_length=16, choices=[(k.value, k.value) for k in OperationKind])
    status = StatusField(max_length=24, default=S.SENDING)

    psp_key = models.CharField(max_length=_KEY_LENGTH_MAX)
    """The permanent idempotency key at the PSP: the same for every attempt of this operation."""
    psp_id = models.CharField(max_length=128, blank=True)
    psp_payment_id = models.CharField(max_length=128, blank=True)
    charge_id = models.UUIDField(null=True, blank=True)
    """The charging operation that a change or refund is about."""
    order_id = models.CharField(max_length=500, blank=True)
    guard_order = models.CharField(max_length=500, null=True, blank=True)
    """The order that this charge occupies; NULL when it occupies none (unique otherwise)."""
    guards_order = models.BooleanField(default=False, db_default=False)
    """Whether this charge is to occupy its order while it is open, or holds or keeps money: the
    merchant's order guard was on when it was written, or when it last claimed the order again."""
    payment_method_id = models.UUIDField(null=True, blank=True)
    payment_method_details = models.JSONField(null=True, blank=True)
    """What the charge shows of the method, frozen when it was sent."""
    purchase_details = models.JSONField(null=True, blank=True)
    """What the PSP is sent of the purchase (`PurchaseDetails`); NULL if it takes nothing."""
    token = models.CharField(max_length=255, blank=True)
    capture_now = models.BooleanField(default=False)
    final = models.BooleanField(default=True)
    ends_challenge = models.BooleanField(default=False, db_default=False)
    """VOID only: it ends an open challenge to make room for another charge. The payment goes on."""
    challenge_allowed = models.BooleanField(default=True)
    three_d_secure = models.CharField(max_length=16, blank=True, default="", db_default="")
    """`any` or `challenge`: it asks for 3-D Secure where the PSP would not; empty: the PSP decides.
    """
    save_for = models.CharField(max_length=16, blank=True, default="", db_default="")
    """`on_session` or `off_session`: a charge that keeps its method for later payments."""
    off_session = models.BooleanField(default=False, db_default=False)
    """A charge without the customer: the PSP is told that the merchant begins it."""
    network_transaction_id = models.CharField(max_length=128, blank=True, default="", db_default="")
    """What the PSP is told of the customer's earlier agreement."""
    network_charge_id = models.CharField(max_length=128, blank=True, default="", db_default="")
    """A card charge's own id at the card network, where the PSP states it."""
    mandate_id = models.UUIDField(null=True, blank=True)
    """A charge's mandate, by which the customer's account is debited; the PSP is told its id."""
    return_url = models.CharField(max_length=2048, blank=True)
    cancellation_reason = models.CharField(max_length=32, blank=True)
    status_before = models.CharField(max_length=24, blank=True)
    """The intent's status before this operation began: where it returns if nothing happened."""

    code = models.CharField(max_length=64, blank=True)
    decline_code = models.CharField(max_length=64, blank=True)
    message = models.CharField(max_length=500, blank=True)
    detail = models.CharField(max_length=500, blank=True)
    redirect_url = models.CharField(max_length=2048, blank=True)

    balance_transaction_id = models.UUIDField(null=True, blank=True)
    """The ledger transaction that changed what we owe the merchant."""
    failure_balance_transaction_id = models.UUIDField(null=True, blank=True)
    """The ledger transaction that reversed it when it failed late; the last one."""
    latest_dispute_id = models.UUIDField(null=True, blank=True)
    """The latest dispute of a charge; only services.disputes writes it."""
    actor = models.CharField(max_length=200)
    request_id = models.CharField(max_length=64, blank=True)
    idempotency_id = models.UUIDField(null=True, blank=True)
    lease_until = models.DateTimeField()
    """Until then only the process that wrote it may act on it; after that, recovery may."""
    next_check_at = models.DateTimeField(null=True, blank=True)
    checks = models.PositiveIntegerField(default=0)
    resent_at = models.DateTimeField(null=True, blank=True)
    """When it was last repeated; a request may reach the PSP for a while after it was sent."""
    fenced_at = models.DateTimeField(null=True, blank=True)
    """When the PSP was last told to refuse its key (fence); it is not sent again after that."""
    replaces_id = models.UUIDField(null=True, blank=True)
    """The operation that never reached the PSP, and that this one carries out under a new key."""
    requested_at = models.DateTimeField(null=True, blank=True)
    """When the first operation of a chain of replacements was stored; NULL if it replaces none."""
    revisions = models.PositiveIntegerField(default=0)
    """Number of late outcomes recorded. Each posts under its own source type, `operation/<n>`."""
    excess_minor = models.BigIntegerField(default=0)
    """How much of it exceeds what the payment may hold, take or refund."""
    excess_returned_minor = models.BigIntegerField(default=0)
    """How much of a duplicate charge went back to the customer."""
    platform_fee_minor = models.BigIntegerField(default=0)
    """Our fee of what it captured, as booked; the merchant's rate may change later."""
    reversal_due_at = models.DateTimeField(null=True, blank=True)
    """When the sweep reverses a late or duplicate charge; NULL if it does not."""
    created_at = models.DateTimeField()
    closed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "payments_operation"
        indexes = [
            models.Index(
                "merchant",
                "livemode",
                "id",
                name="charge_by_id",
                condition=models.Q(kind=OperationKind.AUTHORIZE.value),
            ),
            models.Index(
                *("merchant", "livemode", "currency", "amount_minor", "id"),
                name="charge_own_currency_amount_id",
                condition=models.Q(
                    kind=OperationKind.AUTHORIZE.value, status__in=sorted(CHARGE_WITH_OWN_AMOUNT)
                ),
            ),
            models.Index(
                "next_check_at",
                name="operation_due",
                condition=models.Q(next_check_at__isnull=False),
            ),
            models.Index(
                "reversal_due_at",
                name="operation_to_reverse",
                condition=models.Q(reversal_due_at__isnull=False),
            ),
            models.Index(
                "psp_payment_id",
                name="charge_psp_payment",
                condition=models.Q(kind=OperationKind.AUTHORIZE.value)
                & ~models.Q(psp_payment_id=""),
            ),
            models.Index(
                "created_at",
                name="operation_outcome_unknown",
                condition=models.Q(status=OperationStatus.UNKNOWN.value),
            ),
        ]
        constraints = [
            models.UniqueConstraint(fields=["psp_account", "psp_key"], name="operation_psp_key"),
            models.UniqueConstraint(
                fields=["intent"],
                name="one_charge_per_intent",
                condition=models.Q(
                    kind=OperationKind.AUTHORIZE.value, status__in=sorted(BLOCKING_CHARGE)
                ),
            ),
            models.UniqueConstraint(
                fields=["intent"],
                name="one_open_change_per_intent",
                condition=models.Q(
                    kind__in=[
                        OperationKind.CAPTURE.value,
                        OperationKind.INCREMENT.value,
                        OperationKind.VOID.value,
                    ],
                    status__in=sorted(OPERATION_OPEN),
                )
                & ~models.Q(psp_key__startswith=EXTERNAL_KEY_PREFIX),
            ),
            models.UniqueConstraint(
                fields=["merchant", "livemode", "guard_order"],
                name="one_charge_per_order",
                condition=models.Q(guard_order__isnull=False),
            ),
            models.UniqueConstraint(
                fields=["replaces_id"],
                name="operation_replaced_once",
                condition=models.Q(replaces_id__isnull=False),
            ),
            models.UniqueConstraint(
                fields=["psp_account", "kind", "psp_id"],
                name="operation_psp_id",
                condition=~models.Q(psp_id=""),
            ),
            models.CheckConstraint(
                condition=models.Q(guard_order__isnull=True) | models.Q(guards_order=True),
                name="operation_occupies_an_order_it_guards",
            ),
            models.CheckConstraint(
                condition=models.Q(ends_challenge=False)
                | models.Q(
                    kind=OperationKind.VOID.value, charge_id__isnull=False, replaces_id__isnull=True
                ),
                name="operation_ends_challenge_by_void",
            ),
            models.CheckConstraint(
                condition=models.Q(three_d_secure="")
                | models.Q(
                    three_d_secure__in=["any", "challenge"],
                    kind=OperationKind.AUTHORIZE.value,
                    challenge_allowed=True,
                ),
                name="operation_three_d_secure",
            ),
            models.CheckConstraint(
                condition=models.Q(save_for="", off_session=False, network_transaction_id="")
                | models.Q(
                    kind=OperationKind.AUTHORIZE.value,
                    save_for__in=["", "on_session", "off_session"],
                ),
                name="operation_credential_of_a_charge",
            ),
            models.CheckConstraint(
                condition=models.Q(off_session=False) | models.Q(challenge_allowed=False),
                name="operation_off_session_has_no_challenge",
            ),
            models.CheckConstraint(
                condition=models.Q(amount_minor__gte=0),
                name="operation_amount_not_negative",
            ),
            models.CheckConstraint(
                condition=models.Q(excess_minor__gte=0) & models.Q(excess_returned_minor__gte=0),
                name="operation_excess_not_negative",
            ),
        ]

    @property
    def is_charge(self) -> bool:
        return self.kind == OperationKind.AUTHORIZE

    @property
    def gives_excess_back(self) -> bool:
        """True for the void or refund of a duplicate charge."""
        return self.kind in _GIVE_BACK and self.excess_minor > 0

    @property
    def is_external(self) -> bool:
        """True for an external operation, which began at the PSP."""
        return self.psp_key.startswith(EXTERNAL_KEY_PREFIX)

    @property
    def awaits_first_sending(self) -> bool:
        """True for a replacement that no worker has sent to the PSP yet."""
        return self.replaces_id is not None and self.resent_at is None and self.fenced_at is None

    @property
    def is_open(self) -> bool:
        return self.status in OPERATION_OPEN

    @property
    def public_id(self) -> str:
        prefix = public_ids.CHARGE if self.is_charge else public_ids.OPERATION
        return public_ids.encode(prefix, self.id)

    @transition_to(S.UNKNOWN, OPERATION_TRANSITIONS, field=status)
    def mark_unknown(self) -> None:
        """It is unknown whether the PSP did it."""

    @transition_to(S.PENDING, OPERATION_TRANSITIONS, field=status)
    def await_psp(self) -> None:
        """The PSP accepted it, and reports the outcome later."""

    @transition_to(S.REQUIRES_ACTION, OPERATION_TRANSITIONS, field=status)
    def await_customer(self) -> None:
        """The PSP waits for the customer."""

    @transition_to(S.SUCCEEDED, OPERATION_TRANSITIONS, field=status)
    def succeed(self) -> None:
        """The PSP did it."""

    @transition_to(S.DECLINED, OPERATION_TRANSITIONS, field=status)
    def decline(self) -> None:
        """The PSP refused it for good."""

    @transition_to(S.NOT_SENT, OPERATION_TRANSITIONS, field=status)
    def drop(self) -> None:
        """It never reached the PSP."""

    @transition_to(S.CANCELED, OPERATION_TRANSITIONS, field=status)
    def withdraw(self) -> None:
        """It was withdrawn before it took effect."""

    @transition_to(S.REVERSED, OPERATION_TRANSITIONS, field=status)
    def reverse(self) -> None:
        """The PSP reversed what it had done."""

    @transition_to(S.EXCESS, OPERATION_TRANSITIONS, field=status)
    def exceed(self) -> None:
        """The PSP made a duplicate charge: another one holds the payment or its order."""
