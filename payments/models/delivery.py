"""Deliveries: one event on its way to one endpoint, and the log of its attempts."""

from __future__ import annotations

from django.db import models

from ledger.database.instances import QuicklyLoaded
from payments import public_ids
from payments.models.event import Event
from payments.models.machine import MachineModel, StatusField, transition_to
from payments.models.merchant import MerchantOwned, WithPublicId
from payments.models.webhook_endpoint import WebhookEndpoint
from payments.states import DELIVERY_TRANSITIONS, DeliveryStatus

S = DeliveryStatus


class Delivery(WithPublicId, MerchantOwned, MachineModel):
    """One event for one endpoint. Every attempt sends the same bytes, rendered from the event.

    First deliveries of one aggregate to one ordered endpoint are sent in order: only the first open
    one has a `next_attempt_at`. The others wait (NULL) until it was delivered or dead-lettered. The
    aggregate's advisory lock must be held to change that order.
    """

    application_rights = ("select", "insert", "update", "delete")
    permanent_columns = (
        *("merchant_id", "livemode", "event_id", "endpoint_id", "aggregateid", "seq", "is_replay"),
        *("pending_webhooks", "created_at"),
    )
    public_id_prefix = public_ids.DELIVERY

    event = models.ForeignKey(Event, on_delete=models.PROTECT, db_constraint=False, db_index=False)
    endpoint = models.ForeignKey(
        WebhookEndpoint, on_delete=models.PROTECT, db_constraint=False, db_index=False
    )
    aggregateid = models.UUIDField()
    seq = models.PositiveIntegerField()
    is_replay = models.BooleanField(default=False)
    """True for a resend: requested by an operator or merchant, not caused by the event."""
    pending_webhooks = models.PositiveSmallIntegerField(db_default=1)
    """To how many endpoints the event went, as the event says in every attempt."""
    created_at = models.DateTimeField()

    status = StatusField(max_length=16, default=S.PENDING)
    is_ordered = models.BooleanField(default=True)
    """True for a first delivery to an ordered endpoint, which waits for those before it."""
    next_attempt_at = models.DateTimeField(null=True, blank=True)
    """When to attempt it; during an attempt, when its lease ends; NULL while it waits in order."""
    attempts = models.PositiveIntegerField(default=0)
    """Counts the leases: only the worker with the newest one may record a result."""
    attempts_since_requeue = models.PositiveSmallIntegerField(default=0)
    """Attempts since it was last begun; they decide the backoff, and when to dead-letter it."""
    last_status = models.PositiveSmallIntegerField(null=True, blank=True)
    """The HTTP status of the newest response."""
    last_error = models.CharField(max_length=200, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "payments_delivery"
        verbose_name_plural = "deliveries"
        constraints = [
            # One first delivery, any number of replays; leads what an endpoint got, newest first.
            models.UniqueConstraint(
                "endpoint",
                "event",
                models.Case(models.When(is_replay=True, then=models.F("id"))),
                name="delivery_of_endpoint_once",
                nulls_distinct=False,
            ),
            models.CheckConstraint(
                condition=models.Q(status=S.PENDING, ended_at__isnull=True)
                | models.Q(
                    status__in=[S.DELIVERED, S.DEAD],
                    next_attempt_at__isnull=True,
                    ended_at__isnull=False,
                ),
                name="delivery_waits_or_is_done",
            ),
            models.CheckConstraint(
                condition=models.Q(is_ordered=True)
                | ~models.Q(status=S.PENDING)
                | models.Q(next_attempt_at__isnull=False),
                name="delivery_out_of_line_waits_for_nothing",
            ),
        ]
        indexes = [
            # What is due, endpoint by endpoint: the loose scan of merchant_webhooks.leasing.
            models.Index(
                "endpoint",
                "next_attempt_at",
                name="delivery_due",
                condition=models.Q(next_attempt_at__isnull=False),
            ),
            models.Index(
                "aggregateid",
                "endpoint",
                "seq",
                name="delivery_line",
                condition=models.Q(status=S.PENDING, is_ordered=True),
            ),
            models.Index(
                "merchant",
                "livemode",
                models.F("event").desc(),
                name="delivery_undelivered",
                condition=~models.Q(status=S.DELIVERED),
            ),
        ]

    @transition_to(S.DELIVERED, DELIVERY_TRANSITIONS, field=status)
    def deliver(self) -> None:
        """The endpoint answered 2xx."""

    @transition_to(S.DEAD, DELIVERY_TRANSITIONS, field=status)
    def dead_letter(self) -> None:
        """No further attempt is made until an operator requeues it."""

    @transition_to(S.PENDING, DELIVERY_TRANSITIONS, field=status)
    def requeue(self) -> None:
        """An operator or merchant requeues it."""


class DeliveryAttempt(QuicklyLoaded):
    """One attempt: the request that was made, and its result."""

    application_rights = ("select", "insert", "delete")

    id = models.UUIDField(primary_key=True, default=public_ids.new_id, editable=False)
    delivery = models.ForeignKey(
        Delivery, on_delete=models.PROTECT, db_constraint=False, db_index=False
    )
    number = models.PositiveIntegerField()
    started_at = models.DateTimeField()
    duration_ms = models.PositiveIntegerField()
    status = models.PositiveSmallIntegerField(null=True, blank=True)
    """The HTTP status, if a response came."""
    error = models.CharField(max_length=200, blank=True)
    """Why it failed, as we describe it."""
    response = models.CharField(max_length=2000, blank=True)
    """The beginning of the response body, printable and without long numbers."""

    class Meta:
        db_table = "payments_delivery_attempt"
        verbose_name_plural = "delivery attempts"
        indexes = [
            models.Index("delivery", models.F("id").desc(), name="attempt_of_delivery"),
        ]

    def __str__(self) -> str:
        return f"attempt {self.number}"
