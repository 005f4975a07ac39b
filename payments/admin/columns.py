"""Builds the computed columns of a page that format one attribute of the row. No queries."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from operator import attrgetter
from typing import Any

from unfold.decorators import display as shown

from payments.admin import display

Column = Callable[[Any, Any], Any]
"""A method of a page: called with the page and a row."""


def column(
    description: str, attribute: str, show: Callable[[Any], Any] = str, **options: Any
) -> Column:
    """A column that formats an attribute (a path with dots) with `show`.

    `options` are those of unfold's `display`: `label`, `ordering`.
    """
    value_of = attrgetter(attribute)

    @shown(description=description, **options)
    def formatted(_: Any, row: Any) -> Any:
        return show(value_of(row))

    return formatted


def linked(description: str, prefix: str, attribute: str) -> Column:
    """A link to the row with this kind of public id whose UUID is the attribute."""
    return column(description, attribute, lambda identifier: display.link(prefix, identifier))


def status(labels: Mapping[str, str]) -> Column:
    """The status in lower case, without underscores; `labels` has unfold's color for each."""
    return column("status", "status", display.in_words, label=labels)


def minor_amount(description: str, attribute: str, *, zero: bool = False) -> Column:
    """An amount of minor units in the row's currency; zero is shown as nothing unless `zero`."""

    @shown(description=description)
    def formatted(_: Any, row: Any) -> Any:
        minor = getattr(row, attribute)
        return display.money(minor if zero else minor or None, row.currency)

    return formatted
