"""What commands share that change the configuration: who does it and why, and the history."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.core.management.base import CommandParser
from django.db.models import QuerySet

from payments.models import ConfigurationChange
from payments.services.callers.configuration_log import Author


def add_author(parser: CommandParser) -> None:
    """The options `--by` and `--why` of a verb that changes something."""
    parser.add_argument("--by", required=True, help="who changes it, such as staff:ada")
    parser.add_argument("--why", default="", help="the reason, for those who read the history")


def author_of(given: Mapping[str, Any]) -> Author:
    """Who runs the command; raises ValueError for a name that cannot be kept."""
    return Author(given["by"].strip(), given["why"].strip())


def add_most(parser: CommandParser) -> None:
    """The option `--most` of a history."""
    parser.add_argument("--most", type=int, default=50, help="show at most this many; 50")


def history_of(
    changes: QuerySet[ConfigurationChange], given: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Changes as rows, the newest first; as JSON with the values before and after."""
    return [
        {
            "when": f"{row.created_at:%Y-%m-%d %H:%M:%S}",
            "by": row.author,
            "did": row.verb,
            "to": row.subject,
            "why": row.reason,
            "what": row.changes if given["json"] else row.in_words,
        }
        for row in changes.order_by("-id")[: given["most"]]
    ]
