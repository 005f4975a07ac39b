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
from collections.abc import Callable, Iterator
from io import StringIO
from statistics import median
from typing import Any, Final

import django

_REPEATS: Final = 7
_ENOUGH_MS: Final = 2_000.0
"""What takes long is repeated less often."""
_LISTS: Final = (
    *("payment_intents", "charges", "refunds", "customers", "events", "disputes"),
    "balance_transactions",
)
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
    done: dict[str, float] = {}
    for name, action in _actions(secret_key):
        times: list[float] = []
        while len(times) < _REPEATS and sum(times) < _ENOUGH_MS:
            began = time.perf_counter()
            action()
            times.append((time.perf_counter() - began) * 1000)
        print(f"{median(times):10.1f} ms  {name}", file=sys.stderr, flush=True)
        done[name] = median(times)
    print(
        json.dumps(
            {
                "actions": done,
                "statements": {
                    sql: [median(times), len(times)]
                    for sql, times in statements.milliseconds.items()
                },
                "scans": _scans(statements),
            }
        )
    )
    return 0


def _actions(secret_key: str) -> Iterator[tuple[str, Callable[[], Any]]]:
    yield from _api(secret_key)
    yield from _console()
    yield from _sweeps()
    from django.core.management import call_command

    yield "verify_ledger", lambda: call_command("verify_ledger", stdout=StringIO())


def _api(secret_key: str) -> Iterator[tuple[str, Callable[[], Any]]]:
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


def _console() -> Iterator[tuple[str, Callable[[], Any]]]:
    """Each list of the console, and each page of the newest row."""
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
    for model in admin.site._registry:
        if model._meta.app_label not in ("payments", "ledger", "reconciliation"):
            continue
        name = f"{model._meta.app_label}_{model._meta.model_name}"
        path = reverse(f"admin:{name}_changelist")
        yield f"console list {name}", lambda path=path: get(path)
        newest = model._default_manager.order_by("-pk").values_list("pk", flat=True).first()
        if newest is not None:
            page = reverse(f"admin:{name}_change", args=[newest])
            yield f"console page {name}", lambda page=page: get(page)


def _sweeps() -> Iterator[tuple[str, Callable[[], Any]]]:
    """Every periodic job that reads the database alone, when little or nothing is due."""
    from importlib import import_module

    from paymentsite.sweeps import SWEEPS

    for sweep in SWEEPS:
        module, _, function = sweep.task.rpartition(".")
        if module.startswith("paymentsite") or sweep.name in _SLOW_SWEEPS:
            continue
        yield f"sweep {sweep.name}", getattr(import_module(module), function)


def _scans(statements: Statements) -> dict[str, list[str]]:
    """Of each SELECT: the tables that its plan reads whole."""
    from django.db import connection

    found = {}
    for flat, (sql, params) in list(statements.parameters.items()):
        if not flat.upper().startswith("SELECT") or isinstance(sql, bytes):
            continue
        with connection.cursor() as cursor:
            try:
                cursor.execute(f"EXPLAIN (FORMAT JSON) {sql}", params)
                plan = cursor.fetchone()[0]
            except django.db.Error:
                continue
        plan = json.loads(plan) if isinstance(plan, str) else plan
        found[flat] = sorted(set(_scanned(plan[0]["Plan"])))
    return found


def _scanned(plan: dict[str, Any]) -> Iterator[str]:
    if plan["Node Type"] == "Seq Scan":
        yield str(plan["Relation Name"])
    for child in plan.get("Plans", ()):
        yield from _scanned(child)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
