"""How fast the books are written: `python -m bench.books SECONDS ROUNDS`, prints JSON.

Each writer is a process of its own with one connection. `post` is ledger.services.post in a
transaction; `psycopg` sends the same rows by psycopg alone. One account at the PSP, or fifty.
What may not live here: judging figures.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from itertools import cycle
from statistics import median
from typing import IO

import django

from bench.figures import paired_ratio

_WRITERS = 4
_ACCOUNTS_MANY = 50
_INSERT_TRANSACTION = """
    INSERT INTO ledger_transaction
        (id, rule, source_type, source_id, payment_id, merchant_id, psp_account, effective_date,
         posted_at)
    VALUES (%s, 'captured', 'operation', %s, %s, %s, %s, current_date, now())"""
_INSERT_ENTRIES = """
    INSERT INTO ledger_entry
        (transaction_id, payment_id, account_id, direction, amount_minor, currency, entry_type)
    VALUES (%s, %s, %s, 'D', 2000, 'USD', 'capture'), (%s, %s, %s, 'C', 2000, 'USD', 'capture')"""

Write = Callable[[str], None]
Figures = dict[str, float]


def main() -> int:
    """With two arguments measure; with `--writer` be one writer, told what to do on stdin."""
    if sys.argv[1] == "--writer":
        _serve_writes()
        return 0
    with ExitStack() as stack:
        writers = [stack.enter_context(_writer()) for _ in range(_WRITERS)]
        print(json.dumps(_measure(writers, float(sys.argv[1]), int(sys.argv[2]))))
        for writer in writers:
            _pipe(writer.stdin).close()
    return 0


def _writer() -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "bench.books", "--writer"]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def _measure(writers: Sequence[subprocess.Popen[str]], seconds: float, rounds: int) -> Figures:
    cases = (("post", 1), ("post", _ACCOUNTS_MANY), ("psycopg", _ACCOUNTS_MANY))
    rates: dict[tuple[str, int], list[float]] = {case: [] for case in cases}
    for how, accounts in cases:
        _rate(writers, how, accounts, 0.5)
    for number in range(rounds):
        for case in cases if number % 2 == 0 else cases[::-1]:
            rates[case].append(_rate(writers, *case, seconds))
    hot, many, plain = (rates[case] for case in cases)
    return {
        "writers": _WRITERS,
        "post_hot_per_second": median(hot),
        "post_many_per_second": median(many),
        "psycopg_many_per_second": median(plain),
        "hot_ratio": paired_ratio(hot, many),
        "post_ratio": paired_ratio(many, plain),
    }


def _rate(
    writers: Sequence[subprocess.Popen[str]], how: str, accounts: int, seconds: float
) -> float:
    """Ledger transactions per second of all writers together."""
    for writer in writers:
        _pipe(writer.stdin).write(f"{how} {accounts} {seconds}\n")
        _pipe(writer.stdin).flush()
    return sum(float(_pipe(writer.stdout).readline()) for writer in writers)


def _pipe(pipe: IO[str] | None) -> IO[str]:
    if pipe is None:
        raise ValueError("the writer was started without pipes")
    return pipe


def _serve_writes() -> None:
    os.environ["DJANGO_SETTINGS_MODULE"] = "paymentsite.settings"
    django.setup()
    writes = {"post": _by_post(), "psycopg": _by_psycopg()}
    for line in sys.stdin:
        how, accounts, seconds = line.split()
        print(_write(writes[how], int(accounts), float(seconds)), flush=True)


def _write(write: Write, accounts: int, seconds: float) -> float:
    names = cycle(_account_names(accounts))
    for _ in range(accounts):
        write(next(names))
    count, begun = 0, time.monotonic()
    while time.monotonic() - begun < seconds:
        write(next(names))
        count += 1
    return count / (time.monotonic() - begun)


def _account_names(accounts: int) -> Iterator[str]:
    for number in range(accounts):
        yield f"bench_{number}" if accounts > 1 else "bench_hot"


def _by_post() -> Write:
    from django.db import transaction

    from ledger import posting_rules
    from ledger.money import Money
    from ledger.posting_rules import Parties
    from ledger.services import post

    amount = Money(2000, "USD")
    merchant = uuid.UUID(int=7)

    def write(name: str) -> None:
        parties = Parties(psp_account=name, merchant=str(merchant))
        posting = posting_rules.captured(parties, amount)
        with transaction.atomic():
            post(
                [posting],
                source_type="operation",
                source_id=uuid.uuid4(),
                payment_id=uuid.uuid4(),
                merchant_id=merchant,
                psp_account=name,
            )

    return write


def _by_psycopg() -> Write:
    import psycopg

    from ledger import posting_rules
    from ledger.money import Money
    from ledger.posting_rules import Parties

    connection = psycopg.connect(os.environ["DATABASE_URL"], prepare_threshold=2)
    merchant = uuid.UUID(int=7)
    known: dict[str, tuple[uuid.UUID, uuid.UUID]] = {}

    def write(name: str) -> None:
        if name not in known:
            parties = Parties(psp_account=name, merchant=str(merchant))
            posting = posting_rules.captured(parties, Money(2000, "USD"))
            debit, credit = (line.account.id for line in posting.lines)
            known[name] = (debit, credit)
        debit, credit = known[name]
        identifier, payment = uuid.uuid4(), uuid.uuid4()
        with connection.transaction():
            connection.execute(
                _INSERT_TRANSACTION, [identifier, uuid.uuid4(), payment, merchant, name]
            )
            connection.execute(
                _INSERT_ENTRIES, [identifier, payment, debit, identifier, payment, credit]
            )

    return write


if __name__ == "__main__":
    sys.exit(main())
