"""Refuse a database that was migrated by files which this project no longer has."""

from __future__ import annotations

from pathlib import Path

import psycopg

from paymentsite.launcher.errors import LauncherError
from paymentsite.launcher.state import PROJECT


def refuse_old_database(owner_url: str, *, folder: Path) -> None:
    """Raises LauncherError if a migration of ours was applied and its file is gone.

    Django would take the new files of the same name for applied, and the tables for present.
    """
    apps = [path.parent.name for path in PROJECT.glob("*/migrations")]
    with psycopg.connect(owner_url) as connection:
        if connection.execute("SELECT to_regclass('django_migrations')").fetchone() == (None,):
            return
        applied = connection.execute(
            "SELECT app, name FROM django_migrations WHERE app = ANY (%s) ORDER BY id", [apps]
        ).fetchall()
    gone = [
        f"{app} {name}"
        for app, name in applied
        if not (PROJECT / app / "migrations" / f"{name}.py").exists()
    ]
    if gone:
        raise LauncherError(
            f"the database was made by an earlier version of this project ({gone[0]}) and must be "
            f"made anew: delete {folder}, or create another database for DATABASE_URL"
        )
