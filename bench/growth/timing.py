"""Times what reads many rows, in one database: `python -m bench.growth.timing SECRET_KEY`.

API reads and searches, console lists, sweeps, exports and the verification of the books run in
this process. Prints JSON: milliseconds by what was done, and by statement.
"""

from __future__ import annotations

import json
import os
import re
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping
from io import StringIO
from statistics import median
from typing import Any, Final

import django

from bench.growth.recording import LIFE_TABLES

_REPEATS: Final = 3
_ENOUGH_MS: Final = 500.0
"""What takes long is repeated less often."""
_LISTS: Final = (
    *("payment_intents", "charges", "refunds", "customers", "events", "disputes"),
    "balance_transactions",
)
_VALUES_MOST: Final = 6
_RARE_CURRENCIES: Final = ("KWD", "CHF")
_SLOW_SWEEPS: Final = ("verify-books", "take-ledger-snapshots")
"""They work until their time is over, or do nothing, so that their time says nothing."""


class Statements:
    """The time of every statement, as it goes through Django's cursors."""

    def __init__(self) -> None:
        self.milliseconds: dict[str, list[float]] = defaultdict(list)
        self.parameters: dict[str, Any] = {}

    def __call__(
        self, execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any
    ) -> Any:
        began = time.perf_counter()
        try:
            return execute(sql, params, many, context)
        finally:
            flat = shape_of(sql)
            self.milliseconds[flat].append((time.perf_counter() - began) * 1000)
            self.parameters[flat] = (sql, params)

    def watch(self, *, connection: Any, **_signal: Any) -> None:
        """Listen to a connection; the receiver of Django's `connection_created`."""
        if self not in connection.execute_wrappers:
            connection.execute_wrappers.append(self)


def shape_of(sql: Any) -> str:
    """A statement without spaces and numbers, the same for every call."""
    flat = " ".join(str(sql).replace('"', "").split())
    return re.sub(r"\b\d+\b", "n", flat)


def main(secret_key: str) -> int:
    """Time everything, and print it."""
    os.environ["DJANGO_SETTINGS_MODULE"] = "paymentsite.settings"
    django.setup()
    from django.db.backends.signals import connection_created

    statements = Statements()
    connection_created.connect(statements.watch, weak=False)
    _take_snapshots()
    done: dict[str, float] = {}
    for name, action in _actions(secret_key):
        times: list[float] = []
        while len(times) < _REPEATS and sum(times) < _ENOUGH_MS:
            began = time.perf_counter()
            action()
            times.append((time.perf_counter() - began) * 1000)
        print(f"{median(times):10.1f} ms  {name}", file=sys.stderr, flush=True)
        done[name] = median(times)
    done["longest step of verify-books"] = _longest_step_ms()
    print(
        json.dumps(
            {
                "actions": done,
                "statements": {
                    sql: [median(times), len(times)]
                    for sql, times in statements.milliseconds.items()
                },
                "whole": whole_reads(statements, LIFE_TABLES),
            }
        )
    )
    return 0


def _take_snapshots() -> None:
    """As the sweep does every minute: balances are read from there."""
    from ledger.services import take_snapshot

    while take_snapshot():
        pass


def _longest_step_ms() -> float:
    """Of a pass of the daily verification, one step after the other."""
    from payments.services.verification import daily
    from payments.services.verification.progress import EVERYTHING, progress

    daily.SWEEP_SECONDS = 0.0  # type: ignore[misc]
    longest_ms = 0.0
    while True:
        began = time.perf_counter()
        daily.verify_books()
        longest_ms = max(longest_ms, (time.perf_counter() - began) * 1000)
        if not progress(EVERYTHING).part:
            return longest_ms


def _actions(secret_key: str) -> Iterator[tuple[str, Callable[[], Any]]]:
    yield from api_reads(secret_key)
    yield from console_reads()
    yield from _sweeps()
    from django.core.management import call_command

    yield "verify_ledger", lambda: call_command("verify_ledger", stdout=StringIO())


