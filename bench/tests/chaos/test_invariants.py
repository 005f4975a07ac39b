"""Each invariant finds its violation in a history made by hand, and nothing in a sound one."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from bench.chaos.load.history import Record
from bench.chaos.verdict.final_state import FinalState
from bench.chaos.verdict.invariants import INVARIANTS, violations_of
from bench.chaos.verdict.report import FAIL, PASS, UNKNOWN, Run, judge
from bench.chaos.verdict.timeline import timeline_of

NOW = 1_700_000_000.0
OF_THE_FIRST = ("op_1", "op_r", "op_c", "")
"""References of operations of the first payment; the empty one is the dashboard's."""
AT = "2023-11-14T22:13:20+00:00"


def answer(**content: Any) -> Record:
    given: dict[str, Any] = {
        "at": NOW,
        "type": "ok",
        "client": "c1",
        "verb": "create",
        "order": "o-1",
        "intent": "pi_1",
        "key": "k-1",
        "attempt": 1,
        "server": 0,
        "merchant": 0,
        "status": 200,
        "body_sha256": "aa",
        "seen": shown(),
    }
    return Record(**given | content)


def shown(**content: Any) -> dict[str, Any]:
    return {
        "intent": "pi_1",
        "status": "succeeded",
        "received": 100,
        "capturable": 0,
        "latest_charge": "ch_1",
        "refunded": 0,
    } | content


def effect(
    kind: str, reference: str = "op_1", amount_minor: int = 100, *, seq: int = 0
) -> dict[str, Any]:
    return {
        "seq": seq,
        "id": f"sop_{seq}",
        "kind": kind,
        "reference": reference,
        "payment_id": f"spay_of_{'op_1' if reference in OF_THE_FIRST else reference}",
        "order_id": "o-1",
        "amount_minor": amount_minor,
        "released_minor": 0,
        "fee_minor": 0,
        "interchange_minor": 0,
        "scheme_fee_minor": 0,
        "currency": "USD",
        "at": AT,
    }


def operation(reference: str = "op_1", **content: Any) -> dict[str, Any]:
    return {
        "id": reference,
        "reference": reference,
        "psp_id": "",
        "intent": "pi_1",
        "order_id": "o-1",
        "kind": "authorize",
        "status": "SUCCEEDED",
        "fenced_at": None,
        "replaces_id": None,
        "excess_minor": 0,
        "amount_minor": 100,
        "actor": "api_key",
        "checks": 0,
        "detail": "",
        "created_at": AT,
        "closed_at": AT,
    } | content


def call(reference: str = "op_1", key: str = "op_1") -> dict[str, Any]:
    return {
        "method": "POST",
        "kind": "authorize",
        "reference": reference,
        "idempotency_key": key,
        "order_id": "o-1",
        "status": 200,
        "fault": "",
        "executed": True,
        "replayed": False,
        "at": AT,
    }


def line(seq: int, **content: Any) -> dict[str, Any]:
    return {
        "identity": f"sln_{seq}",
        "kind": "charge",
        "status": "matched",
        "gross_minor": 100,
        "fee_minor": 0,
        "currency": "USD",
        "last_error": "",
    } | content


def event(seq: int, type_: str, **content: Any) -> dict[str, Any]:
    return {
        "id": f"evt_{seq}",
        "intent": "pi_1",
        "seq": seq,
        "type": type_,
        "created_at": AT,
        "actor": "api_key",
    } | content


def sound() -> FinalState:
    """One sale, answered, shown and booked."""
    return FinalState(
        records=[answer(type="invoke", status=0, seen={}, body_sha256=""), answer()],
        effects=[effect("authorize", seq=1), effect("capture", seq=2)],
        lines=[line(2)],
        balances=[{"code": 1110, "currency": "USD", "minor": 100}],
        calls=[call()],
        intents={"pi_1": shown()},
        operations=[operation()],
        events=[event(1, "payment_intent.created"), event(2, "charge.succeeded")],
        books=(0, "the books hold"),
        notifications=[notice()],
    )


