"""Prints rows for the commands of an installation: a table for people, or JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import models

Row = Mapping[str, Any]
_NOTHING = "-"


class RowCommand(BaseCommand):
    """A command with verbs, each a method `_<verb>`; every verb takes `--json`."""

    def handle(self, *args: Any, **given: Any) -> None:
        verb = getattr(self, f"_{given['verb'].replace('-', '_')}")
        try:
            shown = verb(given)
        except ValidationError as error:
            raise CommandError("; ".join(error.messages)) from None
        except ValueError as refusal:
            raise CommandError(str(refusal)) from None
        rows = [shown] if isinstance(shown, Mapping) else shown
        if given["json"]:
            self.stdout.write(json.dumps(shown, indent=2, default=str))
        elif given["verb"] in ("list", "history", "limits"):
            self._print_table(rows)
        else:
            self._print_rows(rows)

    def _print_table(self, rows: Sequence[Row]) -> None:
        """One line per row, and how many there are."""
        if rows:
            names = list(rows[0])
            lines = [names, *([_text(row[name]) for name in names] for row in rows)]
            widths = [max(len(line[at]) for line in lines) for at in range(len(names))]
            for line in lines:
                cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
                self.stdout.write("  ".join(cells).rstrip())
        self.stdout.write(f"{len(rows)} found")

    def _print_rows(self, rows: Sequence[Row]) -> None:
        """One line per field."""
        for row in rows:
            width = max(len(name) for name in row)
            for name, value in row.items():
                self.stdout.write(f"{name.ljust(width)}  {_text(value)}")


def add_verb(verbs: Any, name: str, what: str) -> CommandParser:
    """A verb of a command, with `--json`."""
    parser: CommandParser = verbs.add_parser(name, help=what)
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    return parser


def add_settings(parser: CommandParser, model: type[models.Model], names: Sequence[str]) -> None:
    """An option per column, with the column's own help."""
    for name in names:
        text = str(getattr(model._meta.get_field(name), "help_text", ""))
        parser.add_argument(f"--{name.replace('_', '-')}", help=text.replace("%", "%%"))


def given_settings(
    given: Mapping[str, Any], model: type[models.Model], names: Sequence[str]
) -> dict[str, Any]:
    """The values of the options that were given, by column; raises ValidationError.

    Switches are written on and off, an empty value `none`.
    """
    values = {}
    for name in names:
        text = given.get(name)
        if text is None:
            continue
        field: Any = model._meta.get_field(name)
        if isinstance(field, models.BooleanField):
            text = {"on": "True", "off": "False"}.get(text, text)
        try:
            values[name] = field.clean(None if text == "none" else text, None)
        except ValidationError as error:
            option = f"--{name.replace('_', '-')}"
            raise ValidationError(f"{option}: {'; '.join(error.messages)}") from None
    return values


def _text(value: Any) -> str:
    if value is None or value == "":
        return _NOTHING
    if isinstance(value, bool):
        return "on" if value else "off"
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
