"""What commands share that change something: who does it and why, and the history of an object."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Final

from django.core.management.base import CommandParser
from django.db.models import QuerySet

from payments.models import AuditEntry
from payments.services.audit.authors import Author, author_at_shell, required_author

SERVICE_KEY: Final = "SERVICE_KEY"
"""The environment variable with the key of a service that runs a command."""


def add_author(parser: CommandParser) -> None:
    """The options `--by` and `--why` of a verb that changes something."""
    parser.add_argument(
        "--by", default="", help="who does it: staff: and the name of a login, such as staff:ada"
    )
    parser.add_argument("--why", default="", help="the reason, for those who read the audit trail")


def author_of(given: Mapping[str, Any]) -> Author:
    """Who runs the command: a staff user, else the service of SERVICE_KEY, else the login here.

    Raises ValueError for a name that is no active staff user, and for an unknown key.
    """
    return author_at_shell(
        given["by"].strip(),
        reason=given["why"].strip(),
        service_key=os.environ.get(SERVICE_KEY, ""),
    )


def named_author_of(given: Mapping[str, Any]) -> Author:
    """The same for what a staff user or a service has to answer for: a login here is refused."""
    return required_author(author_of(given))


def add_most(parser: CommandParser) -> None:
    """The option `--most` of a history."""
    parser.add_argument("--most", type=int, default=50, help="show at most this many; 50")


def history_of(entries: QuerySet[AuditEntry], given: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Acts as rows, the newest first; as JSON with the values before and after."""
    return [
        {
            "when": f"{row.created_at:%Y-%m-%d %H:%M:%S}",
            "by": row.actor,
            "did": row.act.rpartition(".")[2],
            "to": row.subject,
            "why": row.reason,
            "what": row.refusal or (row.changes if given["json"] else row.in_words),
        }
        for row in entries.order_by("-id")[: given["most"]]
    ]
