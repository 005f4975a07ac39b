"""The outgoing queue: events that are not yet fanned out to endpoints, or not on the stream."""

from __future__ import annotations

from django.contrib import admin
from django.utils.safestring import SafeString
from unfold.decorators import display as shown

from payments import public_ids
from payments.admin import display
from payments.admin.read_only import ReadOnlyAdmin
from payments.admin.search import SearchByPublicId
from payments.models import Dispatch


@admin.register(Dispatch)
class DispatchAdmin(SearchByPublicId, ReadOnlyAdmin):
    """Almost empty while everything works: a row is deleted once its event is out."""

    list_display = ("__str__", "seq", "fanned_out_at", "streamed_at", "event")
    search_help_text = "evt_…"
    ordering = ("event_id",)
    id_paths = {public_ids.EVENT: "pk"}
    fieldsets = ((None, {"fields": (("event", "seq"), ("fanned_out_at", "streamed_at"))}),)

    @shown(description="event")
    def event(self, row: Dispatch) -> SafeString | str:
        return display.link(public_ids.EVENT, row.event_id)
