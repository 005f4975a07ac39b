"""The internal stream: which event has which number on it, how far each group is, what failed.

PostgreSQL holds the stream; Redis only carries it. What may not live here: Redis.
"""

from __future__ import annotations

from django.db import models

from payments import public_ids


class StreamEntry(models.Model):
    """The place of one event on the stream: numbers go 1, 2, 3 … without a gap, for ever.

    A number is also the entry's id in Redis, so an entry that is put there twice is refused, and a
    stream that was lost is written again with the same ids. Rows that every group has consumed go,
    except the newest.
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
    """How far a consumer group is: it has acknowledged everything up to `consumed_to`."""

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
    """The journal of a group of ours: written in the transaction of what the event caused."""

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
    """How often a card was charged at a merchant within one hour: what the fraud group counts."""

    application_rights = ("select", "insert", "update")

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
