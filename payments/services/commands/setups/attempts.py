"""Writes the attempts of a setup intent, before they are sent, and finds those of an earlier run.

The setup intent must be locked, or new.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final
from uuid import UUID

from ledger.database.statements import Batch
from payments import public_ids
from payments.clock import now_utc
from payments.exceptions import InvalidParameter
from payments.models import PaymentMethod, SetupAttempt, SetupIntent
from payments.objects.payment_method import payment_method_snapshot
from payments.public_ids import created_at_of
from payments.services.commands.mandates import Acceptance, mandate_for
from payments.services.commands.payment_methods import prepared_method
from payments.services.commands.run import EarlierAttempt
from payments.services.commands.setups.checks import (
    require_return_url,
    take_method,
    three_d_secure_of,
)
from payments.services.commands.setups.failover import RoutedSetup, SetupFailover, setup_route
from payments.services.commands.transaction import CommandTx
from payments.services.idempotency import keys
from payments.services.outcomes.setups import ATTEMPT_FIELDS, SETUP_FIELDS, withdraw
from payments.services.psp_gateway.references import return_link
from payments.services.routing import decisions
from payments.states import SETUP_ATTEMPT_OPEN, SetupAttemptStatus, SetupStatus

SETUP_DETAILS: Final = (
    *("description", "metadata", "payment_method_types", "automatic_payment_methods"),
    *("payment_method_options", "return_url"),
)
"""The columns of a setup intent that hold what the merchant said of it."""


def new_attempt(
    tx: CommandTx,
    setup: SetupIntent,
    method: PaymentMethod,
    acceptance: Acceptance | None,
    batch: Batch,
) -> RoutedSetup:
    """Write the attempt, the started setup intent and everything that the batch holds.

    With it, if the merchant's setups may go to several accounts, why it goes to this one.
    """
    take_method(setup, method, tx.caller)
    require_return_url(method, setup)
    three_d_secure = three_d_secure_of(setup, method)
    if setup.status == SetupStatus.PROCESSING:
        raise ValueError("one attempt at a time")
    identifier, caller = tx.operation_id, tx.caller
    mandate_id = mandate_for(batch, method, acceptance, made_by=identifier, once=None)
    attempt = _attempt_of(tx, setup, method, mandate_id)
    attempt.three_d_secure = three_d_secure
    route = setup_route(method, three_d_secure, caller)
    if route is not None:
        batch.insert(
            decisions.setup_decision(
                route, route.candidate_of(method.psp_account_id), setup=setup, attempt_id=identifier
            )
        )
    setup.start()
    setup.latest_attempt_id = attempt.id
    setup.next_action_url = ""
    setup.updated_at = now_utc()
    if setup._state.adding:
        batch.insert(setup)
    else:
        batch.update(setup, tuple(dict.fromkeys((*SETUP_FIELDS, *SETUP_DETAILS))))
    batch.insert(attempt).execute()
    elsewhere = None if route is None else SetupFailover(route, method, caller)
    return RoutedSetup(attempt=attempt, elsewhere=elsewhere)


def _attempt_of(
    tx: CommandTx, setup: SetupIntent, method: PaymentMethod, mandate_id: UUID | None
) -> SetupAttempt:
    """The unsaved attempt, leased to this process."""
    identifier, caller = tx.operation_id, tx.caller
    created_at = created_at_of(identifier)
    lease_until = created_at + timedelta(seconds=keys.LEASE_SECONDS)
    return SetupAttempt(
        id=identifier,
        merchant_id=setup.merchant_id,
        livemode=setup.livemode,
        setup_intent_id=setup.id,
        psp_account_id=setup.psp_account_id,
        psp_key=public_ids.encode(public_ids.SETUP_ATTEMPT, identifier),
        payment_method_id=method.id,
        customer_id=setup.customer_id,
        payment_method_details=payment_method_snapshot(method),
        token=method.charged_token,
        usage=setup.usage,
        return_url=return_link(setup),
        mandate_id=mandate_id,
        actor=caller.actor,
        request_id=caller.request_id,
        idempotency_id=tx.idempotency_id,
        lease_until=lease_until,
        next_check_at=lease_until,
        created_at=created_at,
    )


def own_method(setup: SetupIntent) -> PaymentMethod:
    """The method that the setup intent has already; raises InvalidParameter if it has none."""
    method = setup.payment_method
    if method is None:
        raise InvalidParameter(
            "You cannot confirm this SetupIntent because it's missing a payment method. Pass "
            "payment_method, or update the SetupIntent with one first.",
            param="payment_method",
            code="parameter_missing",
        )
    return method


def withdraw_open(setup: SetupIntent, batch: Batch) -> None:
    """Give up the open challenge. No money moves, so the PSP need not be told."""
    rows = SetupAttempt.objects.select_for_update().filter(setup_intent_id=setup.id)
    attempt = rows.get(status__in=sorted(SETUP_ATTEMPT_OPEN))
    withdraw(attempt, batch)
    # Written at once: only one attempt of a setup intent may be open.
    Batch().update(attempt, ATTEMPT_FIELDS).execute()


def try_again(tx: CommandTx, setup: SetupIntent, acceptance: Acceptance | None) -> RoutedSetup:
    """A new attempt of a setup intent whose creation with `confirm` reached no PSP."""
    method, batch = setup.payment_method, Batch()
    if method is None:
        method = prepared_method(tx.prepared) or own_method(setup)
        if method._state.adding:
            batch.insert(method)
    return new_attempt(tx, setup, method, acceptance, batch)


def earlier_attempt(tx: CommandTx) -> SetupAttempt | None:
    """The last attempt that an earlier run of this request wrote."""
    if tx.claim is None or tx.claim.fresh:
        return None
    rows = SetupAttempt.objects.filter(idempotency_id=tx.idempotency_id)
    return rows.order_by("-id").first()


def resumed(tx: CommandTx, earlier: SetupAttempt | None) -> EarlierAttempt | None:
    """Point the key at an attempt that may have been sent; None if there is none."""
    if earlier is None or earlier.status == SetupAttemptStatus.NOT_SENT:
        return None
    assert tx.claim is not None, "the attempt was found by it"
    keys.take_over(tx.claim, operation_id=earlier.id, intent_id=None)
    return EarlierAttempt(earlier.id)
