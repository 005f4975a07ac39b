"""/v1/payment_intents; each action is a command of services.commands."""

from __future__ import annotations

from typing import Any, Final

from ledger.money import Money
from payments.api.renderers import render_intent
from payments.api.views.call import Call, path_id
from payments.api.views.documentation import documented
from payments.api.views.exchange import MerchantView
from payments.api.views.method_parameters import acceptance_of
from payments.api.views.payment_intent_parameters import (
    CANCEL_PAYMENT_INTENT,
    CAPTURE_PAYMENT_INTENT,
    CONFIRM_PAYMENT_INTENT,
    CREATE_PAYMENT_INTENT,
    INCREMENT_AUTHORIZATION,
    LIST_LINE_ITEMS,
    LIST_PAYMENT_INTENTS,
    RETRIEVE_PAYMENT_INTENT,
    SEARCH_PAYMENT_INTENTS,
    UPDATE_PAYMENT_INTENT,
)
from payments.api.views.payment_methods import method_of
from payments.objects.amount_details import LINE_ITEM, line_items_object
from payments.objects.fields import EXAMPLE_SECOND
from payments.objects.payment_intent import payment_intent_object
from payments.selectors.payments import one_intent, page_of_intents
from payments.selectors.scope import INTENT
from payments.selectors.search import search_intents
from payments.services import commands
from payments.services.callers.caller import CommandRequest, CommandResult
from payments.services.commands import Confirmation, IntentDetails

_NOT_PAID: Final = {
    "amount": 1500,
    "amount_received": 0,
    "description": "Order 6735, as a gift",
    "latest_charge": None,
    "payment_method": None,
    "status": "requires_payment_method",
}
_CANCELED: Final = {
    "amount_received": 0,
    "canceled_at": EXAMPLE_SECOND,
    "cancellation_reason": "requested_by_customer",
    "status": "canceled",
}
_HELD: Final = {
    "amount": 1500,
    "amount_capturable": 1500,
    "amount_received": 0,
    "capture_method": "manual",
    "status": "requires_capture",
}
"""What differs in the examples of answers."""


def _confirmation(call: Call) -> Confirmation:
    """A challenge is not allowed off session, nor with error_on_requires_action."""
    given = call.given
    off_session = bool(given.get("off_session"))
    return Confirmation(
        return_url=given.get("return_url", ""),
        challenge_allowed=not (off_session or given.get("error_on_requires_action")),
        off_session=off_session,
        acceptance=acceptance_of(call),
        mandate=given.get("mandate", ""),
    )


class PaymentIntents(MerchantView):
    """The payments of a merchant."""

    @documented(CREATE_PAYMENT_INTENT, "payment_intent", "Create a payment", moves_money=True)
    def post(self, call: Call) -> CommandResult:
        given = call.given
        return commands.create_intent(
            CommandRequest(call.caller, render=render_intent),
            amount=Money(given["amount"], given["currency"]),
            details=call.details(IntentDetails),
            payment_method=method_of(call),
            confirmation=_confirmation(call) if given.get("confirm") else None,
        )

    @documented(LIST_PAYMENT_INTENTS, "payment_intent", "List payments", is_list=True)
    def get(self, call: Call) -> dict[str, Any]:
        order_id = call.given.get("metadata", {}).get("order_id", "")
        filters = call.only("customer")
        page = page_of_intents(call.scope, call.paging, order_id=order_id, **filters)
        return call.list_of("payment_intent", page, payment_intent_object)


class SearchPaymentIntents(MerchantView):
    """Payments by a query."""

    @documented(SEARCH_PAYMENT_INTENTS, "payment_intent", "Search payments", is_search=True)
    def get(self, call: Call) -> dict[str, Any]:
        return call.search_result_of("payment_intent", search_intents, payment_intent_object)


class PaymentIntent(MerchantView):
    """One payment."""

    @documented(RETRIEVE_PAYMENT_INTENT, "payment_intent", "Retrieve a payment")
    def get(self, call: Call, public_id: str) -> dict[str, Any]:
        path_id(INTENT, public_id)
        return call.expanded(
            "payment_intent", payment_intent_object(one_intent(call.scope, public_id))
        )

    @documented(UPDATE_PAYMENT_INTENT, "payment_intent", "Change a payment", example=_NOT_PAID)
    def post(self, call: Call, public_id: str) -> CommandResult:
        given = call.given
        return commands.update_intent(
            CommandRequest(call.caller, render=render_intent),
            intent_id=path_id(INTENT, public_id),
            amount_minor=given.get("amount"),
            currency=given.get("currency"),
            details=call.details(IntentDetails),
            payment_method=method_of(call),
        )


class LineItems(MerchantView):
    """The lines of what was bought with a payment."""

    @documented(LIST_LINE_ITEMS, LINE_ITEM.name, "List the lines of a payment", is_list=True)
    def get(self, call: Call, public_id: str) -> dict[str, Any]:
        path_id(INTENT, public_id)
        return call.page_of_lines(line_items_object(one_intent(call.scope, public_id)))


class ConfirmPaymentIntent(MerchantView):
    """Confirm a payment: authorize or charge it."""

    @documented(CONFIRM_PAYMENT_INTENT, "payment_intent", "Confirm a payment", moves_money=True)
    def post(self, call: Call, public_id: str) -> CommandResult:
        return commands.confirm_intent(
            CommandRequest(call.caller, render=render_intent),
            intent_id=path_id(INTENT, public_id),
            payment_method=method_of(call),
            confirmation=_confirmation(call),
            details=call.details(IntentDetails),
        )


class CapturePaymentIntent(MerchantView):
    """Capture an authorization."""

    @documented(
        CAPTURE_PAYMENT_INTENT,
        "payment_intent",
        "Capture a payment",
        moves_money=True,
        example={"amount_received": 1000, "capture_method": "manual"},
    )
    def post(self, call: Call, public_id: str) -> CommandResult:
        return commands.capture_payment(
            CommandRequest(call.caller, render=render_intent),
            intent_id=path_id(INTENT, public_id),
            amount_minor=call.given.get("amount_to_capture"),
            final=call.given.get("final_capture", True),
            details=call.details(IntentDetails),
        )


class CancelPaymentIntent(MerchantView):
    """Cancel a payment; release its authorization."""

    @documented(
        CANCEL_PAYMENT_INTENT,
        "payment_intent",
        "Cancel a payment",
        moves_money=True,
        example=_CANCELED,
    )
    def post(self, call: Call, public_id: str) -> CommandResult:
        return commands.cancel_payment(
            CommandRequest(call.caller, render=render_intent),
            intent_id=path_id(INTENT, public_id),
            reason=call.given.get("cancellation_reason", ""),
        )


class IncrementAuthorization(MerchantView):
    """Increment an authorization."""

    @documented(
        INCREMENT_AUTHORIZATION,
        "payment_intent",
        "Raise an authorization",
        moves_money=True,
        example=_HELD,
    )
    def post(self, call: Call, public_id: str) -> CommandResult:
        return commands.increment_authorization(
            CommandRequest(call.caller, render=render_intent),
            intent_id=path_id(INTENT, public_id),
            amount_minor=call.given["amount"],
            details=call.details(IntentDetails),
        )
