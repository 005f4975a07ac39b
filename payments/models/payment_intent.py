"""What a merchant wants paid: the payment intent, its guarded amounts and its state machine.

A transition changes this row only. What follows from it (books, events) is written by
services.outcomes in the same transaction.
"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from django.db import models
from django.db.models.functions import Greatest

from ledger.money import Money
from payments import public_ids
from payments.models.customer import Customer, PaymentMethod
from payments.models.machine import MachineModel, StatusField, transition_to
from payments.models.merchant import MerchantOwned, PspAccount, WithAmount, WithPublicId
from payments.states import INTENT_CAPTURED, INTENT_TRANSITIONS, IntentStatus

S = IntentStatus


class PaymentIntent(WithPublicId, MerchantOwned, WithAmount, MachineModel):
    """One payment of one order."""

    application_rights = ("select", "insert", "update")
    permanent_columns = (
        *("merchant_id", "livemode", "client_secret", "confirmation_method", "idempotency_key"),
        *("checkout_session_id", "created_at"),
    )
    public_id_prefix = public_ids.PAYMENT_INTENT

    psp_account = models.ForeignKey(
        PspAccount, on_delete=models.PROTECT, db_constraint=False, db_index=False
    )
    """Where its newest charge is, or its first one will be (`name_charge`)."""
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
    order_id = models.CharField(max_length=500, blank=True)
    status = StatusField(max_length=24, default=S.INITIATED)
    published_status = models.CharField(max_length=24, blank=True)
    """`succeeded` or `canceled`, once a merchant may have seen it: the public status stays."""

    amount_authorized_minor = models.BigIntegerField(default=0)
    amount_held_minor = models.BigIntegerField(default=0)
    """What the PSP holds and can still capture: the balance of the payment's memo accounts."""
    amount_captured_minor = models.BigIntegerField(default=0)
    amount_refunded_minor = models.BigIntegerField(default=0)
    amount_refund_pending_minor = models.BigIntegerField(default=0)
    amount_excess_minor = models.BigIntegerField(default=0)
    """What the PSP moved beyond what was asked for; each excess has a case."""
    amount_over_refunded_minor = models.BigIntegerField(default=0)
    """How much refunds, pending ones included, exceed what was captured; never through us."""
    amount_disputed_minor = models.BigIntegerField(default=0)
    """Charged back and open, or lost; an inquiry does not count. It may exceed what is left, with
    a case. Written by services.disputes only."""
    latest_dispute_id = models.UUIDField(null=True, blank=True)
    """The latest dispute of any of its charges; each charge has its own as well."""

    capture_method = models.CharField(max_length=16, default="automatic")
    confirmation_method = models.CharField(
        max_length=16, default="automatic", db_default="automatic"
    )
    """`manual`: after a challenge the merchant confirms again, and gets what the PSP has done."""
    payment_method_types = models.JSONField(default=list)
    payment_method_options = models.JSONField(
        blank=True, default=dict, db_default=models.Value({}, models.JSONField())
    )
    """What the merchant asks of the PSP, by type of method; only what was given."""
    amount_details = models.JSONField(null=True, blank=True)
    """What the amount is made of, as the merchant said; with `error` if it does not add up."""
    level3 = models.JSONField(null=True, blank=True)
    """The same in the older form; not both."""
    automatic_payment_methods = models.JSONField(null=True, blank=True)
    """`enabled` and `allow_redirects` as the merchant gave them; NULL with types of its own."""
    psp_reference = models.CharField(max_length=128, blank=True)
    idempotency_key = models.CharField(max_length=255, blank=True)
    latest_charge_id = models.UUIDField(null=True, blank=True)
    checkout_session_id = models.UUIDField(null=True, blank=True)
    """The checkout session whose page alone charges this payment."""
    client_secret = models.CharField(max_length=64)
    next_action_url = models.CharField(max_length=2048, blank=True)
    return_url = models.CharField(max_length=2048, blank=True)
    last_payment_error = models.JSONField(null=True, blank=True)
    cancellation_reason = models.CharField(max_length=32, blank=True)
    description = models.CharField(max_length=1000, blank=True)
    receipt_email = models.CharField(max_length=512, blank=True)
    shipping = models.JSONField(null=True, blank=True)
    statement_descriptor = models.CharField(max_length=22, blank=True)
    statement_descriptor_suffix = models.CharField(max_length=22, blank=True)
    setup_future_usage = models.CharField(max_length=16, blank=True)
    metadata = models.JSONField(default=dict)
    event_seq = models.PositiveIntegerField(default=0)
    authorization_expires_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()
    canceled_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "payments_payment_intent"
        indexes = [
            models.Index("merchant", "livemode", "id", name="intent_by_id"),
            models.Index(
                *("merchant", "livemode", "currency", "amount_minor", "id"),
                name="intent_currency_amount_id",
            ),
            models.Index("merchant", "livemode", "customer", name="intent_customer"),
            models.Index(
                "merchant",
                "livemode",
                models.F("id").desc(),
                name="intent_canceled",
                condition=models.Q(canceled_at__isnull=False),
            ),
            models.Index(
                "merchant",
                "order_id",
                name="intent_order",
                condition=~models.Q(order_id=""),
            ),
        ]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(amount_minor__gt=0), name="intent_amount_positive"
            ),
            models.CheckConstraint(
                condition=models.Q(amount_captured_minor__gte=0)
                & models.Q(amount_held_minor__gte=0)
                & models.Q(
                    amount_authorized_minor__gte=models.F("amount_captured_minor")
                    + models.F("amount_held_minor")
                ),
                name="intent_captured_and_held_at_most_authorized",
            ),
            models.CheckConstraint(
                condition=models.Q(amount_refunded_minor__gte=0)
                & models.Q(amount_refund_pending_minor__gte=0)
                & models.Q(
                    amount_over_refunded_minor=Greatest(
                        0,
                        models.F("amount_refunded_minor")
                        + models.F("amount_refund_pending_minor")
                        - models.F("amount_captured_minor"),
                    )
                ),
                name="intent_refunded_at_most_captured",
            ),
            models.CheckConstraint(
                condition=models.Q(amount_disputed_minor=0)
                | models.Q(amount_disputed_minor__gt=0, latest_dispute_id__isnull=False),
                name="disputed_intent_names_its_dispute",
            ),
            models.CheckConstraint(
                condition=models.Q(amount_excess_minor__gte=0),
                name="intent_excess_not_negative",
            ),
            models.CheckConstraint(
                condition=models.Q(confirmation_method__in=["automatic", "manual"]),
                name="intent_confirmation_method",
            ),
            models.CheckConstraint(
                condition=models.Q(currency__regex=r"^[A-Z]{3}$"),
                name="intent_currency",
            ),
        ]

    @property
    def held(self) -> Money:
        """What the PSP holds, whatever is under way."""
        return Money(self.amount_held_minor, self.currency)

    @property
    def capturable(self) -> Money:
        """What the PSP holds and may be captured now; zero in every status but AUTHORIZED."""
        return self.held if self.status == S.AUTHORIZED else Money.zero(self.currency)

    @property
    def unrefunded(self) -> Money:
        """What was captured and neither refunded nor on its way back."""
        left_minor = (
            self.amount_captured_minor
            - self.amount_refunded_minor
            - self.amount_refund_pending_minor
        )
        return Money(max(0, left_minor), self.currency)

    def name_charge(
        self, charge_id: UUID, *, psp_account_id: UUID, psp_reference: str = ""
    ) -> None:
        """Make a charge the newest one, and its PSP account that of the payment.

        No other charge may be open or hold money; PostgreSQL refuses that as well
        (`charges_are_at_one_account_at_a_time.sql`).
        """
        self.latest_charge_id = charge_id
        self.psp_account_id = psp_account_id
        self.psp_reference = psp_reference

    # Transitions: each changes this row only. Who may call them when is decided by the services.

    @transition_to(S.PROCESSING, INTENT_TRANSITIONS, field=status)
    def start(self) -> None:
        """An operation goes to the PSP."""

    @transition_to(S.INITIATED, INTENT_TRANSITIONS, field=status)
    def unstart(self) -> None:
        """No charge of it was made: the PSP never got it, or its challenge was ended."""

    @transition_to(S.REQUIRES_ACTION, INTENT_TRANSITIONS, field=status)
    def await_customer(self, *, redirect_url: str) -> None:
        """The PSP waits for the customer."""
        self.next_action_url = redirect_url

    @transition_to(S.AUTHORIZED, INTENT_TRANSITIONS, field=status)
    def authorize(self) -> None:
        """The PSP holds money for us."""

    @transition_to(S.CAPTURED, INTENT_TRANSITIONS, field=status)
    def capture(self) -> None:
        """Money was taken; nothing more can be captured."""

    @transition_to(S.PARTIALLY_REFUNDED, INTENT_TRANSITIONS, field=status)
    def refund_in_part(self) -> None:
        """Some of the captured money went back."""

    @transition_to(S.REFUNDED, INTENT_TRANSITIONS, field=status)
    def refund_in_full(self) -> None:
        """All captured money went back."""

    @transition_to(S.FAILED, INTENT_TRANSITIONS, field=status)
    def fail(self) -> None:
        """The charge was declined; another method may be tried."""

    @transition_to(S.CANCELED, INTENT_TRANSITIONS, field=status)
    def cancel(self, *, at: datetime, reason: str) -> None:
        """Nothing will be taken."""
        self.canceled_at = at
        self.cancellation_reason = reason

    @property
    def is_captured(self) -> bool:
        return self.status in INTENT_CAPTURED
