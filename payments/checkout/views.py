"""The page of a checkout session, what its script asks, and the way back from a bank.

The secret address is the only credential: no cookie, no login. Card numbers never come here; a
request that holds one is refused unread.
"""

from __future__ import annotations

import logging
import re
from typing import Any, Final
from urllib.parse import urlencode
from uuid import UUID

import orjson
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.translation import override
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST, require_safe

from ledger.money import Money
from payments import public_ids
from payments.checkout.localization import language_of, localized
from payments.checkout.page_requests import chosen_by, entered_by
from payments.checkout.responses import guarded, json_answer, page
from payments.checkout.texts import (
    label_of_button,
    labels_of_card,
    text_of_decline,
    text_of_mandate,
    text_of_refusal,
)
from payments.models import METHODS_WITH_MANDATE, CheckoutSession
from payments.objects.checkout_session import page_url
from payments.selectors.checkout import session_of_token
from payments.services.checkout.attempts import NoEffect
from payments.services.checkout.exchanged_fields import exchange
from payments.services.checkout.page_state import PageState, Shown, state_of
from payments.services.checkout.paying import offered_methods, pay, saved_cards
from payments.services.checkout.saving import keep, keepable_methods
from payments.services.checkout.setup_sessions import USAGE
from payments.services.psp_gateway.accounts import has_fields_for
from payments.services.psp_gateway.hosted_fields import domain_association, hosted_fields_of
from psp_adapters.contract.operations import PspUnavailable
from psp_adapters.contract.payments import FieldsKind, HostedFields

logger = logging.getLogger(__name__)

_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]{32}", re.ASCII)
_TAKES_PAYMENT: Final = (Shown.PAY, Shown.CHALLENGE)
_LEADS_ON: Final = (Shown.SUCCEEDED, Shown.ACCEPTED)


@require_safe
def checkout_page(request: HttpRequest, token: str) -> HttpResponse:
    """The page in its present state."""
    session = _session_of(token)
    if session is None:
        return not_found(request)
    state = state_of(session)
    language = language_of(request, session.locale)
    context = _about(session, state, language)
    if state.shown not in _TAKES_PAYMENT:
        return page(request, "result", context, language=language)
    offered, keeps = _methods_of(session), _keeps(session)
    with_fields = {
        each: at for each, at in offered.items() if has_fields_for(at, each, keeps=keeps)
    }
    fields = {each: _fields_of(session, at) for each, at in with_fields.items()}
    methods = [
        {"type": each, **_about_fields(session, each, fields.get(each), language)}
        for each in offered
        if each not in with_fields or fields[each]
    ]
    context |= _about_payment(session, state, language)
    context |= {"methods": methods, "saved": _saved(session, language)}
    shown = [each for each in fields.values() if each is not None]
    return page(request, "pay", context, language=language, fields=shown)


@csrf_exempt
@require_POST
def pay_view(request: HttpRequest, token: str) -> HttpResponse:
    """Charge or keep what the customer chose: `{"method", "token", "attempt"}`; answers the state.

    A page that collects tokens of several PSP accounts adds those of the others as `alternatives`,
    by the account's code: they are used if the first account fails. `mandate_accepted` says that
    the page showed the mandate of a debit above its button.

    Without a cookie there is nothing to forge a request with but the secret address itself.
    """
    session = _session_of(token)
    if session is None:
        return json_answer({"state": "unknown"}, status=404)
    chosen = chosen_by(request)
    if chosen is None:
        return json_answer({"state": "refused"}, status=400)
    request_id = public_ids.encode(public_ids.REQUEST, public_ids.new_id())
    reason = ""
    try:
        what: dict[str, Any] = {
            "method": chosen.method,
            "token": chosen.token,
            "attempt": chosen.attempt,
            "alternatives": chosen.alternatives,
            "request_id": request_id,
        }
        if session.setup_intent is None:
            pay(session, **what, acceptance=chosen.acceptance)
        else:
            keep(session, **what)
    except NoEffect as refusal:
        reason = refusal.reason
    session = session_of_token(token)
    assert session is not None, "sessions are never deleted"
    with override(language_of(request, session.locale)):
        return json_answer(_told(session, state_of(session), reason=reason))


@csrf_exempt
@require_POST
def exchange_view(request: HttpRequest, token: str) -> HttpResponse:
    """Exchange what the PSP's fields encrypted: `{"method", "fields", "attempt"}` for a token.

    For a PSP whose fields return no token. What they encrypted is kept nowhere.
    """
    session = _session_of(token)
    entered = entered_by(request)
    if session is None or entered is None:
        return json_answer({"token": ""}, status=404 if session is None else 400)
    reason, made = "", ""
    offered, keeps = _methods_of(session), _keeps(session)
    at = offered.get(entered.method)
    try:
        if at is None or not has_fields_for(at, entered.method, keeps=keeps):
            raise NoEffect("method_not_offered")
        made = exchange(session, at, entered.fields, attempt=entered.attempt)
    except NoEffect as refusal:
        reason = refusal.reason
    with override(language_of(request, session.locale)):
        message = text_of_refusal(reason, is_setup=session.intent is None) if reason else ""
        return json_answer({"token": made, "message": message})