def api_reads(secret_key: str) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Pages of a hundred, a page from the middle, single objects, searches by each clause."""
    from django.test import Client

    client = Client(headers={"authorization": f"Bearer {secret_key}"})

    def get(path: str) -> dict[str, Any]:
        answer = client.get(f"/v1/{path}")
        body: dict[str, Any] = json.loads(answer.content)
        if answer.status_code != 200:
            raise RuntimeError(f"{path} answered {answer.status_code}: {body}")
        return body

    for name in _LISTS:
        yield f"list {name}", lambda name=name: get(f"{name}?limit=100")
        page = get(f"{name}?limit=100")["data"]
        if page:
            after = page[-1]["id"]
            path = f"{name}?limit=100&starting_after={after}"
            yield f"next page of {name}", lambda path=path: get(path)
        if page and name != "balance_transactions":
            one = f"{name}/{page[len(page) // 2]['id']}"
            yield f"one of {name}", lambda one=one: get(one)
    yield "balance", lambda: get("balance")
    for path in _filters(get):
        yield f"list {path.partition('=')[0]}", lambda path=path: get(path)
    for path, query in _searches(get):
        found = f"{path}/search?limit=100&query={query}"
        yield f"search {path} {query.partition(':')[0]}", lambda found=found: get(found)


def _filters(get: Callable[[str], dict[str, Any]]) -> Iterator[str]:
    """Lists with a filter."""
    old = int(time.time()) - 20 * 86_400
    yield f"payment_intents?created[lt]={old}"
    yield "events?type=charge.refunded"
    customers = get("customers?limit=1")["data"]
    if customers:
        yield f"payment_intents?customer={customers[0]['id']}"


def _searches(get: Callable[[str], dict[str, Any]]) -> Iterator[tuple[str, str]]:
    """Each clause with a value that occurs."""
    page = get("payment_intents?limit=100")["data"]
    paid = next(each for each in page if each["metadata"])
    order = paid["metadata"]["order_id"]
    yield "payment_intents", f"metadata['order_id']:'{order}'"
    yield "payment_intents", f"amount:{paid['amount']}"
    yield "payment_intents", "status:'succeeded'"
    yield "payment_intents", "status:'canceled'"
    yield "payment_intents", "currency:'usd' AND amount>100000"
    yield "payment_intents", f"created>{int(time.time()) - 86_400}"
    yield "charges", f"amount:{paid['amount']}"
    yield "charges", f"metadata['order_id']:'{order}'"
    yield "charges", "payment_method_details.card.last4:'4444'"
    yield "charges", "refunded:'true'"
    yield "charges", "disputed:'true'"
    customers = get("customers?limit=1")["data"]
    if customers:
        yield "customers", f"email:'{customers[0]['email']}'"
        yield "customers", f"name~'{str(customers[0]['name'])[4:12]}'"


def console_reads(*, with_filters: bool = True) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Each list of the console that has rows, a search in it that finds nothing, and a page of the
    newest row.
    """
    from django.contrib import admin
    from django.contrib.auth.models import Group, User
    from django.test import Client
    from django.urls import reverse

    user, _ = User.objects.get_or_create(username="growth", is_staff=True)
    user.groups.set(Group.objects.all())
    client = Client()
    client.force_login(user)

    def get(path: str) -> None:
        answer = client.get(path, follow=True)
        if answer.status_code not in (200, 403):
            raise RuntimeError(f"{path} answered {answer.status_code}")

    yield "console overview", lambda: get(reverse("admin:index"))
    pages: dict[Any, Any] = admin.site._registry
    for model, page in pages.items():
        if model._meta.app_label not in ("payments", "ledger", "reconciliation"):
            continue
        newest = page.get_queryset(None).values_list("pk", flat=True).first()
        if newest is None:
            continue
        name = f"{model._meta.app_label}_{model._meta.model_name}"
        path = reverse(f"admin:{name}_changelist")
        yield f"console list {name}", lambda path=path: get(path)
        for query in _console_queries(page, with_filters=with_filters):
            yield f"console list {name}?{query}", lambda at=f"{path}?{query}": get(at)
        page_path = reverse(f"admin:{name}_change", args=[newest])
        yield f"console page {name}", lambda path=page_path: get(path)


