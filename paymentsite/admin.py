"""The sweeps in the console: when each last ran and how it ended."""

from __future__ import annotations

from django.contrib import admin
from unfold.decorators import display as shown

from payments.admin.read_only import ReadOnlyAdmin
from paymentsite.models import SweepRun
from paymentsite.sweeps import BY_NAME


@admin.register(SweepRun)
class SweepRunAdmin(ReadOnlyAdmin):
    """One row per sweep; a sweep that never ran has none."""

    list_display = ("name", "queue", "last_finished_at", "last_result", "runs", "failures")
    ordering = ("name",)
    list_filter = ()
    fieldsets = (
        (None, {"fields": ("name", "queue", "why")}),
        ("Last run", {"fields": ("last_started_at", "last_finished_at", "last_result")}),
        ("Last failure", {"fields": ("last_failed_at", "last_error")}),
        ("Counts", {"fields": (("runs", "failures"), "leased_until")}),
    )

    @shown(description="queue")
    def queue(self, row: SweepRun) -> str:
        sweep = BY_NAME.get(row.name)
        return sweep.queue.value if sweep is not None else "none: it is not in the table any more"

    @shown(description="why it runs")
    def why(self, row: SweepRun) -> str:
        sweep = BY_NAME.get(row.name)
        return sweep.why if sweep is not None else ""
