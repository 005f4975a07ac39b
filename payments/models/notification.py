"""Notifications (webhooks) of PSPs, stored as they came, before they are processed."""

from __future__ import annotations

from typing import Final

from django.db import models
from django.db.models.fields.json import KeyTextTransform

from payments import public_ids
from payments.models.machine import MachineModel, StatusField, transition_to
from payments.models.merchant import PspAccount
from payments.states import NOTIFICATION_TRANSITIONS, NotificationStatus

S = NotificationStatus
SALE: Final = "sale"
"""In place of a kind: an authorization that captured at once."""


class PspNotification(MachineModel):
    """One event of one PSP account: a reason to look the payment up, never the truth itself.

    The exception is a PSP without look-ups (`states_result`): its events are what look-ups read.
    """

    application_rights = ("select", "insert", "update")
    permanent_columns = (
        *("psp_account_id", "event_id", "type", "known", "psp_payment_id", "psp_dispute_id"),
        *("our_references", "claims", "occurred_at", "body", "body_sha256", "headers"),
        *("received_at", "claimed_kind", "psp_id", "claimed_minor", "claimed_currency"),
        "states_result",
    )

    id = models.UUIDField(primary_key=True, default=public_ids.new_id, editable=False)
    psp_account = models.ForeignKey(
        PspAccount, on_delete=models.PROTECT, db_constraint=False, db_index=False
    )
    event_id = models.CharField(max_length=128)
    type = models.CharField(max_length=128)
    known = models.BooleanField()
    """True for a type that the adapter knows; others are acknowledged and ignored."""
    psp_payment_id = models.CharField(max_length=128, blank=True)
    psp_dispute_id = models.CharField(max_length=128, blank=True)
    """The dispute that it is about, if any."""
    our_references = models.JSONField(default=list)
    """Of the operations concerned, as read when the signature was checked."""
    claims = models.CharField(max_length=16, blank=True)
    """The outcomes it claims for those operations; known ones need no look-up."""
    claimed_kind = models.CharField(max_length=16, blank=True, default="", db_default="")
    """Of the operation whose final result it states, or SALE; empty if it states anything else."""
    psp_id = models.CharField(max_length=128, blank=True, default="", db_default="")
    """The PSP's id of that operation."""
    claimed_minor = models.BigIntegerField(null=True, blank=True)
    """The amount of that operation, as the PSP states it."""
    claimed_currency = models.CharField(max_length=3, blank=True, default="", db_default="")
    states_result = models.BooleanField(default=False, db_default=False)
    """The PSP has no look-ups: this is read in their place, and must be kept."""
    occurred_at = models.DateTimeField()
    status = StatusField(max_length=16, default=S.STORED)

    body = models.BinaryField()
    """The bytes that were signed, card numbers masked."""
    body_sha256 = models.CharField(max_length=64)
    """Of `body`."""
    headers = models.JSONField(default=dict)
    """The headers that authenticated it."""
    conflicting_body = models.BooleanField(default=False)
    """The same event id came again with another body; the first one is kept."""

    attempts = models.PositiveIntegerField(default=0)
    next_attempt_at = models.DateTimeField(null=True, blank=True)
    """When to process it (again); while a worker does, when its lease ends; NULL once done."""
    give_up_at = models.DateTimeField()
    last_error = models.CharField(max_length=500, blank=True)
    received_at = models.DateTimeField()
    processed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "payments_psp_notification"
        verbose_name = "PSP notification"
        constraints = [
            models.UniqueConstraint(fields=["psp_account", "event_id"], name="notification_once"),
            models.CheckConstraint(
                condition=models.Q(status__in=[S.STORED, S.FAILING], next_attempt_at__isnull=False)
                | models.Q(status__in=[S.PROCESSED, S.DEAD], next_attempt_at__isnull=True),
                name="notification_waits_or_is_done",
            ),
        ]
        indexes = [
            models.Index(
                "next_attempt_at",
                name="notification_due",
                condition=models.Q(next_attempt_at__isnull=False),
            ),
            models.Index("id", name="notification_dead", condition=models.Q(status=S.DEAD)),
            models.Index(
                "psp_account",
                "psp_payment_id",
                name="notification_of_payment",
                condition=models.Q(states_result=True),
            ),
            models.Index(
                "psp_account",
                KeyTextTransform("0", "our_references"),
                name="notification_of_reference",
                condition=models.Q(states_result=True),
            ),
            models.Index(
                "psp_account",
                "psp_dispute_id",
                name="notification_of_dispute",
                condition=models.Q(states_result=True) & ~models.Q(psp_dispute_id=""),
            ),
        ]

    def __str__(self) -> str:
        return self.event_id

    @transition_to(S.PROCESSED, NOTIFICATION_TRANSITIONS, field=status)
    def finish(self) -> None:
        """Everything that it reports is recorded."""

    @transition_to(S.FAILING, NOTIFICATION_TRANSITIONS, field=status)
    def fail(self) -> None:
        """Processing failed; it is tried again."""

    @transition_to(S.DEAD, NOTIFICATION_TRANSITIONS, field=status)
    def dead_letter(self) -> None:
        """Not processed again until an operator requeues it."""

    @transition_to(S.STORED, NOTIFICATION_TRANSITIONS, field=status)
    def requeue(self) -> None:
        """An operator wants it processed again, or it came with another body."""
