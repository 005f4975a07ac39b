"""Rebuilds payments from the books and their operations, and compares. Reads only."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Final
from uuid import UUID

from django.db import transaction

from ledger.database.statements import execute
from ledger.exceptions import LedgerError
from ledger.invariants import ALL_INVARIANTS
from ledger.money import Money
from ledger.selectors import PaymentVector, payment_ids_after, payment_vectors
from payments.models import Case, Operation, PaymentIntent
from payments.services.outcomes.duplicate_charges import excess_left
from payments.services.outcomes.payment_state import (
    excess_minor,
    own_operations,
    refund_sums,
    status_by_amounts,
    status_under_way,
    statuses_with_nothing_left,
    waiting_refunds_minor,
)
from payments.services.verification.disputes import dispute_differences
from payments.services.verification.operations import compared, operation_differences
from payments.states import (
    BLOCKING_CHARGE,
    CaseStatus,
    IntentStatus,
    OperationStatus,
)
from psp_adapters.contract.operations import OperationKind

PAYMENTS_PER_BATCH: Final = 1_000
_LONGER_MS: Final = 1_000


@contextmanager
def one_snapshot(*, seconds_most: float | None = None) -> Iterator[None]:
    """See the database as it stood at one moment, however long the reading takes.

    Payments go on meanwhile; without this, one read before and one after a commit would differ.
    With `seconds_most` PostgreSQL gives up on a statement after so long, and on all of them soon
    after that.
    """
    limit_ms = 0 if seconds_most is None else int(seconds_most * 1000)
    limits_ms = [
        ("statement_timeout", limit_ms),
        ("transaction_timeout", 0),  # A clock that runs is only stopped, never set anew.
        ("transaction_timeout", limit_ms and limit_ms + _LONGER_MS),
        ("idle_in_transaction_session_timeout", limit_ms),
    ]
    with transaction.atomic(durable=True):
        execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        for name, milliseconds in limits_ms:
            execute("SELECT set_config(%s, %s, true)", [name, str(milliseconds)])
        yield


def differences() -> Iterator[str]:
    """Every invariant of the ledger that does not hold, and every payment that differs from it.

    Call it inside `one_snapshot` on a system that is in use.
    """
    for invariant, cut in ALL_INVARIANTS.items():
        for part in cut.slices():
            for offender in invariant(part):
                yield f"{invariant.__name__}: {offender}"
    for intents in _batches():
        yield from differences_of(intents)
    last = UUID(int=0)
    while named := payment_ids_after(last, limit=PAYMENTS_PER_BATCH):
        yield from (sentence for _, sentence in entries_without_payment(named))
        last = named[-1]


def rebuilt_statuses(
    vector: PaymentVector | None,
    operations: Iterable[Operation],
    *,
    latest_charge_id: UUID | None,
) -> frozenset[IntentStatus]:
    """The statuses that the books and the operations allow (more than one before any charge)."""
    own = own_operations(operations)
    under_way = status_under_way(own)
    if under_way is not None:
        return frozenset({under_way})
    nothing_left = statuses_with_nothing_left(own, latest_charge_id=latest_charge_id)
    if vector is None:
        return nothing_left
    pending_minor = refund_sums(own, vector.currency).pending_minor
    status = status_by_amounts(
        held_minor=vector.held.minor,
        captured_minor=vector.captured.minor,
        refunded_minor=vector.refunded.minor - pending_minor,
    )
    return nothing_left if status is None else frozenset({status})


def _batches() -> Iterator[list[PaymentIntent]]:
    last = UUID(int=0)
    while True:
        batch = list(PaymentIntent.objects.filter(pk__gt=last).order_by("pk")[:PAYMENTS_PER_BATCH])
        if not batch:
            return
        yield batch
        last = batch[-1].pk


def differences_of(intents: list[PaymentIntent]) -> Iterator[str]:
    """Every one of these payments that differs from the books; a thousand at most, one snapshot."""
    return (sentence for _, sentence in differences_by_payment(intents))


def differences_by_payment(intents: list[PaymentIntent]) -> Iterator[tuple[UUID, str]]:
    """The same, each with the payment that it is about."""
    identifiers = [intent.id for intent in intents]
    vectors: dict[UUID, dict[str, PaymentVector]] = defaultdict(dict)
    for vector in _vectors_of(identifiers):
        vectors[vector.payment_id][vector.currency] = vector
    operations: dict[UUID, list[Operation]] = defaultdict(list)
    for operation in Operation.objects.filter(intent_id__in=identifiers).order_by("id"):
        operations[operation.intent_id].append(operation)
    waiting = waiting_refunds_minor(identifiers)
    for intent in intents:
        by_currency, own = vectors[intent.id], operations[intent.id]
        found = _compare(
            intent, by_currency.get(intent.currency), own, waiting_minor=waiting.get(intent.id, 0)
        )
        for sentence in compared(intent, found):
            yield intent.id, sentence
        for sentence in compared(intent, _excess_differences(intent, by_currency, own)):
            yield intent.id, sentence
    yield from operation_differences(intents, operations)
    yield from _unattended_excess({intent.id: intent for intent in intents}, operations)
    yield from dispute_differences(intents, operations)


def _vectors_of(identifiers: list[UUID]) -> list[PaymentVector]:
    """Their vectors. Entries in no known currency give none, and do not hide other payments'."""
    try:
        return list(payment_vectors(identifiers))
    except LedgerError:
        half = len(identifiers) // 2
        return [
            vector
            for some in (identifiers[:half], identifiers[half:])
            if half
            for vector in _vectors_of(some)
        ]


