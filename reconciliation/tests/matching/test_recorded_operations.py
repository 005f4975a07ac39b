"""Lines matched together book what they book one by one; one that cannot be booked is left."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Any

import pytest
from django.db import transaction

from ledger import settlement_rules as rules
from ledger.exceptions import AlreadyPosted
from ledger.models import LedgerEntry
from ledger.money import Money
from ledger.posting_rules import Parties
from ledger.services import post
from payments.models import Operation
from payments.services.psp_gateway.references import reference_of
from payments.services.recovery.payment_sync import sync_operation
from payments.services.verification.rebuild import differences
from payments.tests.support.shop import Shop, body_of, open_shop
from paymentsite.tests.fixtures.matrix import examples
from reconciliation.models import SettlementLine
from reconciliation.services.matching import sweep as line_sweep
from reconciliation.services.matching.line_bookings import source_of
from reconciliation.services.matching.sweep import match_due_lines
from reconciliation.services.verification import line_differences
from reconciliation.states import LineStatus
from reconciliation.tests.support.settling import Settling, make_due, speak_plainly


def charge_of(settling: Settling, amount_minor: int) -> Operation:
    """A sale of a new order."""
    settling.shop.order_id += "x"
    [charge] = settling.shop.operations(settling.desk.pay(amount_minor))
    return charge


def report_of(settling: Settling) -> Iterator[str]:
    """Lines of every outcome, each but for its identity; they make the payments that they need."""
    shop = settling.shop

    def sale(amount_minor: int) -> Operation:
        return charge_of(settling, amount_minor)

    shop.order_id += "x"
    refunded_id = settling.desk.pay(7_000)
    shop.refund(refunded_id, 1_000)
    refunded, refund = shop.operations(refunded_id)
    shop.order_id += "x"
    held_id = body_of(shop.create(5_000, manual=True))["id"]
    shop.capture(held_id, 4_000)
    _, capture = shop.operations(held_id)
    shop.order_id += "x"
    paired_id = body_of(shop.create(5_000, manual=True))["id"]
    shop.capture(paired_id, 3_500)
    _, held = shop.operations(paired_id)
    failed, twice, parted, whole = sale(600), sale(300), sale(900), sale(700)
    shop.psp.revise(reference_of(failed.id), "fail")
    sync_operation(failed.id, actor="test")
    yield f"charge {sale(9_000).psp_id} 9000 151"
    yield f"charge {refunded.psp_id} 7000 0"
    yield f"refund {refund.psp_id} -1000 -25"
    yield f"charge {capture.psp_id} 4000 80"
    yield f"charge {failed.psp_id} 600 10"
    yield f"charge_failure {failed.psp_id} -600 -10"
    yield f"charge {sale(800).psp_id} 799 1"
    yield f"charge {sale(800).psp_id} 801 1"
    yield f"charge {parted.psp_id} 500 1"
    yield f"charge {parted.psp_id} 400 1"
    yield f"charge {whole.psp_id} 700 1"
    yield f"charge {whole.psp_id} 30 1"
    yield f"charge {held.psp_id} 5000 1"
    yield f"partial_capture_reversal {held.psp_id} -1500 0"
    yield f"charge {twice.psp_id} 300 1"
    yield f"charge {twice.psp_id} 300 1"
    yield f"charge {sale(200).psp_id} -200 0"
    yield "refund ref_stranger -40 0"
    yield "dispute sdp_stranger -100 0"
    yield "surprise x_1 0 100"
    yield "payout po_1 -3000 25"
    yield "payout_reversal po_1 3000 0"
    yield "risk_reserved_funds x_2 -50 3"
    yield "fee x_3 -70 0"
    yield "fee x_4 0 -5"
    yield "fee x_5 10 10"


def outcome_of(settling: Settling) -> dict[str, Any]:
    """By line: how it ended, and all that it booked; without ids of the shop."""
    operations = Operation.objects.filter(merchant=settling.shop.merchant).order_by("-id")
    amounts = {each.id: each.amount_minor for each in operations}
    payments = {each.intent_id: each.amount_minor for each in operations}
    return {
        line.identity: (
            (line.status, line.discrepancy, line.attempts, line.next_attempt_at is None),
            (amounts.get(line.operation_id), line.dispute_id, told(line.last_error)),
            sorted(
                (
                    *(entry.transaction.rule, entry.account.code, entry.direction),
                    *(entry.amount_minor, entry.currency, entry.entry_type),
                    *(str(entry.transaction.effective_date), entry.transaction.merchant_id),
                    payments.get(entry.payment_id),
                    entry.account.dimension == settling.shop.account.code,
                    entry.transaction.psp_account == settling.shop.account.code,
                )
                for entry in LedgerEntry.objects.select_related("transaction", "account").filter(
                    transaction__source_id=source_of(line.pk)
                )
            ),
        )
        for line in settling.lines()
    }


def told(error: str) -> str:
    """A reason without the ids in it, which differ from shop to shop."""
    return " ".join(each for each in error.split() if not each.startswith(("ch_", "op_")))


@pytest.mark.parametrize("seed", range(examples(1, whole=6)))
def test_lines_matched_together_book_what_they_book_one_by_one(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    together, alone = Settling(shop), Settling(open_shop(shop.psp))
    monkeypatch.setattr(line_sweep, "LINES_AT_ONCE", 5)
    monkeypatch.setattr(line_sweep, "SWEEP_SECONDS", 60.0)
    outcomes = []
    for settling in (together, alone):
        rows = [f"l{number:02} {row}" for number, row in enumerate(report_of(settling))]
        Random(seed).shuffle(rows)
        speak_plainly(settling.shop, monkeypatch)
        settling.read("\n".join(rows).encode())
        if settling is alone:
            monkeypatch.setattr(line_sweep, "_end_without_psp", lambda line_ids: line_ids)
        assert match_due_lines() == len(rows)
        outcomes.append(outcome_of(settling))
        SettlementLine.objects.filter(status=LineStatus.FAILING).update(
            next_attempt_at="2099-01-01T00:00:00Z"
        )
    assert outcomes[0] == outcomes[1]
    assert {ended[0] for ended, _, _ in outcomes[0].values()} == {"matched", "failing", "dead"}
    assert together.booked() == alone.booked()
    assert [*differences(), *line_differences()] == []


def test_a_line_that_cannot_be_booked_is_left_and_stops_no_other(
    settling: Settling, monkeypatch: pytest.MonkeyPatch
) -> None:
    charges = [charge_of(settling, 1_000) for _ in range(3)]
    speak_plainly(settling.shop, monkeypatch)
    rows = [f"l{n} charge {charge.psp_id} 1000 10" for n, charge in enumerate(charges)]
    settling.read("\n".join(rows).encode())
    booked = settling.lines()[1]
    book_by_hand(settling, booked)
    with pytest.raises(AlreadyPosted):
        match_due_lines()
    assert statuses(settling) == ["matched", "failing", "matched"]
    booked.refresh_from_db()
    assert (booked.discrepancy, booked.attempts) == ("ATTEMPT_FAILED", 1)
    make_due()
    assert match_due_lines() == 1, "it is not tried together with others again"
    assert statuses(settling) == ["matched", "failing", "matched"]
    assert settling.booked()[1110] == 2 * 990 + 1_000


def book_by_hand(settling: Settling, line: SettlementLine) -> None:
    """Book the gross of a line, as no software of ours does without matching it."""
    account = settling.shop.account.code
    parties = Parties(psp_account=account, merchant="")
    with transaction.atomic():
        post(
            [rules.charge_settled(parties, Money(line.gross_minor, line.currency))],
            source_type=rules.SOURCE,
            source_id=source_of(line.pk),
            payment_id=None,
            merchant_id=None,
            psp_account=account,
        )


def statuses(settling: Settling) -> list[LineStatus]:
    return [line.status for line in settling.lines()]


def test_nothing_of_lines_that_cannot_be_booked_together_is_written(
    settling: Settling, monkeypatch: pytest.MonkeyPatch
) -> None:
    charge = charge_of(settling, 1_000)
    speak_plainly(settling.shop, monkeypatch)
    settling.read(f"l1 charge {charge.psp_id} 1000 10".encode())
    before = settling.booked(), settling.lines()[0].next_attempt_at

    def crash(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(line_sweep, "execute", crash)
    with pytest.raises(KeyboardInterrupt):
        match_due_lines()
    monkeypatch.undo()
    assert (settling.booked(), settling.lines()[0].next_attempt_at) == before
    speak_plainly(settling.shop, monkeypatch)
    assert match_due_lines() == 1
    assert statuses(settling) == ["matched"]
