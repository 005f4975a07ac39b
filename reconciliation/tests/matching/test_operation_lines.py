"""Lines of charges and refunds: recorded operations match, others are found; all are booked."""

from __future__ import annotations

from typing import Any

import pytest

from payments.models import Case, Operation
from payments.services.psp_gateway.references import reference_of
from payments.services.recovery.payment_sync import sync_operation
from payments.services.verification.rebuild import differences
from payments.tests.support.shop import Shop, body_of
from payments.tests.verification.test_every_column import triggers_off
from reconciliation.models import SettlementLine
from reconciliation.services.matching.sweep import match_due_lines
from reconciliation.services.verification import line_differences
from reconciliation.states import LineStatus
from reconciliation.tests.support.settling import Settling, money_rows, speak_plainly


def settle(settling: Settling) -> dict[str, SettlementLine]:
    """Let the PSP report and match its lines. Returns the newest line of each kind."""
    settling.close()
    settling.take_in()
    return {line.kind: line for line in settling.lines()}


def operation_of(settling: Settling, intent_id: str, kind: str) -> Operation:
    [found] = [each for each in settling.shop.operations(intent_id) if each.kind == kind]
    return found


def calls(settling: Settling) -> int:
    return len(settling.shop.psp.calls(order_id=settling.shop.order_id))


def test_lines_of_recorded_operations_are_booked_without_a_look_up(settling: Settling) -> None:
    intent_id = body_of(settling.shop.create(9_000, manual=True))["id"]
    settling.shop.capture(intent_id, 7_000)
    settling.shop.refund(intent_id, 1_500)
    asked = calls(settling)
    lines = settle(settling)
    assert {kind: line.status for kind, line in lines.items()} == {
        "charge": LineStatus.MATCHED,
        "refund": LineStatus.MATCHED,
    }
    assert lines["charge"].operation == operation_of(settling, intent_id, "capture")
    assert lines["refund"].operation == operation_of(settling, intent_id, "refund")
    assert calls(settling) == asked
    assert settling.booked() == {1100: 0, 1110: 5_500, 2200: 0}
    assert_all_agrees()


def assert_all_agrees() -> None:
    assert [*differences(), *line_differences()] == []


def test_fees_are_booked_with_the_lines_that_say_them(plain: Settling) -> None:
    intent_id = plain.desk.pay(9_000)
    plain.shop.refund(intent_id, 1_000)
    charge, refund = plain.shop.operations(intent_id)
    plain.read(f"l1 charge {charge.psp_id} 9000 151\nl2 refund {refund.psp_id} -1000 -25".encode())
    match_due_lines()
    assert {line.status for line in plain.lines()} == {LineStatus.MATCHED}
    assert plain.booked() == {1100: 0, 1110: 9_000 - 151 - 1_000 + 25, 2200: 0, 5100: 126}
    assert_all_agrees()


def test_a_fee_is_booked_by_component_as_the_psp_states_it(settling: Settling) -> None:
    shares = {"interchange_basis_points": 30, "scheme_fee_basis_points": 9}
    fee = {"basis_points": 140, "fixed_minor": 25, **shares}
    settling.shop.psp.control("PUT", "processing_fee", fee)
    settling.desk.pay(10_000)
    settling.shop.psp.control("PUT", "processing_fee", {"basis_points": 0, "fixed_minor": 0})
    [line] = settle(settling).values()
    assert (line.status, line.fee_minor) == (LineStatus.MATCHED, 165)
    assert settling.booked() == {1100: 0, 1110: 9_835, 5100: 126, 5110: 30, 5120: 9}
    assert_all_agrees()


def test_components_that_are_not_the_fee_are_a_case_and_book_no_fee(settling: Settling) -> None:
    settling.desk.pay(10_000)
    settling.shop.psp.spoil_report(settling.api_key, "wrong_fee_parts")
    [line] = settle(settling).values()
    assert (line.status, line.discrepancy) == (LineStatus.DEAD, "MALFORMED_LINE")
    assert "the components of it are 0.01 USD together" in line.last_error
    assert settling.booked() == {1100: 10_000, 1110: 10_000, 1990: -10_000}
    assert_all_agrees()


def test_a_settled_capture_that_is_reversed_is_owed_to_the_psp_until_it_reports_that(
    settling: Settling,
) -> None:
    intent_id = settling.desk.pay(9_000)
    settle(settling)
    charge = operation_of(settling, intent_id, "authorize")
    revise(settling, charge, "fail")
    sync_operation(charge.id, actor="test")
    assert settling.booked() == {1100: -9_000, 1110: 9_000}
    assert_all_agrees()
    settle(settling)
    assert settling.booked() == {1100: 0, 1110: 0}
    assert_all_agrees()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (
            "UPDATE ledger_entry SET amount_minor = 1 WHERE entry_type = 'fee'",
            "should have booked 88.49 USD",
        ),
        ("UPDATE ledger_transaction SET source_id = gen_random_uuid()", "is of no settlement line"),
        ("UPDATE ledger_transaction SET payment_id = NULL", "for another payment"),
        ("UPDATE ledger_account SET code = 5110 WHERE code = 5100", "on other accounts"),
    ],
)
def test_bookings_of_a_line_that_were_changed_by_hand_are_named(
    plain: Settling, owner_cursor: Any, change: str, told: str
) -> None:
    [charge] = plain.shop.operations(plain.desk.pay(9_000))
    plain.read(f"l1 charge {charge.psp_id} 9000 151".encode())
    match_due_lines()
    assert_all_agrees()
    table = change.split()[1]
    which = "" if "WHERE" in change else " WHERE source_type = 'settlement_line'"
    with triggers_off(owner_cursor, table):
        owner_cursor.execute(change + which)
    assert any(told in each for each in line_differences())