def _compare(
    intent: PaymentIntent,
    vector: PaymentVector | None,
    operations: list[Operation],
    *,
    waiting_minor: int,
) -> Iterator[str]:
    zero = Money.zero(intent.currency)
    sums = refund_sums(own_operations(operations), intent.currency)
    authorized = vector.authorized if vector else zero
    excess = excess_minor(
        operations,
        intent.currency,
        authorized_minor=authorized.minor,
        over_refunded_minor=intent.amount_over_refunded_minor,
    )
    stored_and_rebuilt = {
        "authorized": (intent.amount_authorized_minor, authorized.minor),
        "held": (intent.amount_held_minor, vector.held.minor if vector else 0),
        "captured": (intent.amount_captured_minor, vector.captured.minor if vector else 0),
        "refunded": (
            intent.amount_refunded_minor,
            vector.refunded.minor - sums.pending_minor if vector else 0,
        ),
        "disputed": (
            intent.amount_disputed_minor,
            (vector.disputed + vector.lost).minor if vector else 0,
        ),
        "reserved for refunds": (
            intent.amount_refund_pending_minor,
            sums.reserved_minor + waiting_minor,
        ),
        "excess": (intent.amount_excess_minor, excess),
    }
    for name, (stored_minor, rebuilt_minor) in stored_and_rebuilt.items():
        if stored_minor != rebuilt_minor:
            stored, rebuilt = (Money(m, intent.currency) for m in (stored_minor, rebuilt_minor))
            yield f"{intent.public_id}: {name} is stored as {stored}, the books say {rebuilt}"
    allowed = rebuilt_statuses(vector, operations, latest_charge_id=intent.latest_charge_id)
    if intent.status not in allowed:
        yield (
            f"{intent.public_id}: status is stored as {intent.status}, books and operations say "
            f"{' or '.join(sorted(allowed))}"
        )
    yield from _charge_differences(intent, operations)


def _excess_differences(
    intent: PaymentIntent, by_currency: Mapping[str, PaymentVector], operations: list[Operation]
) -> Iterator[str]:
    """Compare duplicate charges that are still to go back; each may be in another currency."""
    for currency in sorted({*by_currency, *(o.currency for o in operations)}):
        of_currency = [o for o in operations if o.currency == currency]
        lefts = [excess_left(o, operations) for o in of_currency if o.is_charge]
        pending_minor = sum(
            o.amount_minor
            for o in of_currency
            if o.gives_excess_back and o.kind == OperationKind.REFUND
            if o.status == OperationStatus.PENDING
        )
        taken = Money(sum(each.taken_minor for each in lefts) - pending_minor, currency)
        held = Money(sum(each.held_minor for each in lefts), currency)
        zero = Money.zero(currency)
        vector = by_currency.get(currency)
        booked = (vector.excess_owed, vector.excess_held) if vector is not None else (zero, zero)
        if (taken, held) != booked:
            yield (
                f"{intent.public_id}: duplicate charges that are still to go back are {taken} "
                f"taken and {held} held, the books say {booked[0]} and {booked[1]}"
            )


def _unattended_excess(
    intents: Mapping[UUID, PaymentIntent], operations: Mapping[UUID, list[Operation]]
) -> Iterator[tuple[UUID, str]]:
    """Duplicate charges that did not go back, are not due to, and have no open case."""
    suspects = {
        o.id: o
        for of_payment in operations.values()
        for o in of_payment
        if o.is_charge and o.excess_returned_minor < o.excess_minor and o.reversal_due_at is None
        if not any(each.charge_id == o.id and each.is_open for each in of_payment)
    }
    if not suspects:
        return
    about = {
        each.id: suspect_id
        for suspect_id, suspect in suspects.items()
        for each in operations[suspect.intent_id]
        if suspect_id in (each.id, each.charge_id)
    }
    cases = Case.objects.filter(operation_id__in=list(about), status=CaseStatus.OPEN)
    explained = {about[case.operation_id] for case in cases if case.operation_id is not None}
    for identifier in suspects.keys() - explained:
        suspect = suspects[identifier]
        for sentence in compared(intents[suspect.intent_id], _of_excess(suspect)):
            yield suspect.intent_id, sentence


def _of_excess(charge: Operation) -> Iterator[str]:
    left = Money(charge.excess_minor - charge.excess_returned_minor, charge.currency)
    yield f"{charge.public_id}: {left} in excess is neither given back nor in a case"


def _charge_differences(intent: PaymentIntent, operations: list[Operation]) -> Iterator[str]:
    holding = [o.public_id for o in operations if o.is_charge and o.status in BLOCKING_CHARGE]
    if len(holding) > 1:
        yield f"{intent.public_id}: more than one open or successful charge: {', '.join(holding)}"


def entries_without_payment(payment_ids: list[UUID]) -> Iterator[tuple[UUID, str]]:
    """Which of these, named by the books, do not exist (there are no foreign keys there)."""
    known = set(PaymentIntent.objects.filter(pk__in=payment_ids).values_list("pk", flat=True))
    for payment_id in payment_ids:
        if payment_id not in known:
            sentence = f"the books hold entries of payment {payment_id}, which does not exist"
            yield payment_id, sentence
