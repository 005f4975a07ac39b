"""Events: immutable, written in the same transaction as the change that they report.

The table is the outbox (Debezium's column names), the merchant API's event and the timeline entry.
"""

from __future__ import annotations

from typing import Final

from django.db import models

from payments import public_ids
from payments.models.merchant import MerchantOwned, WithPublicId

FREQUENT_TYPES: Final = ["charge.succeeded", "payment_intent.created", "payment_intent.succeeded"]
"""Of nearly every payment: a list of these reads the newest events, and needs no index by type."""


class Event(WithPublicId, MerchantOwned):
    """One event of one aggregate; `seq` counts 1, 2, 3 … per aggregate in commit order."""

    application_rights = ("select", "insert")
    public_id_prefix = public_ids.EVENT

    aggregatetype = models.CharField(max_length=32)
    aggregateid = models.UUIDField()
    seq = models.PositiveIntegerField()
    type = models.CharField(max_length=64)
    payload = models.JSONField()
    """`object` as it stood, and `previous_attributes` where something of it changed."""
    api_version = models.CharField(max_length=64, blank=True)
    actor = models.CharField(max_length=200)
    request_id = models.CharField(max_length=64, blank=True)
    idempotency_key = models.CharField(max_length=255, blank=True)
    created_at = models.DateTimeField()

    class Meta:
        db_table = "payments_event"
        constraints = [
            models.UniqueConstraint(fields=["aggregateid", "seq"], name="event_seq_once"),
        ]
        indexes = [
            models.Index("merchant", "livemode", "id", name="event_by_id"),
            models.Index(
                "merchant",
                "type",
                "id",
                name="event_of_rare_type",
                condition=~models.Q(type__in=FREQUENT_TYPES),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.type} {self.public_id}"
