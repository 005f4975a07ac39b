"""The story of one payment: a list of sections; apps above payments register theirs at start-up.

Each section reads a bounded number of rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, TypeVar

from django.urls import reverse
from django.utils.safestring import SafeString

from ledger.chart import CHART, Direction
from ledger.selectors import entries_of_payment
from payments import public_ids
from payments.admin import display
from payments.models import Approval, Event, Merchant, PaymentIntent, PspAccount

if TYPE_CHECKING:
    from ledger.models import LedgerEntry

ROWS_MAX: Final = 50
_Row = TypeVar("_Row")


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """One table of the story. Cells are escaped unless they are safe strings."""

    title: str
    headers: tuple[str, ...]
    rows: list[list[Any]]
    more_url: str = ""
    """Where all rows are, if there are more than shown."""

    @property
    def table(self) -> dict[str, Any]:
        return {"headers": self.headers, "rows": self.rows}


def operations(intent: PaymentIntent) -> Section:
    """Requests to the PSP and their results."""
    rows, more = _first(intent.operations.order_by("id"))
    return Section(
        title="Operations",
        headers=("operation", "kind", "amount", "status", "PSP id", "reason", "actor", "created"),
        rows=[
            [
                display.link(
                    public_ids.CHARGE if operation.is_charge else public_ids.OPERATION,
                    operation.id,
                ),
                operation.kind,
                display.amount(operation.amount),
                display.in_words(operation.status),
                operation.psp_id or display.NOTHING,
                operation.decline_code or operation.code or display.NOTHING,
                display.actor(operation.actor),
                display.moment(operation.created_at),
            ]
            for operation in rows
        ],
        more_url=_all("operation", intent) if more else "",
    )


def refunds(intent: PaymentIntent) -> Section:
    """Refunds made or pending."""
    rows, more = _first(intent.refunds.order_by("id"))
    return Section(
        title="Refunds",
        headers=("refund", "amount", "status", "reason", "failure", "created"),
        rows=[
            [
                display.link(public_ids.REFUND, refund.id),
                display.amount(refund.amount),
                refund.status,
                refund.reason or display.NOTHING,
                refund.failure_reason or display.NOTHING,
                display.moment(refund.created_at),
            ]
            for refund in rows
        ],
        more_url=_all("refund", intent) if more else "",
    )


def approvals(intent: PaymentIntent) -> Section:
    """What needs a second person, and who decided."""
    rows, more = _first(Approval.objects.filter(intent_id=intent.id).order_by("id"))
    return Section(
        title="Approvals",
        headers=("approval", "command", "amount", "status", "requested by", "decided by", "reason"),
        rows=[
            [
                display.link(public_ids.APPROVAL, approval.id),
                display.in_words(approval.command),
                display.NOTHING if approval.amount is None else display.amount(approval.amount),
                display.in_words(approval.status),
                display.actor(approval.requester),
                display.actor(approval.approver) if approval.approver else display.NOTHING,
                approval.decision_reason or display.NOTHING,
            ]
            for approval in rows
        ],
        more_url=_all("approval", intent) if more else "",
    )


def disputes(intent: PaymentIntent) -> Section:
    """Disputes of the payment's charges."""
    rows, more = _first(intent.disputes.order_by("id"))
    return Section(
        title="Disputes",
        headers=("dispute", "amount", "status", "reason", "evidence due by", "created"),
        rows=[
            [
                display.link(public_ids.DISPUTE, dispute.id),
                display.amount(dispute.amount),
                display.in_words(dispute.status),
                display.in_words(dispute.reason),
                display.NOTHING
                if dispute.slot_is_spent or dispute.evidence_due_by is None
                else display.moment(dispute.evidence_due_by),
                display.moment(dispute.created_at),
            ]
            for dispute in rows
        ],
        more_url=_all("dispute", intent) if more else "",
    )


