"""Runs an embedded PostgreSQL and Redis, unless DATABASE_URL and REDIS_URL name servers."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from paymentsite.launcher import postgres, redis_server, state
from paymentsite.launcher.migration_check import require_known_migrations
from paymentsite.launcher.ports import release_port
from paymentsite.launcher.processes import Process
from paymentsite.launcher.progress import LauncherError, step


@contextmanager
def services(folder: Path, *, durable: bool) -> Iterator[tuple[dict[str, str], list[Process]]]:
    """Run the servers that DATABASE_URL and REDIS_URL do not name, until the end of the block.

    Yields the variables that the processes of the platform need, and the processes started here.
    Raises LauncherError if another version of the platform migrated the database.
    """
    state.require_disk_space(folder)
    variables = {
        "PAYMENTS_ENVIRONMENT": os.environ.get("PAYMENTS_ENVIRONMENT") or "development",
        "SECRET_KEY": os.environ.get("SECRET_KEY") or state.secret(folder, "django"),
        **{name: value for name, value in os.environ.items() if name.startswith("STREAM_")},
    }
    if os.environ.get("SECRETS_ENCRYPTION_KEYS"):
        variables["SECRETS_ENCRYPTION_KEYS"] = os.environ["SECRETS_ENCRYPTION_KEYS"]
    started: list[Process] = []
    with ExitStack() as stack:
        if os.environ.get("DATABASE_URL"):
            variables |= _given_database()
            remedy = "create an empty database and set DATABASE_URL and DATABASE_OWNER_URL to it"
        else:
            database = _started_postgres(folder, stack, durable=durable)
            started.append(database)
            port = postgres.port_of(database)
            variables["DATABASE_URL"] = postgres.url(folder, postgres.APPLICATION, port)
            variables["DATABASE_OWNER_URL"] = postgres.url(folder, postgres.OWNER, port)
            variables["WAREHOUSE_URL"] = postgres.url(folder, postgres.WAREHOUSE, port)
            remedy = f"remove {' and '.join(map(str, state.places_of(folder)))}, then start again"
        require_known_migrations(variables["DATABASE_OWNER_URL"], remedy=remedy)
        if os.environ.get("REDIS_URL"):
            variables["REDIS_URL"] = os.environ["REDIS_URL"]
        else:
            redis = _started_redis(folder, stack)
            started.append(redis)
            variables["REDIS_URL"] = f"redis://127.0.0.1:{redis_server.port_of(redis)}/0"
        yield variables, started


def _started_postgres(folder: Path, stack: ExitStack, *, durable: bool) -> Process:
    server = postgres.server(folder, durable=durable)
    port = postgres.port_of(server)
    stack.callback(release_port, port)
    with step("start PostgreSQL 18"):
        stack.callback(server.stop)
        server.start()
        postgres.make_roles(folder, port, durable=durable)
    return server


def _started_redis(folder: Path, stack: ExitStack) -> Process:
    server = redis_server.server(folder)
    stack.callback(release_port, redis_server.port_of(server))
    with step("start Redis"):
        stack.callback(server.stop)
        server.start()
    return server


def _given_database() -> dict[str, str]:
    if not os.environ.get("DATABASE_OWNER_URL"):
        raise LauncherError(
            "DATABASE_URL is set but DATABASE_OWNER_URL is not: set it to the login that migrates"
        )
    return {name: os.environ[name] for name in ("DATABASE_URL", "DATABASE_OWNER_URL")}