def test_a_sales_line_is_matched_to_its_charge(settling: Settling) -> None:
    intent_id = settling.desk.pay(9_000)
    assert settle(settling)["charge"].operation == operation_of(settling, intent_id, "authorize")


def test_a_line_resolves_a_sale_whose_answer_was_lost(settling: Settling) -> None:
    settling.shop.psp.script({"drop_after": 1}, order_id=settling.shop.order_id, kind="authorize")
    intent_id = body_of(settling.shop.create(9_000))["id"]
    assert settling.shop.intent(intent_id).status == "PROCESSING"
    line = settle(settling)["charge"]
    assert line.status == LineStatus.MATCHED
    assert settling.shop.intent(intent_id).status == "CAPTURED"
    assert list(differences()) == []


def test_an_external_refund_without_notification_is_found_by_its_line_and_booked(
    settling: Settling,
) -> None:
    intent_id = settling.desk.pay(9_000)
    settling.shop.psp.act("refund", order_id=settling.shop.order_id, amount_minor=2_500)
    lines = settle(settling)
    refund = operation_of(settling, intent_id, "refund")
    assert refund.is_external
    assert (lines["refund"].status, lines["refund"].operation) == (LineStatus.MATCHED, refund)
    intent = settling.shop.intent(intent_id)
    assert (intent.status, intent.amount_refunded_minor) == ("PARTIALLY_REFUNDED", 2_500)
    assert list(differences()) == []


def test_a_refund_reversed_without_notification_is_found_by_its_line(
    settling: Settling,
) -> None:
    intent_id = settling.desk.pay(9_000)
    assert settling.shop.refund(intent_id, 2_500).status == 200
    assert settle(settling)["refund"].status == LineStatus.MATCHED
    refund = operation_of(settling, intent_id, "refund")
    settling.shop.psp.revise(reference_of(refund.id), "fail")
    lines = settle(settling)
    refund.refresh_from_db()
    assert refund.status == "REVERSED"
    assert lines["refund_failure"].operation == refund
    assert settling.shop.intent(intent_id).amount_refunded_minor == 0
    assert list(differences()) == []


def test_a_capture_reversed_without_notification_is_found_by_its_line(settling: Settling) -> None:
    intent_id = settling.desk.pay(9_000)
    charge = operation_of(settling, intent_id, "authorize")
    settling.shop.psp.revise(reference_of(charge.id), "fail")
    lines = settle(settling)
    assert {kind: line.status for kind, line in lines.items()} == {
        "charge": LineStatus.MATCHED,
        "charge_failure": LineStatus.MATCHED,
    }
    charge.refresh_from_db()
    assert charge.status == "REVERSED"
    assert settling.shop.intent(intent_id).amount_captured_minor == 0
    assert [case.kind for case in Case.objects.all()] == ["outcome_reversed"]
    assert list(differences()) == []


def revise(settling: Settling, operation: Operation, *to: str) -> None:
    """Change the operation's outcome at the PSP, without a notification."""
    for each in to:
        settling.shop.psp.revise(reference_of(operation.id), each)


def test_an_operation_reversed_and_reinstated_unnoticed_matches_all_its_lines(
    settling: Settling,
) -> None:
    intent_id = settling.desk.pay(9_000)
    charge = operation_of(settling, intent_id, "authorize")
    revise(settling, charge, "fail", "succeed")
    asked = calls(settling)
    settle(settling)
    assert [(line.kind, line.status) for line in settling.lines()] == [
        ("charge", LineStatus.MATCHED),
        ("charge_failure", LineStatus.MATCHED),
        ("charge", LineStatus.MATCHED),
    ]
    assert calls(settling) == asked, "our operation has that state already"
    assert settling.booked() == {1100: 0, 1110: 9_000}
    assert_all_agrees()


@pytest.mark.parametrize("kind", ["authorize", "refund"])
def test_a_line_has_the_reinstatement_of_a_reversed_operation_looked_up(
    settling: Settling, kind: str
) -> None:
    intent_id = settling.desk.pay(9_000)
    if kind == "refund":
        settling.shop.refund(intent_id, 9_000)
    operation = operation_of(settling, intent_id, kind)
    revise(settling, operation, "fail")
    sync_operation(operation.id, actor="test")
    operation.refresh_from_db()
    assert operation.status == "REVERSED"
    revise(settling, operation, "succeed")
    settle(settling)
    operation.refresh_from_db()
    assert operation.status == "SUCCEEDED"
    intent = settling.shop.intent(intent_id)
    assert intent.amount_captured_minor == 9_000
    assert intent.amount_refunded_minor == (9_000 if kind == "refund" else 0)
    assert {line.status for line in settling.lines()} == {LineStatus.MATCHED}
    assert list(differences()) == []


