"""Creates, changes, confirms and cancels setup intents: a payment method is kept for later.

No money moves. A method is verified with the PSP account of its token, and can only be charged
there. Lock order: idempotency key, setup intent, attempt.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from ledger.database.statements import Batch
from payments import public_ids
from payments.clock import now_utc
from payments.exceptions import OperationUnderWay, SetupRefused
from payments.metadata import merged_metadata
from payments.models import PaymentMethod, SetupIntent
from payments.objects.setup_intent import setup_intent_object
from payments.public_ids import created_at_of
from payments.selectors.scope import SETUP_INTENT, refuse_missing
from payments.selectors.setups import setup_intents
from payments.services.callers.caller import Caller, SetupSubject
from payments.services.commands.charge_guards import require_own_page
from payments.services.commands.intent_details import customer_id_of
from payments.services.commands.mandates import Acceptance, require_mandate
from payments.services.commands.payment_methods import (
    NewMethod,
    named_at_any_account,
    prepared_method,
)
from payments.services.commands.run import EarlierAttempt, setup_command
from payments.services.commands.setups.attempts import (
    SETUP_DETAILS,
    earlier_attempt,
    new_attempt,
    own_method,
    resumed,
    try_again,
    withdraw_open,
)
from payments.services.commands.setups.checks import (
    kept_by_setups,
    require_keepable,
    require_types,
    take_method,
)
from payments.services.commands.setups.failover import RoutedSetup
from payments.services.commands.token_search import usable_account_ids
from payments.services.commands.transaction import CommandTx
from payments.services.outbox.events import EventDraft, events_of
from payments.services.outcomes.checkout_sessions import drafts_of_setup_session
from payments.services.outcomes.setups import SETUP_FIELDS
from payments.services.recovery import setups as recovery
from payments.states import SetupStatus

_WAITING: Final = frozenset(
    {SetupStatus.REQUIRES_PAYMENT_METHOD, SetupStatus.REQUIRES_CONFIRMATION}
)
_ALWAYS_CHANGEABLE: Final = frozenset({"description", "metadata"})


@dataclass(frozen=True, slots=True, kw_only=True)
class SetupDetails:
    """What a merchant says about a setup intent; None means not given."""

    customer: str | None = None
    description: str | None = None
    metadata: dict[str, str] | None = None
    payment_method_types: list[str] | None = None
    automatic_payment_methods: dict[str, Any] | None = None
    payment_method_options: dict[str, dict[str, Any]] | None = None
    """Merged into what is there, option by option."""
    return_url: str | None = None


Written = RoutedSetup | EarlierAttempt | SetupSubject


def _prepare_confirmation(
    caller: Caller, *, setup_intent_id: UUID, payment_method: str | NewMethod = "", **_others: Any
) -> PaymentMethod | None:
    """The method named, after a look-up of an open challenge: it may have been completed."""
    method = named_at_any_account(caller, payment_method=payment_method)
    challenged = setup_intents(caller.scope).filter(
        pk=setup_intent_id, status=SetupStatus.REQUIRES_ACTION
    )
    attempt_id = challenged.values_list("latest_attempt_id", flat=True).first()
    if attempt_id is not None:
        recovery.resolve_setup_within(
            attempt_id, actor=caller.actor, answer_by_monotonic=caller.answer_by_monotonic
        )
    return method


@setup_command(prepare=named_at_any_account)
def create_setup_intent(
    tx: CommandTx,
    *,
    usage: str,
    details: SetupDetails,
    payment_method: str | NewMethod = "",
    confirm: bool = False,
    acceptance: Acceptance | None = None,
) -> Written:
    """Create a setup intent and, with `confirm`, verify its method in the same request.

    A repeat with the same key never makes a second one. Raises ResourceMissing, InvalidParameter
    and the refusals of the key.
    """
    earlier = earlier_attempt(tx)
    if earlier is not None:
        setup = locked_setup(tx.caller, earlier.setup_intent_id)
        return resumed(tx, earlier) or try_again(tx, setup, acceptance)
    method, batch = prepared_method(tx.prepared), Batch()
    setup = new_setup(tx, usage, details, method)
    if method is not None and method._state.adding:
        batch.insert(method)
    created = EventDraft("setup_intent.created", setup_intent_object(setup))
    events = events_of(setup, [created], tx.caller)
    if not confirm:
        batch.insert(setup).insert(*events).execute()
        return SetupSubject(setup_intent=setup)
    batch.insert(*events)
    return new_attempt(tx, setup, method or own_method(setup), acceptance, batch)


@setup_command(prepare=named_at_any_account)
def update_setup_intent(
    tx: CommandTx,
    *,
    setup_intent_id: UUID,
    details: SetupDetails,
    payment_method: str | NewMethod = "",
) -> SetupSubject:
    """Change what is to be kept, before it is; description and metadata at any time.

    Raises SetupRefused, InvalidParameter and ResourceMissing.
    """
    setup = locked_setup(tx.caller, setup_intent_id)
    method = prepared_method(tx.prepared)
    given = {name for name in details.__slots__ if getattr(details, name) is not None}
    if method is not None or not given <= _ALWAYS_CHANGEABLE:
        require_own_page(setup, tx.caller)
    if setup.status not in _WAITING and (method is not None or not given <= _ALWAYS_CHANGEABLE):
        raise _refused(setup, "change this setup, except its description and metadata,")
    batch = Batch()
    _apply(setup, details, tx.caller)
    if method is not None:
        take_method(setup, method, tx.caller)
        if method._state.adding:
            batch.insert(method)
        if setup.status == SetupStatus.REQUIRES_PAYMENT_METHOD:
            setup.await_confirmation()
    setup.updated_at = now_utc()
    batch.update(setup, tuple(dict.fromkeys((*SETUP_FIELDS, *SETUP_DETAILS)))).execute()
    return SetupSubject(setup_intent=setup)


@setup_command(prepare=_prepare_confirmation)
def confirm_setup_intent(
    tx: CommandTx,
    *,
    setup_intent_id: UUID,
    details: SetupDetails,
    payment_method: str | NewMethod = "",
    acceptance: Acceptance | None = None,
) -> Written:
    """Verify the method at the PSP; after a decline another one may be tried.

    While the customer is at a challenge, another method replaces the open attempt. Raises
    SetupRefused, OperationUnderWay (repeat later), InvalidParameter and the refusals of the key.
    """
    setup = locked_setup(tx.caller, setup_intent_id)
    earlier = resumed(tx, earlier_attempt(tx))
    if earlier is not None:
        return earlier
    method, batch = prepared_method(tx.prepared), Batch()
    require_own_page(setup, tx.caller)
    _require_not_under_way(setup)
    at_challenge = setup.status == SetupStatus.REQUIRES_ACTION
    if not (setup.status in _WAITING or (at_challenge and method is not None)):
        raise _refused(setup, "confirm this setup")
    _apply(setup, details, tx.caller)
    chosen = method or own_method(setup)
    if at_challenge:
        # Refused before the challenge is given up.
        require_keepable(chosen, setup, usable_account_ids(tx.caller))
        require_mandate(chosen, acceptance)
        withdraw_open(setup, batch)
    if chosen._state.adding:
        batch.insert(chosen)
    return new_attempt(tx, setup, chosen, acceptance, batch)


@setup_command
def cancel_setup_intent(tx: CommandTx, *, setup_intent_id: UUID, reason: str = "") -> SetupSubject:
    """Cancel a setup intent: nothing will be kept, even if the customer completes a challenge.

    Raises SetupRefused, and OperationUnderWay (repeat later).
    """
    return cancel_locked_setup(tx, locked_setup(tx.caller, setup_intent_id), reason)


def cancel_locked_setup(tx: CommandTx, setup: SetupIntent, reason: str) -> SetupSubject:
    """Cancel a setup intent that this transaction has locked; as `cancel_setup_intent`."""
    batch = Batch()
    _require_not_under_way(setup)
    if setup.status not in (*_WAITING, SetupStatus.REQUIRES_ACTION):
        raise _refused(setup, "cancel this setup")
    if setup.status == SetupStatus.REQUIRES_ACTION:
        withdraw_open(setup, batch)
    setup.cancel(at=now_utc(), reason=reason)
    setup.next_action_url = ""
    setup.updated_at = now_utc()
    draft = EventDraft("setup_intent.canceled", setup_intent_object(setup))
    events = events_of(setup, [draft, *drafts_of_setup_session(setup)], tx.caller)
    batch.insert(*events).update(setup, SETUP_FIELDS).execute()
    return SetupSubject(setup_intent=setup)


def new_setup(
    tx: CommandTx, usage: str, details: SetupDetails, method: PaymentMethod | None
) -> SetupIntent:
    """The setup intent as it is to be inserted; raises InvalidParameter and ResourceMissing."""
    caller, created_at = tx.caller, created_at_of(tx.new_intent_id)
    setup = SetupIntent(
        id=tx.new_intent_id,
        merchant_id=caller.merchant.id,
        livemode=caller.livemode,
        psp_account_id=caller.psp_account.id,
        usage=usage,
        payment_method_types=kept_by_setups(usable_account_ids(caller)),
        idempotency_key=caller.idempotency_key,
        created_at=created_at,
        updated_at=created_at,
    )
    setup.client_secret = f"{setup.public_id}{public_ids.CLIENT_HALF}{secrets.token_urlsafe(18)}"
    _apply(setup, details, caller)
    if method is not None:
        take_method(setup, method, caller)
        setup.await_confirmation()
    return setup


def _apply(setup: SetupIntent, details: SetupDetails, caller: Caller) -> None:
    """Set what was given on the (unsaved or locked) setup intent."""
    if details.description is not None:
        setup.description = details.description
    if details.return_url is not None:
        setup.return_url = details.return_url
    if details.metadata is not None:
        setup.metadata = merged_metadata(setup.metadata, details.metadata)
    if details.customer is not None:
        setup.customer_id = customer_id_of(caller, details.customer) if details.customer else None
    if details.payment_method_types is not None:
        setup.payment_method_types = details.payment_method_types
        setup.automatic_payment_methods = None
    require_types(setup, usable_account_ids(caller))
    if details.automatic_payment_methods is not None:
        enabled = details.automatic_payment_methods["enabled"]
        always = {"allow_redirects": "always"} if enabled else {}
        setup.automatic_payment_methods = always | details.automatic_payment_methods
    for method_type, options in (details.payment_method_options or {}).items():
        kept = setup.payment_method_options
        setup.payment_method_options = kept | {method_type: kept.get(method_type, {}) | options}


def locked_setup(caller: Caller, setup_intent_id: UUID) -> SetupIntent:
    """The caller's setup intent, locked until the transaction ends; raises ResourceMissing."""
    rows = setup_intents(caller.scope).select_for_update(of=("self",))
    setup = rows.filter(pk=setup_intent_id).first()
    if setup is None:
        refuse_missing(SETUP_INTENT, public_ids.encode(public_ids.SETUP_INTENT, setup_intent_id))
    return setup


def _require_not_under_way(setup: SetupIntent) -> None:
    if setup.status == SetupStatus.PROCESSING:
        raise OperationUnderWay(
            f"An attempt of {setup.public_id} is being processed by the payment provider. "
            "Please try the same request again shortly."
        )


def _refused(setup: SetupIntent, what: str) -> SetupRefused:
    hint = ""
    if setup.status == SetupStatus.REQUIRES_ACTION:
        hint = (
            " Send the customer to next_action[redirect_to_url][url], confirm with another "
            "payment_method, or cancel it."
        )
    return SetupRefused(
        f"You cannot {what} because it has a status of {setup.status}.{hint}",
        setup_intent=setup_intent_object(setup),
    )
