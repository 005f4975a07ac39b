"""A dispute as the merchant sees it, and each response to it that went to the PSP.

The status of a dispute follows the PSP's statements; only services.disputes writes it.
"""

from __future__ import annotations

from django.db import models

from payments import public_ids
from payments.models.machine import MachineModel, StatusField, transition_to
from payments.models.merchant import LossPolicy, MerchantOwned, PspAccount, WithAmount, WithPublicId
from payments.models.operation import Operation
from payments.models.payment_intent import PaymentIntent
from payments.states import (
    BLOCKING_RESPONSE,
    DISPUTE_INQUIRY,
    DISPUTE_OPEN,
    DISPUTE_TRANSITIONS,
    DISPUTE_UNANSWERED,
    RESPONSE_OPEN,
    RESPONSE_TRANSITIONS,
    DisputeStatus,
    ResponseStatus,
)

D = DisputeStatus
S = ResponseStatus


class Stage(models.TextChoices):
    """What a response answers; evidence is taken once for each."""

    INQUIRY = "inquiry", "an inquiry"
    CHARGEBACK = "chargeback", "a chargeback"


class Dispute(WithPublicId, MerchantOwned, WithAmount, MachineModel):
    """A customer's bank asks about a charge (inquiry), or takes its money (chargeback)."""

    application_rights = ("select", "insert", "update")
    permanent_columns = (
        *("merchant_id", "livemode", "amount_minor", "currency", "intent_id", "charge_id"),
        *("psp_account_id", "psp_dispute_id", "began_as_inquiry", "loss_policy", "opened_at"),
        *("created_at",),
    )
    public_id_prefix = public_ids.DISPUTE

    intent = models.ForeignKey(
        PaymentIntent, on_delete=models.PROTECT, db_constraint=False, related_name="disputes"
    )
    charge = models.ForeignKey(
        Operation, on_delete=models.PROTECT, db_constraint=False, related_name="disputes"
    )
    psp_account = models.ForeignKey(
        PspAccount, on_delete=models.PROTECT, db_constraint=False, db_index=False
    )
    psp_dispute_id = models.CharField(max_length=128)
    status = StatusField(max_length=24, default=D.NEEDS_RESPONSE)
    began_as_inquiry = models.BooleanField()
    reason = models.CharField(max_length=64)
    network_reason_code = models.CharField(max_length=32, blank=True)
    loss_policy = models.CharField(max_length=16, choices=LossPolicy.choices)
    """The merchant's policy when the dispute opened; later changes do not apply to it."""
    fee_minor = models.BigIntegerField(default=0)
    """What the PSP charges for it."""
    fee_returned_minor = models.BigIntegerField(default=0)
    is_charge_refundable = models.BooleanField(default=False)

    evidence = models.JSONField(default=dict)
    """Staged evidence, by Stripe's field names; a response keeps its own copy of what is sent."""
    evidence_due_by = models.DateTimeField(null=True, blank=True)
    answered_stage = models.CharField(max_length=16, blank=True, choices=Stage.choices)
    """The stage whose only evidence slot is spent, from the moment the response is stored."""
    submission_count = models.PositiveIntegerField(default=0)
    """Submissions of evidence in both stages, each counted before it is sent."""
    submitted_at = models.DateTimeField(null=True, blank=True)
    metadata = models.JSONField(default=dict)

    held_id = models.UUIDField(null=True, blank=True)
    """The ledger transaction that took the amount from what we owe the merchant."""
    released_id = models.UUIDField(null=True, blank=True)
    """The ledger transaction that gave it back."""
    funds_withdrawn_at = models.DateTimeField(null=True, blank=True)
    funds_reinstated_at = models.DateTimeField(null=True, blank=True)
    next_sync_at = models.DateTimeField(null=True, blank=True)
    """When to sync without a notification, for those may be lost; NULL once it is closed."""
    next_reminder_at = models.DateTimeField(null=True, blank=True)
    opened_at = models.DateTimeField()
    """As the PSP says."""
    closed_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()

    class Meta:
        db_table = "payments_dispute"
        constraints = [
            models.UniqueConstraint(
                fields=["psp_account", "psp_dispute_id"], name="dispute_psp_id"
            ),
            models.CheckConstraint(
                condition=models.Q(
                    amount_minor__gte=0,
                    fee_minor__gte=0,
                    fee_returned_minor__gte=0,
                    fee_returned_minor__lte=models.F("fee_minor"),
                ),
                name="dispute_amounts",
            ),
            models.CheckConstraint(
                condition=models.Q(status__in=sorted(DISPUTE_OPEN), closed_at__isnull=True)
                | (
                    ~models.Q(status__in=sorted(DISPUTE_OPEN))
                    & models.Q(closed_at__isnull=False, next_sync_at__isnull=True)
                ),
                name="dispute_open_or_closed",
            ),
            models.CheckConstraint(
                condition=models.Q(funds_reinstated_at__isnull=True)
                | models.Q(funds_withdrawn_at__isnull=False),
                name="dispute_reinstated_after_withdrawn",
            ),
        ]
        indexes = [
            models.Index("merchant", "livemode", models.F("id").desc(), name="dispute_newest"),
            models.Index(
                "next_sync_at",
                name="dispute_sync_due",
                condition=models.Q(next_sync_at__isnull=False),
            ),
            models.Index(
                "next_reminder_at",
                name="dispute_reminder_due",
                condition=models.Q(next_reminder_at__isnull=False),
            ),
            models.Index(
                "evidence_due_by",
                name="dispute_unanswered",
                condition=models.Q(status__in=sorted(DISPUTE_UNANSWERED)),
            ),
        ]

    @property
    def is_open(self) -> bool:
        return self.status in DISPUTE_OPEN

    @property
    def is_inquiry(self) -> bool:
        return self.status in DISPUTE_INQUIRY

    @property
    def awaits_response(self) -> bool:
        """The PSP has no response yet; ours may be on its way."""
        return self.status in DISPUTE_UNANSWERED

    @property
    def slot_is_spent(self) -> bool:
        """No evidence can be handed in any more at this stage, or none ever could."""
        return not self.awaits_response or self.answered_stage == self.stage

    @property
    def stage(self) -> Stage:
        return Stage.INQUIRY if self.is_inquiry else Stage.CHARGEBACK

    @transition_to(D.WARNING_UNDER_REVIEW, DISPUTE_TRANSITIONS, field=status)
    def review_inquiry(self) -> None:
        """The bank looks at what we answered."""

    @transition_to(D.WARNING_CLOSED, DISPUTE_TRANSITIONS, field=status)
    def close_inquiry(self) -> None:
        """The bank closed its inquiry; no money has moved."""

    @transition_to(D.NEEDS_RESPONSE, DISPUTE_TRANSITIONS, field=status)
    def escalate(self) -> None:
        """An inquiry became a chargeback."""

    @transition_to(D.UNDER_REVIEW, DISPUTE_TRANSITIONS, field=status)
    def review(self) -> None:
        """The bank looks at the evidence."""

    @transition_to(D.WON, DISPUTE_TRANSITIONS, field=status)
    def win(self) -> None:
        """The money comes back."""

    @transition_to(D.LOST, DISPUTE_TRANSITIONS, field=status)
    def lose(self) -> None:
        """The money is gone."""

    @transition_to(D.PREVENTED, DISPUTE_TRANSITIONS, field=status)
    def prevent(self) -> None:
        """The network stopped it; what was withdrawn comes back."""


