"""Expands an answer: replaces ids by the objects that they name.

Set-based: each expanded field costs one query for a whole page. Which paths exist is declared in
objects.catalog and validated before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final
from uuid import UUID

from payments import public_ids
from payments.clock import now_utc
from payments.objects.amount_details import line_items_object
from payments.objects.balance import balance_transaction_object
from payments.objects.catalog import EXPANDABLE
from payments.objects.charge import charge_object
from payments.objects.checkout_session import (
    link_lines_object,
    payment_link_object,
    session_lines_object,
)
from payments.objects.customer import customer_object
from payments.objects.dispute import dispute_object
from payments.objects.mandate import mandate_object
from payments.objects.parts import list_object, public_id
from payments.objects.payment_intent import payment_intent_object
from payments.objects.payment_method import payment_method_object
from payments.objects.refund import refund_object
from payments.objects.setup_intent import setup_attempt_object, setup_intent_object
from payments.selectors.balance import balance_transactions_by_id
from payments.selectors.checkout import payment_links, sessions
from payments.selectors.customers import customers_with_deleted, mandates, payment_methods
from payments.selectors.disputes import disputes
from payments.selectors.payments import charges, intents, newest_refunds_of, refunds
from payments.selectors.scope import Scope
from payments.selectors.setups import setup_attempts, setup_intents

Rendered = dict[str, Any]
Tree = dict[str, "Tree"]
Known = Mapping[str, Rendered]

_REFUNDS_SHOWN: Final = 10


def expand(
    shown: Iterable[Rendered],
    kind: str,
    paths: Iterable[str],
    scope: Scope,
    *,
    known: Known | None = None,
) -> None:
    """Replace ids by objects, in place, along `paths` (without a list's leading `data.`).

    `known` objects, by public id, are not read again. An id whose object is not found stays an id.
    """
    tree = _tree_of(paths)
    if tree:
        _expand_level(list(shown), kind, tree, scope, dict(known or {}))


def _tree_of(paths: Iterable[str]) -> Tree:
    tree: Tree = {}
    for path in paths:
        level = tree
        for step in path.split("."):
            level = level.setdefault(step, {})
    return tree


def _expand_level(
    shown: list[Rendered], kind: str, tree: Tree, scope: Scope, known: dict[str, Rendered]
) -> None:
    for field, below in tree.items():
        if kind == "charge" and field == "refunds":
            _put_refunds(shown, scope, known)
            lists = [charge["refunds"] for charge in shown]
            _expand_level(lists, "refund_list", below, scope, known)
            continue
        if kind == "payment_intent" and field == "amount_details":
            if below:
                _put_line_items(shown, scope)
            continue
        if field == "line_items":
            _put_bought_lines(shown, scope)
            continue
        if kind == "refund_list":
            rows = [row for page in shown for row in page["data"]]
            _expand_level(rows, "refund", below, scope, known)
            continue
        target = EXPANDABLE[kind][field]
        ids = {row[field] for row in shown if isinstance(row.get(field), str)}
        found = _load(target, ids, scope, known)
        for row in shown:
            # A dictionary for each place: the same object may appear at several places.
            if isinstance(row_id := row.get(field), str) and row_id in found:
                row[field] = dict(found[row_id])
        if below:
            expanded = [row[field] for row in shown if isinstance(row.get(field), dict)]
            _expand_level(expanded, target, below, scope, known)


def _load(
    target: str, ids: set[str], scope: Scope, known: dict[str, Rendered]
) -> dict[str, Rendered]:
    found = {row_id: known[row_id] for row_id in ids if row_id in known}
    missing = ids - found.keys()
    if missing:
        found |= {row["id"]: row for row in _LOADERS[target](missing, scope)}
    return found


def _uuids(prefix: str, ids: Iterable[str]) -> list[UUID]:
    decoded = (public_ids.decode(prefix, row_id) for row_id in ids)
    return [identifier for identifier in decoded if identifier is not None]


def _load_customers(ids: set[str], scope: Scope) -> list[Rendered]:
    rows = customers_with_deleted(scope).filter(pk__in=_uuids(public_ids.CUSTOMER, ids))
    return [customer_object(row) for row in rows]


def _load_methods(ids: set[str], scope: Scope) -> list[Rendered]:
    rows = payment_methods(scope).filter(pk__in=_uuids(public_ids.PAYMENT_METHOD, ids))
    return [payment_method_object(row) for row in rows]


def _load_intents(ids: set[str], scope: Scope) -> list[Rendered]:
    rows = intents(scope).filter(pk__in=_uuids(public_ids.PAYMENT_INTENT, ids))
    return [payment_intent_object(row) for row in rows]


def _load_links(ids: set[str], scope: Scope) -> list[Rendered]:
    rows = payment_links(scope).filter(pk__in=_uuids(public_ids.PAYMENT_LINK, ids))
    return [payment_link_object(row) for row in rows]


def _load_charges(ids: set[str], scope: Scope) -> list[Rendered]:
    rows = charges(scope).filter(pk__in=_uuids(public_ids.CHARGE, ids))
    return [charge_object(row, row.intent) for row in rows]


def _load_refunds(ids: set[str], scope: Scope) -> list[Rendered]:
    rows = refunds(scope).filter(pk__in=_uuids(public_ids.REFUND, ids))
    return [refund_object(row, row.intent, row.operation) for row in rows]


def _load_disputes(ids: set[str], scope: Scope) -> list[Rendered]:
    rows = disputes(scope).filter(pk__in=_uuids(public_ids.DISPUTE, ids))
    return [dispute_object(row, now=now_utc()) for row in rows]


def _load_setup_intents(ids: set[str], scope: Scope) -> list[Rendered]:
    rows = setup_intents(scope).filter(pk__in=_uuids(public_ids.SETUP_INTENT, ids))
    return [setup_intent_object(row) for row in rows]


def _load_mandates(ids: set[str], scope: Scope) -> list[Rendered]:
    rows = mandates(scope).filter(pk__in=_uuids(public_ids.MANDATE, ids))
    rows = rows.select_related("payment_method")
    return [mandate_object(row, row.payment_method) for row in rows]


def _load_setup_attempts(ids: set[str], scope: Scope) -> list[Rendered]:
    rows = setup_attempts(scope).filter(pk__in=_uuids(public_ids.SETUP_ATTEMPT, ids))
    return [setup_attempt_object(row) for row in rows]


def _load_balance_transactions(ids: set[str], scope: Scope) -> list[Rendered]:
    uuids = _uuids(public_ids.BALANCE_TRANSACTION, ids)
    rows = balance_transactions_by_id(scope, uuids).values()
    return [balance_transaction_object(row) for row in rows]


def _load_sources(ids: set[str], scope: Scope) -> list[Rendered]:
    """The sources of balance transactions, distinguished by the prefixes of their ids."""
    found: list[Rendered] = []
    for prefix, load in _SOURCES.items():
        of_kind = {row_id for row_id in ids if row_id.startswith(f"{prefix}_")}
        if of_kind:
            found += load(of_kind, scope)
    return found


_SOURCES: Final = {
    public_ids.CHARGE: _load_charges,
    public_ids.DISPUTE: _load_disputes,
    public_ids.REFUND: _load_refunds,
}


_LOADERS: Final[dict[str, Callable[[set[str], Scope], list[Rendered]]]] = {
    "customer": _load_customers,
    "payment_method": _load_methods,
    "payment_intent": _load_intents,
    "payment_link": _load_links,
    "charge": _load_charges,
    "dispute": _load_disputes,
    "refund": _load_refunds,
    "setup_intent": _load_setup_intents,
    "setup_attempt": _load_setup_attempts,
    "mandate": _load_mandates,
    "balance_transaction": _load_balance_transactions,
    "balance_source": _load_sources,
}


def _put_line_items(shown: list[Rendered], scope: Scope) -> None:
    """Give each payment the lines of its amount."""
    ids = [payment["id"] for payment in shown]
    found = intents(scope).filter(pk__in=_uuids(public_ids.PAYMENT_INTENT, ids))
    by_id = {intent.public_id: intent for intent in found}
    for payment in shown:
        if payment["id"] in by_id:
            lines = line_items_object(by_id[payment["id"]])
            payment["amount_details"] = {**payment["amount_details"], "line_items": lines}


def _put_bought_lines(shown: list[Rendered], scope: Scope) -> None:
    """Give each checkout session or payment link the lines of what it sells."""
    ids = [row["id"] for row in shown]
    found = {
        **{
            row.public_id: session_lines_object(row)
            for row in sessions(scope).filter(pk__in=_uuids(public_ids.CHECKOUT_SESSION, ids))
        },
        **{
            row.public_id: link_lines_object(row)
            for row in payment_links(scope).filter(pk__in=_uuids(public_ids.PAYMENT_LINK, ids))
        },
    }
    for row in shown:
        if row["id"] in found:
            row["line_items"] = found[row["id"]]


def _put_refunds(shown: list[Rendered], scope: Scope, known: dict[str, Rendered]) -> None:
    """Give each charge the list of its newest refunds."""
    ids = [charge["id"] for charge in shown]
    newest = newest_refunds_of(scope, _uuids(public_ids.CHARGE, ids), limit=_REFUNDS_SHOWN + 1)
    by_charge = {public_id(public_ids.CHARGE, key): rows for key, rows in newest.items()}
    for charge in shown:
        found = by_charge[charge["id"]]
        rows = [refund_object(row, row.intent, row.operation) for row in found[:_REFUNDS_SHOWN]]
        charge["refunds"] = list_object(
            f"/v1/refunds?charge={charge['id']}",
            [dict(known.get(row["id"], row)) for row in rows],
            has_more=len(found) > _REFUNDS_SHOWN,
        )
