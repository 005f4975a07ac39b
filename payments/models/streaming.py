"""The internal stream: which event has which number, each group's position, failed events.

PostgreSQL is the source of truth; Redis only carries the stream.
"""

from __future__ import annotations

from django.db import models

from payments import public_ids


class StreamEntry(models.Model):
    """The number of one event on the stream: 1, 2, 3 … without a gap.

    The number is also the entry's id in Redis. So Redis refuses a duplicate entry, and a lost
    stream is rewritten with the same ids. Rows that every group has consumed are deleted, except
    the newest.
    """

    application_rights = ("select", "insert", "delete")

    number = models.BigIntegerField(primary_key=True)
    event_id = models.UUIDField(unique=True)

    class Meta:
        db_table = "payments_stream_entry"
        verbose_name_plural = "stream entries"
        constraints = [
            models.CheckConstraint(
                condition=models.Q(number__gt=0), name="stream_entry_number_positive"
            )
        ]

    def __str__(self) -> str:
        return str(self.number)


class StreamGroup(models.Model):
    """The position of a consumer group: everything up to `consumed_to` is acknowledged."""

    application_rights = ("select", "insert", "update")

    name = models.SlugField(max_length=32, primary_key=True)
    consumed_to = models.BigIntegerField(default=0)
    updated_at = models.DateTimeField()

    class Meta:
        db_table = "payments_stream_group"
        constraints = [
            models.CheckConstraint(
                condition=models.Q(consumed_to__gte=0), name="stream_group_position_positive"
            )
        ]

    def __str__(self) -> str:
        return self.name


class ConsumedEvent(models.Model):
    """What a group of ours has consumed; written in the same transaction as the event's effect."""

    application_rights = ("select", "insert", "delete")

    id = models.BigAutoField(primary_key=True)
    group = models.CharField(max_length=32)
    event_id = models.UUIDField()
    type = models.CharField(max_length=64)
    consumed_at = models.DateTimeField()

    class Meta:
        db_table = "payments_consumed_event"
        constraints = [
            models.UniqueConstraint(fields=["event_id", "group"], name="consumed_event_once"),
        ]

    def __str__(self) -> str:
        return f"{self.group} {public_ids.encode(public_ids.EVENT, self.event_id)}"


class FailedEvent(models.Model):
    """An event that a group of ours could not consume; with `dead_at` it is a dead letter."""

    application_rights = ("select", "insert", "update", "delete")
    permanent_columns = ("group", "event_id", "type", "first_failed_at")

    id = models.BigAutoField(primary_key=True)
    group = models.CharField(max_length=32)
    event_id = models.UUIDField()
    type = models.CharField(max_length=64)
    failures = models.PositiveIntegerField()
    last_error = models.CharField(max_length=500)
    first_failed_at = models.DateTimeField()
    failed_at = models.DateTimeField()
    dead_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "payments_failed_event"
        constraints = [
            models.UniqueConstraint(fields=["event_id", "group"], name="failed_event_once"),
        ]
        indexes = [
            models.Index(
                "group", "id", name="failed_event_dead", condition=models.Q(dead_at__isnull=False)
            )
        ]

    def __str__(self) -> str:
        return f"{self.group} {public_ids.encode(public_ids.EVENT, self.event_id)}"


class CardVelocity(models.Model):
    """Charges and declines of one card at one merchant in one hour; the fraud group counts them."""

    application_rights = ("select", "insert", "update")
    permanent_columns = ("merchant_id", "livemode", "fingerprint", "hour")

    id = models.BigAutoField(primary_key=True)
    merchant_id = models.UUIDField()
    livemode = models.BooleanField()
    fingerprint = models.CharField(max_length=64)
    hour = models.DateTimeField()
    charges = models.PositiveIntegerField(default=0)
    declines = models.PositiveIntegerField(default=0)

    class Meta:
        db_table = "payments_card_velocity"
        verbose_name_plural = "card velocities"
        constraints = [
            models.UniqueConstraint(
                fields=["merchant_id", "livemode", "fingerprint", "hour"],
                name="card_velocity_once",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.fingerprint} {self.hour:%Y-%m-%d %H}:00"
