"""Checks webhooks: what merchants received, and what we stored of the PSP's. Pure.

Every event reaches its merchant at least once, in order and signed (part of I10). No notification
of the PSP is forged, stored twice or left unprocessed.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import stripe

from bench.chaos.load.webhook_receiver import ReceivedWebhook

CLOCKS_APART_SECONDS: Final = 60
"""The signature is made at the attempt, by the clock of this machine."""
FORGED: Final = "sev_forged_"
"""How the sandbox PSP names notifications that it did not sign."""
_CHANGES_OF_HOLD: Final = ("increment", "void")


@dataclass(frozen=True, slots=True)
class Problem:
    """What a merchant must never see."""

    text: str
    intent: str


def problems_of(
    received: Sequence[ReceivedWebhook],
    *,
    events: Sequence[Mapping[str, Any]],
    events_read_at: float,
    secrets: Mapping[int, str],
) -> Iterator[Problem]:
    """Everything that is wrong with the received webhooks.

    `received` is in the order of arrival. `events` (`id`, `intent`, `seq`) are what each merchant
    in `secrets` must have received. An unknown event that came after they were read may be newer.
    """
    known = {event["id"]: event for event in events}
    first: dict[tuple[int, str], ReceivedWebhook] = {}
    for each in received:
        event_id = _event_id_of(each)
        event = known.get(event_id)
        if event is None:
            if each.at <= events_read_at:
                text = f"merchant {each.merchant} received {event_id}, which is no event"
                yield Problem(text, "")
            continue
        if not _is_signed(each, secrets.get(each.merchant, "")):
            yield Problem(f"{event_id} came with a wrong signature", event["intent"])
        before = first.setdefault((each.merchant, event_id), each)
        if before.body != each.body:
            yield Problem(f"{event_id} came again with other bytes", event["intent"])
    yield from _out_of_order([(m, known[e]) for m, e in first])
    yield from _never_received(events, received)


def _out_of_order(firsts: Sequence[tuple[int, Mapping[str, Any]]]) -> Iterator[Problem]:
    """First deliveries of a payment to a merchant are 1, 2, 3 …"""
    last: dict[tuple[int, str], int] = defaultdict(int)
    for merchant, event in firsts:
        key = (merchant, event["intent"])
        if event["seq"] != last[key] + 1:
            text = f"{event['intent']}: event {event['seq']} was first received after {last[key]}"
            yield Problem(text, event["intent"])
        last[key] = max(last[key], event["seq"])


def _never_received(
    events: Sequence[Mapping[str, Any]], received: Sequence[ReceivedWebhook]
) -> Iterator[Problem]:
    """An answer of 500 or a hang is no receipt; a cut after the 200 may be one."""
    taken = {_event_id_of(each) for each in received if each.answer in ("ok", "cut")}
    for event in events:
        if event["id"] not in taken:
            text = f"{event['intent']}: event {event['seq']} ({event['id']}) never arrived"
            yield Problem(text, event["intent"])


def _event_id_of(received: ReceivedWebhook) -> str:
    try:
        return str(json.loads(received.body)["id"])
    except (ValueError, KeyError, TypeError):
        return f"an unreadable body {received.body[:60]!r}"


def _is_signed(received: ReceivedWebhook, secret: str) -> bool:
    """Signed as the official SDK verifies it, at the time when it was sent."""
    header = received.headers.get("stripe-signature", "")
    try:
        stripe.WebhookSignature.verify_header(received.body.decode(), header, secret)
    except (stripe.SignatureVerificationError, UnicodeDecodeError):
        return False
    moments = [part[2:] for part in header.split(",") if part.startswith("t=")]
    return abs(int(moments[0]) - received.at) <= CLOCKS_APART_SECONDS


def problems_of_notifications(
    notifications: Sequence[Mapping[str, Any]],
) -> Iterator[tuple[str, str]]:
    """Everything that should not be: (reference of an operation concerned or nothing, what).

    A notification that contradicts our records is dead-lettered. At the end of a run, when our
    records equal the PSP's, that is an error.
    """
    bodies: set[str] = set()
    for row in notifications:
        event_id = row["event_id"]
        if row["body_sha256"] in bodies:
            yield "", f"the notification {event_id} is stored twice"
        bodies.add(row["body_sha256"])
        if event_id.startswith(FORGED):
            yield "", f"the forged notification {event_id} was stored"
        elif row["status"] == "stored":
            yield "", f"the notification {event_id} was not processed"
        elif row["status"] == "dead":
            reference = next(iter(row["our_references"]), "")
            yield reference, f"the notification {event_id} was given up: {row['last_error']}"


def unheard_changes(
    effects: Iterable[Mapping[str, Any]],
    *,
    notifications: Iterable[Mapping[str, Any]],
    recorded: Container[str],
) -> Iterator[Mapping[str, Any]]:
    """Voids and increments in the PSP's dashboard that we could not know of.

    Their notification was lost, and no look-up found them (`recorded`: ids of the PSP). No
    settlement line reports them: the next capture or void does, or the end of the hold.
    """
    heard = {row["event_id"].split("_")[1] for row in notifications}
    for effect in effects:
        is_of_staff = not effect["reference"] and effect["kind"] in _CHANGES_OF_HOLD
        is_known = effect["id"].removeprefix("sop_") in heard or effect["id"] in recorded
        if is_of_staff and not is_known:
            yield effect
