"""Plans a history and makes its rows: which lives begin when, at which merchant, for how much."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import accumulate
from random import Random
from typing import Final
from uuid import UUID

from uuid_utils.compat import uuid7

from bench.growth.recording import Recorded, Recording
from bench.growth.tokens import Copyable, Draw, Reader
from ledger.chart import CHART, AccountRef

_DAY_SECONDS: Final = 86_400
_NOT_YET_SECONDS: Final = 120
"""The newest step of a life is at least so long ago."""
KEPT_DAYS: Final = {
    "payments_delivery": 29,
    "payments_delivery_attempt": 29,
    "payments_idempotency_key": 399,
}
"""Older rows have been deleted by now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """The history that is wanted. The same seed makes the same lives, at the same age."""

    payments: int
    months: float = 6.0
    merchants: int = 12
    seed: int = 1


@dataclass(slots=True, kw_only=True)
class Founded:
    """A merchant that is written, and how rows of a recorded one become its own."""

    recorded: UUID
    secret_key: str
    given: dict[UUID, UUID]
    texts: dict[str, str]


@dataclass(slots=True)
class Batch:
    """Rows by table as COPY reads them."""

    payments: int = 0
    rows: int = 0
    texts: dict[str, list[str]] = field(default_factory=dict)

    def add(self, table: str, text: str) -> None:
        """More rows of a table."""
        self.texts.setdefault(table, []).append(text)
        self.rows += text.count("\n")


