"""Checkout sessions in mode `setup`: the page keeps a payment method, and takes no money.

The setup intent is made with the session, as the payment of a session in mode `payment` is.
"""

from __future__ import annotations

from uuid import UUID

from ledger.database.statements import Batch
from payments.models import CheckoutSession
from payments.objects.setup_intent import setup_intent_object
from payments.selectors.checkout import sessions
from payments.services.callers.caller import SetupSubject
from payments.services.checkout.sessions import Page, new_session, require_open
from payments.services.commands.run import setup_command
from payments.services.commands.setups.intents import (
    SetupDetails,
    cancel_locked_setup,
    locked_setup,
    new_setup,
)
from payments.services.commands.transaction import CommandTx
from payments.services.outbox.events import EventDraft, events_of

USAGE = "off_session"
"""What Stripe's page sets up for: the customer need not be there for later payments."""


@setup_command
def create_setup_session(tx: CommandTx, *, details: SetupDetails, page: Page) -> SetupSubject:
    """Create a session and the setup intent that its page confirms.

    Raises InvalidParameter and ResourceMissing (customer).
    """
    setup = new_setup(tx, USAGE, details, None)
    session = new_session(setup, page)
    created = EventDraft("setup_intent.created", setup_intent_object(setup))
    events = events_of(setup, [created], tx.caller)
    Batch().insert(setup).insert(session).insert(*events).execute()
    return SetupSubject(setup_intent=setup)


@setup_command
def expire_setup_session(tx: CommandTx, *, session_id: UUID) -> SetupSubject:
    """End an open session: its setup intent is canceled, and an open challenge with it.

    Raises UnexpectedState if it is not open, and OperationUnderWay (repeat later).
    """
    session = sessions(tx.caller.scope).get(pk=session_id)
    assert session.setup_intent_id is not None, "the caller looked"
    setup = locked_setup(tx.caller, session.setup_intent_id)
    require_open(CheckoutSession.objects.get(pk=session_id))
    return cancel_locked_setup(tx, setup, "abandoned")