def _console_queries(page: Any, *, with_filters: bool) -> Iterator[str]:
    for each in page.list_filter if with_filters else ():
        if isinstance(each, type):
            values = [value for value, _ in each.lookups(None, None, page)]  # type: ignore[attr-defined]
            name = each.parameter_name  # type: ignore[attr-defined]
            for value in _RARE_CURRENCIES if name == "currency" else values[:_VALUES_MOST]:
                yield f"{name}={value}"
        elif each == "livemode":
            yield "livemode__exact=1"
        elif each[0] == "merchant":
            from payments.models import Merchant

            for merchant in (Merchant.objects.earliest("pk"), Merchant.objects.latest("pk")):
                yield f"merchant__id__exact={merchant.pk}"
        elif getattr(each[1], "bounds_ids", False):
            yield f"{each[0]}_to=2001-01-01"
    if page.search_fields:
        yield "q=nothing-is-called-this"


def _sweeps() -> Iterator[tuple[str, Callable[[], Any]]]:
    """Every periodic job that reads the database alone, when little or nothing is due."""
    from importlib import import_module

    from paymentsite.sweeps import SWEEPS

    for sweep in SWEEPS:
        module, _, function = sweep.task.rpartition(".")
        if module.startswith("paymentsite") or sweep.name in _SLOW_SWEEPS:
            continue
        yield f"sweep {sweep.name}", getattr(import_module(module), function)


def whole_reads(
    statements: Statements, tables: Collection[str], *, tables_are_small: bool = False
) -> dict[str, list[str]]:
    """Of each SELECT: the tables among these that its plan reads from end to end, and how.

    Small tables are read so although an index serves: what counts then is whether one does, row by
    row.
    """
    from django.db import connection

    found = {}
    with connection.cursor() as cursor:
        cursor.execute(_SMALL_INDEXES)
        small = {row[0] for row in cursor.fetchall()}
        for setting in _FOR_LARGE_TABLES if tables_are_small else ():
            cursor.execute(f"SET {setting} = off")
        for flat, (sql, params) in list(statements.parameters.items()):
            if not flat.upper().startswith(("SELECT", "WITH")) or isinstance(sql, bytes):
                continue
            try:
                cursor.execute(f"EXPLAIN (FORMAT JSON) {sql}", params)
            except django.db.Error:
                continue
            plan = cursor.fetchone()[0]
            plan = json.loads(plan) if isinstance(plan, str) else plan
            reads = set(_whole(plan[0]["Plan"], ends_early=False, small=small))
            found[flat] = sorted(f"{table}: {how}" for table, how in reads if table in tables)
        for setting in _FOR_LARGE_TABLES:
            cursor.execute(f"RESET {setting}")
    return {flat: reads for flat, reads in found.items() if reads}


_SMALL_INDEXES: Final = """
    SELECT i.indexrelid::regclass::text FROM pg_index i
      JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_class t ON t.oid = i.indrelid
     WHERE i.indpred IS NOT NULL AND c.reltuples < 0.1 * t.reltuples"""
"""Partial ones with few of their table's rows: reading all of such an index reads little."""
_FOR_LARGE_TABLES: Final = ("enable_seqscan", "enable_hashjoin", "enable_mergejoin")
_STREAMS: Final = (
    *("Append", "Gather", "Gather Merge", "Incremental Sort", "Limit", "LockRows", "Materialize"),
    *("Memoize", "Merge Append", "Nested Loop", "ProjectSet", "Result", "Subquery Scan", "Unique"),
)
"""Nodes that read no more of their first child than is asked for."""


def _whole(
    plan: Mapping[str, Any], *, ends_early: bool, small: Collection[str]
) -> Iterator[tuple[str, str]]:
    """The tables that a plan reads from one end to the other, and how.

    A scan in the order of an index that a LIMIT ends is none; with a filter it is: it ends only
    when it has found enough.
    """
    kind = plan["Node Type"]
    is_scan = kind in ("Seq Scan", "Index Scan", "Index Only Scan") and "Index Cond" not in plan
    if is_scan and plan.get("Index Name") not in small:
        if not ends_early:
            yield plan["Relation Name"], kind
        elif "Filter" in plan:
            yield plan["Relation Name"], f"{kind} until enough match"
    for number, child in enumerate(plan.get("Plans", ())):
        is_first = child["Parent Relationship"] in ("Outer", "Member", "Subquery") and not number
        streams = kind == "Limit" or (ends_early and kind in _STREAMS)
        merges = ends_early and kind == "Merge Join"
        yield from _whole(child, ends_early=merges or (streams and is_first), small=small)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
