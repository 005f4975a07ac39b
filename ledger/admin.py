"""The books for finance and support: everything can be read and searched, nothing changed.

No permission to add, change or delete is given here, and no button posts. The search is by id and
exact, so that an index answers however large the books are. The ledger knows no public ids: the app
that owns them registers a reader when it starts.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import Any, ClassVar, Final
from uuid import UUID

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.db.models.constants import LOOKUP_SEP
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from unfold.admin import ModelAdmin, TabularInline
from unfold.contrib.filters.admin import DropdownFilter
from unfold.paginator import InfinitePaginator
from unfold.views import ChangeList

from ledger import dispute_rules, posting_rules, selectors, settlement_rules
from ledger.chart import CHART, PSP_RECEIVABLE, AccountRef
from ledger.models import (
    Availability,
    BalanceSnapshot,
    LedgerAccount,
    LedgerEntry,
    LedgerTransaction,
    Period,
    Seal,
)
from ledger.money import CURRENCY_EXPONENTS, Money
from ledger.posting_rules import Rule


def _read_uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


ID_READERS: list[Callable[[str], UUID | None]] = [_read_uuid]
"""Each reads the UUID from a typed id; returns None if the id is not of its form."""


def one_of(
    field: str, choices: Iterable[str], *, title: str = "", label: Callable[[str], str] = str
) -> type[DropdownFilter]:
    """A dropdown filter class for a text column with known values.

    Django would read the values of a column from the whole table, whenever the list is shown.
    """
    values = tuple(choices)

    class OneOf(DropdownFilter):  # type: ignore[misc]
        parameter_name = field

        def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
            return [(value, label(value)) for value in values]

        def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
            chosen = self.value()
            return queryset.filter(**{field: chosen}) if chosen in values else queryset

    OneOf.title = title or field.replace("_", " ")
    return OneOf


class _PspAccountFilter(DropdownFilter):  # type: ignore[misc]
    """PSP accounts, as the chart of accounts names them."""

    title = "PSP account"
    parameter_name = "psp_account"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        accounts = LedgerAccount.objects.filter(code=PSP_RECEIVABLE.code)
        return [(each, each) for each in sorted(set(accounts.values_list("dimension", flat=True)))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        chosen = self.value()
        return queryset.filter(psp_account=chosen) if chosen else queryset


_RULES = sorted(
    {
        each.name
        for module in (posting_rules, dispute_rules, settlement_rules)
        for each in vars(module).values()
        if isinstance(each, Rule)
    }
)


FILTERED_ROWS_MAX: Final = 50_000


class _FirstRows(ChangeList):  # type: ignore[misc]
    """Filters only the first rows, where no index leads to those that match, and says so.

    A rare value would have PostgreSQL read the whole table.
    """

    def get_queryset(self, request: HttpRequest, exclude_parameters: Any = None) -> QuerySet[Any]:
        rows: QuerySet[Any] = super().get_queryset(request, exclude_parameters)
        chosen = [each for each in self.filter_specs if any(map(bool, _chosen(each).values()))]
        leading = [each for each in chosen if self.model_admin.leads(each)]
        if self.query or len(leading) == len(chosen):
            return rows
        order = self.model_admin.ordering[0]
        read = self.root_queryset.order_by(order)
        for each in leading:
            read = each.queryset(request, read)
        column = order.lstrip("-")
        for edge in read.values_list(column, flat=True)[FILTERED_ROWS_MAX:][:1]:
            messages.info(
                request,
                f"Only the first {FILTERED_ROWS_MAX:,} rows of this list were filtered. Others are "
                "found by id, by merchant, or if the list is to end at an earlier day.",
            )
            rows = rows.filter(**{f"{column}__{'gt' if order.startswith('-') else 'lt'}": edge})
        return rows


def _chosen(list_filter: Any) -> dict[str, Any]:
    return {name: value for name, value in list_filter.used_parameters.items() if value != [""]}


class AtAnySize:
    """A list of many rows: it counts nothing, and is sorted by its primary key alone.

    Sorting a large table by another column reads all of it, as does a count.
    """

    leading_filters: ClassVar[Collection[str]] = ()
    """Names of filters, or `name=value`, for which an index leads to all rows that match."""

    paginator = InfinitePaginator
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER  # They count the rows of each value.
    sortable_by: tuple[str, ...] = ()
    list_filter_submit = True

    def get_changelist(self, request: HttpRequest, **options: Any) -> type[ChangeList]:
        return _FirstRows

    def leads(self, list_filter: Any) -> bool:
        """Whether a filter that was chosen reads no more rows than it finds."""
        if getattr(list_filter, "bounds_ids", False):
            return True
        return any(
            name.split(LOOKUP_SEP)[0] in self.leading_filters
            or f"{name}={value}" in self.leading_filters
            for name, value in _chosen(list_filter).items()
        )


class SearchById:
    """Finds rows whose `id_fields` hold the id that was typed; anything else finds nothing."""

    id_fields: ClassVar[tuple[str, ...]]
    # Makes the admin show the search box; the search itself is below.
    search_fields = ("pk",)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        term = search_term.strip()
        if not term:
            return queryset, False
        ids = {id for read in ID_READERS if (id := read(term)) is not None}
        return queryset.filter(self.with_one_of(ids)), False

    def with_one_of(self, ids: set[UUID]) -> Q:
        """What matches rows that have one of these ids, led by indexes."""
        wanted = Q(pk__in=[])
        for field in self.id_fields:
            wanted |= Q(**{f"{field}__in": ids})
        return wanted


class FiltersOnly:
    """Allows in a list's address the look-ups of its filters, and no other.

    Django allows any look-up of any own column: `?client_secret__startswith=a` would read a column
    that no page shows, letter by letter.
    """

    list_filter: Any

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        names = {_parameter_of(each) for each in self.list_filter}
        ends = {f"{name}{end}" for name in names for end in ("", "_from", "_to")}
        if lookup.split(LOOKUP_SEP)[0] not in ends:
            return False
        return bool(super().lookup_allowed(lookup, value, request))  # type: ignore[misc]


def _parameter_of(list_filter: Any) -> str:
    """What a filter is called in the address: the name of its field, or its own."""
    if isinstance(list_filter, type):
        return str(list_filter.parameter_name)  # type: ignore[attr-defined]
    return list_filter if isinstance(list_filter, str) else str(list_filter[0])


class _ReadOnly(FiltersOnly):
    """Takes every permission that writes."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class _EntriesInline(_ReadOnly, TabularInline):  # type: ignore[misc]
    model = LedgerEntry
    extra = 0
    list_filter = ()
    fields = ("id", "account", "direction", "amount", "entry_type", "payment_id")
    readonly_fields = fields

    def get_queryset(self, request: HttpRequest) -> QuerySet[LedgerEntry]:
        return super().get_queryset(request).select_related("account")  # type: ignore[no-any-return]

    @admin.display(description="amount")
    def amount(self, entry: LedgerEntry) -> str:
        return str(Money(entry.amount_minor, entry.currency))


