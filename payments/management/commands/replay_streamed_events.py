"""`manage.py replay_streamed_events`: lists a group's dead letters and replays them."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from payments import public_ids
from payments.management.authors import add_author, author_of
from payments.models import Act, FailedEvent
from payments.services.audit.trail import AuditSubject, recorded
from payments.services.event_stream.consuming import dead_letters, replay
from payments.services.event_stream.effects import EFFECTS


class Command(BaseCommand):
    help = (
        "List a group's dead letters, or consume one or all again. An event that was consumed "
        "meanwhile is skipped."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--group", required=True, choices=sorted(EFFECTS))
        parser.add_argument("--event", default="", help="the id of one event, evt_…")
        parser.add_argument("--all", action="store_true", help="every dead letter of the group")
        add_author(parser)

    def handle(self, *args: Any, **given: Any) -> None:
        dead = dead_letters(given["group"])
        if not given["event"] and not given["all"]:
            for failed in dead:
                self.stdout.write(
                    f"{failed.dead_at:%Y-%m-%d %H:%M:%S} {_public_id(failed)} {failed.type} "
                    f"failed {failed.failures} times: {failed.last_error}"
                )
            return
        chosen = [failed for failed in dead if given["event"] in ("", _public_id(failed))]
        if given["event"] and not chosen:
            raise CommandError(f"{given['event']} is not a dead letter of {given['group']}")
        still_failing = 0
        about = AuditSubject(label=f"group {given['group']}")
        with recorded(Act.STREAMED_EVENT_REPLAY, author_of(given), about) as changes:
            for failed in chosen:
                error = replay(failed, EFFECTS[given["group"]])
                still_failing += bool(error)
                self.stdout.write(f"{_public_id(failed)}: {error or 'consumed'}")
            changes["events"], changes["failed"] = {"after": len(chosen)}, {"after": still_failing}
        if still_failing:
            raise CommandError(f"{still_failing} of {len(chosen)} failed again")


def _public_id(failed: FailedEvent) -> str:
    return public_ids.encode(public_ids.EVENT, failed.event_id)
