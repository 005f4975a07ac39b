"""Cases: what an operator must resolve, with the advice for its kind."""

from __future__ import annotations

from django.contrib import admin
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import RelatedDropdownFilter
from unfold.decorators import display as shown

from payments import public_ids
from payments.admin import display
from payments.admin.filters import CreatedFilter, one_of
from payments.admin.read_only import ReadOnlyAdmin
from payments.admin.search import SearchByPublicId
from payments.models import Case
from payments.services.cases.opening import ADVICE
from payments.states import CaseKind, CaseStatus


@admin.register(Case)
class CaseAdmin(SearchByPublicId, ReadOnlyAdmin):
    """Cases that no rule may decide; `manage.py cases` closes one."""

    list_display = ("summary", "kind", "shown_status", "amount", "payment", "merchant", "opened")
    list_select_related = ("merchant",)
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
        (None, {"fields": ("summary", "advice", ("kind", "shown_status"), "amount")}),
        (
            "Subject",
            {"fields": (("payment", "shown_subject"), ("merchant", "psp_account"), "opened")},
        ),
        ("Resolution", {"fields": (("closed_at", "closed_by"), "resolution")}),
    )

    @shown(description="status", label={"open": "warning", "closed": "success"})
    def shown_status(self, case: Case) -> str:
        return str(case.status)

    @shown(description="what to do")
    def advice(self, case: Case) -> str:
        return ADVICE[CaseKind(case.kind)]

    @shown(description="amount")
    def amount(self, case: Case) -> SafeString | str:
        if case.amount_minor is None:
            return display.NOTHING
        return display.money(case.amount_minor, case.currency)

    @shown(description="payment")
    def payment(self, case: Case) -> SafeString | str:
        return display.link(public_ids.PAYMENT_INTENT, case.intent_id)

    @shown(description="subject")
    def shown_subject(self, case: Case) -> SafeString | str:
        return display.subject(case.subject)

    @shown(description="opened", ordering="opened_at")
    def opened(self, case: Case) -> SafeString:
        return display.in_one_line(display.time(case.opened_at))
