"""Makes, copies, empties and drops test databases. Plain psycopg as the owner; no fixtures here."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, LiteralString

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

# Kept whatever tests do: Django fills them after migrate and caches what it read from them.
NEVER_EMPTIED = frozenset({"django_migrations", "django_content_type", "auth_permission"})
_LARGE_BYTES = 128 * 1024
"""Of a table, dead rows included: nothing vacuums it while tests run."""
_ENABLE: dict[str, LiteralString] = {
    "O": "ENABLE",
    "A": "ENABLE ALWAYS",
    "R": "ENABLE REPLICA",
}
_TEMPLATE_LOCK, _TURN_LOCK = 7_262_001, 7_262_002  # any numbers, the same in all workers of a run


def owner_connection(dbname: str | None = None) -> psycopg.Connection[Any]:
    """A connection of the owner in autocommit mode; without a name to the main database."""
    conninfo = os.environ["DATABASE_OWNER_URL"]
    return psycopg.connect(
        make_conninfo(conninfo, **({"dbname": dbname} if dbname else {})), autocommit=True
    )


def url_of(variable: str, dbname: str) -> str:
    """The connection string in that variable, pointing at another database of the same server."""
    parts = conninfo_to_dict(os.environ[variable])
    login = f"{parts['user']}:{parts['password']}" if parts.get("password") else parts["user"]
    return (
        f"postgresql://{login}@{parts.get('host', '127.0.0.1')}:{parts.get('port', 5432)}/{dbname}"
    )


def template_name() -> str:
    """The database that is migrated once per run."""
    return f"test_{os.environ['PAYMENTS_TEST_RUN']}_template"


def create_from_template(name: str, *, migrate: Any) -> None:
    """Create the database as a copy of the run's template, which the first caller migrates.

    `migrate` is called with the template's name. Workers wait for each other.
    """
    with owner_connection() as connection:
        connection.execute("SELECT pg_advisory_lock(%s)", [_TEMPLATE_LOCK])
        if not _exists(connection, template_name()):
            _create(connection, template_name())
            migrate(template_name())
        _create(connection, name, template=template_name())


@contextmanager
def turn(connection: psycopg.Connection[Any], *, alone: bool = False) -> Iterator[None]:
    """Use the server together with other workers, or with none of them."""
    shared = "" if alone else "_shared"
    connection.execute(f"SELECT pg_advisory_lock{shared}(%s)", [_TURN_LOCK])
    try:
        yield
    finally:
        connection.execute(f"SELECT pg_advisory_unlock{shared}(%s)", [_TURN_LOCK])


def drop(name: str) -> None:
    """Drop the database, whoever is still connected."""
    with owner_connection() as connection:
        connection.execute(sql.SQL("DROP DATABASE IF EXISTS {}").format(sql.Identifier(name)))


def drop_template() -> None:
    """Drop the run's template; an unreachable server has dropped everything already."""
    try:
        drop(template_name())
    except psycopg.OperationalError:
        return