class DisputeResponse(WithPublicId, MerchantOwned, MachineModel):
    """One response to a dispute, stored before it is sent, with its permanent key at the PSP."""

    application_rights = ("select", "insert", "update")
    permanent_columns = (
        *("merchant_id", "livemode", "dispute_id", "kind", "stage", "evidence", "psp_key"),
        *("actor", "request_id", "idempotency_id", "created_at"),
    )
    public_id_prefix = public_ids.DISPUTE_RESPONSE
    """Its public id is also our reference of it at the PSP."""

    class Kind(models.TextChoices):
        """Both are final."""

        EVIDENCE = "evidence", "evidence"
        ACCEPTANCE = "acceptance", "acceptance"

    dispute = models.ForeignKey(
        Dispute, on_delete=models.PROTECT, db_constraint=False, related_name="responses"
    )
    kind = models.CharField(max_length=16, choices=Kind.choices)
    stage = models.CharField(max_length=16, choices=Stage.choices)
    status = StatusField(max_length=16, default=S.SENDING)
    evidence = models.JSONField(default=dict)
    """The evidence that every attempt sends; never changed."""
    psp_key = models.CharField(max_length=64, unique=True)
    code = models.CharField(max_length=64, blank=True)
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
        db_table = "payments_dispute_response"
        verbose_name_plural = "dispute responses"
        constraints = [
            models.UniqueConstraint(
                fields=["dispute", "stage"],
                name="one_submission_per_stage",
                condition=models.Q(kind="evidence", status__in=sorted(BLOCKING_RESPONSE)),
            ),
            models.UniqueConstraint(
                fields=["dispute"],
                name="one_open_response",
                condition=models.Q(status__in=sorted(RESPONSE_OPEN)),
            ),
            models.CheckConstraint(
                condition=models.Q(
                    status__in=sorted(RESPONSE_OPEN),
                    closed_at__isnull=True,
                    next_check_at__isnull=False,
                )
                | (
                    ~models.Q(status__in=sorted(RESPONSE_OPEN))
                    & models.Q(closed_at__isnull=False, next_check_at__isnull=True)
                ),
                name="response_open_or_closed",
            ),
        ]
        indexes = [
            models.Index(
                "next_check_at",
                name="response_due",
                condition=models.Q(next_check_at__isnull=False),
            ),
        ]

    @property
    def answers_inquiry(self) -> bool:
        return self.stage == Stage.INQUIRY

    @property
    def is_open(self) -> bool:
        return self.status in RESPONSE_OPEN

    @transition_to(S.UNKNOWN, RESPONSE_TRANSITIONS, field=status)
    def mark_unknown(self) -> None:
        """It is unknown whether the PSP has it."""

    @transition_to(S.SUCCEEDED, RESPONSE_TRANSITIONS, field=status)
    def succeed(self) -> None:
        """The PSP took it."""

    @transition_to(S.DECLINED, RESPONSE_TRANSITIONS, field=status)
    def decline(self) -> None:
        """The PSP refused it for good."""

    @transition_to(S.NOT_SENT, RESPONSE_TRANSITIONS, field=status)
    def drop(self) -> None:
        """It never reached the PSP."""
