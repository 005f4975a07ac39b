"""/v1/checkout/sessions."""

from __future__ import annotations

from typing import Any

from payments.api.renderers import render_session, render_setup_session
from payments.api.views.call import Call, path_id
from payments.api.views.checkout_parameters import (
    CREATE_SESSION,
    EXPIRE_SESSION,
    LIST_LINES,
    LIST_SESSIONS,
    RETRIEVE_SESSION,
    expiry_of,
    lines_of,
)
from payments.api.views.documentation import documented
from payments.api.views.exchange import MerchantView
from payments.models import CheckoutSession as SessionRow
from payments.objects.checkout_session import (
    LINE_ITEM,
    checkout_session_object,
    session_lines_object,
)
from payments.selectors.checkout import one_session, page_of_sessions
from payments.selectors.scope import CHECKOUT_SESSION
from payments.services.callers.caller import CommandRequest, CommandResult
from payments.services.checkout import sessions as service
from payments.services.checkout.setup_sessions import create_setup_session, expire_setup_session
from payments.services.commands import IntentDetails
from payments.services.commands.setups.intents import SetupDetails


class Sessions(MerchantView):
    """The checkout sessions of a merchant."""

    @documented(CREATE_SESSION, "checkout.session", "Create a checkout session")
    def post(self, call: Call) -> CommandResult:
        given = call.given
        texts = call.only(
            *("success_url", "cancel_url", "client_reference_id", "customer_email"),
            *("locale", "submit_type", "metadata"),
        )
        page = service.Page(**texts, expires_at=expiry_of(given))
        chosen = call.only("customer", "payment_method_types")
        if given.get("mode") == "setup":
            return create_setup_session(
                CommandRequest(call.caller, render=render_setup_session),
                details=SetupDetails(**given.get("setup_intent_data", {}), **chosen),
                page=page,
            )
        return service.create_session(
            CommandRequest(call.caller, render=render_session),
            lines=lines_of(given),
            details=IntentDetails(**given.get("payment_intent_data", {}), **chosen),
            page=page,
        )

    @documented(LIST_SESSIONS, "checkout.session", "List checkout sessions", is_list=True)
    def get(self, call: Call) -> dict[str, Any]:
        filters = call.only("customer", "payment_intent", "payment_link", "status")
        page = page_of_sessions(call.scope, call.paging, **filters)
        return call.list_of("checkout.session", page, _shown)


class Session(MerchantView):
    """One checkout session."""

    @documented(RETRIEVE_SESSION, "checkout.session", "Retrieve a checkout session")
    def get(self, call: Call, public_id: str) -> dict[str, Any]:
        path_id(CHECKOUT_SESSION, public_id)
        return call.expanded("checkout.session", _shown(one_session(call.scope, public_id)))


class ExpireSession(MerchantView):
    """The end of an open session."""

    @documented(
        EXPIRE_SESSION,
        "checkout.session",
        "Expire a checkout session",
        moves_money=True,
        example={"status": "expired", "url": None},
    )
    def post(self, call: Call, public_id: str) -> CommandResult:
        session_id = path_id(CHECKOUT_SESSION, public_id)
        if one_session(call.scope, public_id).setup_intent_id is not None:
            request = CommandRequest(call.caller, render=render_setup_session)
            return expire_setup_session(request, session_id=session_id)
        return service.expire_session(
            CommandRequest(call.caller, render=render_session), session_id=session_id
        )


class SessionLines(MerchantView):
    """The lines of what is bought with a session."""

    @documented(LIST_LINES, LINE_ITEM.name, "List the lines of a checkout session", is_list=True)
    def get(self, call: Call, public_id: str) -> dict[str, Any]:
        path_id(CHECKOUT_SESSION, public_id)
        return call.page_of_lines(session_lines_object(one_session(call.scope, public_id)))


def _shown(session: SessionRow) -> dict[str, Any]:
    return checkout_session_object(session, session.subject)