def charged_twice(truth: FinalState) -> None:
    truth.operations.append(operation("op_2", intent="pi_2"))
    truth.events += [event(1, "payment_intent.created", intent="pi_2")]
    truth.events += [event(2, "charge.succeeded", intent="pi_2")]
    truth.effects.append(effect("authorize", "op_2"))


def gone(truth: FinalState) -> None:
    truth.intents["pi_1"] = {}


def no_longer_succeeded(truth: FinalState) -> None:
    truth.intents["pi_1"] = shown(status="requires_payment_method", received=0)


def declined_but_taken(truth: FinalState) -> None:
    seen = shown() | {"charge": "ch_1", "type": "card_error"}
    truth.records.append(answer(type="fail", status=402, key="k-2", seen=seen))


def dropped_but_taken(truth: FinalState) -> None:
    truth.operations[0]["status"] = "NOT_SENT"


def open_for_ever(truth: FinalState) -> None:
    truth.operations[0]["status"] = "UNKNOWN"
    truth.still_open.append("op_1")


def another_amount(truth: FinalState) -> None:
    truth.effects[1]["amount_minor"] = 99


def effect_without_operation(truth: FinalState) -> None:
    truth.effects.append(effect("refund", "op_without_row"))


def books_differ(truth: FinalState) -> None:
    truth.books = (1, "pi_1: captured is stored as 1.00, the books say 0.00")


def refunded_twice(truth: FinalState) -> None:
    truth.operations.append(operation("op_r", kind="refund"))
    truth.events.append(event(3, "charge.refunded"))
    truth.effects += [effect("refund", "op_r", 40), effect("refund", "op_r", 40)]
    truth.intents["pi_1"] = shown(refunded=80)


def two_answers(truth: FinalState) -> None:
    truth.records.append(answer(body_sha256="bb"))


def refused_after_an_answer(truth: FinalState) -> None:
    last = max(each.at for each in truth.records)
    late = {"at": last + 2, "sent_at": last + 1}
    truth.records.append(answer(**late, type="fail", status=400, body_sha256="bb"))


def changed_body_accepted(truth: FinalState) -> None:
    truth.records.append(answer(verb="changed"))


def two_keys(truth: FinalState) -> None:
    truth.calls.append(call(key="another"))


def gap_in_events(truth: FinalState) -> None:
    truth.events[1]["seq"] = 3


def captured_without_an_event(truth: FinalState) -> None:
    truth.operations.append(operation("op_c", kind="capture"))


def done_without_an_actor(truth: FinalState) -> None:
    truth.events[1]["actor"] = ""


def never_heard_of(truth: FinalState) -> None:
    truth.webhook_secrets[0] = "whsec_x"


def backwards(truth: FinalState) -> None:
    truth.records.append(answer(verb="get", key="", at=NOW + 1))
    earlier = shown(status="processing", received=0)
    truth.records.append(answer(verb="get", key="", at=NOW + 2, seen=earlier))


def notice(**content: Any) -> dict[str, Any]:
    return {
        "event_id": "sev_1",
        "body_sha256": "n1",
        "status": "processed",
        "last_error": "",
        "our_references": ["op_1"],
    } | content


def forged_and_stored(truth: FinalState) -> None:
    truth.notifications.append(notice(event_id="sev_forged_1", body_sha256="n2"))


def stored_twice(truth: FinalState) -> None:
    truth.notifications.append(notice(event_id="sev_1-again"))


def line_unexplained(truth: FinalState) -> None:
    truth.lines[0]["status"] = "failing"


def dispute_unknown(truth: FinalState) -> None:
    truth.disputes_at_psp.append(
        {"id": "sdp_1", "order_id": "o-1", "status": "needs_response", "amount_minor": 100}
    )


def never_looked_at(truth: FinalState) -> None:
    truth.notifications[0]["status"] = "stored"


def given_up(truth: FinalState) -> None:
    truth.notifications[0]["status"] = "dead"


