"""Applies rules to past payments, to show what a change of them would do. Reads only.

Payments are read in parts, by the ids of their charges: memory does not grow with their number.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from fractions import Fraction
from typing import Final
from uuid import UUID

from ledger.money import Money
from payments import public_ids
from payments.models import Operation, PaymentMethod, PspAccount
from payments.services.psp_gateway import accounts
from payments.services.psp_gateway.agreed_fees import WHOLE, agreed_fees
from payments.services.routing.choice import route_by
from payments.services.routing.rules import RoutingSubject, Rule, rules_of
from payments.states import OperationStatus
from psp_adapters.contract.operations import OperationKind

PART: Final = 500
"""Charges that are read by one statement."""
EXAMPLES_MAX: Final = 10
NOWHERE: Final = "none, refused"
"""In place of an account: no account of the rule would have taken the payment."""
_HALF: Final = Fraction(1, 2)
"""Of a minor unit, which is rounded up."""


@dataclass(slots=True)
class Tally:
    """What one account took, or would have taken."""

    payments: int = 0
    amount_minor: Counter[str] = field(default_factory=Counter)
    """By currency."""
    cost_minor: Counter[str] = field(default_factory=Counter)
    """By currency, from the account's costs; zero where it has none."""

    def add(self, account: PspAccount | None, amount: Money, method_type: str, brand: str) -> None:
        self.payments += 1
        self.amount_minor[amount.currency] += amount.minor
        if account is not None:
            self.cost_minor[amount.currency] += cost_of(account, amount, method_type, brand).minor


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """A payment that would have gone elsewhere."""

    intent_id: UUID
    amount: Money
    then: str
    now: str
    rule: str


@dataclass(slots=True)
class Comparison:
    """Accounts by code, as payments went then, and as they would go now."""

    payments: int = 0
    moved: int = 0
    then: dict[str, Tally] = field(default_factory=lambda: defaultdict(Tally))
    now: dict[str, Tally] = field(default_factory=lambda: defaultdict(Tally))
    examples: list[Moved] = field(default_factory=list)


def compare(
    rules: Sequence[Rule],
    *,
    since: datetime,
    livemode: bool,
    merchant_id: UUID | None = None,
    progress: Callable[[int], None] = lambda payments: None,
) -> Comparison:
    """Route every successful payment since then by these rules of the mode.

    A method that is attached to a customer stays at its account; of all others it is assumed that
    the chosen account would have made the token. Accounts are taken as they are now, and their
    PSPs as answering.
    """
    found = Comparison()
    for charges in _parts(since, livemode=livemode, merchant_id=merchant_id):
        methods = PaymentMethod.objects.in_bulk([each.payment_method_id for each in charges])
        for charge in charges:
            method = methods.get(charge.payment_method_id)
            _add(found, charge, method, rules_of(rules, charge.merchant_id))
        progress(found.payments)
    return found


def _parts(
    since: datetime, *, livemode: bool, merchant_id: UUID | None
) -> Iterator[list[Operation]]:
    rows = (
        Operation.objects.filter(
            kind=OperationKind.AUTHORIZE.value,
            status=OperationStatus.SUCCEEDED.value,
            livemode=livemode,
        )
        .select_related("intent", "merchant")
        .order_by("id")
    )
    if merchant_id is not None:
        rows = rows.filter(merchant_id=merchant_id)
    after = public_ids.first_id_of_second(int(since.timestamp()))
    while part := list(rows.filter(id__gt=after)[:PART]):
        yield part
        after = part[-1].id


def _add(
    found: Comparison, charge: Operation, method: PaymentMethod | None, rules: Sequence[Rule]
) -> None:
    subject, then = _subject(charge, method), accounts.psp_account_of(charge.psp_account_id)
    route = route_by(rules, subject, unwell=lambda account: False)
    now = route.first.account if route.candidates else None
    of_method = (subject.method_type or "", subject.brand or "")
    code = now.code if now is not None else NOWHERE
    found.payments += 1
    found.then[then.code].add(then, charge.amount, *of_method)
    found.now[code].add(now, charge.amount, *of_method)
    if code == then.code:
        return
    found.moved += 1
    if len(found.examples) < EXAMPLES_MAX:
        rule = f"{route.rule.name} (position {route.rule.position})" if route.rule else ""
        moved = Moved(
            intent_id=charge.intent_id, amount=charge.amount, then=then.code, now=code, rule=rule
        )
        found.examples.append(moved)


def _subject(charge: Operation, method: PaymentMethod | None) -> RoutingSubject:
    merchant = charge.merchant
    own = merchant.live_psp_account_id if charge.livemode else merchant.test_psp_account_id
    is_kept = method is not None and method.customer_id is not None
    return RoutingSubject(
        merchant_id=charge.merchant_id,
        livemode=charge.livemode,
        intent_id=charge.intent_id,
        amount=charge.amount,
        metadata=charge.intent.metadata,
        own_account_id=own or charge.psp_account_id,
        method_type=method.method_type if method is not None else "",
        brand=method.brand if method is not None else "",
        country=method.country if method is not None else "",
        token_account_ids=frozenset({charge.psp_account_id}) if is_kept else None,
        is_held=not charge.capture_now,
        keeps_method=bool(charge.save_for),
        asks_three_d_secure=bool(charge.three_d_secure),
    )


def cost_of(account: PspAccount, amount: Money, method_type: str, brand: str) -> Money:
    """What the PSP takes of a charge, by the account's costs; zero if none is about it."""
    fees = agreed_fees(account.costs, amount=amount, method_type=method_type, brand=brand)
    exact = fees[WHOLE] if WHOLE in fees else sum(fees.values())
    return Money(math.floor(exact + _HALF), amount.currency)
