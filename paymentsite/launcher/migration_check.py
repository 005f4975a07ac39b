"""Refuses a database that another version of the platform has migrated.

`migrate` would skip a new file whose name was applied before, and would find old tables in its way.
"""

from __future__ import annotations

from contextlib import closing
from typing import Any

import psycopg

from paymentsite.launcher.progress import LauncherError
from paymentsite.launcher.state import PROJECT

_CONNECT_SECONDS = 5


def require_known_migrations(owner_url: str, *, remedy: str) -> None:
    """Raise LauncherError if the database records a migration of our apps that is not on disk.

    `remedy` says how to make the database anew. A server that cannot be reached passes: the command
    that needs it reports that.
    """
    try:
        with closing(psycopg.connect(owner_url, connect_timeout=_CONNECT_SECONDS)) as connection:
            fault = fault_of_migrations(connection.cursor())
    except psycopg.Error:
        return
    if fault:
        raise LauncherError(f"{fault} and must be made anew: {remedy}")


def fault_of_migrations(cursor: Any) -> str:
    """What the database records of another version of the platform; empty if nothing."""
    on_disk = _on_disk()
    apps = {app for app, _ in on_disk}
    unknown = sorted((app, name) for app, name in _recorded(cursor) - on_disk if app in apps)
    if not unknown:
        return ""
    app, name = unknown[0]
    others = f" and {len(unknown) - 1} more" if len(unknown) > 1 else ""
    return (
        f"this database was made by another version of the platform (unknown migrations: "
        f"{app}.{name}{others})"
    )


def _recorded(cursor: Any) -> set[tuple[str, str]]:
    """App and name of every migration that was applied; none in a new database."""
    cursor.execute("SELECT to_regclass('django_migrations')")
    if cursor.fetchone()[0] is None:
        return set()
    cursor.execute("SELECT app, name FROM django_migrations")
    return set(cursor.fetchall())


def _on_disk() -> set[tuple[str, str]]:
    """App and name of every migration of this checkout; the folder of an app has its label."""
    return {
        (path.parent.parent.name, path.stem)
        for path in PROJECT.glob("*/migrations/*.py")
        if path.stem != "__init__"
    }
