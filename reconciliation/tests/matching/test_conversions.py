"""A charge or refund that the PSP settles in another currency is matched and booked in both."""

from __future__ import annotations

import io
from typing import Any

import pytest
from django.db import IntegrityError, transaction

from ledger.money import Money
from ledger.selectors import balances
from payments.clock import now_utc
from payments.models import Operation
from payments.services.psp_gateway.accounts import adapter_of
from payments.services.recovery.payment_sync import sync_operation
from payments.services.verification.rebuild import differences
from payments.tests.verification.test_every_column import triggers_off
from psp_adapters.contract.settlement_reports import Conversion
from reconciliation.models import LineVariance, SettlementLine
from reconciliation.services.explanation.explain import explain_payment
from reconciliation.services.matching.line_bookings import book_lines, to_book
from reconciliation.services.matching.line_variances import conversion_variances
from reconciliation.services.verification import line_differences
from reconciliation.states import LineStatus
from reconciliation.tests.matching.test_operation_lines import revise
from reconciliation.tests.support.settling import SETTLED_CODES, Settling, money_rows


@pytest.fixture
def converting(settling: Settling) -> Settling:
    """The PSP settles dollars in euros."""
    settling.desk.pay(1)
    settling.close()
    settling.take_in()
    settling.shop.psp.settle_in(settling.api_key, "EUR", USD="0.92")
    return settling


def booked(settling: Settling) -> dict[tuple[int, str], int]:
    """What settlement changed, but for the payment of 0.01 before."""
    found = balances(codes=(*SETTLED_CODES, 1900), dimension=settling.shop.account.code)
    sums = {(ref.code, ref.currency): money.minor for ref, money in found.items()}
    return {key: minor for key, minor in sums.items() if minor and key != (1110, "USD")}


def settle(settling: Settling) -> list[SettlementLine]:
    settling.close()
    settling.take_in()
    return settling.lines()


def assert_all_agrees() -> None:
    assert [*differences(), *line_differences()] == []


def test_a_charge_and_a_refund_are_booked_in_both_currencies_with_the_fee_in_that_of_the_balance(
    converting: Settling,
) -> None:
    psp = converting.shop.psp
    shares = {"interchange_basis_points": 30, "scheme_fee_basis_points": 9}
    psp.control("PUT", "processing_fee", {"basis_points": 140, "fixed_minor": 25, **shares})
    intent_id = converting.desk.pay(10_000, order_id="in-dollars")
    psp.control("PUT", "processing_fee", {"basis_points": 0, "fixed_minor": 0})
    converting.shop.refund(intent_id, 2_500)
    lines = settle(converting)
    assert {line.status for line in lines} == {LineStatus.MATCHED}
    charge = lines[1]
    assert (charge.gross, charge.fee) == (Money(9_200, "EUR"), Money(152, "EUR"))
    assert (charge.paid_minor, charge.paid_currency) == (10_000, "USD")
    assert booked(converting) == {
        (1900, "USD"): 7_500,
        (1900, "EUR"): -6_900,
        (1110, "EUR"): 6_748,
        (5100, "EUR"): 116,
        (5110, "EUR"): 28,
        (5120, "EUR"): 8,
    }
    assert not LineVariance.objects.exists()
    assert_all_agrees()
    operation = Operation.objects.get(pk=charge.operation_id)
    explained = explain_payment(operation.intent_id)
    told = [entry.text for entry in explained.timeline if entry.source == "settlement"]
    assert "charge 100.00 USD settled as 92.00 EUR, fee 1.52 EUR" in told[0]
    assert explained.is_explained


def test_a_converted_charge_that_is_reversed_leaves_no_position(converting: Settling) -> None:
    intent_id = converting.desk.pay(10_000, order_id="reversed")
    settle(converting)
    [charge] = converting.shop.operations(intent_id)
    revise(converting, charge, "fail")
    sync_operation(charge.id, actor="test")
    assert booked(converting) == {
        (1100, "USD"): -10_000,
        (1900, "USD"): 10_000,
        (1900, "EUR"): -9_200,
        (1110, "EUR"): 9_200,
    }
    settle(converting)
    assert booked(converting) == {}
    assert_all_agrees()


def test_postgresql_refuses_a_converted_line_that_is_booked_as_if_it_were_not(
    converting: Settling,
) -> None:
    [charge] = converting.shop.operations(converting.desk.pay(10_000, order_id="guarded"))
    name = converting.close()
    with io.BytesIO() as file:
        adapter = adapter_of(converting.shop.account)
        adapter.fetch_report(name, into=file, deadline_seconds=5)
        converting.read(file.getvalue(), name)
    [line] = converting.lines(status=LineStatus.OPEN)
    before = money_rows()
    as_it_is = to_book(line, payment_id=charge.intent_id)
    unconverted = as_it_is._replace(paid_currency=line.currency, paid_minor=line.gross_minor)
    for wrong in (unconverted, as_it_is._replace(paid_minor=9_999)):
        with pytest.raises(IntegrityError, match="line_differs_from_books"), transaction.atomic():
            book_lines([wrong])
            converting_to(line, charge)
    assert money_rows() == before
    with transaction.atomic():
        book_lines([as_it_is])
        converting_to(line, charge)
    assert_all_agrees()


def converting_to(line: SettlementLine, charge: Operation) -> None:
    """Mark the line as matched to the charge."""
    SettlementLine.objects.filter(pk=line.pk).update(
        status=LineStatus.MATCHED,
        operation_id=charge.pk,
        accounted_at=now_utc(),
        next_attempt_at=None,
    )


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE ledger_account SET code = 1300 WHERE code = 1900 AND currency = 'EUR'",
        "UPDATE ledger_account SET code = 1300 WHERE code = 1900 AND currency = 'USD'",
        "UPDATE ledger_account SET currency = 'GBP' WHERE code = 1900 AND currency = 'USD'",
    ],
)
def test_a_position_that_was_changed_by_hand_is_named(
    converting: Settling, owner_cursor: Any, change: str
) -> None:
    converting.desk.pay(10_000, order_id="changed")
    settle(converting)
    assert_all_agrees()
    with triggers_off(owner_cursor, "ledger_account"):
        owner_cursor.execute(change)
    assert any("on other accounts" in each for each in line_differences())


@pytest.mark.parametrize(
    ("paid", "rate", "settled", "expected"),
    [
        (Money(10_000, "USD"), "0.92", Money(9_200, "EUR"), None),
        (Money(10_000, "USD"), "0.92", Money(9_251, "EUR"), None),  # 0.925 is 0.92
        (Money(10_000, "USD"), "0.920000", Money(9_202, "EUR"), Money(9_200, "EUR")),
        (Money(-10_000, "USD"), "0.920000", Money(-9_198, "EUR"), Money(-9_200, "EUR")),
        (Money(10_000, "USD"), "151.2345", Money(15_123, "JPY"), None),
        (Money(10_000, "USD"), "151.2345", Money(15_125, "JPY"), Money(15_123, "JPY")),
        (Money(15_123, "JPY"), "0.006612", Money(10_000, "USD"), None),
        (Money(10_000, "USD"), "", Money(1, "EUR"), None),
    ],
)
def test_rounding_and_the_digits_of_the_rate_are_no_variance(
    paid: Money, rate: str, settled: Money, expected: Money | None
) -> None:
    found = list(conversion_variances(Conversion(paid=paid, rate=rate), settled))
    assert [each.agreed for each in found] == ([] if expected is None else [expected])