@admin.register(LedgerTransaction)
class LedgerTransactionAdmin(SearchById, AtAnySize, _ReadOnly, ModelAdmin):  # type: ignore[misc]
    """Ledger transactions with their entries."""

    list_display = (
        "id",
        "rule",
        "source_type",
        "source_id",
        "payment_id",
        "effective_date",
        "posted_at",
    )
    list_filter = (
        one_of("rule", _RULES),
        one_of("source_type", ("operation", "dispute")),
        _PspAccountFilter,
    )
    id_fields = ("id", "payment_id", "source_id", "merchant_id")
    search_help_text = "The id of a ledger transaction, payment, source or merchant"
    ordering = ("-id",)
    inlines: ClassVar[list[Any]] = [_EntriesInline]


class _EntryList(_FirstRows):
    """Links an entry to the page of its transaction: no index finds an entry by its own id."""

    def url_for_result(self, result: LedgerEntry) -> str:
        return reverse("admin:ledger_ledgertransaction_change", args=[result.transaction_id])


@admin.register(LedgerEntry)
class LedgerEntryAdmin(SearchById, AtAnySize, _ReadOnly, ModelAdmin):  # type: ignore[misc]
    """Single debits and credits."""

    list_display = (
        "id",
        "payment_id",
        "account",
        "direction",
        "amount",
        "entry_type",
        "transaction",
    )
    fields = list_display
    readonly_fields = fields
    list_filter = ("entry_type", "direction", one_of("currency", sorted(CURRENCY_EXPONENTS)))
    list_select_related = ("account", "transaction")
    search_help_text = "The id of a payment or ledger transaction"
    ordering = ("-transaction_id", "-id")

    def get_changelist(self, request: HttpRequest, **options: Any) -> type[ChangeList]:
        return _EntryList

    def change_view(self, request: HttpRequest, *arguments: Any, **options: Any) -> HttpResponse:
        """Leads to the list, whose entries link to their transaction: none is found by its id."""
        if request.method != "GET":
            raise PermissionDenied
        return redirect("admin:ledger_ledgerentry_changelist")

    def with_one_of(self, ids: set[UUID]) -> Q:
        """Entries have no index by payment: their transactions have."""
        named = Q(pk__in=ids) | Q(payment_id__in=ids)
        return Q(transaction__in=LedgerTransaction.objects.filter(named))

    @admin.display(description="amount")
    def amount(self, entry: LedgerEntry) -> str:
        return str(Money(entry.amount_minor, entry.currency))


