"""Finds the payments that an id names: one of ours, of the merchant's order, or of a PSP."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Final
from uuid import UUID

from django.db.models import Model, Q, QuerySet

from ledger.selectors import payment_of_transaction
from payments import public_ids
from payments.models import (
    Case,
    Dispute,
    Event,
    Operation,
    PaymentIntent,
    PspAccount,
    PspNotification,
    Refund,
)
from psp_adapters.contract.operations import OperationKind
from reconciliation.models import SettlementLine

NAMED_MOST: Final = 20
"""An order may have several payments; more than these are not looked for."""

_PaymentIds = Callable[[UUID], Iterable[UUID | None]]


def payments_named(name: str) -> list[PaymentIntent]:
    """The payments that `name` names, oldest first: NAMED_MOST at most, none if it names nothing.

    `name` is an id of ours (`pi_…`, `ch_…`, `op_…`, `re_…`, `dp_…`, `txn_…`, `evt_…`, `case_…`), a
    payment's UUID, an order id, or a PSP's id of a payment, operation, dispute, notification or
    settlement line.
    """
    wanted = name.strip()
    if not wanted or "\0" in wanted:
        return []
    ids = set(islice((each for each in _payment_ids(wanted) if each), NAMED_MOST))
    return list(PaymentIntent.objects.filter(pk__in=ids).order_by("pk"))


def _payment_ids(name: str) -> Iterator[UUID | None]:
    prefix = name.partition("_")[0]
    identifier = public_ids.decode(prefix, name)
    if identifier is not None and prefix in _OF_OURS:
        yield from _OF_OURS[prefix](identifier)
        return
    yield from _as_uuid(name)
    # `<> ''` lets PostgreSQL use the partial indexes; so do the accounts, of which there are few.
    orders = PaymentIntent.objects.filter(order_id=name).exclude(order_id="")
    yield from orders.values_list("pk", flat=True)[:NAMED_MOST]
    accounts = list(PspAccount.objects.values_list("pk", flat=True))
    yield from _named_by_psps(name, accounts)


def _named_by_psps(name: str, accounts: list[UUID]) -> Iterator[UUID | None]:
    kinds = [kind.value for kind in OperationKind]
    yield from _of_operations(Q(psp_account__in=accounts, psp_key=name))
    named = Q(psp_account__in=accounts, kind__in=kinds, psp_id=name)
    yield from _of_operations(named & ~Q(psp_id=""))
    yield from _of_psp_payment(Q(psp_payment_id=name))
    yield from _ids(Dispute, "intent_id", psp_account__in=accounts, psp_dispute_id=name)
    notifications = PspNotification.objects.filter(psp_account__in=accounts, event_id=name)
    lines = SettlementLine.objects.filter(psp_account__in=accounts, identity=name)
    for rows in (notifications, lines):
        for account, payment in rows.values_list("psp_account_id", "psp_payment_id"):
            yield from _of_psp_payment(Q(psp_account=account, psp_payment_id=payment))
    yield from lines.values_list("operation__intent_id", flat=True)
    yield from lines.values_list("dispute__intent_id", flat=True)


def _as_uuid(name: str) -> Iterator[UUID]:
    try:
        yield UUID(name)
    except ValueError:
        return


def _of_psp_payment(named: Q) -> QuerySet[Operation, UUID]:
    return _of_operations(named & Q(kind=OperationKind.AUTHORIZE.value) & ~Q(psp_payment_id=""))


def _of_operations(condition: Q) -> QuerySet[Operation, UUID]:
    return Operation.objects.filter(condition).values_list("intent_id", flat=True)[:NAMED_MOST]


def _of_operation(identifier: UUID) -> QuerySet[Operation, UUID]:
    return _of_operations(Q(pk=identifier))


def _ids(model: type[Model], column: str, **condition: object) -> list[UUID | None]:
    return list(model._default_manager.filter(**condition).values_list(column, flat=True))


_OF_OURS: Final[dict[str, _PaymentIds]] = {
    public_ids.PAYMENT_INTENT: lambda each: [each],
    public_ids.CHARGE: _of_operation,
    public_ids.OPERATION: _of_operation,
    public_ids.BALANCE_TRANSACTION: lambda each: [payment_of_transaction(each)],
    public_ids.REFUND: lambda each: _ids(Refund, "intent_id", pk=each),
    public_ids.DISPUTE: lambda each: _ids(Dispute, "intent_id", pk=each),
    public_ids.EVENT: lambda each: _ids(Event, "aggregateid", pk=each),
    public_ids.CASE: lambda each: _ids(Case, "intent_id", pk=each),
}
