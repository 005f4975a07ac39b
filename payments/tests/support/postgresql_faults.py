"""Errors of PostgreSQL on command: a trigger raises an error class at the next writes of a table.

The server's own errors, through the real driver. What may not live here: what should follow.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import psycopg
from psycopg import sql

_INSTALL = """
CREATE SEQUENCE fault_counter;
CREATE FUNCTION fault() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
  -- What a sequence has counted is not rolled back.
  IF nextval('fault_counter') <= {times} THEN
    RAISE EXCEPTION 'a fault of the test' USING ERRCODE = {code};
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER a_fault BEFORE {event} ON {table} FOR EACH ROW EXECUTE FUNCTION fault();
"""
_REMOVE = """
DROP TRIGGER a_fault ON {table};
DROP FUNCTION fault;
DROP SEQUENCE fault_counter;
"""


@contextmanager
def failing(
    *, table: str, event: Literal["INSERT", "UPDATE"], code: str, times: int
) -> Iterator[None]:
    """Inside the block the next `times` rows written so raise the SQLSTATE `code`."""
    words = {
        "table": sql.Identifier(table),
        "event": sql.SQL(event),
        "code": sql.Literal(code),
        "times": sql.Literal(times),
    }
    with psycopg.connect(os.environ["DATABASE_OWNER_URL"], autocommit=True) as owner:
        owner.execute(sql.SQL(_INSTALL).format(**words))
        try:
            yield
        finally:
            owner.execute(sql.SQL(_REMOVE).format(**words))
