"""Prepared statements composed from Django models: few round trips, no hand-kept column lists.

Lives here because the ledger is the lowest app that writes; `payments` uses it as well. What may
not live here: any table's name, any rule about money.

Why not the ORM alone: on the payment path the number of statements and of compiled queries is what
costs. The models remain the one description of the columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, lru_cache
from typing import Any, TypeVar

import psycopg
from django.db import connection, models

M = TypeVar("M", bound=models.Model)


def execute(sql: str, params: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
    """Run one statement with server-side binding, prepared when it comes again; return its rows.

    Goes through Django's cursor wrapper: errors are Django's, and query logging sees it.
    """
    return _run(psycopg.Cursor, sql, params)


def _run(kind: type[psycopg.Cursor[Any]], sql: str, params: Sequence[Any]) -> list[Any]:
    connection.ensure_connection()
    raw = kind(connection.connection)
    wrap = connection.make_debug_cursor if connection.queries_logged else connection.make_cursor
    with wrap(raw) as cursor:  # type: ignore[arg-type]
        cursor.execute(sql, params)
        return cursor.fetchall() if raw.description else []


@cache
def columns_of(model: type[models.Model], alias: str = "") -> str:
    """The model's columns in field order, quoted and separated by commas."""
    prefix = f"{alias}." if alias else ""
    return ", ".join(
        f"{prefix}{connection.ops.quote_name(str(f.column))}" for f in model._meta.concrete_fields
    )


def table_of(model: type[models.Model]) -> str:
    """The model's table, quoted."""
    return connection.ops.quote_name(model._meta.db_table)


def instance_of(model: type[M], row: Sequence[Any]) -> M:
    """A saved instance from a row in the order of `columns_of`."""
    values = list(row)
    for position, convert in _converters(model):
        values[position] = convert(values[position])
    names = [field.attname for field in model._meta.concrete_fields]
    return model.from_db("default", names, values)


@cache
def _converters(model: type[models.Model]) -> tuple[tuple[int, Any], ...]:
    def converter(field: Any) -> Any:
        return lambda value: field.from_db_value(value, None, connection)

    return tuple(
        (position, converter(field))
        for position, field in enumerate(model._meta.concrete_fields)
        if hasattr(field, "from_db_value")
    )


class Batch:
    """Inserts and updates that go to PostgreSQL together, as one statement.

    Rows of one statement do not see each other: never put two writes of the same row in one batch.
    """

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._params: list[Any] = []

    def insert(self, *instances: models.Model) -> Batch:
        """Insert instances of one model; their primary keys must be set."""
        if instances:
            model = type(instances[0])
            fields = _inserted_fields(model)
            self._parts.append(_insert_sql(model, len(instances)))
            for instance in instances:
                if type(instance) is not model:
                    raise TypeError("one insert takes instances of one model")
                self._params += [
                    f.get_db_prep_save(getattr(instance, f.attname), connection) for f in fields
                ]
        return self

    def update(self, instance: models.Model, field_names: Sequence[str]) -> Batch:
        """Write these fields of a row that the caller holds locked."""
        model = type(instance)
        self._parts.append(_update_sql(model, tuple(field_names)))
        for name in field_names:
            field = model._meta.get_field(name)
            self._params.append(
                field.get_db_prep_save(getattr(instance, field.attname), connection)  # type: ignore[union-attr]
            )
        self._params.append(model._meta.pk.get_db_prep_save(instance.pk, connection))
        return self

    def execute(self) -> None:
        """Send everything; an empty batch sends nothing."""
        if not self._parts:
            return
        # Numbered placeholders: above 50 parameters psycopg would parse `%s` anew at every call.
        _run(psycopg.RawCursor, _joined(tuple(self._parts)), self._params)


@lru_cache(maxsize=512)
def _joined(parts: tuple[str, ...]) -> str:
    """One statement of several, with `$1`, `$2` … for `%s`."""
    *first, last = parts
    withs = ", ".join(f"w{number} AS ({part})" for number, part in enumerate(first))
    pieces = (f"WITH {withs} {last}" if withs else last).split("%s")
    numbered = [f"{piece}${number}" for number, piece in enumerate(pieces[:-1], start=1)]
    return "".join([*numbered, pieces[-1]])


def _inserted_fields(model: type[models.Model]) -> list[Any]:
    """All concrete fields but those that PostgreSQL fills (identity columns)."""
    return [f for f in model._meta.concrete_fields if not isinstance(f, models.AutoField)]


@cache
def _insert_sql(model: type[models.Model], rows: int) -> str:
    fields = _inserted_fields(model)
    columns = ", ".join(connection.ops.quote_name(f.column) for f in fields)
    row = "(" + ", ".join(["%s"] * len(fields)) + ")"
    return f"INSERT INTO {table_of(model)} ({columns}) VALUES {', '.join([row] * rows)}"


@cache
def _update_sql(model: type[models.Model], field_names: tuple[str, ...]) -> str:
    quote = connection.ops.quote_name
    fields: list[Any] = [model._meta.get_field(name) for name in field_names]
    sets = ", ".join(f"{quote(field.column)} = %s" for field in fields)
    pk = quote(str(model._meta.pk.column))
    return f"UPDATE {table_of(model)} SET {sets} WHERE {pk} = %s"
