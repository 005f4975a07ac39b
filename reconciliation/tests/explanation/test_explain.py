"""A payment is explained by any id of it, wholly, and with what is open and unexplained."""

from __future__ import annotations

import io
import re
from typing import Any

import pytest
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext

from payments import public_ids
from payments.models import Case, Event, Operation, PaymentIntent, PspAccount, Refund
from payments.services.commands.operators.cases import close_case
from payments.tests.approvals.approving import Waiting, lead
from payments.tests.support.factories import staff
from payments.tests.support.shop import body_of, uuid_of
from payments.tests.verification.test_every_column import triggers_off
from reconciliation.services.explanation.explain import Explanation, explain_payment
from reconciliation.services.explanation.named_payments import payments_named
from reconciliation.services.matching.sweep import match_due_lines
from reconciliation.tests.support.settling import Settling, speak_plainly


@pytest.fixture
def plain(settling: Settling, monkeypatch: pytest.MonkeyPatch) -> Settling:
    """The PSP's reports are plain lines, and are imported by hand."""
    speak_plainly(settling.shop, monkeypatch)
    return settling


def explained(intent_id: str) -> Explanation:
    return explain_payment(uuid_of(intent_id))


def printed(name: str) -> str:
    out = io.StringIO()
    call_command("explain", name, stdout=out)
    return out.getvalue()


def test_a_whole_life_is_told_in_order_with_running_accounts(settling: Settling) -> None:
    caller = settling.shop.caller("the-key")
    intent_id = body_of(settling.shop.create(9_000, manual=True, caller=caller))["id"]
    settling.shop.capture(intent_id, 7_000)
    settling.shop.refund(intent_id, 1_500)
    settling.close()
    settling.shop.psp.pay_out(settling.api_key)
    settling.close()
    settling.take_in()
    story = explained(intent_id)
    sources = [entry.source for entry in story.timeline]
    assert [entry.at for entry in story.timeline] == sorted(entry.at for entry in story.timeline)
    assert {*sources} == {"request", "operation", "ledger", "event", "settlement"}
    [request] = [entry.text for entry in story.timeline if entry.source == "request"]
    assert request.endswith("with the idempotency key the-key: answered 200")
    texts = [entry.text for entry in story.timeline if entry.source == "ledger"]
    assert texts[0].startswith("authorized: 9100 auth_held 90.00 USD = 90.00 USD")
    assert "1100 psp_receivable -70.00 USD = 0.00 USD" in texts[-2]
    lines = [entry.text for entry in story.timeline if entry.source == "settlement"]
    assert ["charge 70.00 USD, fee 0.00 USD, matched" in line for line in lines] == [True, False]
    assert (story.open, story.differences) == ([], [])
    assert [str(amount) for amount in story.unexplained.values()] == ["0.00 USD"]
    assert story.is_explained


def test_what_waits_is_open_and_not_unexplained(settling: Settling) -> None:
    intent_id = body_of(settling.shop.create(9_000, manual=True))["id"]
    settling.shop.capture(intent_id, 7_000)
    settling.shop.refund(intent_id, 500)
    story = explained(intent_id)
    assert [each.split(":")[0] for each in story.open] == [
        "1100 psp_receivable 70.00 USD",
        "2200 refund_in_flight 5.00 USD",
    ]
    assert story.is_explained


def test_an_operation_of_unknown_outcome_is_open_with_its_next_look_up(settling: Settling) -> None:
    settling.shop.psp.script({"drop_after": True}, order_id=settling.shop.order_id, times=None)
    intent_id = body_of(settling.shop.create(9_000))["id"]
    [waiting] = explained(intent_id).open
    [charge] = settling.shop.operations(intent_id)
    assert waiting.startswith(f"{charge.public_id} authorize 90.00 USD is UNKNOWN, next look-up 2")


def test_a_line_that_was_given_up_is_the_unexplained_remainder(plain: Settling) -> None:
    intent_id = plain.desk.pay(9_000)
    [charge] = plain.shop.operations(intent_id)
    plain.read(f"l1 charge {charge.psp_id} 9001 0".encode())
    match_due_lines()
    story = explained(intent_id)
    assert [str(amount) for amount in story.unexplained.values()] == ["90.01 USD"]
    assert story.differences == []
    case = Case.objects.get()
    assert any(each.startswith(f"{case.public_id} contradiction is open") for each in story.open)
    with pytest.raises(SystemExit) as end:
        printed(intent_id)
    assert end.value.code == 1


def test_what_operators_did_is_told_with_their_names_and_reasons(plain: Settling) -> None:
    intent_id = plain.desk.pay(9_000)
    plain.read(f"l1 charge {plain.shop.operations(intent_id)[0].psp_id} 9001 0".encode())
    match_due_lines()
    case = Case.objects.get()
    ada = User.objects.create_user("ada")
    for seen in (PaymentIntent.objects.get(), PspAccount.objects.get()):
        LogEntry.objects.log_actions(ada.pk, [seen], CHANGE, "Asked by the bank.")  # type: ignore[arg-type]
    close_case(case.id, author=staff("bob"), resolution="The PSP corrects it.")
    told = [each for each in explained(intent_id).timeline if each.source == "staff"]
    assert sorted(each.text for each in told) == [
        f"staff:ada changed {intent_id} in the console: Asked by the bank.",
        "staff:ada imported the settlement report by-hand.csv",
        f"staff:bob case.close {case.public_id} contradiction: The PSP corrects it.",
    ]


