"""Deadlines of payments that wait for their customer or merchant.

A trigger writes the row in the transaction that makes a payment wait. So no sweep has to read the
payments, which only grow.
"""

from __future__ import annotations

from django.db import models

from payments import public_ids


class Deadline(models.Model):
    """One payment that waits; the row is deleted once it no longer does."""

    application_rights = ("select", "insert", "update", "delete")

    intent_id = models.UUIDField(primary_key=True)
    status = models.CharField(max_length=24)
    """The payment's status when it began to wait."""
    waiting_since = models.DateTimeField()
    next_action_at = models.DateTimeField()
    """When it is due; while a worker handles it, when the lease of that worker ends."""
    warned_for = models.DateTimeField(null=True, blank=True)
    """The end of the authorization about which the merchant was warned."""

    class Meta:
        db_table = "payments_deadline"
        indexes = [models.Index("next_action_at", name="deadline_due")]

    def __str__(self) -> str:
        return public_ids.encode(public_ids.PAYMENT_INTENT, self.intent_id)
