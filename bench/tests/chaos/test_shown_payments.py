"""What merchants are shown follows the PSP, but for what we could not know, and what was told."""

from __future__ import annotations

from typing import Any

from bench.chaos.verdict.final_state import FinalState
from bench.chaos.verdict.invariants import violations_of
from bench.chaos.verdict.webhook_deliveries import unheard_changes
from bench.tests.chaos.test_invariants import effect, notice, operation, shown, sound


def held_and_voided_by_staff() -> FinalState:
    truth = sound()
    truth.effects = [effect("authorize", seq=1), effect("void", "", seq=2)]
    truth.lines = []
    truth.intents = {"pi_1": shown(status="requires_capture", received=0, capturable=100)}
    truth.records = []
    return truth


def unheard(truth: FinalState) -> list[str]:
    recorded = {row["psp_id"] for row in truth.operations}
    found = unheard_changes(truth.effects, notifications=truth.notifications, recorded=recorded)
    return [each["id"] for each in found]


def test_a_void_by_staff_may_be_unknown_if_its_notification_was_lost() -> None:
    truth = held_and_voided_by_staff()
    assert unheard(truth) == ["sop_2"]
    assert violations_of(truth)["I5"] == []


def test_a_void_that_was_notified_must_be_recorded() -> None:
    truth = held_and_voided_by_staff()
    truth.notifications.append(notice(event_id="sev_2_payment_voided", body_sha256="n2"))
    assert unheard(truth) == []
    assert [each.text.split(":")[0] for each in violations_of(truth)["I5"]] == [
        "the PSP has void sop_2, of which we know nothing",
        *("pi_1", "pi_1"),
    ]


def test_a_void_that_a_look_up_found_must_be_shown() -> None:
    truth = held_and_voided_by_staff()
    truth.operations.append(operation("op_v", kind="void", psp_id="sop_2"))
    assert unheard(truth) == []
    found = [each.text for each in violations_of(truth)["I5"]]
    assert "pi_1: shown as capturable 100, the PSP holds 0" in found


def test_money_that_staff_moved_is_never_unknown() -> None:
    truth = sound()
    truth.effects.append(effect("refund", "", 40, seq=3))
    assert unheard(truth) == []
    assert any("of which we know nothing" in each.text for each in violations_of(truth)["I5"])


def reversed_later(**content: Any) -> FinalState:
    truth = sound()
    truth.effects += [effect("capture_failed", seq=3), effect("expire", seq=4)]
    truth.operations[0]["status"] = "REVERSED"
    truth.events.append(truth.events[0] | {"id": "evt_3", "seq": 3, "type": "charge.failed"})
    truth.intents["pi_1"] = shown(received=0) | content
    truth.lines += [truth.lines[0] | {"identity": "sln_3", "gross_minor": -100}]
    truth.balances = []
    return truth


def test_a_payment_keeps_the_status_that_merchants_were_told_of_when_it_fails_later() -> None:
    truth = reversed_later()
    assert len(violations_of(truth)["I5"]) == 1  # shown as succeeded, which was never published
    told = truth.events[0] | {"id": "evt_4", "seq": 4, "type": "payment_intent.succeeded"}
    truth.events.append(told)
    assert {name: found for name, found in violations_of(truth).items() if found} == {}


def test_its_amounts_must_follow_the_psp_even_then() -> None:
    truth = reversed_later(received=100)
    told = truth.events[0] | {"id": "evt_4", "seq": 4, "type": "payment_intent.succeeded"}
    truth.events.append(told)
    [found] = violations_of(truth)["I5"]
    assert "shown as received 100, the PSP captured 0" in found.text
