"""Names what rows are about as people know it: accounts by code and owner, sources by public ids.

No internal UUID leaves by an export.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final, NamedTuple
from uuid import UUID

from ledger import bank_rules, settlement_rules
from ledger.chart import AccountRef, Owner
from payments import public_ids
from payments.models import ApiKey, Merchant, PspAccount, books_of
from psp_adapters.contract.operations import OperationKind
from reconciliation.models import BankAccount
from reconciliation.services.exports.declaration import Chosen

_MODES: Final = {True: "live", False: "test"}


# Rows that follow each other are of the same transaction, payment and merchant.
@lru_cache(maxsize=4_096)
def encoded(prefix: str, identifier: UUID | None) -> str | None:
    """The public id; None for none."""
    return None if identifier is None else public_ids.encode(prefix, identifier)


def mode(livemode: bool) -> str:
    """Live or test money: the two never meet."""
    return _MODES[livemode]


class ActorNames:
    """Names who did something: a merchant's key by its last characters, and not by our id of it."""

    def __init__(self) -> None:
        self._keys = {f"api_key:{key.id}": f"api_key:{key}" for key in ApiKey.objects.all()}

    def name_of(self, actor: str | None) -> str | None:
        """As it is shown; None for none."""
        return None if actor is None else self._keys.get(actor, actor)


def dimensions_of(chosen: Chosen) -> list[str] | None:
    """Of the accounts of the chosen merchant, in both modes; None: of all."""
    if chosen.merchant_id is None:
        return None
    return [books_of(chosen.merchant_id, livemode=livemode) for livemode in (False, True)]


class Owned(NamedTuple):
    """Whose an account of the books is."""

    id: str
    """Of a merchant its public id, of a PSP account its code, of a bank account its number; empty
    for the platform's own."""
    name: str
    mode: str
    """Empty for the platform's own accounts, on which test and live payments meet."""


class AccountNames:
    """Knows the owners of accounts; they are few, and read once."""

    def __init__(self) -> None:
        self.merchants: dict[UUID, str] = dict(Merchant.objects.values_list("id", "name"))
        self._psp_accounts: dict[str, bool] = dict(
            PspAccount.objects.values_list("code", "livemode")
        )
        self._bank_accounts: dict[str, bool] = dict(
            BankAccount.objects.values_list("number", "livemode")
        )
        self._known: dict[tuple[int, str], Owned] = {}

    def owner_of(self, account: AccountRef) -> Owned:
        """Whose it is."""
        place = account.code, account.dimension
        if place not in self._known:
            self._known[place] = self._owner_of(account)
        return self._known[place]

    def _owner_of(self, account: AccountRef) -> Owned:
        if account.line.owner is Owner.MERCHANT:
            identifier, _, money = account.dimension.partition(":")
            merchant = UUID(identifier)
            public_id = public_ids.encode(public_ids.MERCHANT, merchant)
            return Owned(public_id, self.merchants.get(merchant, ""), money)
        # Suspense is a PSP's or a bank's.
        for known in (self._psp_accounts, self._bank_accounts):
            if account.dimension in known:
                return Owned(account.dimension, account.dimension, mode(known[account.dimension]))
        return Owned(account.dimension, account.dimension, "")


class Source(NamedTuple):
    """What caused a posting, as `SOURCE_COLUMNS` reads it."""

    type: str
    id: UUID
    operation_kind: str | None
    report: str | None
    report_line: int | None
    statement: str | None
    statement_line: int | None

    @property
    def shown(self) -> str:
        """A public id, or the file and the line in it."""
        if self.type == settlement_rules.SOURCE:
            return f"{self.report} line {self.report_line}"
        if self.type == bank_rules.SOURCE:
            return f"{self.statement} line {self.statement_line}"
        if self.type == settlement_rules.CASE_SOURCE:
            return public_ids.encode(public_ids.CASE, self.id)
        if self.type == _DISPUTE:
            return encoded(public_ids.DISPUTE, self.id) or ""
        if self.operation_kind is None:
            return self.type
        is_charge = self.operation_kind == OperationKind.AUTHORIZE
        return encoded(public_ids.CHARGE if is_charge else public_ids.OPERATION, self.id) or ""


_DISPUTE: Final = "dispute"
SOURCE_COLUMNS: Final = (
    "t.source_type, t.source_id, o.kind, r.name, l.number, s.reference, b.number"
)
"""The fields of Source, of a query with SOURCE_JOINS."""
# The id of a line is the number in the last half of its UUID.
SOURCE_JOINS: Final = f"""
      LEFT JOIN payments_operation o ON o.id = t.source_id
      LEFT JOIN reconciliation_settlement_line l ON t.source_type = '{settlement_rules.SOURCE}'
       AND l.id = ('x' || right(replace(t.source_id::text, '-', ''), 16))::bit(64)::bigint
      LEFT JOIN reconciliation_settlement_report r ON r.id = l.report_id
      LEFT JOIN reconciliation_bank_line b ON t.source_type = '{bank_rules.SOURCE}'
       AND b.id = ('x' || right(replace(t.source_id::text, '-', ''), 16))::bit(64)::bigint
      LEFT JOIN reconciliation_bank_statement s ON s.id = b.statement_id"""
"""What names the source of a ledger transaction `t`."""
