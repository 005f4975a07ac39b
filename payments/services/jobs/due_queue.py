"""Takes due rows of a table under a lease, so that several workers can share one sweep.

The table is the queue: a row's `due` column is the time from which a worker may take it, or NULL.

Three queues are of another kind. Deliveries to webhook endpoints (`merchant_webhooks.leasing`) are
fair per endpoint and ordered per payment. The fan-out of events and the numbering of the stream
take all events of a payment together.
"""

from __future__ import annotations

import logging
import sys
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import timedelta
from enum import StrEnum
from typing import Any, Final, Generic, TypeVar
from uuid import UUID

from django.db import connection, models, transaction
from django.db.models.functions import Now

from ledger.database.statements import execute, instance_of, table_of

logger = logging.getLogger(__name__)

M = TypeVar("M", bound=models.Model)

EndSome = Callable[[list[Any]], list[Any]]
"""Ends some of the locked rows with these keys; returns the keys of the others, in their order."""
ONE_BY_ONE: Final = 100
"""After a failure to end many rows together, so many are handled one by one, and no more than these
are ended together for the rest of the sweep."""
UNANSWERED_MAX: Final = 2
"""Unanswered calls in a row; a single one may be due to its row and not to the account."""


class DueQueue(Generic[M]):
    """Rows of one table that wait for a time.

    Taking a row moves `due` to the end of its lease, by the database's clock. That value is the
    fence: a worker whose lease has passed to another, or whose row was made due again meanwhile,
    finds another value and must write nothing.
    """

    def __init__(
        self,
        rows: models.QuerySet[M],
        *,
        due: str,
        lease: timedelta,
        attempts: str = "",
        account: str = "",
        lease_until: str = "",
        first: str = "",
    ) -> None:
        """`rows` reads a taken row; the other arguments name columns of its table.

        `attempts` is counted up at each lease. `account` is the PSP account by which rows can be
        skipped. `lease_until` is kept beside `due` where outcomes are fenced by it. `first` is an
        SQL condition: rows that meet it are taken before all others.
        """
        self.lease = lease
        self._rows = rows
        self._due = due
        self._account = account
        self._attempts = attempts
        self._first = first
        self._lease_until = lease_until
        self._table = table_of(rows.model)
        self._pk = connection.ops.quote_name(str(rows.model._meta.pk.column))
        lease_end = f"now() + make_interval(secs => {lease.total_seconds()})"
        sets = [f"{column} = {lease_end}" for column in (due, lease_until) if column]
        if attempts:
            sets.append(f"{attempts} = {attempts} + 1")
        self._update = f"UPDATE {self._table} SET {', '.join(sets)}"

    def take(self, *, most: int = 1, skip_accounts: Collection[UUID] = ()) -> list[M]:
        """Lease up to `most` due rows, those first that are due for longest; in order of the key.

        Skips rows that another worker is taking or that belong to one of `skip_accounts`.
        """
        with transaction.atomic(durable=True):
            keys: list[Any] = []
            if self._first:
                keys += self._take_due(most, skip_accounts, f"AND {self._first}")
            if len(keys) < most:
                keys += self._take_due(most - len(keys), skip_accounts)
            # Read in the same transaction: `due` is then surely the end of this lease.
            return list(self._rows.filter(pk__in=keys).order_by("pk")) if keys else []

    def take_rest(
        self, end_some: EndSome, *, most: int, skip_accounts: Collection[UUID] = ()
    ) -> tuple[int, list[M]]:
        """Have `end_some` end due rows, up to `most`, and lease those that it leaves over.

        All in one transaction. Returns how many rows there were, and those that are leased, in the
        order in which they were due. What `end_some` raises leaves all of them due.
        """
        with transaction.atomic(durable=True):
            keys = self._lock(most, skip_accounts)
            left = end_some(keys) if keys else []
            if not left:
                return len(keys), []
            execute(f"{self._update} WHERE {self._pk} = ANY(%s)", [left])
            rows = {row.pk: row for row in self._rows.filter(pk__in=left)}
        return len(keys), [rows[key] for key in left]

    def lock_due(self, *columns: str, most: int, skip: Collection[Any] = ()) -> list[M]:
        """Lock up to `most` due rows until the present transaction ends, without leasing them.

        For work that asks no PSP and ends at once. Reads `columns` and the key. Rows with a key in
        `skip`, or that another worker is taking, are left out.
        """
        read = (str(self._rows.model._meta.pk.attname), *columns)
        due = self._due_sql(", ".join(read), f"AND {self._pk} <> ALL(%s)")
        rows = execute(due, [list(skip), most])
        return [instance_of(self._rows.model, row, read) for row in rows]

    def take_row(self, pk: object) -> M | None:
        """Lease one row, due or not.

        Returns None if it waits for nothing, or if its `lease_until` has not passed.
        """
        assert self._lease_until, "a row is taken before it is due only where leases are kept apart"
        with transaction.atomic(durable=True):
            leased = execute(
                f"{self._update} WHERE {self._pk} = %s AND {self._due} IS NOT NULL "
                f"AND {self._lease_until} <= now() RETURNING {self._pk}",
                [pk],
            )
            return self._rows.get(pk=pk) if leased else None

    def under_lease(self, row: M) -> models.QuerySet[M]:
        """The row, if its lease is still the one under which `row` was taken; else no row."""
        return self._rows.filter(pk=row.pk, **{self._due: getattr(row, self._due)})

    def still_mine(self, row: M) -> M | None:
        """The row as it is now, locked; None if the lease has passed on or the row is due again."""
        return self.under_lease(row).select_for_update(of=("self",)).first()

    def all_still_mine(self, rows: Sequence[M]) -> dict[Any, M]:
        """The same for several rows, locked in order of the key; by key."""
        fences = {row.pk: getattr(row, self._due) for row in rows}
        found = self._rows.select_for_update(of=("self",)).filter(pk__in=list(fences))
        return {
            row.pk: row for row in found.order_by("pk") if getattr(row, self._due) == fences[row.pk]
        }

    def release(self, rows: Sequence[M]) -> None:
        """Make rows of one lease due again, for any worker, unless the lease has passed.

        They were not attempted, so the lease does not count as an attempt.
        """
        if not rows:
            return
        ended: dict[str, Any] = {c: Now() for c in (self._due, self._lease_until) if c}
        if self._attempts:
            ended[self._attempts] = models.F(self._attempts) - 1
        lease = {self._due: getattr(rows[0], self._due)}
        self._rows.filter(pk__in=[row.pk for row in rows], **lease).update(**ended)

    def account_of(self, row: M) -> UUID | None:
        """The PSP account by which the row can be skipped, if the queue has one."""
        account: UUID | None = getattr(row, self._account) if self._account else None
        return account

    def _take_due(self, most: int, skipped: Collection[UUID], only: str = "") -> list[Any]:
        skips = f"AND {self._account} <> ALL(%s)" if self._account else ""
        params = [list(skipped), most] if self._account else [most]
        due = self._due_sql(self._pk, f"{only} {skips}")
        rows = execute(
            f"{self._update} WHERE {self._pk} = ANY (ARRAY({due})) RETURNING {self._pk}", params
        )
        return [key for (key,) in rows]

    def _lock(self, most: int, skipped: Collection[UUID]) -> list[Any]:
        """Lock up to `most` due rows; their keys, those first that are due for longest."""
        parts = [f"AND {self._first}", f"AND NOT ({self._first})"] if self._first else [""]
        skips = f"AND {self._account} <> ALL(%s)" if self._account else ""
        keys: list[Any] = []
        for only in parts:
            wanted = most - len(keys)
            params = [list(skipped), wanted] if self._account else [wanted]
            if wanted:
                keys += [
                    key for (key,) in execute(self._due_sql(self._pk, f"{only} {skips}"), params)
                ]
        return keys

    def _due_sql(self, columns: str, conditions: str) -> str:
        return (
            f"SELECT {columns} FROM {self._table} WHERE {self._due} <= now() {conditions} "
            f"ORDER BY {self._due} LIMIT %s FOR UPDATE SKIP LOCKED"
        )


