"""Stores settlement reports as they came, from the PSP or from an operator."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import BinaryIO, Final
from uuid import UUID

from django.db import transaction

from payments import public_ids
from payments.clock import now_utc
from payments.models import Act, PspAccount
from payments.services.audit.authors import Author, required_author
from payments.services.audit.trail import AuditSubject, recorded
from payments.services.cases.opening import case_about_account, open_case
from payments.states import CaseKind
from psp_adapters.contract import report_files
from reconciliation.discrepancies import Discrepancy
from reconciliation.models import SettlementReport
from reconciliation.services.reports.card_number_check import require_no_card_number
from reconciliation.services.reports.stored_file import store_chunks
from reconciliation.states import ReportStatus

_PIECE_BYTES: Final = 1024 * 1024


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


def import_report(
    *, account: PspAccount, name: str, file: BinaryIO, author: Author
) -> StoredReport:
    """Store a report that a staff user or a service brought; the audit trail has it.

    Refuses what `store_report` refuses, and an author who is neither (UnknownAuthor).
    """
    about = AuditSubject(label=name, psp_account_id=account.pk, livemode=account.livemode)
    with recorded(Act.REPORT_IMPORT, author, about) as changes:
        required_author(author)
        stored = store_report(account=account, name=name, file=file, imported_by=author.name)
        changes["sha256"] = {"after": stored.report.body_sha256}
        changes["is_new"] = {"after": stored.is_new}
    return stored


def store_report(
    *,
    account: PspAccount,
    name: str,
    file: BinaryIO,
    imported_by: str,
    closed_at: datetime | None = None,
    lines_announced: int | None = None,
) -> StoredReport:
    """Store a report as it came, to be read. `file` can be sought; it is read more than once.

    The same name with other bytes is stored as well, and opens a case: its lines decide what is
    new. Storing that was interrupted is continued by storing the same file again. Refuses with
    ValueError an empty file, one larger than REPORT_BYTES_MAX, a name that is
    empty or longer than 128 characters, and a file with a card number in it.
    """
    if not 0 < len(name) <= 128:
        raise ValueError("the name of a report has 1 to 128 characters")
    size, digest = _measured(file)
    report = SettlementReport.objects.filter(
        psp_account=account, name=name, body_sha256=digest
    ).first()
    if report is None:
        require_no_card_number(account, file)
        report = _announce(
            SettlementReport(
                id=public_ids.new_id(),
                psp_account=account,
                name=name,
                closed_at=closed_at,
                imported_by=imported_by[:64],
                body_sha256=digest,
                body_bytes=size,
                lines_announced=lines_announced,
                received_at=now_utc(),
            )
        )
    if report.status == ReportStatus.RECEIVING:
        store_chunks(report.pk, file)
        return _received(report.pk)
    return StoredReport(report, is_new=False)


def _measured(file: BinaryIO) -> tuple[int, str]:
    """The file's size and SHA-256; raises ValueError for a size that no report has."""
    most = report_files.REPORT_BYTES_MAX
    file.seek(0)
    size, digest = 0, hashlib.sha256()
    while size <= most and (piece := file.read(_PIECE_BYTES)):
        size += len(piece)
        digest.update(piece)
    if not 0 < size <= most:
        raise ValueError(f"a report has 1 to {most} bytes, not {size}{' or more' if size else ''}")
    return size, digest.hexdigest()


def _announce(report: SettlementReport) -> SettlementReport:
    """Write that this file is coming; returns the row of another worker if that was first."""
    with transaction.atomic(durable=True):
        # One at a time, so that another version being stored is not overlooked.
        PspAccount.objects.select_for_update(no_key=True).get(pk=report.psp_account_id)
        versions = list(
            SettlementReport.objects.filter(psp_account=report.psp_account, name=report.name)
        )
        for version in versions:
            if version.body_sha256 == report.body_sha256:
                return version
        report.save(force_insert=True)
        if versions:
            _open_case_of_version(report)
    return report


def _received(report_id: UUID) -> StoredReport:
    with transaction.atomic(durable=True):
        report = SettlementReport.objects.select_for_update().get(pk=report_id)
        is_new = report.status == ReportStatus.RECEIVING
        if is_new:
            report.await_reading()
            report.next_attempt_at = now_utc()
            report.save(update_fields=["status", "next_attempt_at"])
    return StoredReport(report, is_new=is_new)


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
