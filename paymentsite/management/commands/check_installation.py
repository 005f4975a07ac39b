"""`manage.py check_installation`: says, a line per fault, what keeps payments from being taken."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final
from urllib.parse import urlsplit

import redis
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.db.models import Q
from django.db.utils import Error

from ledger.database.statements import execute
from payments.models import PspAccount
from payments.services.psp_gateway.credentials import connect
from paymentsite.management.commands.migrate import columns_by_table, fault_of_version, granted
from psp_adapters.registry import BadCredentials, UnknownPsp
from reconciliation.services.exports.scheduled import exports_of

_SECRET_LENGTH_LEAST: Final = 50
_PUBLISHED: Final = ("development-only-key", "django-insecure-")
_REDIS_SECONDS: Final = 2.0
_RIGHTS: Final = """
    SELECT c.relname::text, verb, '' FROM pg_class c,
           unnest(ARRAY['select', 'insert', 'delete', 'truncate', 'references', 'trigger']) verb
     WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')
           AND has_table_privilege(c.oid, verb)
    UNION ALL
    SELECT c.relname::text, 'update', a.attname::text FROM pg_class c
      JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
     WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')
           AND has_column_privilege(c.oid, a.attnum, 'update')"""


class Command(BaseCommand):
    help = "Check the database, both logins, Redis, the settings and the PSP accounts in use."

    def handle(self, *args: Any, **options: Any) -> None:
        faults = list(installation_faults())
        for fault in faults:
            self.stderr.write(f"  !! {fault}")
        if faults:
            raise CommandError(f"{len(faults)} faults: this installation cannot take payments")
        if options["verbosity"]:
            self.stdout.write("everything that this installation needs is in place")


def installation_faults() -> Iterator[str]:
    """What is wrong and what to do, one sentence a fault.

    Of the database, each check rests on those before it, so the first that finds a fault is the
    last.
    """
    yield from _of_settings()
    yield from _of_redis()
    try:
        for check in _OF_THE_DATABASE:
            faults = list(check())
            yield from faults
            if faults:
                return
    except Error as error:
        reason = str(error).strip().splitlines() or [type(error).__name__]
        yield f"the database of DATABASE_URL does not answer: {reason[0]}"


def _of_settings() -> Iterator[str]:
    if settings.IN_DEVELOPMENT:
        return
    secret = settings.SECRET_KEY
    if len(secret) < _SECRET_LENGTH_LEAST or len(set(secret)) < 5 or secret.startswith(_PUBLISHED):
        yield (
            f"SECRET_KEY is short or published: set a random text of {_SECRET_LENGTH_LEAST} "
            "characters or more, and keep it"
        )
    address = urlsplit(settings.PUBLIC_BASE_URL)
    if address.scheme != "https" or "*" in (address.hostname or ""):
        yield "PUBLIC_BASE_URL is not the https address that merchants and customers use"
    yield from _of_exports()
    if not settings.METRICS_TOKEN:
        yield "METRICS_TOKEN is not set: without it /metrics answers 404 in production"


def _of_exports() -> Iterator[str]:
    try:
        exports_of((*settings.EXPORTS_DAILY, *settings.EXPORTS_MONTHLY))
    except ValueError as error:
        yield f"EXPORTS_DAILY or EXPORTS_MONTHLY is wrong: {error}"


def _of_redis() -> Iterator[str]:
    try:
        redis.Redis.from_url(settings.REDIS_URL, socket_timeout=_REDIS_SECONDS).ping()
    except (redis.RedisError, ValueError) as error:
        yield f"Redis at REDIS_URL does not answer: {type(error).__name__}"


def _version() -> Iterator[str]:
    if fault := fault_of_version():
        yield fault


def _migrations() -> Iterator[str]:
    executor = MigrationExecutor(connection)
    waiting = executor.migration_plan(executor.loader.graph.leaf_nodes())
    if waiting:
        first = waiting[0][0]
        yield (
            f"{len(waiting)} migrations are not applied, from {first.app_label}.{first.name} on: "
            "run manage.py migrate with DATABASE_ROLE=owner"
        )


def _login() -> Iterator[str]:
    """A login that owns the tables could switch their guards off."""
    is_super, owned = execute(
        "SELECT (SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = current_user), "
        "(SELECT count(*) FROM pg_tables WHERE schemaname = 'public' AND tableowner = current_user)"
    )[0]
    if is_super or owned:
        yield (
            "the login of DATABASE_URL is a superuser or owns tables, so no guard binds it: use "
            "another one than that of DATABASE_OWNER_URL"
        )


def _rights() -> Iterator[str]:
    """Both what the application lacks and what it may do beyond what the models declare."""
    with connection.cursor() as cursor:
        wanted = set(granted(columns_by_table(cursor)))
    found = set(execute(_RIGHTS))
    for rights, fault in (
        (wanted - found, "rights are missing on"),
        (found - wanted, "the login of DATABASE_URL has more rights than it needs on"),
    ):
        if rights:
            table, verb, column = min(rights)
            yield (
                f"{fault} {len({right[0] for right in rights})} tables, such as {verb} of "
                f"{table}{f'.{column}' if column else ''}: run manage.py migrate with "
                "DATABASE_ROLE=owner, which grants exactly what is needed"
            )


def _psp_accounts() -> Iterator[str]:
    in_use = Q(test_merchants__isnull=False) | Q(live_merchants__isnull=False)
    for account in PspAccount.objects.filter(in_use).distinct().order_by("code"):
        try:
            connect(account)
        except UnknownPsp:
            yield f"the PSP account {account.code} is of {account.psp}, which has no adapter"
        except BadCredentials as error:
            yield (
                f"the PSP account {account.code} cannot be used: {error}; "
                f"see manage.py psp_accounts change {account.code}"
            )


_OF_THE_DATABASE: Final[tuple[Callable[[], Iterator[str]], ...]] = (
    *(_version, _login, _rights, _migrations, _psp_accounts),
)
