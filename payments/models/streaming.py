"""The internal stream: which event has which number, each group's position, failed events.

PostgreSQL is the source of truth; Redis only carries the stream.
"""

from __future__ import annotations

from typing import Any, Final

from django.db import models

from payments import public_ids


class StreamEntry(models.Model):
    """The number of one event on the stream: 1, 2, 3 … without a gap.

    The number is also the entry's id in Redis. So Redis refuses a duplicate entry, and a lost
    stream is rewritten with the same ids. Rows that every group has consumed are deleted some
    time later, except the newest.
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


class NumbersField(models.Field):
    """Numbers of the stream as ranges: PostgreSQL's `int8multirange`."""

    description = "Numbers of the stream"

    def db_type(self, connection: Any) -> str:
        return "int8multirange"


_NO_NUMBERS: Final = models.Value("{}", output_field=NumbersField())


class StreamGroup(models.Model):
    """What a consumer group has consumed, in one row however many events there are.

    Our consumers add an event's number in the transaction of its effect. The publisher adds what
    another program's group has acknowledged without a gap.
    """

    application_rights = ("select", "insert", "update")

    name = models.SlugField(max_length=32, primary_key=True)
    consumed = NumbersField(db_default=_NO_NUMBERS)
    """One range from number 1 on; more only while some event fails or is under way."""
    added = NumbersField(db_default=_NO_NUMBERS)
    """What our consumers' latest update added: PostgreSQL 17 cannot return a row's old values."""
    consumed_to = models.GeneratedField(
        expression=models.Func(
            "consumed", template="lower(int8multirange(int8range(1, NULL)) - %(expressions)s) - 1"
        ),
        output_field=models.BigIntegerField(),
        db_persist=True,
    )
    """The position: everything up to here is consumed."""
    updated_at = models.DateTimeField()

    class Meta:
        db_table = "payments_stream_group"

    def __str__(self) -> str:
        return self.name


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
