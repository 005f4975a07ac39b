"""Setup intents, which keep a payment method for later payments, and the attempts at a PSP.

No money moves. A transition changes its own row only; what follows is written by
services.outcomes.setups in the same transaction.
"""

from __future__ import annotations

from datetime import datetime

from django.db import models

from payments import public_ids
from payments.models.customer import Customer, PaymentMethod
from payments.models.machine import MachineModel, StatusField, transition_to
from payments.models.merchant import MerchantOwned, PspAccount, WithPublicId
from payments.states import (
    SETUP_ATTEMPT_OPEN,
    SETUP_ATTEMPT_TRANSITIONS,
    SETUP_TRANSITIONS,
    SetupAttemptStatus,
    SetupStatus,
)

S = SetupStatus
A = SetupAttemptStatus
USAGES = ("on_session", "off_session")


class SetupIntent(WithPublicId, MerchantOwned, MachineModel):
    """The wish to keep one payment method, of a customer perhaps, for later payments."""

    application_rights = ("select", "insert", "update")
    permanent_columns = (
        *("merchant_id", "livemode", "client_secret", "usage"),
        *("idempotency_key", "checkout_session_id", "created_at"),
    )
    public_id_prefix = public_ids.SETUP_INTENT

    psp_account = models.ForeignKey(
        PspAccount, on_delete=models.PROTECT, db_constraint=False, db_index=False
    )
    customer = models.ForeignKey(
        Customer,
        on_delete=models.PROTECT,
        db_constraint=False,
        db_index=False,
        null=True,
        blank=True,
    )
    payment_method = models.ForeignKey(
        PaymentMethod,
        on_delete=models.PROTECT,
        db_constraint=False,
        db_index=False,
        null=True,
        blank=True,
    )
    status = StatusField(max_length=24, default=S.REQUIRES_PAYMENT_METHOD)
    usage = models.CharField(max_length=16, choices=[(each, each) for each in USAGES])
    """Whether the customer will be there for later payments; the PSP is told so."""
    payment_method_types = models.JSONField(default=list)
    automatic_payment_methods = models.JSONField(null=True, blank=True)
    """`enabled` and `allow_redirects` as the merchant gave them; NULL with types of its own."""
    payment_method_options = models.JSONField(blank=True, default=dict)
    latest_attempt_id = models.UUIDField(null=True, blank=True)
    mandate_id = models.UUIDField(null=True, blank=True)
    """The mandate with which the method was kept; NULL if it needs none."""
    client_secret = models.CharField(max_length=64)
    next_action_url = models.CharField(max_length=2048, blank=True)
    return_url = models.CharField(max_length=2048, blank=True)
    last_setup_error = models.JSONField(null=True, blank=True)
    cancellation_reason = models.CharField(max_length=32, blank=True)
    description = models.CharField(max_length=1000, blank=True)
    metadata = models.JSONField(default=dict, blank=True)
    idempotency_key = models.CharField(max_length=255, blank=True)
    checkout_session_id = models.UUIDField(null=True, blank=True)
    """The checkout session whose page alone confirms it."""
    event_seq = models.PositiveIntegerField(default=0)
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()
    canceled_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "payments_setup_intent"
        indexes = [
            models.Index("merchant", "livemode", "id", name="setup_by_id"),
            models.Index(
                "customer", name="setup_customer", condition=models.Q(customer__isnull=False)
            ),
            models.Index(
                "payment_method",
                name="setup_method",
                condition=models.Q(payment_method__isnull=False),
            ),
        ]
        constraints = [
            models.CheckConstraint(condition=models.Q(usage__in=USAGES), name="setup_usage"),
            models.CheckConstraint(
                condition=~models.Q(
                    status__in=[
                        *(S.REQUIRES_CONFIRMATION.value, S.PROCESSING.value),
                        *(S.REQUIRES_ACTION.value, S.SUCCEEDED.value),
                    ]
                )
                | models.Q(payment_method__isnull=False),
                name="setup_names_its_method",
            ),
            models.CheckConstraint(
                condition=~models.Q(status=S.REQUIRES_ACTION.value) | ~models.Q(next_action_url=""),
                name="setup_names_its_challenge",
            ),
        ]

    @transition_to(S.REQUIRES_CONFIRMATION, SETUP_TRANSITIONS, field=status)
    def await_confirmation(self) -> None:
        """It has a payment method; or an attempt never reached the PSP."""

    @transition_to(S.PROCESSING, SETUP_TRANSITIONS, field=status)
    def start(self) -> None:
        """An attempt goes to the PSP."""

    @transition_to(S.REQUIRES_ACTION, SETUP_TRANSITIONS, field=status)
    def await_customer(self, *, redirect_url: str) -> None:
        """The PSP waits for the customer."""
        self.next_action_url = redirect_url

    @transition_to(S.SUCCEEDED, SETUP_TRANSITIONS, field=status)
    def succeed(self) -> None:
        """The payment method can be charged later."""

    @transition_to(S.REQUIRES_PAYMENT_METHOD, SETUP_TRANSITIONS, field=status)
    def fail(self) -> None:
        """The attempt was declined; another method may be tried."""

    @transition_to(S.CANCELED, SETUP_TRANSITIONS, field=status)
    def cancel(self, *, at: datetime, reason: str) -> None:
        """Nothing will be kept."""
        self.canceled_at = at
        self.cancellation_reason = reason