class Copies:
    """Makes the rows of a history from a recording."""

    def __init__(self, recording: Recording, wanted: Wanted, *, psp_account: UUID | None) -> None:
        """`psp_account` is that of the same code in the database; None: it has none yet."""
        self.recording = recording
        self._wanted = wanted
        self._now = time.time()
        self._span_seconds = wanted.months * 30.4 * _DAY_SECONDS
        self._choices = Random(wanted.seed)
        self._identities = Random()  # two histories in one database never share an id
        self._psp_account = psp_account or recording.psp_account[0]
        self._makes_account = psp_account is None
        given = [recording.psp_account[0], *recording.accounts]
        self._read: dict[tuple[UUID, str], Copyable] = {}
        for life in recording.lives:
            endpoints = recording.endpoints(life.merchant)
            reader = Reader(recording, given=[*given, life.merchant, *endpoints], recorded=life)
            self._read[life.merchant, life.name] = reader.read(
                life.rows, apart=frozenset(KEPT_DAYS)
            )

    def merchants(self) -> tuple[list[Founded], Batch]:
        """The merchants of the history, founded when it begins, and their rows."""
        batch, founded = Batch(), []
        recorded = list(self.recording.merchants)
        if self._makes_account:
            rows, _ = self.recording.merchants[recorded[0]]
            [account] = [row for row in rows if row.table == "payments_psp_account"]
            batch.add(account.table, account.text + "\n")
        for number in range(self._wanted.merchants):
            founded.append(self._found(recorded[number % len(recorded)], batch))
        return founded, batch

    def account_rows(self, founded: list[Founded]) -> list[tuple[object, ...]]:
        """The accounts of the books that the merchants use: id, code, dimension, currency, kind."""
        rows = {}
        for merchant in founded:
            for old, new in merchant.given.items():
                if old in self.recording.accounts:
                    code, dimension, currency = self._account(old, merchant.given)
                    rows[new] = (new, code, dimension, currency, CHART[code].kind.value)
        return list(rows.values())

    def batches(self, founded: list[Founded], *, lives: int) -> Iterator[Batch]:
        """The whole history in order of time, so many lives at once."""
        by_merchant: dict[UUID, list[Recorded]] = {}
        for life in self.recording.lives:
            by_merchant.setdefault(life.merchant, []).append(life)
        shares = {
            merchant: list(accumulate(each.share for each in lived))
            for merchant, lived in by_merchant.items()
        }
        # As with merchants in general: a few have most of the payments.
        weights = list(accumulate(1 / (number + 1) for number in range(len(founded))))
        batch = Batch()
        for count, age_seconds in enumerate(self._ages(), 1):
            [merchant] = self._choices.choices(founded, cum_weights=weights)
            lived = by_merchant[merchant.recorded]
            [life] = self._choices.choices(lived, cum_weights=shares[merchant.recorded])
            waits = [self._choices.uniform(*each) * _DAY_SECONDS for each in life.waits]
            too_long = sum(waits) + _NOT_YET_SECONDS > age_seconds
            if too_long or 0 < life.oldest_days * _DAY_SECONDS < age_seconds:
                life, waits = lived[0], []  # A sale, which can be of any age.
            self._live(batch, merchant, life, self._shifts(age_seconds, waits))
            if count % lives == 0:
                yield batch
                batch = Batch()
        if batch.payments:
            yield batch

    def _ages(self) -> list[float]:
        """How long ago each life began, oldest first; there are more and more payments."""
        lives = self.recording.lives
        per_life = sum(each.share * each.payments for each in lives) / sum(
            each.share for each in lives
        )
        count = max(1, round(self._wanted.payments / per_life))
        ages = [self._span_seconds * (1 - self._choices.random() ** 0.5) for _ in range(count)]
        return sorted(ages, reverse=True)

    def _shifts(self, age_seconds: float, waits: list[float]) -> list[int]:
        """By how many seconds each step is moved; what came after the last, as far as that."""
        begins = self._now - max(age_seconds, _NOT_YET_SECONDS)
        began_at = self.recording.began_at
        starts = accumulate(waits, initial=begins)
        shifts = [int(start - began) for start, began in zip(starts, began_at, strict=False)]
        return shifts + shifts[-1:] * (len(began_at) - len(shifts))

    def _live(self, batch: Batch, merchant: Founded, life: Recorded, shifts: list[int]) -> None:
        draw = Draw(
            shifts=shifts,
            unit_minor=self._unit_minor(),
            given=merchant.given,
            texts={},
            random=self._identities,
        )
        copyable = self._read[life.merchant, life.name]
        values = copyable.values(draw)
        for template in copyable.templates:
            kept = KEPT_DAYS.get(template.table)
            if kept is not None:
                began = self.recording.began_at[template.step] + shifts[template.step]
                if self._now - began > kept * _DAY_SECONDS:
                    continue
            batch.add(template.table, template.filled(values))
        batch.payments += life.payments

    def _unit_minor(self) -> int:
        """A fortieth of an amount; in steps of ten, as the last digit of dinars is zero."""
        return 10 * max(1, round(self._choices.lognormvariate(2.0, 0.8)))

    def _found(self, recorded: UUID, batch: Batch) -> Founded:
        of = self.recording
        rows, secret_key = of.merchants[recorded]
        began = self._now - self._span_seconds - _DAY_SECONDS
        own = [recorded, *of.endpoints(recorded)]
        given = {each: uuid7(nanoseconds=int(began * 1e9)) for each in own}
        given[of.psp_account[0]] = self._psp_account
        others = [str(each) for each in of.merchants if each != recorded]
        given |= {
            each: AccountRef(*self._account(each, given)).id
            for each, (_, dimension, _) in of.accounts.items()
            if not any(other in dimension for other in others)
        }
        # Its last characters are shown, and stay as they were recorded.
        fresh = secret_key[: len("sk_test_")] + secrets.token_hex(14) + secret_key[-4:]
        texts = {_digest_of(secret_key): _digest_of(fresh)}
        draw = Draw(
            shifts=[int(began - of.founded_at)] * len(of.began_at),
            unit_minor=1,
            given=given,
            texts=texts,
            random=self._identities,
        )
        copyable = Reader(of, given=[*given]).read(
            [row for row in rows if row.table != "payments_psp_account"]
        )
        values = copyable.values(draw)
        for template in copyable.templates:
            batch.add(template.table, template.filled(values))
        return Founded(recorded=recorded, secret_key=fresh, given=given, texts=texts)

    def _account(self, identifier: UUID, given: Mapping[UUID, UUID]) -> tuple[int, str, str]:
        """The account of the merchant instead of that of the recorded one."""
        code, dimension, currency = self.recording.accounts[identifier]
        for old, new in given.items():
            dimension = dimension.replace(str(old), str(new))
        return code, dimension, currency


def _digest_of(text: str) -> str:
    return sha256(text.encode()).hexdigest()
