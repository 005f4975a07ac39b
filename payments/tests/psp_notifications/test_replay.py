"""The dead-letter list: every notification can be replayed, and a replay is harmless."""

from __future__ import annotations

from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from payments.clock import now_utc
from payments.models import PspNotification
from payments.services.psp_notifications import processing
from payments.services.psp_notifications.replay import (
    NotificationFilter,
    replay_notifications,
)
from payments.states import NotificationStatus
from payments.tests.support.notices import Hooks, make_due, store_notice
from payments.tests.support.shop import Shop, body_of


def dead_letter_everything() -> None:
    """Let processing fail for a day, until every stored notification is a dead letter."""
    PspNotification.objects.update(give_up_at=now_utc() - timedelta(seconds=1))
    make_due()
    processing.process_due_notifications()
    assert set(PspNotification.objects.values_list("status", flat=True)) == {"dead"}


def statuses() -> dict[str, str]:
    return dict(PspNotification.objects.values_list("event_id", "status"))


def replay(*arguments: str) -> str:
    out = StringIO()
    call_command("replay_notifications", *arguments, stdout=out)
    return out.getvalue()


@pytest.fixture
def dead(shop: Shop, other_shop: Shop) -> dict[str, PspNotification]:
    """Four dead notifications of two accounts and two types."""
    rows = {
        "sev_1": store_notice(shop, id="sev_1"),
        "sev_2": store_notice(shop, id="sev_2", type="payment.captured"),
        "sev_3": store_notice(shop, id="sev_3"),
        "sev_4": store_notice(other_shop, id="sev_4"),
    }
    dead_letter_everything()
    return rows


def test_one_dead_notification_is_replayed_and_processed(shop: Shop, hooks: Hooks) -> None:
    shop.psp.script({"drop_after": 1}, order_id=shop.order_id, kind="authorize")
    intent_id = body_of(shop.create(10_000))["id"]
    shop.psp.set_behavior(down=1)
    hooks.deliver(hooks.caught("payment.authorized")[0])
    dead_letter_everything()
    shop.psp.heal()
    [row] = PspNotification.objects.all()

    assert replay_notifications(NotificationFilter(event_id=row.event_id)) == 1
    assert not replay_notifications(NotificationFilter(event_id=row.event_id)), "it waits already"
    processing.process_due_notifications()

    row = PspNotification.objects.get()
    assert (row.status, row.attempts, row.last_error) == ("processed", 2, "")
    assert row.give_up_at > now_utc() + timedelta(hours=23)
    assert shop.intent(intent_id).status == "CAPTURED"


def test_a_processed_notification_can_be_replayed(shop: Shop, hooks: Hooks) -> None:
    intent_id = body_of(shop.create(10_000, manual=True))["id"]
    hooks.take(*hooks.caught("payment.authorized"))
    events = shop.intent(intent_id).event_seq
    assert replay_notifications(NotificationFilter(status=NotificationStatus.PROCESSED)) == 1
    assert processing.process_due_notifications() == 1
    assert list(statuses().values()) == ["processed"]
    assert shop.intent(intent_id).event_seq == events


@pytest.mark.parametrize(
    ("arguments", "requeued"),
    [
        (["--event", "sev_2"], {"sev_2"}),
        (["--type", "payment.authorized"], {"sev_1", "sev_3", "sev_4"}),
        (["--account", "{account}"], {"sev_1", "sev_2", "sev_3"}),
        (["--account", "{account}", "--type", "payment.captured"], {"sev_2"}),
        (["--since", "{received_2}", "--until", "{received_4}"], {"sev_2", "sev_3"}),
        (["--all"], {"sev_1", "sev_2", "sev_3", "sev_4"}),
        (["--all", "--most", "2"], {"sev_1", "sev_2"}),
        (["--event", "sev_nothing"], set()),
    ],
    ids=range(8),
)
def test_notifications_are_replayed_by_filter(
    shop: Shop, dead: dict[str, PspNotification], arguments: list[str], requeued: set[str]
) -> None:
    words = {
        "account": shop.account.code,
        "received_2": dead["sev_2"].received_at.isoformat(),
        "received_4": dead["sev_4"].received_at.isoformat(),
    }
    said = replay(*[argument.format(**words) for argument in arguments])
    assert said.startswith(f"{len(requeued)} notifications")
    assert {event for event, status in statuses().items() if status == "stored"} == requeued


def test_without_a_filter_nothing_is_replayed(dead: dict[str, Any]) -> None:
    with pytest.raises(CommandError, match="give one of"):
        replay()
    assert set(statuses().values()) == {"dead"}


def test_the_dead_letter_list_can_be_read(shop: Shop, dead: dict[str, Any]) -> None:
    *listed, last = replay("--list", "--account", shop.account.code).splitlines()
    assert last == "3 dead notifications"
    assert [line.split()[3] for line in listed] == ["sev_1", "sev_2", "sev_3"]
    assert "no operation of ours" in listed[0]
    assert set(statuses().values()) == {"dead"}


def test_a_notification_that_waits_anyway_is_not_replayed(dead: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="processed anyway"):
        replay_notifications(NotificationFilter(status=NotificationStatus.FAILING))