class SetupAttempt(WithPublicId, MerchantOwned, MachineModel):
    """One setup at a PSP, stored before it is sent, with its permanent idempotency key there."""

    application_rights = ("select", "insert", "update")
    permanent_columns = (
        *("merchant_id", "livemode", "setup_intent_id", "psp_account_id", "psp_key"),
        *("payment_method_id", "payment_method_details", "token", "usage", "three_d_secure"),
        *("return_url", "customer_id", "mandate_id", "actor", "request_id", "idempotency_id"),
        "created_at",
    )
    public_id_prefix = public_ids.SETUP_ATTEMPT
    """Its public id is also our reference of it at the PSP."""

    setup_intent = models.ForeignKey(
        SetupIntent, on_delete=models.PROTECT, db_constraint=False, related_name="attempts"
    )
    psp_account = models.ForeignKey(
        PspAccount, on_delete=models.PROTECT, db_constraint=False, db_index=False
    )
    status = StatusField(max_length=16, default=A.SENDING)
    psp_key = models.CharField(max_length=64, unique=True)
    psp_id = models.CharField(max_length=128, blank=True)
    payment_method_id = models.UUIDField()
    customer_id = models.UUIDField(null=True, blank=True)
    """Whom the method is to be attached to."""
    payment_method_details = models.JSONField()
    """What is shown of the method, frozen when it was sent."""
    token = models.CharField(max_length=255)
    usage = models.CharField(max_length=16)
    three_d_secure = models.CharField(max_length=16, blank=True)
    return_url = models.CharField(max_length=2048, blank=True)
    mandate_id = models.UUIDField(null=True, blank=True)
    """The mandate that it is to make, or has by an earlier one; the PSP is told its id."""
    network_transaction_id = models.CharField(max_length=128, blank=True)
    code = models.CharField(max_length=64, blank=True)
    decline_code = models.CharField(max_length=64, blank=True)
    message = models.CharField(max_length=500, blank=True)
    detail = models.CharField(max_length=500, blank=True)
    actor = models.CharField(max_length=200)
    request_id = models.CharField(max_length=64, blank=True)
    idempotency_id = models.UUIDField(null=True, blank=True)
    lease_until = models.DateTimeField()
    """Until then only the process that wrote it may act on it; after that, the sweep may."""
    next_check_at = models.DateTimeField(null=True, blank=True)
    checks = models.PositiveIntegerField(default=0)
    created_at = models.DateTimeField()
    closed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "payments_setup_attempt"
        constraints = [
            models.UniqueConstraint(
                fields=["setup_intent"],
                name="one_open_attempt_per_setup",
                condition=models.Q(status__in=sorted(SETUP_ATTEMPT_OPEN)),
            ),
            models.CheckConstraint(
                condition=models.Q(
                    status__in=sorted(SETUP_ATTEMPT_OPEN),
                    closed_at__isnull=True,
                    next_check_at__isnull=False,
                )
                | (
                    ~models.Q(status__in=sorted(SETUP_ATTEMPT_OPEN))
                    & models.Q(closed_at__isnull=False, next_check_at__isnull=True)
                ),
                name="setup_attempt_open_or_closed",
            ),
        ]
        indexes = [
            models.Index(
                "next_check_at",
                name="setup_attempt_due",
                condition=models.Q(next_check_at__isnull=False),
            ),
        ]

    @property
    def is_open(self) -> bool:
        return self.status in SETUP_ATTEMPT_OPEN

    @transition_to(A.UNKNOWN, SETUP_ATTEMPT_TRANSITIONS, field=status)
    def mark_unknown(self) -> None:
        """It is unknown whether the PSP did it."""

    @transition_to(A.REQUIRES_ACTION, SETUP_ATTEMPT_TRANSITIONS, field=status)
    def await_customer(self) -> None:
        """The PSP waits for the customer."""

    @transition_to(A.SUCCEEDED, SETUP_ATTEMPT_TRANSITIONS, field=status)
    def succeed(self) -> None:
        """The PSP verified the method."""

    @transition_to(A.DECLINED, SETUP_ATTEMPT_TRANSITIONS, field=status)
    def decline(self) -> None:
        """The PSP or the bank refused it for good."""

    @transition_to(A.NOT_SENT, SETUP_ATTEMPT_TRANSITIONS, field=status)
    def drop(self) -> None:
        """It never reached the PSP."""

    @transition_to(A.CANCELED, SETUP_ATTEMPT_TRANSITIONS, field=status)
    def withdraw(self) -> None:
        """Its challenge was given up: by the merchant, or because the customer never came back."""
