"""Take settlement reports in: fetched from the PSP, or brought by a person. Stored as they came.

What may not live here: reading them (services.reading), a PSP's file format (its adapter knows).
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

from django.conf import settings
from django.db import transaction

from payments import public_ids
from payments.models import PspAccount
from payments.services.asking import ask_psp, give_connection_back
from payments.services.breakers import Refusal
from payments.services.cases import case_about_account, open_case
from payments.services.events import now_utc
from payments.services.psp import adapter_of
from payments.states import CaseKind
from psp_adapters.contract import PspAdapter, PspUnavailable
from psp_adapters.report_contract import ReportListing
from reconciliation.models import SettlementReport

logger = logging.getLogger(__name__)

ACTOR: Final = "job:settlement_reports"
SWEEP_SECONDS: Final = 5.0
LIST_DEADLINE_SECONDS: Final = 5.0
FETCH_DEADLINE_SECONDS: Final = 9.0
"""With what a sweep began before, short enough for the heartbeat of its queue."""
BODY_BYTES_MAX: Final = 64 * 1024 * 1024
LISTED_AGAIN: Final = timedelta(days=7)
"""So far before the newest report that we have is asked: a PSP may publish one out of order."""


class NoSuchAccount(LookupError):
    """No PSP account of that code, or one without credentials."""


def fetch_reports() -> int:
    """Fetch and store what PSPs have published since we last asked; returns how many were new.

    Bounded in time, safe to run again: a report is stored once. An account that cannot be asked
    holds up no other one.
    """
    end = time.monotonic() + SWEEP_SECONDS
    stored = 0
    for account in _accounts_with_reports():
        try:
            stored += _fetch_of(account, end)
        except (PspUnavailable, Refusal) as reason:
            logger.warning("no settlement reports of %s: %s", account.code, reason)
        if time.monotonic() >= end:
            break
    return stored


def account_of(code: str) -> PspAccount:
    """The PSP account of a code, whose reports can be read; raises NoSuchAccount."""
    account = PspAccount.objects.filter(code=code).first()
    if account is None or code not in settings.PSP_CREDENTIALS:
        raise NoSuchAccount(code)
    return account


def store_report(
    *,
    account: PspAccount,
    name: str,
    body: bytes,
    brought_by: str,
    closed_at: datetime | None = None,
    lines_announced: int | None = None,
) -> SettlementReport | None:
    """Store a report as it came, to be read; None if the same bytes are here under this name.

    The same name with other bytes is stored as well, and opens a case: its lines decide what is
    new. Refuses with ValueError an empty file, one larger than BODY_BYTES_MAX, and a name that is
    empty or longer than 128 characters.
    """
    if not 0 < len(body) <= BODY_BYTES_MAX:
        raise ValueError(f"a report has 1 to {BODY_BYTES_MAX} bytes, not {len(body)}")
    if not 0 < len(name) <= 128:
        raise ValueError("the name of a report has 1 to 128 characters")
    digest = hashlib.sha256(body).hexdigest()
    with transaction.atomic(durable=True):
        # One at a time, so that nobody overlooks another version that is just being stored.
        PspAccount.objects.select_for_update(no_key=True).get(pk=account.pk)
        versions = SettlementReport.objects.filter(psp_account=account, name=name)
        known = list(versions.values_list("body_sha256", flat=True))
        if digest in known:
            return None
        report = SettlementReport.objects.create(
            id=public_ids.new_id(),
            psp_account=account,
            name=name,
            closed_at=closed_at,
            brought_by=brought_by[:64],
            body=body,
            body_sha256=digest,
            lines_announced=lines_announced,
            received_at=now_utc(),
        )
        if known:
            summary = (
                f"The settlement report {name} came again with other bytes (sha256 {digest[:12]}…, "
                f"before {known[0][:12]}…). Lines that were known stand as they were."
            )
            subject = f"{name} ({account.code})"[-128:]
            open_case(case_about_account(CaseKind.CONTRADICTION, account, summary, subject=subject))
    return report


def _accounts_with_reports() -> Iterator[PspAccount]:
    for account in PspAccount.objects.filter(code__in=settings.PSP_CREDENTIALS).order_by("code"):
        if adapter_of(account).capabilities.settlement_reports:
            yield account


def _fetch_of(account: PspAccount, end: float) -> int:
    """Store the new reports of one account until time is over; the rest is for the next run.

    One that cannot be fetched holds up no later one. Raises PspUnavailable or Refusal.
    """
    adapter = adapter_of(account)
    stored = 0
    for listing in _listed(account, adapter):
        if time.monotonic() >= end:
            break
        if SettlementReport.objects.filter(psp_account=account, name=listing.name).exists():
            continue
        try:
            body = _body_of(account, adapter, listing)
        except PspUnavailable as reason:
            logger.warning("report %s of %s did not come: %s", listing.name, account.code, reason)
            continue
        report = store_report(
            account=account,
            name=listing.name,
            body=body,
            brought_by=ACTOR,
            closed_at=listing.closed_at,
            lines_announced=listing.line_count,
        )
        stored += report is not None
    return stored


def _listed(account: PspAccount, adapter: PspAdapter) -> list[ReportListing]:
    known = SettlementReport.objects.filter(psp_account=account, closed_at__isnull=False)
    newest = known.order_by("-closed_at").values_list("closed_at", flat=True).first()
    since = newest - LISTED_AGAIN if newest is not None else None
    give_connection_back()
    return ask_psp(
        account,
        lambda: adapter.list_reports(since=since, deadline_seconds=LIST_DEADLINE_SECONDS),
    )


def _body_of(account: PspAccount, adapter: PspAdapter, listing: ReportListing) -> bytes:
    give_connection_back()
    return ask_psp(
        account,
        lambda: adapter.fetch_report(listing.name, deadline_seconds=FETCH_DEADLINE_SECONDS),
    )