def test_what_waits_for_approval_is_open_and_who_decided_is_told(settling: Settling) -> None:
    lead("ada")
    waiting = Waiting(settling.shop)
    name = waiting.approval.public_id
    [waits] = [each for each in explained(waiting.intent_id).open if name in each]
    assert waits.startswith(f"refund_payment 60.00 USD of {waiting.shown['id']} waits for approval")
    waiting.reject()
    story = explained(waiting.intent_id)
    assert [each for each in story.open if name in each] == []
    [told] = [each.text for each in story.timeline if each.source == "staff"]
    assert told.startswith(f"staff:ada approval.reject {name} refund_payment 60.00 USD of re_")


def test_tampering_is_a_difference(settling: Settling, owner_cursor: Any) -> None:
    intent_id = settling.desk.pay(9_000)
    with triggers_off(owner_cursor, "payments_payment_intent"):
        owner_cursor.execute("UPDATE payments_payment_intent SET amount_captured_minor = 1")
    story = explained(intent_id)
    assert not story.is_explained
    assert any("captured" in each and "0.01 USD" in each for each in story.differences)


def test_every_id_of_a_payment_leads_to_it(settling: Settling) -> None:
    other = settling.desk.pay(1_000, order_id="another")
    intent_id = settling.disputed(9_000)
    settling.shop.refund(intent_id, 100)
    settling.close()
    settling.take_in()
    intent = PaymentIntent.objects.get(pk=uuid_of(intent_id))
    charge, refund = settling.shop.operations(intent_id)
    dispute = settling.desk.dispute()
    [line] = settling.lines(kind="charge", operation=charge)
    [of_dispute] = settling.lines(kind="dispute")
    event = Event.objects.filter(aggregateid=intent.pk).first()
    assert event is not None
    names = [
        *(intent.public_id, str(intent.pk), intent.order_id, f" {intent.public_id} "),
        *(charge.public_id, charge.psp_id, charge.psp_payment_id, charge.psp_key),
        *(refund.public_id, refund.psp_id, Refund.objects.get().public_id),
        *(dispute.public_id, dispute.psp_dispute_id, event.public_id),
        *(line.identity, of_dispute.identity),
        public_ids.encode(public_ids.BALANCE_TRANSACTION, charge.balance_transaction_id),
    ]
    for name in names:
        assert payments_named(name) == [intent], name
    assert payments_named("another") == [PaymentIntent.objects.get(pk=uuid_of(other))]


@pytest.mark.parametrize("name", ["", " ", "nothing", "pi_x", "\0", "1", "txn_" + "A" * 22])
def test_a_name_of_nothing_names_nothing(settling: Settling, name: str) -> None:
    settling.desk.pay(1_000, order_id="")
    assert payments_named(name) == []
    with pytest.raises(CommandError, match="no payment is named"):
        printed(name)


def test_several_payments_of_an_order_are_listed_to_choose_from(settling: Settling) -> None:
    settling.shop.order_id = "order-twice"
    first = body_of(settling.shop.create(1_000, token="pm_card_visa_chargeDeclined"))
    second = settling.desk.pay(1_000, order_id="order-twice")
    ids = [intent.public_id for intent in payments_named("order-twice")]
    assert second in ids
    assert len(ids) == 2, first
    out = io.StringIO()
    with pytest.raises(SystemExit) as end:
        call_command("explain", "order-twice", stdout=out)
    assert end.value.code == 2
    assert all(each in out.getvalue() for each in ids)


def test_the_command_prints_the_story_and_ends_with_the_remainder(settling: Settling) -> None:
    intent_id = settling.desk.pay(9_000)
    settling.close()
    settling.take_in()
    text = printed(Operation.objects.get().psp_id)
    assert text.startswith(f"{intent_id} 90.00 USD CAPTURED, order {settling.shop.order_id}\n")
    assert "open: nothing\ndifferences: nothing\nunexplained: 0.00 USD\n" in text
    assert "secret" not in text


def test_an_explanation_takes_the_same_queries_however_long_the_story(
    settling: Settling,
) -> None:
    intent_id = settling.desk.pay(9_000)
    with CaptureQueriesContext(connection) as short:
        explained(intent_id)
    for _ in range(3):
        settling.shop.refund(intent_id, 100)
    settling.close()
    settling.take_in()
    with CaptureQueriesContext(connection) as long:
        explained(intent_id)
    assert len(long) <= len(short) + 1  # payouts are looked for if there are lines


def test_a_name_is_looked_for_by_indexes(plain: Settling, owner_cursor: Any) -> None:
    plain.desk.pay(9_000)
    plain.read("\n".join(f"l{number} fee x{number} -1 0" for number in range(500)).encode())
    owner_cursor.execute("ANALYZE reconciliation_settlement_line")
    with CaptureQueriesContext(connection) as captured:
        payments_named("sop_stranger")
    owner_cursor.execute("SET enable_seqscan = off")
    for query in captured.captured_queries:
        owner_cursor.execute("EXPLAIN " + query["sql"])
        plan = "\n".join(row[0] for row in owner_cursor.fetchall())
        assert "Seq Scan" not in plan, query["sql"]
        if "sop_stranger" in query["sql"]:
            assert re.search(r"Index Cond: \([^\n]*'sop_stranger'", plan), plan
