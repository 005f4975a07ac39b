"""PostgreSQL and Redis for a machine that has only Python; servers of your own where set."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from paymentsite.launcher import postgres, redis_server, state
from paymentsite.launcher.errors import LauncherError
from paymentsite.launcher.processes import Process
from paymentsite.launcher.progress import step


@contextmanager
def services(folder: Path, *, durable: bool) -> Iterator[tuple[dict[str, str], list[Process]]]:
    """Run what is not given by DATABASE_URL and REDIS_URL; stop it at the end of the block.

    Yields the variables that the processes of the platform need, and what was started.
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
            variables |= _own_database()
        else:
            database = postgres.server(folder, durable=durable)
            with step("start PostgreSQL 18"):
                stack.callback(database.stop)
                database.start()
                port = postgres.port_of(database)
                postgres.make_roles(folder, port)
            started.append(database)
            variables["DATABASE_URL"] = postgres.url(folder, postgres.APPLICATION, port)
            variables["DATABASE_OWNER_URL"] = postgres.url(folder, postgres.OWNER, port)
        if os.environ.get("REDIS_URL"):
            variables["REDIS_URL"] = os.environ["REDIS_URL"]
        else:
            redis = redis_server.server(folder)
            with step("start Redis"):
                stack.callback(redis.stop)
                redis.start()
            started.append(redis)
            variables["REDIS_URL"] = f"redis://127.0.0.1:{redis_server.port_of(redis)}/0"
        yield variables, started


def _own_database() -> dict[str, str]:
    if not os.environ.get("DATABASE_OWNER_URL"):
        raise LauncherError(
            "DATABASE_URL is set but DATABASE_OWNER_URL is not: set it to the login that migrates"
        )
    return {name: os.environ[name] for name in ("DATABASE_URL", "DATABASE_OWNER_URL")}
