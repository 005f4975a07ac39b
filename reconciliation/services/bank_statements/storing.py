"""Stores bank statements as they came, and their lines, each once. A file counts wholly or not."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final

from django.db import transaction

from payments import public_ids
from payments.clock import now_utc
from payments.models import Act
from payments.services.audit.authors import Author, required_author
from payments.services.audit.trail import AuditSubject, recorded
from payments.services.cases.opening import case_about_bank, open_case
from psp_adapters.contract.card_numbers import card_numbers_in
from psp_adapters.contract.stored_text import clean_text
from reconciliation.discrepancies import Discrepancy
from reconciliation.models import BankAccount, BankStatement, BankStatementFile
from reconciliation.services.bank_statements import camt053, swift_mt940
from reconciliation.services.bank_statements.accounts import account_named
from reconciliation.services.bank_statements.contents import (
    Statement,
    StatementUnreadable,
    content_sha256_of,
)
from reconciliation.services.bank_statements.line_storage import PreparedLine, store_lines
from reconciliation.services.bank_statements.sequence import update_gap_cases

BODY_BYTES_MAX: Final = 4 * 1024 * 1024
"""Some 10,000 entries in XML, 50,000 in MT940: what one database transaction has time to store."""
_XML_BEGINS: Final = (b"<", b"\xef\xbb\xbf<", b"\xff\xfe", b"\xfe\xff")
_REFERENCE_MOST: Final = 64


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file that is here."""

    file: BankStatementFile
    is_new: bool
    """False: the same bytes were here already."""
    lines_new: int = 0


@dataclass(frozen=True, slots=True)
class _Prepared:
    """A statement with all that can be computed of it before it is stored."""

    statement: Statement
    content_sha256: str
    lines: list[PreparedLine]

    @classmethod
    def of(cls, statement: Statement) -> _Prepared:
        lines = [PreparedLine.of(entry) for entry in statement.entries]
        return cls(statement, content_sha256_of(statement), lines)


def import_statements(*, name: str, body: bytes, author: Author) -> StoredFile:
    """Store a file that a staff user or a service brought; the audit trail has it.

    Refuses what `store_statements` refuses, and an author who is neither (UnknownAuthor).
    """
    with recorded(Act.BANK_STATEMENT_IMPORT, author, AuditSubject(label=name)) as changes:
        required_author(author)
        stored = store_statements(name=name, body=body, imported_by=author.name)
        changes["sha256"] = {"after": stored.file.body_sha256}
        changes["is_new"] = {"after": stored.is_new}
    return stored


def store_statements(*, name: str, body: bytes, imported_by: str) -> StoredFile:
    """Store a file, its statements and those of their lines that are new.

    Refuses with StatementUnreadable a file that is not whole, or is of an unknown account or
    format; with ValueError an empty or too large one, a bad name, and one with a card number in it.
    Of a file that is refused nothing is stored. The same name with other bytes is stored too, and
    opens a case, as does a statement that comes again with other content.
    """
    if not 0 < len(body) <= BODY_BYTES_MAX:
        raise ValueError(f"a file of bank statements has 1 to {BODY_BYTES_MAX} bytes")
    if not 0 < len(name) <= 128 or not name.isprintable():
        raise ValueError("the name of a file has 1 to 128 characters")
    digest = hashlib.sha256(body).hexdigest()
    known = BankStatementFile.objects.defer("body").filter(body_sha256=digest).first()
    if known is not None:
        return StoredFile(known, is_new=False)
    reader = camt053 if body.startswith(_XML_BEGINS) else swift_mt940
    statements = reader.read(body)
    _require_no_card_number(body, statements)
    # Before the database transaction, whose time is bounded.
    prepared = [_Prepared.of(each) for each in statements]
    prepared.sort(key=lambda each: (each.statement.closed_on, each.statement.number or 0))
    with transaction.atomic(durable=True):
        accounts = _locked_accounts(statements, reader.NAME)
        has_version = BankStatementFile.objects.filter(name=name).exists()
        file = BankStatementFile.objects.create(
            name=name,
            format=reader.NAME,
            body_sha256=digest,
            body=body,
            imported_by=imported_by[:64],
            received_at=now_utc(),
        )
        lines_new = sum(_store(file, accounts[id(each.statement)], each) for each in prepared)
        for account in {each.pk: each for each in accounts.values()}.values():
            update_gap_cases(account)
            if has_version:
                _open_case_of_change(account, f"file {name}", file)
    return StoredFile(file, is_new=True, lines_new=lines_new)


def _locked_accounts(statements: list[Statement], format_name: str) -> dict[int, BankAccount]:
    """The account of each statement, by id(): locked, so that one file at a time is stored.

    The lines of one statement differ from format to format, so an account keeps its first.
    """
    found = {id(each): account_named(each.account, each.opening.currency) for each in statements}
    keys = {account.pk for account in found.values()}
    rows = BankAccount.objects.select_for_update(no_key=True).filter(pk__in=keys).order_by("pk")
    locked = {account.pk: account for account in rows}
    for account in locked.values():
        first = BankStatement.objects.filter(bank_account=account).select_related("file").first()
        if first is not None and first.file.format != format_name:
            raise StatementUnreadable(f"the statements of {account} come as {first.file.format}")
    return {key: locked[account.pk] for key, account in found.items()}


def _store(file: BankStatementFile, account: BankAccount, prepared: _Prepared) -> int:
    """Store one statement with its lines; returns how many are new."""
    statement, digest = prepared.statement, prepared.content_sha256
    rows = BankStatement.objects.filter(bank_account=account)
    if rows.filter(content_sha256=digest).exists():
        return 0
    reference = clean_text(statement.reference, most=_REFERENCE_MOST)
    is_changed = rows.filter(reference=reference, closed_on=statement.closed_on).exists()
    row = BankStatement.objects.create(
        id=public_ids.new_id(),
        file=file,
        bank_account=account,
        reference=reference,
        number=statement.number,
        opened_on=statement.opened_on,
        closed_on=statement.closed_on,
        opening_minor=statement.opening.minor,
        closing_minor=statement.closing.minor,
        identities=[line.identity for line in prepared.lines],
        content_sha256=digest,
        stored_at=now_utc(),
    )
    lines_new = store_lines(row, prepared.lines)
    if is_changed:
        _open_case_of_change(account, f"statement {reference}", file)
    return lines_new


def _require_no_card_number(body: bytes, statements: list[Statement]) -> None:
    """Refuse a file with a card number in it. References that look like one are none."""
    ids = {
        each
        for statement in statements
        for entry in statement.entries
        for each in (entry.bank_reference, entry.end_to_end_id)
    }
    for number, line in enumerate(body.decode("utf-8", "replace").splitlines(), start=1):
        if set(card_numbers_in(line)) - ids:
            raise ValueError(
                f"line {number} holds what looks like a card number. Nothing of the file was "
                "stored: ask the bank for a statement without it"
            )


def _open_case_of_change(account: BankAccount, what: str, file: BankStatementFile) -> None:
    summary = (
        f"FILE_CHANGED: the {what} of {account} came again with other content ({file.name}, "
        f"{file.body_sha256[:8]}). Known lines stay as they were; new ones count."
    )
    subject = f"FILE_CHANGED {what} {file.body_sha256[:8]} {account.number}"[:128]
    code = Discrepancy.FILE_CHANGED
    open_case(case_about_bank(subject, summary, discrepancy=code, livemode=account.livemode))
