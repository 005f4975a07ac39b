"""`manage.py replay_streamed_events`: the dead letters of a group of the stream; their replay."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from payments import public_ids
from payments.models import FailedEvent
from payments.services.event_stream.consuming import dead_letters, replay
from payments.services.event_stream.effects import EFFECTS


class Command(BaseCommand):
    help = (
        "Show events that a group could not consume, or have them consumed again: one, or all. "
        "Consuming an event again that was consumed meanwhile does nothing."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--group", required=True, choices=sorted(EFFECTS))
        parser.add_argument("--event", default="", help="the id of one event, evt_…")
        parser.add_argument("--all", action="store_true", help="every dead letter of the group")

    def handle(self, *args: Any, **given: Any) -> None:
        letters = dead_letters(given["group"])
        if not given["event"] and not given["all"]:
            for letter in letters:
                self.stdout.write(
                    f"{letter.dead_at:%Y-%m-%d %H:%M:%S} {_public_id(letter)} {letter.type} "
                    f"failed {letter.failures} times: {letter.last_error}"
                )
            return
        chosen = [letter for letter in letters if given["event"] in ("", _public_id(letter))]
        if given["event"] and not chosen:
            raise CommandError(f"{given['event']} is no dead letter of {given['group']}")
        failed = 0
        for letter in chosen:
            error = replay(given["group"], letter, EFFECTS[given["group"]])
            failed += bool(error)
            self.stdout.write(f"{_public_id(letter)}: {error or 'consumed'}")
        if failed:
            raise CommandError(f"{failed} of {len(chosen)} failed again")


def _public_id(letter: FailedEvent) -> str:
    return public_ids.encode(public_ids.EVENT, letter.event_id)
