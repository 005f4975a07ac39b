"""/v1/setup_intents, /v1/setup_attempts and /v1/mandates, which setups and payments make."""

from __future__ import annotations

from typing import Any, Final

from payments.api.renderers import render_setup_intent
from payments.api.views.call import Call, path_id
from payments.api.views.documentation import documented
from payments.api.views.exchange import MerchantView
from payments.api.views.method_parameters import acceptance_of
from payments.api.views.payment_methods import method_of
from payments.api.views.setup_intent_parameters import (
    CANCEL_SETUP_INTENT,
    CONFIRM_SETUP_INTENT,
    CREATE_SETUP_INTENT,
    LIST_SETUP_ATTEMPTS,
    LIST_SETUP_INTENTS,
    RETRIEVE_MANDATE,
    RETRIEVE_SETUP_INTENT,
    UPDATE_SETUP_INTENT,
)
from payments.objects.mandate import mandate_object
from payments.objects.setup_intent import setup_attempt_object, setup_intent_object
from payments.selectors.customers import one_mandate
from payments.selectors.scope import MANDATE, SETUP_INTENT
from payments.selectors.setups import (
    one_setup_intent,
    page_of_setup_attempts,
    page_of_setup_intents,
)
from payments.services import commands
from payments.services.callers.caller import CommandRequest, CommandResult
from payments.services.commands.setups.intents import SetupDetails

_NOT_KEPT: Final = {
    "latest_attempt": None,
    "payment_method": None,
    "status": "requires_payment_method",
}
_CHANGED: Final = {**_NOT_KEPT, "description": "Card for the subscription"}
_CANCELED: Final = {**_NOT_KEPT, "cancellation_reason": "abandoned", "status": "canceled"}
"""What differs in the examples of answers."""


class SetupIntents(MerchantView):
    """The setup intents of a merchant."""

    @documented(CREATE_SETUP_INTENT, "setup_intent", "Create a setup intent", asks_bank=True)
    def post(self, call: Call) -> CommandResult:
        given = call.given
        return commands.create_setup_intent(
            CommandRequest(call.caller, render=render_setup_intent),
            usage=given.get("usage", "off_session"),
            details=call.details(SetupDetails),
            payment_method=method_of(call),
            confirm=bool(given.get("confirm")),
            acceptance=acceptance_of(call),
        )

    @documented(LIST_SETUP_INTENTS, "setup_intent", "List setup intents", is_list=True)
    def get(self, call: Call) -> dict[str, Any]:
        filters = call.only("customer", "payment_method")
        page = page_of_setup_intents(call.scope, call.paging, **filters)
        return call.list_of("setup_intent", page, setup_intent_object)


class SetupIntent(MerchantView):
    """One setup intent."""

    @documented(RETRIEVE_SETUP_INTENT, "setup_intent", "Retrieve a setup intent")
    def get(self, call: Call, public_id: str) -> dict[str, Any]:
        path_id(SETUP_INTENT, public_id)
        return call.expanded(
            "setup_intent", setup_intent_object(one_setup_intent(call.scope, public_id))
        )

    @documented(UPDATE_SETUP_INTENT, "setup_intent", "Change a setup intent", example=_CHANGED)
    def post(self, call: Call, public_id: str) -> CommandResult:
        return commands.update_setup_intent(
            CommandRequest(call.caller, render=render_setup_intent),
            setup_intent_id=path_id(SETUP_INTENT, public_id),
            details=call.details(SetupDetails),
            payment_method=method_of(call),
        )


class ConfirmSetupIntent(MerchantView):
    """Confirm a setup intent: verify its payment method."""

    @documented(CONFIRM_SETUP_INTENT, "setup_intent", "Confirm a setup intent", asks_bank=True)
    def post(self, call: Call, public_id: str) -> CommandResult:
        return commands.confirm_setup_intent(
            CommandRequest(call.caller, render=render_setup_intent),
            setup_intent_id=path_id(SETUP_INTENT, public_id),
            details=call.details(SetupDetails),
            payment_method=method_of(call),
            acceptance=acceptance_of(call),
        )


class CancelSetupIntent(MerchantView):
    """Cancel a setup intent: nothing will be kept."""

    @documented(CANCEL_SETUP_INTENT, "setup_intent", "Cancel a setup intent", example=_CANCELED)
    def post(self, call: Call, public_id: str) -> CommandResult:
        return commands.cancel_setup_intent(
            CommandRequest(call.caller, render=render_setup_intent),
            setup_intent_id=path_id(SETUP_INTENT, public_id),
            reason=call.given.get("cancellation_reason", ""),
        )


class SetupAttempts(MerchantView):
    """The attempts of one setup intent."""

    @documented(LIST_SETUP_ATTEMPTS, "setup_attempt", "List setup attempts", is_list=True)
    def get(self, call: Call) -> dict[str, Any]:
        setup = call.given["setup_intent"]
        page = page_of_setup_attempts(call.scope, call.paging, setup=setup)
        return call.list_of("setup_attempt", page, setup_attempt_object)


class Mandate(MerchantView):
    """One mandate: a customer's permission to debit an account."""

    @documented(RETRIEVE_MANDATE, "mandate", "Retrieve a mandate")
    def get(self, call: Call, public_id: str) -> dict[str, Any]:
        path_id(MANDATE, public_id)
        mandate = one_mandate(call.scope, public_id)
        return call.expanded("mandate", mandate_object(mandate, mandate.payment_method))
