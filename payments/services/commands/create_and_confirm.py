"""Creates a payment intent, and confirms it: writes its charge."""

from __future__ import annotations

import copy
import secrets
from typing import Any
from uuid import UUID

from ledger.database.instances import new_instance
from ledger.database.statements import Batch
from ledger.money import Money
from payments import public_ids
from payments.amounts import check_divisibility
from payments.clock import now_utc
from payments.exceptions import InvalidParameter, UnexpectedState
from payments.models import Operation, PaymentIntent, PaymentMethod
from payments.objects.payment_intent import payment_intent_object
from payments.public_ids import created_at_of
from payments.services.callers.caller import Caller, Subject
from payments.services.commands.charge_guards import require_own_page, write_charge
from payments.services.commands.failover import RoutedCharge, elsewhere_for
from payments.services.commands.intent_details import (
    DETAIL_FIELDS,
    Confirmation,
    IntentDetails,
    apply_details,
    apply_details_of_charged,
    apply_facts,
)
from payments.services.commands.mandates import mandate_for, require_mandate
from payments.services.commands.method_options import (
    agreement_of,
    charge_snapshot,
    require_honored,
    three_d_secure_of,
)
from payments.services.commands.open_challenges import (
    is_confirmed_again,
    prepare_confirmation,
    void_of_challenge,
)
from payments.services.commands.purchase_details import check_purchase, purchase_of
from payments.services.commands.routed_methods import (
    Methods,
    Named,
    bind,
    decision_for,
    found_methods,
    offered_types,
    place,
    prepared_methods,
    redirect_types,
)
from payments.services.commands.run import command
from payments.services.commands.setups.checks import require_reusable, require_saving
from payments.services.commands.transaction import CommandTx
from payments.services.operations.creation import require_no_open_change
from payments.services.outbox.events import EventDraft, events_of
from payments.services.outcomes.change import INTENT_FIELDS
from payments.services.psp_gateway import accounts, terms
from payments.services.psp_gateway.references import return_link
from payments.services.routing.choice import Route
from payments.states import IntentStatus
from psp_adapters.contract.operations import OperationKind

CONFIRMABLE = frozenset({IntentStatus.INITIATED, IntentStatus.FAILED})


def _prepare_creation(
    caller: Caller,
    *,
    amount: Money,
    details: IntentDetails,
    payment_method: Named = "",
    confirmation: Confirmation | None = None,
    **_others: Any,
) -> Methods:
    """The method named. A provider that is paused for a charge is not asked about it."""
    intent = new_instance(PaymentIntent, amount_minor=amount.minor, currency=amount.currency)
    apply_facts(intent, details)
    charging = confirmation is not None
    return found_methods(caller, payment_method, intent, charging=charging)


@command(prepare=_prepare_creation, creates_intent=True)
def create_intent(
    tx: CommandTx,
    *,
    amount: Money,
    details: IntentDetails,
    payment_method: Named = "",
    confirmation: Confirmation | None = None,
) -> Operation | RoutedCharge | Subject:
    """Create an intent and, with a confirmation, charge it in the same request.

    `payment_method` is one of ours (`pm_…`), a token of the PSP, or such a token with details. A
    repeat with the same key never makes a second intent: if the first run reached no PSP, the
    repeat charges the intent it made. Raises ResourceMissing, InvalidParameter, OrderAlreadyPaid
    and the refusals of the key.
    """
    if tx.earlier_intent_id is not None:
        intent = tx.lock_intent(tx.earlier_intent_id)
        _require_confirmable(intent)
        own, route = bind(intent, (_own_method(intent),), tx.caller)
        return _charge(tx, intent, own, route, confirmation or Confirmation(), Batch())
    intent, route = new_intent(tx, amount, details, prepared_methods(tx.prepared))
    method, batch = intent.payment_method, Batch()
    if method is not None and method._state.adding:
        batch.insert(method)
    created = EventDraft("payment_intent.created", payment_intent_object(intent))
    events = events_of(intent, [created], tx.caller)
    if confirmation is None:
        batch.insert(intent).insert(*events).execute()
        return Subject(intent=intent)
    return _charge(tx, intent, method, route, confirmation, batch.insert(*events))


@command(prepare=prepare_confirmation)
def confirm_intent(
    tx: CommandTx,
    *,
    intent_id: UUID,
    confirmation: Confirmation,
    payment_method: Named = "",
    details: IntentDetails | None = None,
) -> Operation | RoutedCharge | Subject:
    """Charge an intent; after a decline it may be confirmed again, with another method.

    While the customer is at a challenge, another method has the PSP end that attempt first. With
    confirmation_method=manual, confirming again shows what became of the attempt. Raises
    UnexpectedState, OperationUnderWay (repeat later), InvalidParameter without a method,
    OrderAlreadyPaid and the refusals of the key.
    """
    intent = tx.lock_intent(intent_id)
    require_own_page(intent, tx.caller)
    methods, given = prepared_methods(tx.prepared), details or IntentDetails()
    named = next(iter(methods), None)
    if is_confirmed_again(intent, named):
        fields = apply_details_of_charged(intent, given, tx.caller)
        Batch().update(intent, fields).execute()
        return Subject(intent=intent)
    at_challenge = intent.status == IntentStatus.REQUIRES_ACTION
    if not at_challenge:
        _require_confirmable(intent)
    apply_details(intent, given, tx.caller)
    check_purchase(intent, intent.amount, given)
    if at_challenge:
        if named is not None:  # Refused before the PSP ends the challenge, not afterwards.
            moved = copy.copy(intent)
            chosen, _ = bind(moved, methods, tx.caller)
            _require_chargeable(chosen, moved, confirmation)
        return void_of_challenge(tx, intent, named)
    chosen, route = bind(intent, methods or (_own_method(intent),), tx.caller)
    batch = Batch()
    if chosen._state.adding:
        batch.insert(chosen)
    return _charge(tx, intent, chosen, route, confirmation, batch)


