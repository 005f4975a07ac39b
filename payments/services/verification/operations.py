"""Compares every operation and refund of a payment with its entries in the books. Reads only."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Final
from uuid import UUID

from ledger import settlement_rules
from ledger.exceptions import LedgerError
from ledger.money import Money
from ledger.selectors import BookedRule, booked_rules, dimensions_of
from payments.models import Dispute, Operation, PaymentIntent, PspAccount, Refund, books_of
from payments.services.outcomes import bookings
from payments.services.outcomes.duplicate_charges import excess_left
from payments.services.outcomes.payment_state import asked_to_hold_minor
from payments.services.verification.approvals import approval_differences
from payments.states import OperationStatus, RefundStatus
from psp_adapters.contract.operations import OperationKind

_APPLIED: Final = frozenset({OperationStatus.SUCCEEDED, OperationStatus.EXCESS})
_BOOKED_REFUND: Final = frozenset({OperationStatus.SUCCEEDED, OperationStatus.PENDING})
_REFUND_STATUS: Final = {
    OperationStatus.SENDING: RefundStatus.PENDING,
    OperationStatus.UNKNOWN: RefundStatus.PENDING,
    OperationStatus.PENDING: RefundStatus.PENDING,
    OperationStatus.SUCCEEDED: RefundStatus.SUCCEEDED,
    OperationStatus.DECLINED: RefundStatus.FAILED,
    OperationStatus.REVERSED: RefundStatus.FAILED,
    OperationStatus.NOT_SENT: RefundStatus.CANCELED,
}
_COMPONENTS: Final = ("authorized", "captured", "refunded", "platform fee")
"""What an operation books of its own; the hold is compared for the whole payment."""
_EFFECTS: Final = {**bookings.VECTOR, "platform_fee": {"platform fee": 1}}
_SOURCES: Final = ("operation", "hold")

Amounts = dict[tuple[str, str], int]
"""Minor units by component and currency."""


def operation_differences(
    intents: Sequence[PaymentIntent], operations: Mapping[UUID, Sequence[Operation]]
) -> Iterator[tuple[UUID, str]]:
    """What the books say otherwise of the operations of these payments, each with its payment."""
    identifiers = [intent.id for intent in intents]
    booked: dict[UUID, list[BookedRule]] = defaultdict(list)
    for row in booked_rules(identifiers):
        booked[row.payment_id].append(row)
    rows_of_disputes = Dispute.objects.filter(intent_id__in=identifiers)
    disputes = {
        (intent_id, identifier): account_id
        for intent_id, identifier, account_id in rows_of_disputes.values_list(
            "intent_id", "id", "psp_account_id"
        )
    }
    for intent in intents:
        of_payment, rows = operations.get(intent.id, ()), booked[intent.id]
        for sentence in compared(intent, _of_payment(intent, of_payment, rows)):
            yield intent.id, sentence
        for sentence in _of_sources(intent, of_payment, rows, disputes):
            yield intent.id, sentence
    yield from _of_order_guards(intents, operations)
    refunds = list(Refund.objects.filter(intent_id__in=identifiers))
    by_operation = {r.operation_id: r for r in refunds if r.operation_id is not None}
    for intent in intents:
        of_payment = operations.get(intent.id, ())
        for sentence in compared(intent, _of_refunds(of_payment, by_operation)):
            yield intent.id, sentence
    yield from approval_differences(intents, refunds)
    yield from _of_accounts(intents, operations, disputes)


def compared(intent: PaymentIntent, sentences: Iterator[str]) -> list[str]:
    """The sentences about a payment; one whose rows cannot be read is named, and stops no other."""
    found: list[str] = []
    try:
        found.extend(sentences)
    except (LedgerError, ValueError, TypeError, LookupError) as error:
        found.append(f"{intent.public_id}: cannot be compared: {type(error).__name__}: {error}")
    return found


def _of_payment(
    intent: PaymentIntent, operations: Sequence[Operation], booked: Sequence[BookedRule]
) -> Iterator[str]:
    ours = [row for row in booked if _source_of(row) in _SOURCES]
    yield from _of_names(intent, operations)
    for operation in operations:
        if (operation.merchant_id, operation.livemode) != (intent.merchant_id, intent.livemode):
            yield f"{operation.public_id}: belongs to another merchant or mode than its payment"
        yield from _of_operation(operation, [r for r in ours if r.source_id == operation.id])
        yield from _of_transactions(operation, operations, ours)
        if operation.is_charge:
            yield from _of_role(operation, operations, ours)


def _source_of(row: BookedRule) -> str:
    return row.source_type.split("/")[0]


def _of_sources(
    intent: PaymentIntent,
    operations: Sequence[Operation],
    booked: Sequence[BookedRule],
    disputes: Collection[tuple[UUID, UUID]],
) -> Iterator[str]:
    """A ledger transaction is of the payment's merchant, has a source, and is in its currency.

    The source is an operation or a dispute of the payment, or a settlement line: that is of no
    merchant. Lines are compared with what they booked where they are known (reconciliation).
    """
    known = {operation.id for operation in operations}
    currencies = {intent.currency, *(operation.currency for operation in operations)}
    for row in booked:
        name, source = f"{intent.public_id}: {row.rule} is booked", _source_of(row)
        if row.merchant_id != (None if source == settlement_rules.SOURCE else intent.merchant_id):
            yield f"{name} for another merchant"
        # A PSP may settle in another currency; the line itself is compared with what it booked.
        if source != settlement_rules.SOURCE and row.currency not in currencies:
            yield f"{name} in {row.currency}, and none of its operations is"
        if source in _SOURCES and row.source_id not in known:
            yield f"{name} for an operation that it does not have"
        if source == "dispute" and (intent.id, row.source_id) not in disputes:
            yield f"{name} for a dispute that it does not have"
        if source not in (*_SOURCES, "dispute", settlement_rules.SOURCE):
            yield f"{name} for a {row.source_type!r}, for which nothing is booked"


def _of_names(intent: PaymentIntent, operations: Sequence[Operation]) -> Iterator[str]:
    """The payment names the charge that holds it, its amount, and its payment at the PSP."""
    charges = [o for o in operations if o.is_charge]
    if intent.latest_charge_id is not None and intent.latest_charge_id not in {
        o.id for o in charges
    }:
        yield f"{intent.public_id}: its latest charge is not among its operations"
    for charge in charges:
        is_latest = charge.id == intent.latest_charge_id
        if is_latest and charge.psp_account_id != intent.psp_account_id:
            yield f"{intent.public_id}: {charge.public_id} is at another account of a PSP"
        if charge.status != OperationStatus.SUCCEEDED:
            continue
        of_charge = [o for o in operations if charge.id in (o.id, o.charge_id)]
        asked = Money(asked_to_hold_minor(of_charge, charge.currency), charge.currency)
        if asked != intent.amount:
            yield f"{intent.public_id}: asks for {intent.amount}, its operations for {asked}"
        if not is_latest:
            yield f"{intent.public_id}: {charge.public_id} holds it, and is not its latest charge"
        if intent.psp_reference not in ("", charge.psp_payment_id):
            yield f"{intent.public_id}: {charge.public_id} is another payment at the PSP"
    by_id = {o.id: o for o in charges}
    for operation in operations:
        own = by_id.get(operation.charge_id or operation.id)
        if own is None or own.psp_account_id != operation.psp_account_id:
            yield f"{operation.public_id}: its charge is missing, or at another account of a PSP"
        elif operation.psp_payment_id not in ("", own.psp_payment_id):
            yield f"{operation.public_id}: its charge is another payment at the PSP"


def _of_operation(operation: Operation, booked: Sequence[BookedRule]) -> Iterator[str]:
    name = f"{operation.public_id} ({operation.kind}, {operation.status})"
    expected, found = _expected(operation), _booked(booked)
    for component, currency in sorted(expected.keys() | found.keys()):
        should = Money(expected.get((component, currency), 0), currency)
        is_booked = Money(found.get((component, currency), 0), currency)
        if should != is_booked:
            yield f"{name}: {should} should be booked as {component}, the books say {is_booked}"
    if operation.is_open and operation.next_check_at is None:
        yield f"{name}: nothing will look it up again"


def _expected(operation: Operation) -> Amounts:
    kind, amounts = OperationKind(operation.kind), dict.fromkeys(_COMPONENTS, 0)
    applied = operation.status in _APPLIED
    if kind in (OperationKind.AUTHORIZE, OperationKind.INCREMENT) and applied:
        amounts["authorized"] = operation.amount_minor
    if applied and (kind is OperationKind.CAPTURE or operation.capture_now):
        amounts["captured"] = operation.amount_minor
        amounts["platform fee"] = operation.platform_fee_minor
    if kind is OperationKind.REFUND and operation.status in _BOOKED_REFUND:
        amounts["refunded"] = operation.amount_minor
    return {(name, operation.currency): minor for name, minor in amounts.items()}


def _booked(booked: Sequence[BookedRule]) -> Amounts:
    amounts: Amounts = defaultdict(int)
    for row in booked:
        is_hold = _source_of(row) == "hold"  # What is held beyond request is of no operation.
        for component, sign in _EFFECTS.get(row.rule, {}).items():
            if component in _COMPONENTS and not (is_hold and component == "authorized"):
                amounts[component, row.currency] += row.sign * sign * row.amount_minor
    return {key: minor for key, minor in amounts.items() if minor}


def _of_role(
    charge: Operation, operations: Sequence[Operation], booked: Sequence[BookedRule]
) -> Iterator[str]:
    """A duplicate charge is booked apart, with everything of it, and any other is not.

    What it counts as excess is what the books say was authorized apart.
    """
    of_charge = {o.id for o in operations if charge.id in (o.id, o.charge_id)}
    rows = [row for row in booked if row.source_id in of_charge]
    apart, own = (_sums(rows, effects) for effects in (bookings.EXCESS, bookings.OWN))
    authorized_minor = apart.get("authorized", 0)
    if charge.excess_minor != authorized_minor:
        stored, found = (Money(m, charge.currency) for m in (charge.excess_minor, authorized_minor))
        yield f"{charge.public_id}: {stored} in excess, the books have authorized {found} apart"
    yield from _of_return(charge, [o for o in operations if o.id in of_charge], apart)
    if charge.status not in _APPLIED:
        return
    is_duplicate = charge.status == OperationStatus.EXCESS
    for component, minor in sorted((own if is_duplicate else apart).items()):
        where = "as the payment's own" if is_duplicate else "apart"
        if minor:
            amount = Money(minor, charge.currency)
            yield f"{charge.public_id} ({charge.status}): {amount} is booked {where} as {component}"


def _of_return(
    charge: Operation, of_charge: Sequence[Operation], apart: Mapping[str, int]
) -> Iterator[str]:
    """What is still to go back of a charge is what the books hold and keep of it apart.

    A refund is booked once the PSP has it; the charge counts it once it has succeeded.
    """
    left = excess_left(charge, of_charge)
    pending_minor = sum(
        o.amount_minor
        for o in of_charge
        if o.kind == OperationKind.REFUND and o.gives_excess_back
        if o.status == OperationStatus.PENDING
    )
    kept_minor = apart.get("captured", 0) - apart.get("refunded", 0)
    for component, left_minor, booked_minor in (
        ("held", left.held_minor, apart.get("held", 0)),
        ("taken", left.taken_minor - pending_minor, kept_minor),
    ):
        if left_minor != booked_minor:
            stored, found = (Money(m, charge.currency) for m in (left_minor, booked_minor))
            yield f"{charge.public_id}: {stored} {component} is to go back, the books say {found}"


def _sums(booked: Sequence[BookedRule], effects: Mapping[str, Mapping[str, int]]) -> dict[str, int]:
    sums: dict[str, int] = defaultdict(int)
    for row in booked:
        for component, sign in effects.get(row.rule, {}).items():
            sums[component] += row.sign * sign * row.amount_minor
    return sums


def _of_transactions(
    operation: Operation, operations: Sequence[Operation], booked: Sequence[BookedRule]
) -> Iterator[str]:
    """A balance transaction belongs to the operation, or to a capture of the charge."""
    own = {o.id for o in operations if operation.id in (o.id, o.charge_id)}
    transactions = {row.transaction_id for row in booked if row.source_id in own}
    for column in ("balance_transaction_id", "failure_balance_transaction_id"):
        identifier = getattr(operation, column)
        if identifier is not None and identifier not in transactions:
            yield f"{operation.public_id}: {column} names a transaction that is not its own"


def _of_order_guards(
    intents: Sequence[PaymentIntent], operations: Mapping[UUID, Sequence[Operation]]
) -> Iterator[tuple[UUID, str]]:
    """A charge occupies its order while it is open, or while money of it is held or kept."""
    for intent in intents:
        kept = intent.amount_captured_minor > intent.amount_refunded_minor
        for charge in operations.get(intent.id, ()):
            succeeded = charge.status == OperationStatus.SUCCEEDED
            occupies = charge.is_open or (succeeded and (intent.amount_held_minor or kept))
            expected = charge.order_id if charge.guards_order and occupies else None
            if charge.guard_order == expected or not charge.is_charge:
                continue
            if charge.guard_order is not None:
                yield intent.id, f"{charge.public_id}: occupies {charge.guard_order!r} for nothing"
            elif not _is_order_taken(charge):
                order = f"the order {charge.order_id!r}"
                yield intent.id, f"{charge.public_id}: {order} is not guarded, though it is paid"


def _is_order_taken(charge: Operation) -> bool:
    """Did another payment take the order while this one was reversed?"""
    others = Operation.objects.filter(
        merchant_id=charge.merchant_id, livemode=charge.livemode, guard_order=charge.order_id
    )
    return others.exclude(intent_id=charge.intent_id).exists()


def _of_refunds(operations: Sequence[Operation], refunds: Mapping[UUID, Refund]) -> Iterator[str]:
    """A refund shows what its operation says, and each refund operation has one."""
    replaced = {o.replaces_id for o in operations}
    for operation in operations:
        refund = refunds.get(operation.id)
        if operation.kind != OperationKind.REFUND:
            if refund is not None:
                yield f"{refund.public_id} belongs to a {operation.kind}"
        elif refund is not None:
            yield from _of_refund(refund, operation)
        elif operation.status != OperationStatus.NOT_SENT or operation.id not in replaced:
            yield f"{operation.public_id}: a refund without its row"


def _of_refund(refund: Refund, operation: Operation) -> Iterator[str]:
    if (refund.amount_minor, refund.currency) != (operation.amount_minor, operation.currency):
        amount = Money(refund.amount_minor, refund.currency)
        yield f"{refund.public_id}: {amount}, its operation is about {operation.amount}"
    if refund.status != _REFUND_STATUS[OperationStatus(operation.status)]:
        yield f"{refund.public_id}: {refund.status}, its operation is {operation.status}"
    if (refund.merchant_id, refund.livemode) != (operation.merchant_id, operation.livemode):
        yield f"{refund.public_id}: belongs to another merchant or mode than its operation"
    if (refund.intent_id, refund.charge_id) != (operation.intent_id, operation.charge_id):
        yield f"{refund.public_id}: its operation is of another payment or charge"


def _of_accounts(
    intents: Sequence[PaymentIntent],
    operations: Mapping[UUID, Sequence[Operation]],
    disputes: Mapping[tuple[UUID, UUID], UUID],
) -> Iterator[tuple[UUID, str]]:
    """Entries are on the accounts of the payment's merchant, and of their source's PSP account."""
    by_id = {intent.id: intent for intent in intents}
    codes = dict(PspAccount.objects.values_list("id", "code"))
    code_of = {dispute_id: codes.get(account, "") for (_, dispute_id), account in disputes.items()}
    code_of |= {o.id: codes.get(o.psp_account_id, "") for rows in operations.values() for o in rows}
    for intent_id, source_type, source_id, code, dimension in dimensions_of(list(by_id)):
        intent = by_id[intent_id]
        expected = {books_of(intent.merchant_id, livemode=intent.livemode), code_of.get(source_id)}
        if source_type == settlement_rules.SOURCE:
            expected = {code_of[o.id] for o in operations.get(intent_id, ())}
        if dimension not in expected:
            yield intent_id, f"{intent.public_id}: entries on account {code} of {dimension}"
