"""Cases, with the advice for each kind, and the checks of the books, which open some."""

from __future__ import annotations

from django.contrib import admin
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import RelatedDropdownFilter
from unfold.decorators import display as shown

from payments import public_ids
from payments.admin import display
from payments.admin.columns import column, linked, minor_amount, status
from payments.admin.filters import CreatedFilter, one_of
from payments.admin.read_only import ReadOnlyAdmin, group
from payments.admin.search import SearchByPublicId
from payments.models import BooksCheck, Case
from payments.services.cases.opening import ADVICE
from payments.states import CaseKind, CaseStatus


@admin.register(Case)
class CaseAdmin(SearchByPublicId, ReadOnlyAdmin):
    """Cases that no rule may decide; `manage.py cases` closes one."""

    list_display = ("summary", "kind", "shown_status", "amount", "payment", "merchant", "opened")
    list_select_related = ("merchant",)
    leading_filters = ("merchant", "status=open")
    list_filter = (
        one_of("status", CaseStatus),
        one_of("kind", CaseKind),
        ("merchant", RelatedDropdownFilter),
        ("opened_at", CreatedFilter),
    )
    search_help_text = "case_… pi_… ch_… op_…"
    id_paths = {
        public_ids.CASE: "pk",
        public_ids.PAYMENT_INTENT: "intent_id",
        public_ids.OPERATION: "operation_id",
        public_ids.CHARGE: "operation_id",
    }
    fieldsets = (
        group(None, "summary", "advice", ("kind", "shown_status"), ("discrepancy", "amount")),
        group("Subject", ("payment", "shown_subject"), ("merchant", "psp_account"), "opened"),
        group("Resolution", ("closed_at", "closed_by"), "resolution"),
    )

    shown_status = status({"open": "warning", "closed": "success"})
    payment = linked("payment", public_ids.PAYMENT_INTENT, "intent_id")
    amount = minor_amount("amount", "amount_minor", zero=True)
    shown_subject = column("subject", "subject", display.subject)
    opened = column("opened", "opened_at", display.moment, ordering="opened_at")

    @shown(description="what to do")
    def advice(self, case: Case) -> str:
        return ADVICE[CaseKind(case.kind)]


@admin.register(BooksCheck)
class BooksCheckAdmin(ReadOnlyAdmin):
    """One check follows recent changes by their events; one covers everything once a day."""

    list_display = ("name", "part", "shown_position", "finished_at", "differences", "unchecked")
    ordering = ("name",)
    list_filter = ()
    fieldsets = (
        group(None, "name", ("part", "shown_position"), ("began_at", "finished_at")),
        group("Findings", ("compared", "differences"), "unchecked"),
    )

    @shown(description="compared up to")
    def shown_position(self, row: BooksCheck) -> SafeString | str:
        """When the last row that was compared was created."""
        moment = row.compared_to
        return display.NOTHING if moment is None else display.moment(moment)
