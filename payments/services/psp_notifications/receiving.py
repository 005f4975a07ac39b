"""Receives a PSP's notifications: verifies them, stores each once, and wakes a worker."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from uuid import UUID

from django.db import transaction

from ledger.database.instances import new_instance
from ledger.database.statements import insert_absent
from payments import public_ids
from payments.clock import now_utc
from payments.models import PspAccount, PspNotification
from payments.models.notification import SALE
from payments.services.jobs import wakeups
from payments.services.psp_gateway import accounts
from payments.states import NOTIFICATION_WAITING
from psp_adapters.contract.card_numbers import masked_bytes, masked_card_numbers
from psp_adapters.contract.notifications import Notification, WebhookRequest

logger = logging.getLogger(__name__)

GIVE_UP_AFTER: Final = timedelta(hours=24)


class NoSuchWebhook(LookupError):
    """No PSP account of that code, or one that sends us no notifications."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of a request of a PSP."""

    stored: list[PspNotification]
    """The notifications that were not stored already."""
    answer: str
    """The exact text that the PSP wants; empty if it wants none."""


def receive_notifications(request: WebhookRequest, *, account_code: str) -> Receipt:
    """Verify and store the notifications of one request, and wake a worker.

    Storing is one statement, outside a transaction: all that are new, or none. Raises
    NoSuchWebhook, or NotificationRefused if this account's PSP did not sign each of them; nothing
    is stored then. An account that is paused or being closed is notified too. The first body of an
    event id is kept: for another one the conflict is recorded, and the PSP is asked again.
    """
    try:
        account = accounts.identity_of_code(account_code)
    except PspAccount.DoesNotExist:
        raise NoSuchWebhook(account_code) from None
    secrets = accounts.webhook_secrets_of(account)
    if not secrets:
        raise NoSuchWebhook(account_code)
    adapter = accounts.adapter_of(account)
    read = adapter.read_notifications(request, secrets=secrets, now=now_utc())
    states_result = adapter.capabilities.states_results_by_notification
    rows = [_row_of(each, account.id, request.body, states_result=states_result) for each in read]
    new = _insert_new(rows)
    if new:
        wakeups.wake(wakeups.PROCESS_NOTIFICATIONS)
    for row in rows:
        if row.id not in new:
            _note_conflict(row, account_code)
    stored = [row for row in rows if row.id in new]
    return Receipt(stored, adapter.capabilities.notification_answer)


def _row_of(
    read: Notification, account_id: UUID, body: bytes, *, states_result: bool = False
) -> PspNotification:
    """The row of a notification in a verified request, card numbers in its body masked.

    The digest is of what is stored: equal bodies still have equal digests, and it cannot be used to
    find out the masked digits.
    """
    received_at, kept = now_utc(), masked_bytes(body if read.body is None else read.body)
    return new_instance(
        PspNotification,
        id=public_ids.new_id(),
        psp_account_id=account_id,
        event_id=read.event_id,
        type=read.type,
        known=read.known,
        psp_payment_id=read.psp_payment_id,
        psp_dispute_id=read.psp_dispute_id,
        our_references=list(read.references),
        claims=read.claims.value if read.claims is not None else "",
        claimed_kind=SALE if read.is_sale else read.kind or "",
        psp_id=read.psp_id,
        claimed_minor=read.amount.minor if read.amount is not None else None,
        claimed_currency=read.amount.currency if read.amount is not None else "",
        states_result=states_result,
        occurred_at=read.occurred_at,
        body=kept,
        body_sha256=hashlib.sha256(kept).hexdigest(),
        headers={name: masked_card_numbers(v) for name, v in read.signature_headers.items()},
        next_attempt_at=received_at,
        give_up_at=received_at + GIVE_UP_AFTER,
        received_at=received_at,
    )


def _insert_new(rows: Sequence[PspNotification]) -> set[UUID]:
    """Insert those that the account did not send before; returns their ids."""
    return insert_absent(rows, conflict="")  # partitioned, no index is of the whole table


def _note_conflict(row: PspNotification, account_code: str) -> None:
    """If the event came with another body before, record that once and make the row due again."""
    with transaction.atomic(durable=True):
        known = PspNotification.objects.filter(
            psp_account_id=row.psp_account_id, event_id=row.event_id
        )
        first = known.select_for_update().order_by("-pk")[:1].get()
        if first.body_sha256 == row.body_sha256 or first.conflicting_body:
            return
        logger.error(
            "alert: event %s of account %s came again with another body (%s, first %s)",
            row.event_id,
            account_code,
            row.body_sha256,
            first.body_sha256,
        )
        first.conflicting_body = True
        if first.status not in NOTIFICATION_WAITING:
            first.requeue()
        first.next_attempt_at = now_utc()
        first.give_up_at = first.next_attempt_at + GIVE_UP_AFTER
        first.save(update_fields=["conflicting_body", "status", "next_attempt_at", "give_up_at"])
        wakeups.wake(wakeups.PROCESS_NOTIFICATIONS)