def _require_confirmable(intent: PaymentIntent) -> None:
    require_no_open_change(intent)
    spent = (
        intent.published_status or intent.amount_authorized_minor
    )  # by a charge that was reversed
    if intent.status not in CONFIRMABLE or spent:
        status = payment_intent_object(intent)["status"]
        raise UnexpectedState(
            f"You cannot confirm this PaymentIntent because it has a status of {status}.",
            intent=intent,
        )


def new_intent(
    tx: CommandTx, amount: Money, details: IntentDetails, methods: Methods
) -> tuple[PaymentIntent, Route | None]:
    """The intent as it is to be inserted, and its route if rules sent it somewhere.

    Its method, if one is named, is that of the account that was chosen, and may be new too. Raises
    InvalidParameter, ResourceMissing (customer).
    """
    check_divisibility(amount)
    caller, created_at = tx.caller, created_at_of(tx.new_intent_id)
    intent = new_instance(
        PaymentIntent,
        id=tx.new_intent_id,
        merchant_id=caller.merchant.id,
        livemode=caller.livemode,
        psp_account_id=caller.psp_account.id,
        amount_minor=amount.minor,
        currency=amount.currency,
        idempotency_key=caller.idempotency_key,
        created_at=created_at,
        updated_at=created_at,
    )
    intent.client_secret = f"{intent.public_id}{public_ids.CLIENT_HALF}{secrets.token_urlsafe(18)}"
    apply_facts(intent, details)
    route = None
    if methods:
        intent.payment_method, route = bind(intent, methods, caller)
    else:
        place(intent, caller)
    account = accounts.psp_account_of(intent.psp_account_id)
    terms.require_not_closing(account)
    terms.require_accepted(account, amount)
    apply_details(intent, details, caller)
    check_purchase(intent, amount, details)
    if not intent.payment_method_types:
        intent.payment_method_types = offered_types(intent, caller)
    if _redirects_refused(intent):
        away = redirect_types(intent, caller)
        intent.payment_method_types = [t for t in intent.payment_method_types if t not in away]
    require_capturable_later(intent)
    require_honored(intent)
    require_saving(intent)
    if intent.payment_method is not None:
        require_usable(intent.payment_method, intent)
    return intent, route


def _own_method(intent: PaymentIntent) -> PaymentMethod:
    method = intent.payment_method
    if method is None:
        raise InvalidParameter(
            "You cannot confirm this PaymentIntent because it's missing a payment method. Pass "
            "payment_method, or update the PaymentIntent with one first.",
            param="payment_method",
            code="parameter_missing",
        )
    return method


def require_usable(method: PaymentMethod, intent: PaymentIntent) -> None:
    """Refuse a method that was detached, is another customer's, or of a type that cannot be used.

    Raises InvalidParameter.
    """
    if method.detached_at is not None:
        raise InvalidParameter(
            f"The payment method {method.public_id} was detached from its customer and cannot be "
            "used again. Use another one.",
            param="payment_method",
            code="payment_method_unexpected_state",
        )
    _require_type(method, intent)
    if method.customer_id is not None and method.customer_id != intent.customer_id:
        raise InvalidParameter(
            f"The payment method {method.public_id} belongs to a customer. Pass that customer with "
            "the PaymentIntent, or use another method.",
            param="payment_method",
            code="payment_method_customer_mismatch",
        )


def _redirects_refused(intent: PaymentIntent) -> bool:
    automatic = intent.automatic_payment_methods or {}
    return bool(automatic.get("enabled")) and automatic.get("allow_redirects") == "never"


def _require_chargeable(
    method: PaymentMethod, intent: PaymentIntent, confirmation: Confirmation
) -> str:
    """Refuse a charge that cannot be made; returns the 3-D Secure that it asks for."""
    account = accounts.psp_account_of(intent.psp_account_id)
    terms.require_open(account)
    require_usable(method, intent)
    terms.require_accepted(account, intent.amount)
    terms.require_method_accepted(account, method)
    _require_return_url(method, intent, confirmation)
    require_mandate(method, confirmation.acceptance, named=confirmation.mandate)
    if intent.setup_future_usage:
        require_reusable(method)
        _require_customer_is_there(confirmation)
    return three_d_secure_of(intent, method, challenge_allowed=confirmation.challenge_allowed)


