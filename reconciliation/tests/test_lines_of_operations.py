"""Lines of charges and refunds: what nobody notified is found, the rest is known to the cent."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from payments.models import Case, Operation
from payments.services.operation_lines import account_for_operation_line
from payments.services.psp import reference_of
from payments.services.verification import differences
from payments.tests.shop import Shop, body_of
from reconciliation.models import SettlementLine
from reconciliation.services.lines import account_for_due_lines
from reconciliation.states import LineStatus
from reconciliation.tests.settling import Settling, make_due, money_rows, speak_plainly


def settle(settling: Settling) -> dict[str, SettlementLine]:
    """The PSP reports, and we take it in; the newest line of each kind."""
    settling.close()
    settling.take_in()
    return {line.kind: line for line in settling.lines()}


def operation_of(settling: Settling, intent_id: str, kind: str) -> Operation:
    [found] = [each for each in settling.shop.operations(intent_id) if each.kind == kind]
    return found


def calls(settling: Settling) -> int:
    return len(settling.shop.psp.calls(order_id=settling.shop.order_id))


def test_what_we_know_already_is_known_without_asking(settling: Settling) -> None:
    intent_id = body_of(settling.shop.create(9_000, manual=True))["id"]
    settling.shop.capture(intent_id, 7_000)
    settling.shop.refund(intent_id, 1_500)
    before, asked = money_rows(), calls(settling)
    lines = settle(settling)
    assert {kind: line.status for kind, line in lines.items()} == {
        "charge": LineStatus.KNOWN,
        "refund": LineStatus.KNOWN,
    }
    assert lines["charge"].operation == operation_of(settling, intent_id, "capture")
    assert lines["refund"].operation == operation_of(settling, intent_id, "refund")
    assert (money_rows(), calls(settling)) == (before, asked)


def test_a_sale_is_known_by_its_charge(settling: Settling) -> None:
    intent_id = settling.desk.pay(9_000)
    assert settle(settling)["charge"].operation == operation_of(settling, intent_id, "authorize")


def test_a_sale_whose_answer_was_lost_is_found_by_its_line(settling: Settling) -> None:
    settling.shop.psp.script({"drop_after": 1}, order_id=settling.shop.order_id, kind="authorize")
    intent_id = body_of(settling.shop.create(9_000))["id"]
    assert settling.shop.intent(intent_id).status == "PROCESSING"
    line = settle(settling)["charge"]
    assert line.status == LineStatus.KNOWN
    assert settling.shop.intent(intent_id).status == "CAPTURED"
    assert list(differences()) == []


def test_a_refund_made_in_the_dashboard_that_nobody_told_of_is_found_and_booked(
    settling: Settling,
) -> None:
    intent_id = settling.desk.pay(9_000)
    settling.shop.psp.act("refund", order_id=settling.shop.order_id, amount_minor=2_500)
    lines = settle(settling)
    refund = operation_of(settling, intent_id, "refund")
    assert refund.is_own_act
    assert (lines["refund"].status, lines["refund"].operation) == (LineStatus.KNOWN, refund)
    intent = settling.shop.intent(intent_id)
    assert (intent.status, intent.amount_refunded_minor) == ("PARTIALLY_REFUNDED", 2_500)
    assert list(differences()) == []


def test_a_refund_that_failed_late_and_silently_is_found_and_its_books_restored(
    settling: Settling,
) -> None:
    intent_id = settling.desk.pay(9_000)
    assert settling.shop.refund(intent_id, 2_500).status == 200
    assert settle(settling)["refund"].status == LineStatus.KNOWN
    refund = operation_of(settling, intent_id, "refund")
    settling.shop.psp.turn(reference_of(refund.id), "fail")
    lines = settle(settling)
    refund.refresh_from_db()
    assert refund.status == "TAKEN_BACK"
    assert lines["refund_failure"].operation == refund
    assert settling.shop.intent(intent_id).amount_refunded_minor == 0
    assert list(differences()) == []


def test_a_capture_that_was_taken_back_silently_is_found(settling: Settling) -> None:
    intent_id = settling.desk.pay(9_000)
    charge = operation_of(settling, intent_id, "authorize")
    settling.shop.psp.turn(reference_of(charge.id), "fail")
    lines = settle(settling)
    assert {kind: line.status for kind, line in lines.items()} == {
        "charge": LineStatus.KNOWN,
        "charge_failure": LineStatus.KNOWN,
    }
    charge.refresh_from_db()
    assert charge.status == "TAKEN_BACK"
    assert settling.shop.intent(intent_id).amount_captured_minor == 0
    assert [case.kind for case in Case.objects.all()] == ["taken_back"]
    assert list(differences()) == []


def test_what_failed_and_succeeded_again_is_known_once_the_provider_cannot_lag(
    settling: Settling,
) -> None:
    intent_id = settling.desk.pay(9_000)
    charge = operation_of(settling, intent_id, "authorize")
    settling.shop.psp.turn(reference_of(charge.id), "fail")
    settling.shop.psp.turn(reference_of(charge.id), "succeed")
    lines = settle(settling)
    failure = lines["charge_failure"]
    assert failure.status == LineStatus.FAILING, "its word may still be behind its report"
    line = replace(failure.told, occurred_at=failure.occurred_at - timedelta(hours=1))
    found = account_for_operation_line(
        account=settling.shop.account, line=line, named="a line", actor="test"
    )
    assert found == charge.id
    charge.refresh_from_db()
    assert charge.status == "SUCCEEDED"


@pytest.fixture
def plain(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> Settling:
    settling = Settling(shop)
    speak_plainly(shop, monkeypatch)
    return settling


@pytest.mark.parametrize("amount", ["8999", "9001"])
def test_a_line_of_another_amount_than_ours_is_a_case(plain: Settling, amount: str) -> None:
    intent_id = plain.desk.pay(9_000)
    charge = operation_of(plain, intent_id, "authorize")
    before = money_rows()
    plain.read(f"l1 charge {charge.psp_id} {amount} 0".encode())
    account_for_due_lines()
    [line] = plain.lines()
    assert line.status == LineStatus.DEAD
    [case] = Case.objects.all()
    assert (case.kind, case.operation_id) == ("contradiction", charge.id)
    assert "we say 90.00 USD" in case.summary
    assert money_rows() == before


def test_a_line_of_nothing_that_we_know_waits_and_becomes_a_case(
    plain: Settling, owner_cursor: Any
) -> None:
    before = money_rows()
    plain.read(b"l1 charge cap_stranger 100 0\nl2 refund ref_stranger -100 0")
    assert account_for_due_lines() == 2
    assert {line.status for line in plain.lines()} == {LineStatus.FAILING}
    assert Case.objects.count() == 0
    owner_cursor.execute(
        "UPDATE reconciliation_settlement_line SET give_up_at = now() - interval '1 hour'"
    )
    make_due()
    account_for_due_lines()
    assert {line.status for line in plain.lines()} == {LineStatus.DEAD}
    assert Case.objects.filter(summary__contains="no payment of ours at this account").count() == 2
    assert money_rows() == before


def test_a_line_of_another_account_finds_nothing_of_ours(plain: Settling, shop: Shop) -> None:
    from payments.tests.shop import open_shop

    stranger = Settling(open_shop(shop.psp))
    theirs = operation_of(stranger, stranger.desk.pay(9_000), "authorize")
    plain.read(f"l1 charge {theirs.psp_id} 9000 0".encode())
    account_for_due_lines()
    [line] = plain.lines()
    assert (line.status, line.operation_id) == (LineStatus.FAILING, None)