def test_a_failure_line_that_the_psp_does_not_confirm_becomes_a_case(
    plain: Settling, owner_cursor: Any
) -> None:
    charge = operation_of(plain, plain.desk.pay(9_000), "authorize")
    plain.read(
        f"l1 charge {charge.psp_id} 9000 0\nl2 charge_failure {charge.psp_id} -9000 0".encode()
    )
    match_due_lines()
    assert {line.status for line in plain.lines()} == {LineStatus.FAILING}
    grow_old(owner_cursor)
    match_due_lines()
    assert LineStatus.DEAD in {line.status for line in plain.lines()}
    assert "SUCCEEDED, by its lines 0.00 USD moved" in Case.objects.all()[0].summary


def test_two_lines_of_the_same_movement_do_not_match_one_operation(
    plain: Settling,
) -> None:
    intent_id = plain.desk.pay(9_000)
    plain.shop.refund(intent_id, 2_500)
    refund = operation_of(plain, intent_id, "refund")
    plain.read(f"l1 refund {refund.psp_id} -2500 0\nl2 refund {refund.psp_id} -2500 0".encode())
    match_due_lines()
    assert {line.status for line in plain.lines()} == {LineStatus.FAILING}
    assert "by its lines -50.00 USD moved" in plain.lines()[0].last_error


def test_a_charge_line_of_an_uncaptured_hold_does_not_match(plain: Settling) -> None:
    intent_id = body_of(plain.shop.create(9_000, manual=True))["id"]
    hold = operation_of(plain, intent_id, "authorize")
    plain.read(f"l1 charge {hold.psp_id} 9000 0".encode())
    match_due_lines()
    assert [line.status for line in plain.lines()] == [LineStatus.FAILING]


@pytest.mark.parametrize(
    ("kind", "gross_minor"),
    [("charge", -9_000), ("charge_failure", 9_000), ("refund", 9_000), ("refund_failure", -9_000)],
)
def test_a_line_in_the_wrong_direction_is_a_case(
    plain: Settling, kind: str, gross_minor: int
) -> None:
    intent_id = plain.desk.pay(9_000)
    plain.shop.refund(intent_id)
    operation = operation_of(plain, intent_id, "refund" if "refund" in kind else "authorize")
    plain.read(f"l1 {kind} {operation.psp_id} {gross_minor} 0".encode())
    match_due_lines()
    assert [line.status for line in plain.lines()] == [LineStatus.DEAD]
    assert f"a line of the kind {kind} about" in Case.objects.get().summary


def grow_old(owner_cursor: Any) -> None:
    owner_cursor.execute(
        "UPDATE reconciliation_settlement_line SET attempts = 9, next_attempt_at = now(), "
        "retrying_since = now() - interval '4 days' WHERE next_attempt_at IS NOT NULL"
    )


@pytest.fixture
def plain(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> Settling:
    settling = Settling(shop)
    speak_plainly(shop, monkeypatch)
    return settling


def test_a_line_of_more_than_our_amount_is_a_case(plain: Settling) -> None:
    intent_id = plain.desk.pay(9_000)
    charge = operation_of(plain, intent_id, "authorize")
    before = plain.booked()
    plain.read(f"l1 charge {charge.psp_id} 9001 0".encode())
    match_due_lines()
    [line] = plain.lines()
    assert line.status == LineStatus.DEAD
    [case] = Case.objects.all()
    assert (case.kind, case.intent_id) == ("contradiction", charge.intent_id)
    assert case.operation_id is None, "recovery of the charge goes on"
    assert f"{charge.public_id} is about 90.00 USD" in case.summary
    assert plain.booked() == before | {1110: 9_001, 1990: -9_001}


def test_a_line_of_an_unknown_operation_is_retried_and_becomes_a_case(
    plain: Settling, owner_cursor: Any
) -> None:
    before = money_rows()
    plain.read(b"l1 charge cap_stranger 100 0\nl2 refund ref_stranger -40 0")
    assert match_due_lines() == 2
    assert {line.status for line in plain.lines()} == {LineStatus.FAILING}
    assert money_rows() == before
    assert Case.objects.count() == 0
    grow_old(owner_cursor)
    match_due_lines()
    assert {line.status for line in plain.lines()} == {LineStatus.DEAD}
    assert Case.objects.filter(summary__contains="no payment of ours at this account").count() == 2
    assert plain.booked() == {1110: 60, 1990: -60}


def test_a_line_of_another_account_does_not_match_our_operation(
    plain: Settling, shop: Shop
) -> None:
    from payments.tests.support.shop import open_shop

    stranger = Settling(open_shop(shop.psp))
    theirs = operation_of(stranger, stranger.desk.pay(9_000), "authorize")
    plain.read(f"l1 charge {theirs.psp_id} 9000 0".encode())
    match_due_lines()
    [line] = plain.lines()
    assert (line.status, line.operation_id) == (LineStatus.FAILING, None)
