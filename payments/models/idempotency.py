"""Idempotency keys: the request that claimed one, and the one answer it was given."""

from __future__ import annotations

from django.db import models

from payments import public_ids
from payments.models.merchant import MerchantOwned


class IdempotencyKey(MerchantOwned):
    """A merchant's key with the fingerprint of its request and, once given, its final answer."""

    application_rights = ("select", "insert", "update", "delete")
    permanent_columns = (
        *("merchant_id", "livemode", "key", "fingerprint", "request_id", "api_version", "expand"),
        *("created_at",),
    )

    id = models.UUIDField(primary_key=True, default=public_ids.new_id, editable=False)
    key = models.CharField(max_length=255)
    fingerprint = models.CharField(max_length=64)
    """SHA-256 of method, path and canonical parameters."""
    request_id = models.CharField(max_length=64)
    api_version = models.CharField(max_length=64, blank=True)
    expand = models.JSONField(default=list)
    epoch = models.PositiveIntegerField(default=1)
    """Counts the claims. An older one is fenced by `operation_id`: only that operation answers."""
    lease_until = models.DateTimeField()
    intent_id = models.UUIDField(null=True, blank=True)
    operation_id = models.UUIDField(null=True, blank=True)
    answer_status = models.PositiveSmallIntegerField(null=True, blank=True)
    answer_body = models.TextField(null=True, blank=True)
    created_at = models.DateTimeField()
    answered_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "payments_idempotency_key"
        constraints = [
            models.UniqueConstraint(
                fields=["merchant", "livemode", "key"], name="idempotency_key_once"
            ),
            models.CheckConstraint(
                condition=models.Q(answer_status__isnull=True, answer_body__isnull=True)
                | models.Q(answer_status__isnull=False, answer_body__isnull=False),
                name="idempotency_answer_whole",
            ),
        ]

    def __str__(self) -> str:
        return self.key