class Handled(StrEnum):
    """What handling a row says about the PSP of its account."""

    ANSWERED = "answered"
    NO_ANSWER = "no_answer"
    NOT_ASKED = "not_asked"


class UnresponsiveAccounts:
    """Tracks PSP accounts that do not respond during a sweep, so that the sweep skips them."""

    def __init__(self) -> None:
        self._unanswered: Counter[UUID] = Counter()

    def note(self, account_id: UUID | None, handled: Handled) -> None:
        """Count one row of an account."""
        if account_id is None or handled is Handled.NOT_ASKED:
            return
        answered = handled is Handled.ANSWERED
        self._unanswered[account_id] = 0 if answered else self._unanswered[account_id] + 1

    def __contains__(self, account_id: UUID) -> bool:
        return self._unanswered[account_id] >= UNANSWERED_MAX

    def __iter__(self) -> Iterator[UUID]:
        return (each for each in list(self._unanswered) if each in self)


class Sweep(Generic[M]):
    """One bounded run over a queue; rows of unresponsive accounts are skipped and stay due."""

    def __init__(
        self,
        queue: DueQueue[M],
        *,
        seconds: float,
        most: int = sys.maxsize,
        end_some: EndSome | None = None,
    ) -> None:
        """With `end_some`, rows that it ends are taken, and not handed out."""
        self._queue = queue
        self._most = most
        self._end = time.monotonic() + seconds
        self._end_some = end_some
        self._together_most = sys.maxsize
        self.unresponsive = UnresponsiveAccounts()
        self.taken = 0
        """How many rows were taken so far."""
        self.failure: Exception | None = None
        """The first failure that is to be raised at the end."""

    def batches(self, size: int) -> Iterator[list[M]]:
        """Take rows, up to `size` at once, until none is due or the bounds are reached."""
        while self.taken < self._most and time.monotonic() < self._end:
            wanted = min(size, self._most - self.taken)
            is_last, rows = self._take(wanted)
            if rows:
                yield rows
            if is_last:
                return

    def _take(self, wanted: int) -> tuple[bool, list[M]]:
        """Rows under one lease, and whether no more are due."""
        skipped = list(self.unresponsive)
        if self._end_some is not None:
            wanted = min(wanted, self._together_most)
            try:
                count, rows = self._queue.take_rest(
                    self._end_some, most=wanted, skip_accounts=skipped
                )
                self.taken += count
                return count < wanted, rows
            except Exception as error:
                # One of them may be the cause: handled one by one, it stops no other. Or they took
                # longer than a transaction may.
                logger.exception("%s rows could not be handled together", wanted)
                self.note_failure(error)
                self._together_most = ONE_BY_ONE
                wanted = min(wanted, ONE_BY_ONE)
        rows = self._queue.take(most=wanted, skip_accounts=skipped)
        self.taken += len(rows)
        return len(rows) < wanted, rows

    def may_handle(self, row: M) -> bool:
        """False once the time is over, or while the row's account does not respond."""
        account_id = self._queue.account_of(row)
        is_skipped = account_id is not None and account_id in self.unresponsive
        return not is_skipped and time.monotonic() < self._end

    def note(self, row: M, handled: Handled) -> None:
        """Say how one row ended."""
        self.unresponsive.note(self._queue.account_of(row), handled)

    def note_failure(self, error: Exception) -> None:
        """Keep an unexpected failure, if it is the first."""
        self.failure = self.failure or error


