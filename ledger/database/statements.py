"""Prepared statements composed from Django models: few round trips, no hand-kept column lists.

Every app uses it; it names no table. Why not the ORM alone: on the payment path the number of
statements and of compiled queries is what costs. The models remain the one description of columns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, lru_cache
from itertools import count
from operator import attrgetter
from typing import Any, Final, TypeVar

import orjson
import psycopg
from django.db import DEFAULT_DB_ALIAS, connection, connections, models, transaction
from psycopg.types.json import Jsonb

M = TypeVar("M", bound=models.Model)

Convert = Callable[[Any], Any]
Params = Sequence[Any] | Mapping[str, Any]
"""For `%s`, or for `%(name)s`."""
_RowKey = tuple[type[models.Model], Any]

# What their attributes hold is what psycopg takes.
_PLAIN_FIELDS: Final = (
    models.BooleanField,
    models.CharField,
    models.DateTimeField,
    models.TextField,
    models.UUIDField,
)


def execute(sql: str, params: Params = ()) -> list[tuple[Any, ...]]:
    """Run one statement with server-side binding, prepared when it comes again; return its rows.

    Errors are Django's, and query logging and execute wrappers see it.
    """
    return _run(psycopg.Cursor, sql, params)


_cursor_numbers = count()
_ROWS_AT_ONCE: Final = 2_000


def stream(sql: str, params: Params = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of one SELECT as they are read, so that memory stays flat whatever their
    number.

    Needs the caller's transaction, whose snapshot they are of. Errors are Django's.
    """
    database = connections[DEFAULT_DB_ALIAS]
    if not database.in_atomic_block:
        raise transaction.TransactionManagementError("rows are streamed in a transaction")
    name = f"streamed_{next(_cursor_numbers)}"
    with database.wrap_database_errors:
        with psycopg.ServerCursor(database.connection, name) as cursor:
            cursor.itersize = _ROWS_AT_ONCE
            # All rows are read: a plan whose first row comes soon and whose last one late is wrong.
            database.connection.execute("SET LOCAL cursor_tuple_fraction = 1")
            cursor.execute(sql, params)
            yield from cursor


def release_connection() -> None:
    """Return this thread's connection to the pool, before a wait for another server.

    A worker has no pool: its one connection is costly to open, and kept.
    """
    if connection.settings_dict["OPTIONS"].get("pool"):
        connection.close()


def _run(kind: type[psycopg.Cursor[Any]], sql: str, params: Params) -> list[Any]:
    database = connections[DEFAULT_DB_ALIAS]  # once: each use of `connection` looks it up anew
    database.close_if_health_check_failed()  # as Django's own cursors do
    database.ensure_connection()
    raw = kind(database.connection)
    if database.queries_logged or database.execute_wrappers:
        wrap = database.make_debug_cursor if database.queries_logged else database.make_cursor
        with wrap(raw) as cursor:  # type: ignore[arg-type]
            cursor.execute(sql, params)
            return _fetched(raw)
    database.validate_no_broken_transaction()
    with database.wrap_database_errors:
        raw.execute(sql, params)
        return _fetched(raw)


def _fetched(cursor: psycopg.Cursor[Any]) -> list[Any]:
    # `description` would describe a hundred columns only to say that there are some.
    returned = cursor.pgresult
    return cursor.fetchall() if returned is not None and returned.nfields else []


@cache
def columns_of(model: type[models.Model], alias: str = "") -> str:
    """The model's columns in field order, quoted and separated by commas."""
    prefix = f"{alias}." if alias else ""
    return ", ".join(
        f"{prefix}{connection.ops.quote_name(str(f.column))}" for f in model._meta.concrete_fields
    )


@cache
def table_of(model: type[models.Model]) -> str:
    """The model's table, quoted."""
    return connection.ops.quote_name(model._meta.db_table)


def instance_of(model: type[M], row: Sequence[Any], columns: tuple[str, ...] = ()) -> M:
    """A saved instance from a row in the order of `columns_of`, or of the given columns.

    Columns are named as the instance's attributes are. Others are read when they are asked for.
    """
    names, values = columns or _names(model), list(row)
    for position, convert in _converters(model, names):
        values[position] = convert(values[position])
    return model.from_db(DEFAULT_DB_ALIAS, names, values)


def values_of(instance: models.Model) -> list[Any]:
    """What an INSERT of the instance sends, in the order of the columns that it sets."""
    return _inserted(type(instance))(instance)


def insert_if_absent(instance: models.Model, *, conflict: str) -> bool:
    """Insert a row; returns False, with nothing written, if a unique index has such a row already.

    `conflict` names the index: its columns in brackets, and its condition if it has one; empty for
    all of them. An insert of the same row by another transaction is waited for.
    """
    return bool(insert_absent([instance], conflict=conflict))


def insert_absent(instances: Sequence[models.Model], *, conflict: str) -> set[Any]:
    """Insert those rows of one model that no unique index has already, by one statement.

    Returns their primary keys; of two equal rows among `instances` the first one is inserted.
    """
    if not instances:
        return set()
    model = type(instances[0])
    key = connection.ops.quote_name(str(model._meta.pk.column))
    sql = f"{_insert_sql(model, len(instances))} ON CONFLICT {conflict} DO NOTHING RETURNING {key}"
    values = _inserted(model)
    rows = execute(sql, [value for each in instances for value in values(each)])
    return {key for (key,) in rows}


@cache
def _names(model: type[models.Model]) -> tuple[str, ...]:
    return tuple(field.attname for field in model._meta.concrete_fields)


