"""The permanent page of a payment link: it sends each visitor to a checkout session."""

from __future__ import annotations

import logging
import re
from typing import Final

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.views.decorators.http import require_GET

from payments import public_ids
from payments.checkout.localization import language_of
from payments.checkout.responses import guarded, page
from payments.checkout.views import not_found
from payments.exceptions import PaymentRefused
from payments.models import PaymentLink
from payments.selectors.checkout import link_of_token
from payments.services.checkout.links import TooManyVisits, visit

logger = logging.getLogger(__name__)

_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]{32}", re.ASCII)
_COOKIE: Final = "checkout"
"""The session that this browser got of the link: a reload makes no second one."""
_A_DAY_SECONDS: Final = 86_400


@require_GET
def payment_link_page(request: HttpRequest, token: str) -> HttpResponse:
    """Send the visitor to the session of this browser, or to a new one."""
    link = link_of_token(token) if _TOKEN.fullmatch(token) else None
    if link is None:
        return not_found(request)
    if not link.active:
        return _closed(request, link, "inactive", status=410)
    known = request.COOKIES.get(_COOKIE, "")
    request_id = public_ids.encode(public_ids.REQUEST, public_ids.new_id())
    try:
        session = visit(
            link, known_token=known if _TOKEN.fullmatch(known) else "", request_id=request_id
        )
    except TooManyVisits:
        return _closed(request, link, "busy", status=429)
    except PaymentRefused as refusal:
        logger.error("payment link %s cannot be paid: %s", link.public_id, refusal.message)
        return _closed(request, link, "inactive", status=410)
    response = guarded(HttpResponseRedirect(f"/checkout/{session.token}"))
    response.set_cookie(
        _COOKIE,
        session.token,
        max_age=_A_DAY_SECONDS,
        path=request.path,
        secure=settings.PUBLIC_BASE_URL.startswith("https:"),
        httponly=True,
        samesite="Lax",
    )
    return response


def _closed(request: HttpRequest, link: PaymentLink, why: str, *, status: int) -> HttpResponse:
    context = {"link": link, "merchant": link.merchant.name, "why": why}
    language = language_of(request, "")
    return page(request, "link", context, language=language, status=status)
