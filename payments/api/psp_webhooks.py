"""Receives notifications of PSPs: `POST /psp/<account code>/webhook`.

Stores, then answers; nothing is processed while the PSP waits. If it cannot be stored the answer is
503: the PSP sends it again, for days. Signatures are verified by the PSP's adapter.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import Final

import psycopg
from django.db import Error
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.request import UnreadablePostError
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from payments import metrics
from payments.api.errors import database_is_unavailable
from payments.services.psp_notifications.receiving import NoSuchWebhook, receive_notifications
from psp_adapters.contract.notifications import NotificationRefused, WebhookRequest

logger = logging.getLogger(__name__)

BODY_BYTES_MAX: Final = 256 * 1024
_LOG_EVERY_SECONDS: Final = 1.0
_SEND_AGAIN_AFTER_SECONDS: Final = 1


class _Refusals:
    """Counts refusals and logs at most one a second."""

    def __init__(self) -> None:
        self.count = 0
        self._unlogged = 0
        self._log_from = 0.0
        self._lock = threading.Lock()

    def note(self, account_code: str, reason: str, *, kind: str = "untrusted") -> None:
        """Count one. Anyone can cause refusals, so not every one is logged."""
        metrics.WEBHOOKS_REFUSED.labels(kind).inc()
        with self._lock:
            self.count += 1
            self._unlogged += 1
            if time.monotonic() < self._log_from:
                return
            since, self._unlogged = self._unlogged, 0
            self._log_from = time.monotonic() + _LOG_EVERY_SECONDS
        logger.warning(
            "webhook of %s refused: %s (%s since the last such line)",
            account_code,
            reason[:200],
            since,
        )


refusals = _Refusals()


@csrf_exempt
@require_POST
def psp_webhook(request: HttpRequest, account_code: str) -> HttpResponse:
    """Store what the PSP notifies; 400 for what the PSP did not sign, with nothing stored.

    503 with Retry-After while the database is unavailable or busy.
    """
    try:
        body = _body_of(request)
        came = WebhookRequest(
            headers=request.headers, body=body, query=request.META.get("QUERY_STRING", "")
        )
        receipt = receive_notifications(came, account_code=account_code)
    except NoSuchWebhook:
        return _answer(404, "There is no such webhook.")
    except _TooLarge:
        refusals.note(account_code, "too large", kind="too_large")
        return _answer(413, f"A notification has at most {BODY_BYTES_MAX} bytes.")
    except (NotificationRefused, UnreadablePostError) as refusal:
        refusals.note(account_code, str(refusal))
        return _answer(400, "Not a notification that we can trust.")
    except (Error, psycopg.Error) as error:
        if not database_is_unavailable(error):
            raise
        logger.warning("webhook of %s not stored: %s", account_code, type(error).__name__)
        return _come_again()
    return _acknowledgment(receipt.answer)


class _TooLarge(Exception):
    pass


def _body_of(request: HttpRequest) -> bytes:
    """The raw bytes, up to the limit."""
    length = request.META.get("CONTENT_LENGTH") or "0"
    if not (length.isascii() and length.isdigit()) or int(length[:12]) > BODY_BYTES_MAX:
        raise _TooLarge
    body = request.read(BODY_BYTES_MAX + 1)
    if len(body) > BODY_BYTES_MAX:
        raise _TooLarge
    return body


def _come_again() -> HttpResponse:
    answer = _answer(503, "Not stored. Please send it again.")
    answer.headers["Retry-After"] = str(_SEND_AGAIN_AFTER_SECONDS)
    return answer


def _acknowledgment(text: str) -> HttpResponse:
    """200, with exactly the text that the PSP wants, if it wants one."""
    if not text:
        return _sized(JsonResponse({"received": True}))
    return _sized(HttpResponse(text, content_type="text/plain; charset=utf-8"))


def _answer(status: int, error: str) -> HttpResponse:
    """One sentence: the reason why a signature was refused is not shown."""
    return _sized(JsonResponse({"error": error}, status=status))


def _sized(answer: HttpResponse) -> HttpResponse:
    answer.headers["Content-Length"] = str(len(answer.content))
    return answer
