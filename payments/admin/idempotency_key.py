"""Idempotency keys: which request claimed one, and the stored answer."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.decorators import display as shown

from payments import public_ids
from payments.admin import display
from payments.admin.columns import linked
from payments.admin.filters import OF_MERCHANT
from payments.admin.read_only import ReadOnlyAdmin, group
from payments.admin.search import SearchByPublicId
from payments.models import IdempotencyKey, Operation


@admin.register(IdempotencyKey)
class IdempotencyKeyAdmin(SearchByPublicId, ReadOnlyAdmin):
    """Claims and answers. Secrets in an answer are masked."""

    labels: ClassVar[dict[str, str]] = {
        "epoch": "number of claims",
        "lease_until": "claimed until",
        "answer_status": "HTTP status",
        "api_version": "API version",
        "expand": "expanded fields",
    }

    list_display = ("key", "merchant", "payment", "answer_status", "mode", "created")
    list_select_related = ("merchant",)
    list_filter = OF_MERCHANT
    search_help_text = "The exact key, pi_… ch_… op_…"
    id_paths = {}
    fieldsets = (
        group(
            None,
            ("key", "merchant"),
            ("payment", "operation"),
            ("created_at", "mode"),
            ("request_id", "shown_fingerprint"),
            ("epoch", "lease_until"),
            ("api_version", "expand"),
        ),
        group("Answer", ("answer_status", "answered_at"), "shown_answer"),
    )

    payment = linked("payment", public_ids.PAYMENT_INTENT, "intent_id")
    operation = linked("operation", public_ids.OPERATION, "operation_id")

    def get_queryset(self, request: HttpRequest) -> QuerySet[IdempotencyKey]:
        # A list must not read the answers.
        keys: QuerySet[IdempotencyKey] = super().get_queryset(request)
        return keys.defer("answer_body")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Search by payment goes through operations: keys have no index on payments."""
        term = search_term.strip()
        for prefix, path in (
            (public_ids.PAYMENT_INTENT, "intent_id"),
            (public_ids.CHARGE, "pk"),
            (public_ids.OPERATION, "pk"),
        ):
            identifier = public_ids.decode(prefix, term)
            if identifier is not None:
                operations = Operation.objects.filter(**{path: identifier})
                return queryset.filter(pk__in=operations.values("idempotency_id")), False
        return super().get_search_results(request, queryset, search_term)

    def texts(self, term: str) -> Iterable[Q]:
        yield Q(key=term)

    @shown(description="request fingerprint")
    def shown_fingerprint(self, key: IdempotencyKey) -> SafeString:
        return format_html('<span class="break-all">{}</span>', key.fingerprint)

    @shown(description="answer")
    def shown_answer(self, key: IdempotencyKey) -> SafeString | str:
        if key.answer_body is None:
            return display.NOTHING
        try:
            return display.shown_json(json.loads(key.answer_body))
        except ValueError:
            return f"{len(key.answer_body)} characters that are not JSON"
