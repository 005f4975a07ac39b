"""Stores settlement reports as they came, from the PSP or from an operator."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from django.db import transaction

from payments import public_ids
from payments.clock import now_utc
from payments.models import PspAccount
from payments.services.cases.opening import case_about_account, open_case
from payments.services.psp_gateway.accounts import adapter_of
from payments.states import CaseKind
from psp_adapters.contract.card_numbers import card_numbers_in
from psp_adapters.contract.settlement_reports import ReportUnreadable
from reconciliation.discrepancies import Discrepancy
from reconciliation.models import ReportBody, SettlementReport

BODY_BYTES_MAX: Final = 16 * 1024 * 1024
"""Some 90,000 lines. A file is parsed from its beginning for every slice of it, so a much larger
one would only be parsed; a PSP can be told to close its reports more often."""


class NoSuchAccount(LookupError):
    """No PSP account of that code, or one without credentials."""


@dataclass(frozen=True, slots=True)
class StoredReport:
    """A report that is here."""

    report: SettlementReport
    is_new: bool
    """False: the same bytes were here under this name already."""


def account_of(code: str) -> PspAccount:
    """The PSP account of a code, whose reports can be read; raises NoSuchAccount."""
    account = PspAccount.objects.filter(code=code).first()
    if account is None or not account.sealed_credentials:
        raise NoSuchAccount(code)
    return account


def name_of_report(report: SettlementReport) -> str:
    """How people find a report: its name, which version of it, whose it is."""
    return f"{report.name} {report.body_sha256[:8]} ({report.psp_account.code})"[-128:]


def store_report(
    *,
    account: PspAccount,
    name: str,
    body: bytes,
    imported_by: str,
    closed_at: datetime | None = None,
    lines_announced: int | None = None,
) -> StoredReport:
    """Store a report as it came, to be read.

    The same name with other bytes is stored as well, and opens a case: its lines decide what is
    new. Refuses with ValueError an empty file, one larger than BODY_BYTES_MAX, a name that is
    empty or longer than 128 characters, and a file with a card number in it.
    """
    if not 0 < len(body) <= BODY_BYTES_MAX:
        raise ValueError(f"a report has 1 to {BODY_BYTES_MAX} bytes, not {len(body)}")
    if not 0 < len(name) <= 128:
        raise ValueError("the name of a report has 1 to 128 characters")
    _require_no_card_number(account, body)
    digest = hashlib.sha256(body).hexdigest()
    with transaction.atomic(durable=True):
        # One at a time, so that another version being stored is not overlooked.
        PspAccount.objects.select_for_update(no_key=True).get(pk=account.pk)
        versions = list(SettlementReport.objects.filter(psp_account=account, name=name))
        for version in versions:
            if version.body_sha256 == digest:
                return StoredReport(version, is_new=False)
        now = now_utc()
        report = SettlementReport.objects.create(
            id=public_ids.new_id(),
            psp_account=account,
            name=name,
            closed_at=closed_at,
            imported_by=imported_by[:64],
            body_sha256=digest,
            lines_announced=lines_announced,
            next_attempt_at=now,
            received_at=now,
        )
        ReportBody.objects.create(report=report, body=body)
        if versions:
            _open_case_of_version(report)
    return StoredReport(report, is_new=True)


def _require_no_card_number(account: PspAccount, body: bytes) -> None:
    """Refuse a file with a card number in it: masked, it would no longer be the PSP's file.

    Ids of the PSP that look like one are none.
    """
    lines = enumerate(body.decode("utf-8", "replace").splitlines(), start=1)
    found = {each: number for number, line in lines for each in card_numbers_in(line)}
    for card in found.keys() - (_ids_of(account, body) if found else set()):
        raise ValueError(
            f"line {found[card]} holds what looks like a card number. Nothing of the file was "
            "stored: ask the PSP for a report without card numbers"
        )


def _ids_of(account: PspAccount, body: bytes) -> set[str]:
    ids: set[str] = set()
    with suppress(ReportUnreadable):
        for line in adapter_of(account).read_report(body):
            ids |= {line.identity, line.psp_id, line.psp_payment_id}
    return ids


def _open_case_of_version(report: SettlementReport) -> None:
    summary = (
        f"The settlement report {report.name} came again with other bytes. Known lines "
        "stay as they were; new ones count."
    )
    subject = f"version {name_of_report(report)}"[:128]
    open_case(
        case_about_account(
            CaseKind.CONTRADICTION,
            report.psp_account,
            summary,
            subject=subject,
            discrepancy=Discrepancy.FILE_CHANGED,
        )
    )