@require_safe
def status_view(request: HttpRequest, token: str) -> HttpResponse:
    """What a waiting page asks for every few seconds."""
    session = _session_of(token)
    if session is None:
        return json_answer({"state": "unknown"}, status=404)
    with override(language_of(request, session.locale)):
        return json_answer(_told(session, state_of(session), is_waiting=True))


@require_safe
def returned(request: HttpRequest, token: str) -> HttpResponse:
    """The customer is back from the bank: on to the shop, or to the page in its present state."""
    session = _session_of(token)
    if session is None:
        return not_found(request)
    state = state_of(session)
    leads_on = state.shown in _LEADS_ON and state.success_url
    address = state.success_url if leads_on else page_url(session.token)
    return guarded(HttpResponseRedirect(address))


@require_safe
def domain_association_view(request: HttpRequest) -> HttpResponse:
    """What a wallet asks for before pages of our host may offer it; 404 if no account has it."""
    text = domain_association()
    if not text:
        raise Http404
    return guarded(HttpResponse(text, content_type="text/plain; charset=utf-8"))


def not_found(request: HttpRequest) -> HttpResponse:
    """The page for an address that leads nowhere."""
    return page(request, "not_found", {}, language=language_of(request, ""), status=404)


def _session_of(token: str) -> CheckoutSession | None:
    return session_of_token(token) if _TOKEN.fullmatch(token) else None


def _methods_of(session: CheckoutSession) -> dict[str, UUID]:
    if session.setup_intent is None:
        return offered_methods(session)
    return dict.fromkeys(keepable_methods(session), session.setup_intent.psp_account_id)


def _keeps(session: CheckoutSession) -> bool:
    """Does the page keep what the customer enters?"""
    return session.intent is None or bool(session.intent.setup_future_usage)


def _saved(session: CheckoutSession, language: str) -> list[dict[str, str]]:
    """The saved cards that may pay: id and texts. A page that keeps a card asks for a new one."""
    if session.setup_intent is not None:
        return []
    with override(language):
        return [{"id": each.public_id, **labels_of_card(each)} for each in saved_cards(session)]


def _fields_of(session: CheckoutSession, account_id: UUID) -> HostedFields | None:
    """The PSP's fields; None while the PSP cannot be reached: the page says so."""
    try:
        return hosted_fields_of(account_id)
    except PspUnavailable as error:
        logger.warning("no fields for %s: %s", session.public_id, error)
        return None


def _about_fields(
    session: CheckoutSession, method: str, fields: HostedFields | None, language: str
) -> dict[str, Any]:
    """The fields of a method, and what the page tells them: all of it is public."""
    if fields is None:
        return {}
    about: dict[str, Any] = {"fields": fields}
    if method in METHODS_WITH_MANDATE:
        with override(language):
            about["mandate"] = text_of_mandate(
                session.merchant.name, is_kept=bool(session.payment.setup_future_usage)
            )
    if fields.kind is FieldsKind.FRAME:
        query = urlencode({"lang": language, "method": method})
        return {**about, "url": f"{fields.url}&{query}"}
    intent, setup = session.intent, session.setup_intent
    given = {
        "key": fields.public_key,
        "settings": dict(fields.settings),
        "wallets": fields.wallets,
        "language": language,
        "livemode": session.livemode,
        "mode": "payment" if setup is None else "setup",
        "keeps": intent.setup_future_usage if intent is not None else USAGE,
    }
    if intent is not None:
        given |= {
            "amount_minor": intent.amount.minor,
            "currency": intent.currency.lower(),
            "capture": intent.capture_method,
        }
    return {**about, "given": orjson.dumps(given).decode()}


def _told(
    session: CheckoutSession, state: PageState, *, reason: str = "", is_waiting: bool = False
) -> dict[str, Any]:
    """The state for the script: where to go next, or what to say."""
    go = ""
    if state.shown in _LEADS_ON:
        go = state.success_url or page_url(session.token)
    elif state.shown == Shown.CHALLENGE and not is_waiting and not reason:
        go = state.bank_url
    return {
        "state": str(state.shown),
        "attempt": state.attempt,
        "go": go,
        "message": _message(session, state, reason),
    }


def _message(session: CheckoutSession, state: PageState, reason: str = "") -> str:
    is_setup = session.setup_intent is not None
    if reason:
        return text_of_refusal(reason, is_setup=is_setup)
    return text_of_decline(state.error, is_setup=is_setup) if state.error else ""


def _about(session: CheckoutSession, state: PageState, language: str) -> dict[str, Any]:
    """What every state of the page shows."""
    about = {
        "session": session,
        "merchant": session.merchant.name,
        "state": state,
        "base": f"/checkout/{session.token}",
    }
    if session.intent is None:
        return {**about, "is_setup": True}
    total = session.intent.amount
    lines = [
        {**each, "total": localized(_total_of(each, total.currency), language)}
        for each in session.line_items
    ]
    return {**about, "lines": lines, "total": localized(total, language)}


def _total_of(line: dict[str, Any], currency: str) -> Money:
    return Money(line["unit_amount"] * line["quantity"], currency)


def _about_payment(session: CheckoutSession, state: PageState, language: str) -> dict[str, Any]:
    amount = localized(session.intent.amount, language) if session.intent is not None else ""
    with override(language):
        return {
            "button": label_of_button(session.submit_type, amount),
            "message": _message(session, state),
        }
