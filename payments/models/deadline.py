"""Payments that wait for somebody, and when time has something to do about it.

A row is written by PostgreSQL itself, in the transaction that lets a payment wait: so no sweep
reads the payments, which only grow. What may not live here: what is done, and when.
"""

from __future__ import annotations

from django.db import models

from payments import public_ids


class Deadline(models.Model):
    """One payment that waits, for its customer or its merchant; gone once it does no more."""

    application_rights = ("select", "insert", "update", "delete")

    intent_id = models.UUIDField(primary_key=True)
    status = models.CharField(max_length=24)
    """The payment's status when it began to wait."""
    waits_since = models.DateTimeField()
    next_at = models.DateTimeField()
    """When to look; while somebody does, when their lease ends."""
    warned_for = models.DateTimeField(null=True, blank=True)
    """The end of the hold that the merchant was warned of."""

    class Meta:
        db_table = "payments_deadline"
        indexes = [models.Index("next_at", name="deadline_due")]

    def __str__(self) -> str:
        return public_ids.encode(public_ids.PAYMENT_INTENT, self.intent_id)