def timeline(intent: PaymentIntent) -> Section:
    """Every event of the payment, in order."""
    rows, more = _first(
        Event.objects.filter(aggregateid=intent.id).order_by("seq").defer("payload")
    )
    return Section(
        title="Timeline",
        headers=("#", "event", "what", "actor", "request", "when"),
        rows=[
            [
                event.seq,
                display.link(public_ids.EVENT, event.id),
                event.type,
                display.actor(event.actor),
                event.request_id or display.NOTHING,
                display.moment(event.created_at),
            ]
            for event in rows
        ],
        more_url=_all("event", intent) if more else "",
    )


def books(intent: PaymentIntent) -> Section:
    """The ledger entries of the payment."""
    rows, more = _first(entries_of_payment(intent.id))
    return Section(
        title="Ledger entries",
        headers=("transaction", "rule", "account", "debit", "credit", "type", "posted"),
        rows=[
            [
                display.link(public_ids.BALANCE_TRANSACTION, entry.transaction_id),
                display.in_words(entry.transaction.rule),
                _account(entry, intent.merchant),
                _side(entry, Direction.DEBIT),
                _side(entry, Direction.CREDIT),
                entry.entry_type,
                display.moment(entry.transaction.posted_at),
            ]
            for entry in rows
        ],
        more_url=f"{reverse('admin:ledger_ledgerentry_changelist')}?q={intent.public_id}"
        if more
        else "",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class SectionOfApp:
    """A section, and the permission that is required to see it."""

    permission: str
    build: Callable[[PaymentIntent], Section]


@dataclass(frozen=True, slots=True, kw_only=True)
class SectionOfAccount:
    """A section of a PSP account's page, and the permission that is required to see it."""

    permission: str
    build: Callable[[PspAccount, bool], Section]
    """Called with the account, and whether the viewer wants the PSP to be asked."""


ACCOUNT_SECTIONS: Final[list[SectionOfAccount]] = []
ASK_PSP: Final = "ask"
"""What the address of an account's page has if the PSP is to be asked."""


STORY_SECTIONS: Final[list[SectionOfApp]] = [
    SectionOfApp(permission="payments.view_operation", build=operations),
    SectionOfApp(permission="payments.view_refund", build=refunds),
    SectionOfApp(permission="payments.view_approval", build=approvals),
    SectionOfApp(permission="payments.view_dispute", build=disputes),
    SectionOfApp(permission="payments.view_event", build=timeline),
    SectionOfApp(permission="ledger.view_ledgerentry", build=books),
]
"""In the order in which they are shown."""


def story_of(intent: PaymentIntent, *, user: Any) -> list[Section]:
    """The sections that this user may see; one bounded query each."""
    return [
        section.build(intent) for section in STORY_SECTIONS if user.has_perm(section.permission)
    ]


def rows_of_section(
    rows: Iterable[_Row], model: str, intent: PaymentIntent
) -> tuple[list[_Row], str]:
    """At most ROWS_MAX rows, and where all of them are if there are more."""
    found, more = _first(rows)
    return found, _all(model, intent) if more else ""


def _first(rows: Iterable[_Row]) -> tuple[list[_Row], bool]:
    """At most ROWS_MAX rows, and whether there are more."""
    bounded = rows[: ROWS_MAX + 1] if hasattr(rows, "__getitem__") else islice(rows, ROWS_MAX + 1)
    found = list(bounded)
    return found[:ROWS_MAX], len(found) > ROWS_MAX


def _all(model: str, intent: PaymentIntent) -> str:
    return f"{reverse(f'admin:payments_{model}_changelist')}?q={intent.public_id}"


def _side(entry: LedgerEntry, side: Direction) -> SafeString | str:
    return display.money(entry.amount_minor, entry.currency) if entry.direction == side else ""


def _account(entry: LedgerEntry, merchant: Merchant) -> str:
    """`2100 Merchant payable (Tailspin Coffee)`: the chart's name, and whose account it is."""
    account = entry.account
    whose = merchant.name if account.dimension.startswith(str(merchant.id)) else account.dimension
    name = f"{account.code} {display.in_words(CHART[account.code].name)}"
    return f"{name} ({whose})" if whose else name
