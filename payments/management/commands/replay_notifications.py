"""`manage.py replay_notifications`: lists dead letters of PSP notifications and replays them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

from django.core.management.base import BaseCommand, CommandError, CommandParser

from payments.management.authors import add_author, author_of
from payments.models import Act
from payments.services.audit.trail import AuditSubject, recorded
from payments.services.psp_notifications.replay import (
    REPLAYABLE,
    NotificationFilter,
    matching_notifications,
    replay_notifications,
)
from payments.states import NotificationStatus

_FILTERS: Final = ("event", "account", "type", "since", "until")


class Command(BaseCommand):
    help = (
        "Process notifications of PSPs again: one, or all that match a filter or time range. "
        "Without any filter nothing is replayed; --all means all. A replay is harmless: the PSP "
        "is asked, and a known result changes nothing."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--event", default="", help="the PSP's id of one event")
        parser.add_argument("--account", default="", help="code of a PSP account")
        parser.add_argument("--type", default="", help="event type, such as payment.captured")
        parser.add_argument("--since", type=_moment, help="received from then on (ISO 8601, UTC)")
        parser.add_argument("--until", type=_moment, help="received before then (ISO 8601, UTC)")
        parser.add_argument(
            "--status",
            choices=sorted(REPLAYABLE),
            default=NotificationStatus.DEAD.value,
            help="dead letters (default), or processed ones",
        )
        parser.add_argument("--all", action="store_true", help="all, without a filter")
        parser.add_argument("--list", action="store_true", help="list them, replay nothing")
        parser.add_argument("--most", type=int, default=10_000, help="at most this many")
        add_author(parser)

    def handle(self, *args: Any, **given: Any) -> None:
        filters = [given[name] for name in _FILTERS]
        if not any(filters) and not given["all"] and not given["list"]:
            raise CommandError("give one of --event, --account, --type, --since, --until, --all")
        wanted = NotificationFilter(
            status=NotificationStatus(given["status"]),
            account_code=given["account"],
            type=given["type"],
            event_id=given["event"],
            received_from=given["since"],
            received_before=given["until"],
        )
        if given["list"]:
            self._list(wanted, given["most"])
            return
        about = AuditSubject(label=given["account"] or given["event"] or "all accounts")
        with recorded(Act.NOTIFICATION_REPLAY, author_of(given), about) as changes:
            count = replay_notifications(wanted, limit=given["most"])
            chosen = {name: str(given[name]) for name in _FILTERS if given[name]}
            changes["filter"], changes["notifications"] = {"after": chosen}, {"after": count}
        self.stdout.write(f"{count} notifications are requeued")

    def _list(self, wanted: NotificationFilter, most: int) -> None:
        rows = matching_notifications(wanted)
        for row in rows.select_related("psp_account")[:most]:
            self.stdout.write(
                f"{row.received_at:%Y-%m-%d %H:%M:%S} {row.psp_account.code} {row.event_id} "
                f"{row.type} {row.attempts} attempts: {row.last_error or '-'}"
            )
        self.stdout.write(f"{rows.count()} {wanted.status} notifications")


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