def run_sweep(
    queue: DueQueue[M],
    handle: Callable[[M], Handled],
    *,
    seconds: float,
    most: int = sys.maxsize,
    size: int = 1,
    end_some: EndSome | None = None,
) -> int:
    """Take and handle due rows until `seconds` or `most` is reached; returns how many were taken.

    One by one, so that a worker that is killed or loses its database holds up one row only. With
    `end_some`, `size` rows are taken at once: it ends those that need no PSP, and the rest is
    handled. An account that gives no answer twice in a row is skipped for the rest of the sweep.
    What `handle` raises is logged, and that row is taken again after its lease. The first such
    error is raised at the end, so that the sweep counts as failed and its alert can fire.
    """
    sweep = Sweep(queue, most=most, seconds=seconds, end_some=end_some)
    for rows in sweep.batches(size):
        skipped: list[M] = []
        for row in rows:
            if size > 1 and not sweep.may_handle(row):
                skipped.append(row)
                continue
            handled = Handled.NOT_ASKED
            try:
                handled = handle(row)
            except Exception as error:
                logger.exception("%s %s could not be handled", row._meta.verbose_name, row.pk)
                sweep.note_failure(error)
            sweep.note(row, handled)
        queue.release(skipped)
    if sweep.failure is not None:
        raise sweep.failure
    return sweep.taken
