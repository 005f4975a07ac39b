"""The internal stream: each group's position, failed events, and entries in progress."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString
from unfold.decorators import display as shown

from payments import public_ids
from payments.admin import display
from payments.admin.columns import linked
from payments.admin.read_only import ReadOnlyAdmin, group
from payments.models import CardVelocity, FailedEvent, StreamEntry, StreamGroup, UnnumberedEvent


class _AboutEvent(ReadOnlyAdmin):
    """A row about one event, found by the event's public id."""

    search_fields = ("pk",)  # makes the admin show the search box
    search_help_text = "evt_…"

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        if not search_term.strip():
            return queryset, False
        event_id = public_ids.decode(public_ids.EVENT, search_term.strip())
        return (queryset.filter(event_id=event_id) if event_id else queryset.none()), False

    @shown(description="event")
    def event(self, row: StreamEntry | FailedEvent | UnnumberedEvent) -> SafeString | str:
        return display.link(public_ids.EVENT, row.event_id)


@admin.register(StreamEntry)
class StreamEntryAdmin(_AboutEvent):
    """Entries that some group has not consumed yet, and the newest one."""

    list_display = ("number", "event")
    ordering = ("-number",)
    fieldsets = (group(None, ("number", "event")),)


@admin.register(UnnumberedEvent)
class UnnumberedEventAdmin(_AboutEvent):
    """Almost empty while a publisher runs: a row is deleted once its event has a number."""

    list_display = ("__str__", "event")
    ordering = ("event_id",)
    fieldsets = (group(None, "event"),)


@admin.register(StreamGroup)
class StreamGroupAdmin(ReadOnlyAdmin):
    """Each group's position; `manage.py publish_events --status` shows its lag."""

    list_display = ("name", "consumed_to", "updated_at")
    ordering = ("name",)
    fieldsets = (group(None, "name", ("consumed_to", "updated_at"), "consumed"),)


@admin.register(FailedEvent)
class FailedEventAdmin(_AboutEvent):
    """Failures of groups; `manage.py replay_streamed_events` replays the dead letters."""

    list_display = ("id", "group", "type", "event", "failures", "dead_at", "last_error")
    list_filter = ("group", ("dead_at", admin.EmptyFieldListFilter))
    ordering = ("-id",)
    fieldsets = (
        group(
            None,
            ("group", "type"),
            ("event", "failures"),
            "last_error",
            ("first_failed_at", "failed_at", "dead_at"),
        ),
    )


@admin.register(CardVelocity)
class CardVelocityAdmin(ReadOnlyAdmin):
    """Charges and declines of a card at a merchant per hour, by fingerprint."""

    list_display = ("fingerprint", "hour", "merchant", "mode", "charges", "declines")
    ordering = ("-id",)
    fieldsets = (
        group(None, ("fingerprint", "hour"), ("merchant", "mode"), ("charges", "declines")),
    )

    merchant = linked("merchant", public_ids.MERCHANT, "merchant_id")
