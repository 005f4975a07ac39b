"""Which database a history is written into, and why some are refused.

DATABASE_OWNER_URL, else that of the running `make serve`, else that of a `make serve` to come.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final
from urllib.parse import urlsplit

import psycopg

from bench.stage import run_command
from paymentsite.launcher import postgres, state
from paymentsite.launcher.embedded import services
from paymentsite.launcher.progress import LauncherError, step
from paymentsite.launcher.serving import DEMO_FILE

_LIVE: Final = """
    SELECT 'the PSP account ' || code || ' is not a sandbox' FROM payments_psp_account
     WHERE livemode OR psp <> 'sandbox'
    UNION ALL SELECT 'the merchant ' || name || ' has a live account' FROM payments_merchant
     WHERE live_psp_account_id IS NOT NULL
    UNION ALL SELECT 'there are live API keys' FROM payments_api_key WHERE livemode
    LIMIT 1"""


@contextmanager
def target() -> Iterator[dict[str, str]]:
    """The variables of the platform that gets a history, with DATABASE_OWNER_URL.

    Its login may set session_replication_role. Raises LauncherError if the database is not one for
    made-up history.
    """
    given = os.environ.get("DATABASE_OWNER_URL")
    if given:
        variables = {
            "DATABASE_OWNER_URL": given,
            "DATABASE_URL": os.environ.get("DATABASE_URL") or given,
            "REDIS_URL": os.environ.get("REDIS_URL") or "redis://127.0.0.1:6379/0",
        }
        require_sandbox(variables["DATABASE_OWNER_URL"])
        yield variables
    elif DEMO_FILE.exists():
        facts = json.loads(DEMO_FILE.read_text())
        port = urlsplit(facts["database_url"]).port
        folder = state.VAR / "demo"
        variables = {
            "DATABASE_OWNER_URL": postgres.url(folder, postgres.SUPERUSER, port or 0),
            "DATABASE_URL": facts["database_url"],
            "REDIS_URL": facts["redis_url"],
        }
        require_sandbox(variables["DATABASE_OWNER_URL"])
        yield variables
    else:
        with (
            state.kept_folder("demo") as folder,
            services(folder, durable=True) as (variables, servers),
        ):
            with step("bring the tables up to date"):
                run_command(variables, "manage.py", "migrate", "--no-input", "--verbosity", "0")
            url = postgres.url(folder, postgres.SUPERUSER, postgres.port_of(servers[0]))
            require_sandbox(url)
            yield {**variables, "DATABASE_OWNER_URL": url}


def require_sandbox(url: str) -> None:
    """Raise LauncherError unless the platform of this database takes sandbox payments only."""
    if os.environ.get("PAYMENTS_ENVIRONMENT") == "production":
        raise LauncherError("made-up history has no place in production (PAYMENTS_ENVIRONMENT)")
    with psycopg.connect(url) as connection:
        [(tables,)] = connection.execute("SELECT to_regclass('payments_merchant')").fetchall()
        if tables is None:
            raise LauncherError("this database has no tables yet: `manage.py migrate` makes them")
        live = connection.execute(_LIVE).fetchone()
        if live is not None:
            raise LauncherError(f"made-up history has no place in this database: {live[0]}")
        [(may,)] = connection.execute(
            "SELECT has_parameter_privilege('session_replication_role', 'SET')"
        ).fetchall()
    if not may:
        raise LauncherError(
            "triggers refuse history: as a superuser, GRANT SET ON PARAMETER "
            "session_replication_role to the login of DATABASE_OWNER_URL"
        )


def psp_account_of(url: str, code: str) -> Any:
    """The id of the PSP account of this code; None if there is none yet."""
    with psycopg.connect(url) as connection:
        row = connection.execute(
            "SELECT id FROM payments_psp_account WHERE code = %s", [code]
        ).fetchone()
    return row[0] if row else None
