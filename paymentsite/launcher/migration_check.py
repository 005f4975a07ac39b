"""Refuses a database that another version of the platform has migrated.

`migrate` would skip a new file whose name was applied before, and would find old tables in its way.
"""

from __future__ import annotations

from contextlib import closing

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
        recorded = _recorded(owner_url)
    except psycopg.Error:
        return
    on_disk = _on_disk()
    apps = {app for app, _ in on_disk}
    unknown = sorted((app, name) for app, name in recorded - on_disk if app in apps)
    if unknown:
        app, name = unknown[0]
        others = f" and {len(unknown) - 1} more" if len(unknown) > 1 else ""
        raise LauncherError(
            f"this database was made by another version of the platform (unknown migrations: "
            f"{app}.{name}{others}) and must be made anew: {remedy}"
        )


def _recorded(owner_url: str) -> set[tuple[str, str]]:
    """App and name of every migration that was applied; none in a new database."""
    with closing(psycopg.connect(owner_url, connect_timeout=_CONNECT_SECONDS)) as connection:
        found = connection.execute("SELECT to_regclass('django_migrations')").fetchone()
        if found is None or found[0] is None:
            return set()
        return set(connection.execute("SELECT app, name FROM django_migrations").fetchall())


def _on_disk() -> set[tuple[str, str]]:
    """App and name of every migration of this checkout; the folder of an app has its label."""
    return {
        (path.parent.parent.name, path.stem)
        for path in PROJECT.glob("*/migrations/*.py")
        if path.stem != "__init__"
    }
