"""Tries the next account of a route, for a charge that certainly was not made at the one before.

An alternative is used only where a token of it exists: a token belongs to its account. Whether the
payment may be charged again at all is decided under its lock (`outcomes.next_charge`).
"""

from __future__ import annotations

import copy
import time
from collections import deque
from dataclasses import dataclass, replace
from functools import partial
from typing import Final
from uuid import UUID

from ledger.database.row_ids import new_row_id
from ledger.database.statements import Batch
from payments import metrics
from payments.models import (
    METHODS_WITH_MANDATE,
    Operation,
    PaymentIntent,
    PaymentMethod,
    RoutingReason,
)
from payments.public_ids import created_at_of
from payments.services.callers.caller import Caller
from payments.services.commands.further_accounts import (
    ATTEMPT_SECONDS,
    FURTHER_ACCOUNTS_MAX,
    MAYBE,
    method_at,
    reason_of,
    token_at,
)
from payments.services.commands.method_options import agreement_of, charge_snapshot
from payments.services.commands.payment_methods import give_id
from payments.services.commands.purchase_details import purchase_of
from payments.services.commands.routed_methods import subject_of
from payments.services.idempotency import keys
from payments.services.outcomes.change import Change
from payments.services.outcomes.next_charge import ChargeElsewhere, NextCharge
from payments.services.psp_gateway import accounts, references
from payments.services.routing import choice, decisions
from payments.services.routing.choice import Candidate, Route, Unsuitable
from payments.services.routing.rules import RoutingSubject
from psp_adapters.contract.operations import PspResult

_COPIED: Final = (
    *("merchant_id", "livemode", "intent_id", "kind", "amount_minor", "currency", "order_id"),
    *("guards_order", "capture_now", "challenge_allowed", "three_d_secure", "save_for"),
    *("off_session", "return_url", "status_before", "actor", "request_id", "idempotency_id"),
)
"""What the next charge has in common with the one before: all but account, token and key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RoutedCharge:
    """A charge that was written, and the further accounts of its route."""

    charge: Operation
    elsewhere: Failover


def elsewhere_for(intent: PaymentIntent, method: PaymentMethod, caller: Caller) -> Failover | None:
    """The further accounts of a charge that is being written; None if its route has none.

    A debit has none: its mandate allows no other account's creditor to collect.
    """
    if method.method_type in METHODS_WITH_MANDATE:
        return None
    subject = replace(subject_of(intent, caller, (method,)), token_account_ids=None)
    found = Failover(choice.ordered_accounts(subject), subject, method, caller)
    return None if found.is_over else found


class Failover:
    """The accounts of a route that are left for one request's charge.

    One thread uses it after the other, never two at once.
    """

    def __init__(
        self, route: Route, subject: RoutingSubject, method: PaymentMethod, caller: Caller
    ) -> None:
        """`route` and `subject` are those of the first charge, and `method` is what it charges."""
        self._route, self._subject = route, replace(subject, token_account_ids=None)
        self._method, self._caller = method, caller
        self._left = deque(
            each
            for each in route.considered
            if each.account.id != method.psp_account_id
            and each.left_out in MAYBE
            and token_at(each.account, method)
        )
        self._tried = 0

    @property
    def is_over(self) -> bool:
        """Is there no further account, or no time for one?"""
        if not self._left or self._tried >= FURTHER_ACCOUNTS_MAX:
            return True
        answer_by = self._caller.answer_by_monotonic
        return answer_by is not None and time.monotonic() + ATTEMPT_SECONDS > answer_by

    def after(self, charge: Operation, result: PspResult) -> ChargeElsewhere | None:
        """Prepare the charge at the next account that can take it, or what is kept if none can.

        None if there is no account left. May ask a PSP about a token: called outside any
        transaction.
        """
        if self.is_over or not result.may_be_charged_elsewhere:
            return None
        reason = reason_of(charge.psp_account_id, result)
        while not self.is_over:
            candidate = self._left.popleft()
            account = accounts.psp_account_of(candidate.account.id)
            found = choice.unsuitable(account, self._subject) or method_at(
                account, self._method, self._caller
            )
            left_out = found if isinstance(found, Unsuitable) else None
            candidate = replace(candidate, account=account, left_out=left_out)
            self._route = self._route.noting(candidate)
            if isinstance(found, PaymentMethod):
                self._tried += 1
                before = accounts.identity_of(charge.psp_account_id).code
                metrics.FAILOVERS.labels(before, reason.value).inc()
                return partial(self._next_charge, candidate, found, reason)
        return partial(self._keep_why_not, reason)

    def _next_charge(
        self, candidate: Candidate, method: PaymentMethod, reason: RoutingReason, change: Change
    ) -> NextCharge:
        """The charge at the candidate's account, of a payment that is locked."""
        intent, identifier = change.intent, new_row_id()
        method = copy.copy(method)  # This may be called again, if the commit is not confirmed.
        give_id(method)
        charge = _charge_like(change.operation, identifier, candidate.account.id)
        charge.token = method.charged_token
        charge.payment_method_id = method.id
        charge.payment_method_details = charge_snapshot(method, intent)
        charge.network_transaction_id = agreement_of(method)
        charge.purchase_details = purchase_of(intent, psp_account_id=candidate.account.id)
        decision = decisions.decision(
            self._route,
            candidate,
            intent=intent,
            sequence=decisions.next_sequence(intent.id),
            charge_id=identifier,
            reason=reason,
        )
        return NextCharge(charge=charge, rows=(method, decision))

    def _keep_why_not(self, reason: RoutingReason, change: Change) -> None:
        """Store why none of the accounts that were left took the charge; the payment is locked."""
        intent, route = change.intent, self._route
        at = change.operation.psp_account_id
        ended = next((c for c in route.considered if c.account.id == at), route.considered[0])
        sequence = decisions.next_sequence(intent.id)
        row = decisions.decision(route, ended, intent=intent, sequence=sequence, reason=reason)
        Batch().insert(row).execute()


def _charge_like(before: Operation, identifier: UUID, psp_account_id: UUID) -> Operation:
    """An unsaved charge with an id and a key of its own, leased to this process."""
    lease_until = keys.new_lease()
    return Operation(
        id=identifier,
        psp_account_id=psp_account_id,
        psp_key=references.reference_of(identifier),
        lease_until=lease_until,
        next_check_at=lease_until,
        created_at=created_at_of(identifier),
        **{name: getattr(before, name) for name in _COPIED},
    )