@admin.register(LedgerAccount)
class LedgerAccountAdmin(_ReadOnly, ModelAdmin):  # type: ignore[misc]
    """Accounts; the balance is shown on the account's own page."""

    list_display = ("code", "name", "dimension", "currency", "kind")
    list_filter = ("code", "kind", "currency")
    search_fields = ("dimension",)
    fields = ("id", "code", "name", "dimension", "currency", "kind", "balance")
    readonly_fields = fields

    @admin.display(description="name")
    def name(self, account: LedgerAccount) -> str:
        return CHART[account.code].name

    @admin.display(description="balance")
    def balance(self, account: LedgerAccount) -> str:
        ref = AccountRef(account.code, account.dimension, account.currency)
        return str(selectors.balance(ref))


@admin.register(Availability)
class AvailabilityAdmin(AtAnySize, _ReadOnly, ModelAdmin):  # type: ignore[misc]
    """From which day on a merchant may have what a transaction changed."""

    list_display = ("transaction", "available_on", "is_stated", "written_on")
    list_select_related = ("transaction",)
    ordering = ("-transaction_id",)
    fields = list_display
    readonly_fields = fields


@admin.register(BalanceSnapshot)
class BalanceSnapshotAdmin(AtAnySize, _ReadOnly, ModelAdmin):  # type: ignore[misc]
    """Stored sums, from which balances start."""

    list_display = ("account", "horizon", "debits", "credits", "taken_at")
    list_select_related = ("account",)
    search_fields = ("account__dimension",)
    ordering = ("-id",)
    fields = list_display
    readonly_fields = fields

    @admin.display(description="debits")
    def debits(self, snapshot: BalanceSnapshot) -> str:
        return str(Money(int(snapshot.debits_minor), snapshot.account.currency))

    @admin.display(description="credits")
    def credits(self, snapshot: BalanceSnapshot) -> str:
        return str(Money(int(snapshot.credits_minor), snapshot.account.currency))


@admin.register(Seal)
class SealAdmin(AtAnySize, _ReadOnly, ModelAdmin):  # type: ignore[misc]
    """Blocks of the hash chain over ledger, events and audit trail."""

    list_display = ("number", "source", "rows", "hash_of_block", "sealed_at")
    list_filter = (one_of("source", ("ledger", "events", "audit")),)
    search_fields = ("=number",)
    ordering = ("-number",)
    fields = (*list_display, "first_id", "until_id", "hash_of_rows", "hash_of_previous", "format")
    readonly_fields = fields

    @admin.display(description="SHA-256")
    def hash_of_block(self, seal: Seal) -> str:
        return bytes(seal.sha256).hex()

    @admin.display(description="SHA-256 of its rows")
    def hash_of_rows(self, seal: Seal) -> str:
        return bytes(seal.content_sha256).hex()

    @admin.display(description="SHA-256 of the block before")
    def hash_of_previous(self, seal: Seal) -> str:
        return bytes(seal.previous_sha256).hex()


@admin.register(Period)
class PeriodAdmin(AtAnySize, _ReadOnly, ModelAdmin):  # type: ignore[misc]
    """How far the books of each PSP account are closed."""

    list_display = ("account", "closed_through", "closing_through", "reopened_under")
    search_fields = ("=psp_account",)
    ordering = ("psp_account",)
    fields = list_display
    readonly_fields = fields

    @admin.display(description="PSP account")
    def account(self, period: Period) -> str:
        return period.psp_account or "none: the bank"
