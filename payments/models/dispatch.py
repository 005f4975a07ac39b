"""The outgoing queues: events that are still to be fanned out, or to be numbered for the stream.

A trigger of `payments_event` inserts the rows in the event's own transaction, so no writer of
events can miss them. Each queue has readers of its own, who delete rows and change none: so they
never wait for one another.
"""

from __future__ import annotations

from django.db import models

from payments import public_ids


class Dispatch(models.Model):
    """One event that is not yet fanned out to the endpoints of its merchant.

    Read by `seq` per aggregate, never by `id > last`: ids are assigned before commits, so a reader
    that remembers the highest one loses events.
    """

    application_rights = ("select", "insert", "update", "delete")
    permanent_columns = ("aggregateid",)
    # No row is updated. But only with the right to update a column may a relay lock rows.

    event_id = models.UUIDField(primary_key=True)
    aggregateid = models.UUIDField()
    seq = models.PositiveIntegerField()

    class Meta:
        db_table = "payments_dispatch"
        verbose_name_plural = "outgoing queue"
        constraints = [
            models.UniqueConstraint(fields=["aggregateid", "seq"], name="dispatch_seq_once"),
        ]

    def __str__(self) -> str:
        return public_ids.encode(public_ids.EVENT, self.event_id)


class UnnumberedEvent(models.Model):
    """One event that has no number on the internal stream yet; its order is in `payments_event`."""

    application_rights = ("select", "insert", "delete")

    event_id = models.UUIDField(primary_key=True)

    class Meta:
        db_table = "payments_unnumbered_event"

    def __str__(self) -> str:
        return public_ids.encode(public_ids.EVENT, self.event_id)
