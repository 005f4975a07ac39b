"""The outgoing queue: which events are still to be fanned out or streamed; one row per event.

A trigger of `payments_event` inserts the row in the event's own transaction, so no writer of events
can miss it. The row is deleted when both are done.
"""

from __future__ import annotations

from django.db import models

from payments import public_ids


class Dispatch(models.Model):
    """One event that is not yet fanned out, or not yet streamed.

    Read by `seq` per aggregate, never by `id > last`: ids are assigned before commits, so a reader
    that remembers the highest one loses events.
    """

    application_rights = ("select", "insert", "update", "delete")
    permanent_columns = ("aggregateid", "seq")

    event_id = models.UUIDField(primary_key=True)
    aggregateid = models.UUIDField()
    seq = models.PositiveIntegerField()
    fanned_out_at = models.DateTimeField(null=True, blank=True)
    """When its deliveries to merchants' endpoints were created."""
    streamed_at = models.DateTimeField(null=True, blank=True)
    """When it was put on the internal stream."""

    class Meta:
        db_table = "payments_dispatch"
        verbose_name_plural = "outgoing queue"
        constraints = [
            models.UniqueConstraint(fields=["aggregateid", "seq"], name="dispatch_seq_once"),
        ]
        indexes = [
            models.Index(
                "event_id",
                name="dispatch_to_fan_out",
                condition=models.Q(fanned_out_at__isnull=True),
            ),
            models.Index(
                "event_id", name="dispatch_to_stream", condition=models.Q(streamed_at__isnull=True)
            ),
        ]

    def __str__(self) -> str:
        return public_ids.encode(public_ids.EVENT, self.event_id)