def bare_500(truth: FinalState) -> None:
    truth.records.append(answer(type="info", status=500, key="k-3", seen={"type": "api_error"}))


def died_alone(truth: FinalState) -> None:
    truth.unprovoked_ends.append("beat ended with code 1")


def refund_given_up(truth: FinalState) -> None:
    truth.operations.append(operation("op_r", kind="refund", status="NOT_SENT", fenced_at=AT))


def refund_told_and_canceled(truth: FinalState) -> None:
    seen = {"refund": "re_1", "intent": "pi_1", "refund_status": "pending", "amount": 40}
    truth.records.append(answer(verb="refund", key="k-r", seen=seen))
    truth.refunds["re_1"] = seen | {"refund_status": "canceled"}


@pytest.mark.parametrize(
    "spoil, invariant",
    [
        (charged_twice, "I1"),
        (gone, "I2"),
        (no_longer_succeeded, "I2"),
        (declined_but_taken, "I3"),
        (dropped_but_taken, "I3"),
        (open_for_ever, "I4"),
        (another_amount, "I5"),
        (effect_without_operation, "I5"),
        (books_differ, "I6"),
        (refunded_twice, "I7"),
        (two_answers, "I8"),
        (refused_after_an_answer, "I8"),
        (changed_body_accepted, "I8"),
        (two_keys, "I9"),
        (gap_in_events, "I10"),
        (never_heard_of, "I10"),
        (backwards, "I11"),
        (captured_without_an_event, "I12"),
        (done_without_an_actor, "I12"),
        (line_unexplained, "I13"),
        (dispute_unknown, "I13"),
        (forged_and_stored, "M"),
        (stored_twice, "M"),
        (never_looked_at, "M"),
        (given_up, "M"),
        (bare_500, "I15"),
        (died_alone, "I15"),
        (refund_given_up, "I16"),
        (refund_told_and_canceled, "I16"),
    ],
)
def test_an_invariant_finds_its_violation(
    spoil: Callable[[FinalState], None], invariant: str
) -> None:
    truth = sound()
    spoil(truth)
    assert violations_of(truth)[invariant]


def test_a_sound_history_violates_nothing() -> None:
    assert violations_of(sound()) == {name: [] for name in INVARIANTS}


def test_an_order_may_be_charged_again_once_its_money_went_back() -> None:
    truth = sound()
    truth.operations.append(operation("op_r", kind="refund"))
    truth.effects.append(effect("refund", "op_r"))
    charged_twice(truth)
    assert violations_of(truth)["I1"] == []


def run_of(**content: Any) -> Run:
    given: dict[str, Any] = {"seed": 1, "fingerprint": "f", "payments": 1, "kills": 1, "clients": 1}
    return Run(
        **given | {"acts_done": {"kill beat": 1}, "unknown_since": {"op_1": time.time()}} | content
    )


def test_a_run_that_could_not_read_everything_is_unknown() -> None:
    truth = sound()
    assert judge(run_of(), truth, violations_of(truth)).verdict == PASS
    truth.missing.append("intent pi_1")
    assert judge(run_of(), truth, violations_of(truth)).verdict == UNKNOWN


def test_a_run_without_its_kills_or_unknown_outcomes_is_unknown() -> None:
    truth = sound()
    for run in (
        run_of(acts_done={"redis flush": 1}),
        run_of(unknown_since={}),
        run_of(payments=10),
    ):
        assert judge(run, truth, violations_of(truth)).verdict == UNKNOWN


def test_a_violation_is_a_fail_even_if_something_is_missing() -> None:
    truth = sound()
    truth.missing.append("intent pi_1")
    charged_twice(truth)
    assert judge(run_of(), truth, violations_of(truth)).verdict == FAIL


def test_the_timeline_of_a_violation_merges_clients_psp_and_database() -> None:
    truth = sound()
    charged_twice(truth)
    (found,) = violations_of(truth)["I1"]
    text = "\n".join(timeline_of(truth, found))
    for part in ("client", "psp ", "EFFECT authorize op_2", "db     written", "event"):
        assert part in text