@cache
def _converters(model: type[models.Model], names: tuple[str, ...]) -> tuple[tuple[int, Any], ...]:
    def converter(field: Any) -> Any:
        return lambda value: field.from_db_value(value, None, connection)

    fields = {field.attname: field for field in model._meta.concrete_fields}
    return tuple(
        (position, converter(fields[name]))
        for position, name in enumerate(names)
        if hasattr(fields[name], "from_db_value")
    )


class Batch:
    """Inserts and updates that go to PostgreSQL together, as one statement.

    Rows of one statement do not see each other, so each row is written once: several updates of a
    row become one, with the values that the instance has when the batch is executed.
    """

    def __init__(self) -> None:
        self._parts: list[tuple[str, list[Any]] | _Update] = []
        self._updates: dict[_RowKey, _Update] = {}
        self._inserted: set[_RowKey] = set()

    def insert(self, *instances: models.Model) -> Batch:
        """Insert instances of one model; their primary keys must be set."""
        if instances:
            model = type(instances[0])
            values = _inserted(model)
            params: list[Any] = []
            for instance in instances:
                if type(instance) is not model:
                    raise TypeError("one insert takes instances of one model")
                params += values(instance)
                self._inserted.add((model, instance.pk))
            self._parts.append((_insert_sql(model, len(instances)), params))
        return self

    def update(self, instance: models.Model, field_names: Sequence[str]) -> Batch:
        """Write these fields of a row that the caller holds locked.

        Raises ValueError for a row that this batch inserts, or updates from another copy.
        """
        key = (type(instance), instance.pk)
        if key in self._inserted:
            raise ValueError(f"{instance!r} is inserted by the same statement")
        update = self._updates.get(key)
        if update is None:
            self._updates[key] = update = _Update(instance)
            self._parts.append(update)
        elif update.instance is not instance:
            raise ValueError(f"{instance!r} is written from two copies")
        update.names |= dict.fromkeys(field_names)
        return self

    def execute(self) -> None:
        """Send everything; an empty batch sends nothing."""
        if not self._parts:
            return
        parts = [each.part() if isinstance(each, _Update) else each for each in self._parts]
        params = [value for _, values in parts for value in values]
        # Numbered placeholders: above 50 parameters psycopg would parse `%s` anew at every call.
        _run(psycopg.RawCursor, _joined(tuple(sql for sql, _ in parts)), params)


@dataclass(slots=True)
class _Update:
    """One row's update, until the batch is executed."""

    instance: models.Model
    names: dict[str, None] = field(default_factory=dict)

    def part(self) -> tuple[str, list[Any]]:
        """The statement and its parameters."""
        model, names = type(self.instance), tuple(self.names)
        return _update_sql(model, names), _updated(model, names)(self.instance)


@lru_cache(maxsize=512)
def _joined(parts: tuple[str, ...]) -> str:
    """One statement of several, with `$1`, `$2` … for `%s`."""
    *first, last = parts
    withs = ", ".join(f"w{number} AS ({part})" for number, part in enumerate(first))
    pieces = (f"WITH {withs} {last}" if withs else last).split("%s")
    numbered = [f"{piece}${number}" for number, piece in enumerate(pieces[:-1], start=1)]
    return "".join([*numbered, pieces[-1]])


@cache
def _inserted(model: type[models.Model]) -> Callable[[models.Model], list[Any]]:
    return _reader(_inserted_fields(model))


@cache
def _updated(
    model: type[models.Model], field_names: tuple[str, ...]
) -> Callable[[models.Model], list[Any]]:
    """The fields' new values, then the primary key that the update looks for."""
    return _reader([*(model._meta.get_field(name) for name in field_names), model._meta.pk])


def _reader(fields: Sequence[Any]) -> Callable[[models.Model], list[Any]]:
    """Reads these fields of an instance as psycopg takes them; decides once how."""
    attributes = attrgetter(*(field.attname for field in fields))
    if len(fields) == 1:
        raise ValueError("a row of one column needs no batch")
    converters = [
        (position, convert)
        for position, field in enumerate(fields)
        if (convert := _converter(field)) is not None
    ]

    def read(instance: models.Model) -> list[Any]:
        values = list(attributes(instance))
        for position, convert in converters:
            values[position] = convert(values[position])
        return values

    return read


def _converter(field: Any) -> Convert | None:
    """How Django prepares the field's values, looked up once; None: it does not."""
    stored = field
    while isinstance(stored, models.ForeignKey):
        stored = stored.target_field
    if any(_prepares_like(stored, plain) for plain in _PLAIN_FIELDS):
        return None
    if _prepares_like(stored, models.JSONField) and stored.encoder is None:
        return lambda value: None if value is None else Jsonb(value, orjson.dumps)
    if _prepares_like(stored, models.IntegerField):
        # Typed by the column: psycopg would type by the value, and prepare anew for each type.
        integer: Any = connection.ops.integerfield_type_map[stored.get_internal_type()]  # type: ignore[attr-defined]
        return lambda value: None if value is None else integer(value)
    return lambda value: field.get_db_prep_save(value, connections[DEFAULT_DB_ALIAS])


_PREPARATION: Final = ("get_prep_value", "get_db_prep_value", "get_db_prep_save")


def _prepares_like(field: Any, stock: type[models.Field[Any, Any]]) -> bool:
    """Is it of this kind, and does it prepare values as Django's own does?"""
    return isinstance(field, stock) and all(
        getattr(type(field), name) is getattr(stock, name) for name in _PREPARATION
    )


@cache
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