def _require_customer_is_there(confirmation: Confirmation) -> None:
    """Refuse an off-session charge that would keep its method: the customer cannot agree to it."""
    if confirmation.off_session:
        raise InvalidParameter(
            "You cannot confirm with off_session=true while setup_future_usage is set: the "
            "customer must be there to agree that the payment method is kept. Leave one of them "
            "out.",
            param="off_session",
            code="parameters_exclusive",
        )


def _require_return_url(
    method: PaymentMethod, intent: PaymentIntent, confirmation: Confirmation
) -> None:
    away = accounts.capabilities_of(intent.psp_account_id).redirect_method_types
    goes_away = method.method_type in away and not method.stored_token
    if goes_away and not (confirmation.return_url or intent.return_url):
        raise InvalidParameter(
            f"A payment by {method.method_type} sends the customer to another page. Pass "
            "return_url: the address that the customer comes back to.",
            param="return_url",
            code="parameter_missing",
        )


def require_capturable_later(intent: PaymentIntent) -> None:
    """Refuse capture_method=manual where no type of method that is allowed can be held."""
    holdable = accounts.capabilities_of(intent.psp_account_id).holdable_method_types
    if intent.capture_method == "manual" and holdable.isdisjoint(intent.payment_method_types):
        raise _not_holdable(" or ".join(intent.payment_method_types))


def _require_type(method: PaymentMethod, intent: PaymentIntent) -> None:
    away = accounts.capabilities_of(intent.psp_account_id).redirect_method_types
    if method.method_type in away and not method.stored_token and _redirects_refused(intent):
        raise InvalidParameter(
            f"A payment by {method.method_type} sends the customer to another page, and this "
            "PaymentIntent was created with automatic_payment_methods[allow_redirects]=never. Use "
            "another payment method, or create one with allow_redirects=always.",
            param="payment_method",
            code="payment_intent_incompatible_payment_method",
        )
    if method.method_type not in intent.payment_method_types:
        raise InvalidParameter(
            f"This PaymentIntent does not allow payment methods of type {method.method_type}. Use "
            f"one of type {' or '.join(intent.payment_method_types)}, or change "
            "payment_method_types.",
            param="payment_method",
            code="payment_intent_incompatible_payment_method",
        )
    holdable = accounts.capabilities_of(intent.psp_account_id).holdable_method_types
    if intent.capture_method == "manual" and method.method_type not in holdable:
        raise _not_holdable(method.method_type)


def _not_holdable(method_type: str) -> InvalidParameter:
    return InvalidParameter(
        f"A payment by {method_type} cannot be authorized first and captured later: use "
        "capture_method=automatic, or another payment method.",
        param="capture_method",
        code="payment_intent_incompatible_payment_method",
    )


def _charge(
    tx: CommandTx,
    intent: PaymentIntent,
    method: PaymentMethod | None,
    route: Route | None,
    confirmation: Confirmation,
    batch: Batch,
) -> Operation | RoutedCharge:
    """Write the charge, the started intent and everything that the batch holds."""
    chosen = method or _own_method(intent)
    three_d_secure = _require_chargeable(chosen, intent, confirmation)
    operation = tx.new_operation(OperationKind.AUTHORIZE, intent, intent.amount)
    if tx.caller.merchant.order_guard and intent.order_id:
        operation.guard_order = intent.order_id
        operation.guards_order = True
    operation.psp_payment_id = ""
    operation.payment_method_id = chosen.id
    operation.payment_method_details = charge_snapshot(chosen, intent)
    operation.purchase_details = purchase_of(intent)
    operation.token = chosen.charged_token
    operation.capture_now = intent.capture_method != "manual"
    operation.challenge_allowed = confirmation.challenge_allowed
    operation.save_for = intent.setup_future_usage
    operation.off_session = confirmation.off_session
    operation.network_transaction_id = agreement_of(chosen)
    operation.three_d_secure = three_d_secure
    operation.mandate_id = mandate_for(
        batch,
        chosen,
        confirmation.acceptance,
        made_by=operation.id,
        once=None if intent.setup_future_usage else intent.amount,
        named=confirmation.mandate,
    )
    operation.return_url = return_link(intent)
    _start(intent, operation, chosen, confirmation)
    if route is not None:
        batch.insert(decision_for(intent, operation.id, route))
    if intent._state.adding:
        batch.insert(intent)
    else:
        batch.update(intent, tuple(dict.fromkeys((*INTENT_FIELDS, *DETAIL_FIELDS))))
    write_charge(batch.insert(operation), operation)
    elsewhere = elsewhere_for(intent, chosen, tx.caller)
    return operation if elsewhere is None else RoutedCharge(charge=operation, elsewhere=elsewhere)


def _start(
    intent: PaymentIntent,
    operation: Operation,
    method: PaymentMethod,
    confirmation: Confirmation,
) -> None:
    intent.start()
    intent.payment_method_id = method.id
    intent.name_charge(operation.id, psp_account_id=operation.psp_account_id)
    intent.return_url = confirmation.return_url or intent.return_url
    intent.updated_at = now_utc()