@dataclass
class Tables:
    """The tables of one test database, and how to bring them back to what migrate left."""

    connection: psycopg.Connection[Any]
    seeded: dict[str, list[str]] = field(default_factory=dict)
    """Tables with rows after migrate: the rows, by their place (primary keys differ in type)."""
    names: list[str] = field(default_factory=list)
    referencing: dict[str, set[str]] = field(default_factory=dict)
    """Table to the tables that refer to it."""
    guards: dict[str, list[tuple[LiteralString, str]]] = field(default_factory=dict)
    """Table to its own triggers, which may refuse even the owner: how each is enabled, its name."""
    keys: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, connection: psycopg.Connection[Any]) -> Tables:
        """Learn the tables; to be called when only migrate has written."""
        # A test that leaves a transaction open must fail by name, not hang the run.
        connection.execute("SET lock_timeout = '5s'")
        tables = cls(connection)
        tables.names = [
            row[0]
            for row in connection.execute(
                "SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1"
            )
        ]
        for table, enabled, trigger in connection.execute(
            "SELECT tgrelid::regclass::text, tgenabled::text, tgname FROM pg_trigger "
            "WHERE NOT tgisinternal AND tgenabled <> 'D'"
        ):
            tables.guards.setdefault(table, []).append((_ENABLE[enabled], trigger))
        for referring, referred in connection.execute(
            "SELECT conrelid::regclass::text, confrelid::regclass::text "
            "FROM pg_constraint WHERE contype = 'f'"
        ):
            tables.referencing.setdefault(referred, set()).add(referring)
        tables.keys = dict(
            connection.execute(
                "SELECT i.indrelid::regclass::text, a.attname FROM pg_index i "
                "JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0] "
                "WHERE i.indisprimary"
            ).fetchall()
        )
        for name in tables._with_rows():
            query = sql.SQL("SELECT {}::text FROM {}").format(
                sql.Identifier(tables.keys[name]), sql.Identifier(name)
            )
            tables.seeded[name] = [row[0] for row in connection.execute(query)]
        return tables

    def restore(self) -> None:
        """Remove every row that was not there after migrate, in one transaction and one round trip.

        DELETE of a few rows takes a tenth of the time of TRUNCATE, which makes new files.
        """
        sizes = self._with_rows()
        filled = set(sizes) - NEVER_EMPTIED
        grown = [name for name in self.seeded if name in filled and self._has_grown(name)]
        filled -= set(self.seeded)
        if not filled and not grown:
            return
        large = {name for name in filled if sizes[name] > _LARGE_BYTES}
        to_truncate = self._closure(large) - set(self.seeded)
        to_delete = filled - to_truncate
        touched = {*to_truncate, *to_delete, *grown}
        guarded = sorted(touched & self.guards.keys())
        statements = [
            sql.SQL("BEGIN"),
            # Refused while a transaction is open that has used one of them.
            sql.SQL("LOCK TABLE {}").format(_identifiers(touched)),
            *(self._guards_down(name) for name in guarded),
            *([_truncation(to_truncate)] if to_truncate else []),
            *([_deletion(to_delete)] if to_delete else []),
            *(self._thinning(name) for name in grown),
            # What is deferred to the end would be in the way of the next.
            sql.SQL("SET CONSTRAINTS ALL IMMEDIATE"),
            *(self._guards_up(name) for name in guarded),
            sql.SQL("COMMIT"),
        ]
        try:
            self.connection.execute(sql.SQL("; ").join(statements))
        except psycopg.Error:
            self.connection.execute("ROLLBACK")
            raise

    def _with_rows(self) -> dict[str, int]:
        """Bytes of each table that has rows. One round trip, however many tables there are."""
        if not self.names:
            return {}
        query = sql.SQL(" UNION ALL ").join(
            sql.SQL(
                "(SELECT {}, pg_relation_size({}::regclass) WHERE EXISTS (SELECT FROM {}))"
            ).format(sql.Literal(name), sql.Literal(name), sql.Identifier(name))
            for name in self.names
        )
        return dict(self.connection.execute(query).fetchall())

    def _has_grown(self, name: str) -> bool:
        row = self.connection.execute(
            sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(name))
        ).fetchone()
        return row is None or row[0] != len(self.seeded[name])

    def _closure(self, names: Iterable[str]) -> set[str]:
        """The tables and all that refer to them: PostgreSQL truncates them together or not."""
        result: set[str] = set()
        waiting = set(names)
        while waiting:
            name = waiting.pop()
            result.add(name)
            waiting |= self.referencing.get(name, set()) - result
        return result

    def _thinning(self, name: str) -> sql.Composed:
        return sql.SQL("DELETE FROM {} WHERE {}::text <> ALL({})").format(
            sql.Identifier(name), sql.Identifier(self.keys[name]), sql.Literal(self.seeded[name])
        )

    def _guards_down(self, name: str) -> sql.Composed:
        return sql.SQL("ALTER TABLE {} DISABLE TRIGGER USER").format(sql.Identifier(name))

    def _guards_up(self, name: str) -> sql.Composed:
        """Each as it was: one that is enabled ALWAYS would be weaker enabled otherwise."""
        up = [
            sql.SQL("{} TRIGGER {}").format(sql.SQL(enable), sql.Identifier(trigger))
            for enable, trigger in self.guards[name]
        ]
        return sql.SQL("ALTER TABLE {} {}").format(sql.Identifier(name), sql.SQL(", ").join(up))


def _create(connection: psycopg.Connection[Any], name: str, template: str = "template1") -> None:
    connection.execute(
        sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(
            sql.Identifier(name), sql.Identifier(template)
        )
    )


def _exists(connection: psycopg.Connection[Any], name: str) -> bool:
    found = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name])
    return found.fetchone() is not None


def _truncation(names: Iterable[str]) -> sql.Composed:
    return sql.SQL("TRUNCATE {}").format(_identifiers(names))


def _deletion(names: Iterable[str]) -> sql.Composed:
    """One statement that empties the tables, whichever refer to which: it is checked at its end."""
    parts = [
        sql.SQL("{} AS (DELETE FROM {})").format(sql.Identifier(f"d{n}"), sql.Identifier(name))
        for n, name in enumerate(sorted(names))
    ]
    return sql.SQL("WITH {} SELECT").format(sql.SQL(", ").join(parts))


def _identifiers(names: Iterable[str]) -> sql.Composed:
    return sql.SQL(", ").join(sql.Identifier(name) for name in sorted(names))
