"""Checkout: sessions, each one hosted page, and the permanent links that make them.

A session charges one payment, or keeps one payment method by a setup intent. What it says of money
(amount, currency, whether it is paid) is read from its payment.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from django.db import models

from payments import public_ids
from payments.models.machine import MachineModel, StatusField, transition_to
from payments.models.merchant import MerchantOwned, WithAmount, WithPublicId
from payments.models.payment_intent import PaymentIntent
from payments.models.setup_intent import SetupIntent
from payments.states import CHECKOUT_TRANSITIONS, CheckoutStatus

_OPEN: Final = CheckoutStatus.OPEN.value
_COMPLETE: Final = CheckoutStatus.COMPLETE.value


class BankDecision(StrEnum):
    """What became of a session that was complete before the customer's bank had decided."""

    NONE = ""
    """The result was known when the session was complete, or it is open."""
    AWAITED = "awaited"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


class PaymentLink(WithPublicId, MerchantOwned, WithAmount):
    """A permanent address; each visitor gets a checkout session for what it sells."""

    application_rights = ("select", "insert", "update")
    permanent_columns = (
        *("merchant_id", "livemode", "amount_minor", "currency", "token", "line_items"),
        *("method_types", "intent_details", "submit_type", "created_at"),
    )
    public_id_prefix = public_ids.PAYMENT_LINK

    token = models.CharField(max_length=64, unique=True)
    """The secret part of its address."""
    active = models.BooleanField(default=True)
    line_items = models.JSONField()
    method_types = models.JSONField(default=list)
    """The only types that may pay; empty: all that the PSP charges."""
    intent_details = models.JSONField(default=dict)
    """What each payment gets: description, capture_method, metadata, …"""
    redirect_url = models.CharField(max_length=2048, blank=True)
    """Where the customer goes afterwards; empty: our own page says thank you."""
    inactive_message = models.CharField(max_length=500, blank=True)
    submit_type = models.CharField(max_length=8, default="auto")
    metadata = models.JSONField(default=dict)
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()

    class Meta:
        db_table = "payments_payment_link"
        indexes = [
            models.Index("merchant", "livemode", models.F("id").desc(), name="link_newest"),
        ]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(amount_minor__gt=0), name="link_amount_positive"
            ),
            models.CheckConstraint(
                condition=models.Q(currency__regex=r"^[A-Z]{3}$"), name="link_currency"
            ),
        ]


class CheckoutSession(WithPublicId, MerchantOwned, MachineModel):
    """One hosted page for one payment or one setup intent, which is made together with it."""

    application_rights = ("select", "insert", "update")
    permanent_columns = (
        *("merchant_id", "livemode", "intent_id", "setup_intent_id", "payment_link_id", "token"),
        *("line_items", "success_url", "cancel_url", "expires_at", "created_at"),
    )
    public_id_prefix = public_ids.CHECKOUT_SESSION

    intent = models.OneToOneField(
        PaymentIntent,
        on_delete=models.PROTECT,
        db_constraint=False,
        related_name="+",
        null=True,
        blank=True,
    )
    setup_intent = models.OneToOneField(
        SetupIntent,
        on_delete=models.PROTECT,
        db_constraint=False,
        related_name="+",
        null=True,
        blank=True,
    )
    """Instead of a payment: the page keeps a payment method, and takes no money."""
    payment_link = models.ForeignKey(
        PaymentLink, on_delete=models.PROTECT, db_index=False, null=True, blank=True
    )
    token = models.CharField(max_length=64, unique=True)
    """The secret part of its address: who has it may pay, and sees what is paid for."""
    status = StatusField(max_length=24, default=_OPEN)
    bank_decision = models.CharField(
        max_length=9, blank=True, choices=[(each.value, each.value) for each in BankDecision]
    )
    line_items = models.JSONField()
    """What is bought: `name`, `description`, `unit_amount`, `quantity`, `metadata` of each."""
    success_url = models.CharField(max_length=2048, blank=True)
    cancel_url = models.CharField(max_length=2048, blank=True)
    customer_email = models.CharField(max_length=512, blank=True)
    client_reference_id = models.CharField(max_length=200, blank=True)
    locale = models.CharField(max_length=8, default="auto")
    submit_type = models.CharField(max_length=8, default="auto")
    metadata = models.JSONField(default=dict)
    expires_at = models.DateTimeField()
    next_expiry_at = models.DateTimeField(null=True, blank=True)
    """When a worker looks whether it has expired; NULL once it is not open."""
    completed_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()

    class Meta:
        db_table = "payments_checkout_session"
        indexes = [
            models.Index("merchant", "livemode", models.F("id").desc(), name="session_newest"),
            models.Index(
                "payment_link",
                "id",
                name="session_of_link",
                condition=models.Q(payment_link__isnull=False),
            ),
            models.Index(
                "next_expiry_at",
                name="session_due",
                condition=models.Q(next_expiry_at__isnull=False),
            ),
        ]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(status=_OPEN, next_expiry_at__isnull=False)
                | (~models.Q(status=_OPEN) & models.Q(next_expiry_at__isnull=True)),
                name="open_session_expires",
            ),
            models.CheckConstraint(
                condition=models.Q(bank_decision="") | models.Q(status=_COMPLETE),
                name="bank_decides_of_complete_session",
            ),
            models.CheckConstraint(
                condition=models.Q(intent__isnull=False, setup_intent__isnull=True)
                | models.Q(intent__isnull=True, setup_intent__isnull=False, payment_link=None),
                name="session_pays_or_keeps",
            ),
        ]

    @property
    def subject(self) -> PaymentIntent | SetupIntent:
        """What its page is about: the payment, or the setup intent."""
        subject = self.intent or self.setup_intent
        assert subject is not None, "session_pays_or_keeps"
        return subject

    @property
    def payment(self) -> PaymentIntent:
        """The payment of a session that takes one."""
        assert self.intent is not None, "the session keeps a payment method"
        return self.intent

    # Transitions: each changes this row only.

    @transition_to(CheckoutStatus.COMPLETE, CHECKOUT_TRANSITIONS, field=status)
    def complete(self) -> None:
        """The customer is done."""
        self.next_expiry_at = None

    @transition_to(CheckoutStatus.EXPIRED, CHECKOUT_TRANSITIONS, field=status)
    def expire(self) -> None:
        """Nothing was paid, and nothing can be."""
        self.next_expiry_at = None
