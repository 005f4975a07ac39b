"""Every currency has a smallest and a largest payment."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import pytest
from django.db import IntegrityError, transaction
from hypothesis import given
from hypothesis import strategies as st

from ledger.money import CURRENCY_EXPONENTS, Money, amount_step_minor
from payments.amounts import LARGEST_MINOR, check_amount_limits, maximum, minimum, platform_fee
from payments.exceptions import AmountRefused
from payments.models import PaymentIntent
from payments.services.callers.caller import Answer
from payments.services.verification.rebuild import differences
from payments.tests.support.dashboard import act, sync
from payments.tests.support.shop import Shop, body_of, uuid_of


@pytest.mark.parametrize("currency", sorted(CURRENCY_EXPONENTS))
def test_the_limits_themselves_are_allowed_and_one_beyond_is_not(currency: str) -> None:
    one = Money(amount_step_minor(currency), currency)
    check_amount_limits(minimum(currency))
    check_amount_limits(maximum(currency))
    with pytest.raises(AmountRefused) as refused:
        check_amount_limits(minimum(currency) - one)
    assert (refused.value.code, refused.value.param) == ("amount_too_small", "amount")
    with pytest.raises(AmountRefused) as refused:
        check_amount_limits(maximum(currency) + one, param="amount_to_capture")
    assert (refused.value.code, refused.value.param) == ("amount_too_large", "amount_to_capture")
    assert maximum(currency).minor <= LARGEST_MINOR


def test_refusals_show_the_limits_as_decimal_amounts() -> None:
    with pytest.raises(AmountRefused, match=r"at least 0\.50 USD"):
        check_amount_limits(Money(49, "USD"))
    with pytest.raises(AmountRefused, match="at least 50 JPY"):
        check_amount_limits(Money(49, "JPY"))
    with pytest.raises(AmountRefused, match=r"no more than 999999\.99 USD"):
        check_amount_limits(Money(100_000_000, "USD"))


@pytest.mark.parametrize(
    ("amount", "instead"),
    [
        (Money(505_050, "ISK"), "505000 or 505100"),
        (Money(101, "UGX"), "100 or 200"),
        (Money(5_124, "KWD"), "5120 or 5130"),
    ],
)
def test_a_fraction_that_cannot_be_paid_is_refused_with_what_to_write(
    amount: Money, instead: str
) -> None:
    with pytest.raises(AmountRefused, match=f"write {instead} instead") as refused:
        check_amount_limits(amount)
    assert refused.value.code == "invalid_charge_amount"


def test_postgresql_divides_every_currency_as_python_does(shop: Shop) -> None:
    intent_id = body_of(shop.create(10_000, confirm=False))["id"]
    row = PaymentIntent.objects.filter(pk=uuid_of(intent_id))
    for currency in sorted(CURRENCY_EXPONENTS):
        step_minor = amount_step_minor(currency)
        row.update(currency=currency, amount_minor=100 * step_minor)
        for extra_minor in {1, step_minor // 2, step_minor - 1} - {0, step_minor}:
            refused = pytest.raises(IntegrityError, match="payments_amount_not_divisible")
            with refused, transaction.atomic():
                row.update(amount_minor=100 * step_minor + extra_minor)
        row.update(amount_minor=101 * step_minor)
    assert shop.intent(intent_id).amount == Money(101, "ZMW")


def held_krona(shop: Shop) -> str:
    identifier: str = body_of(shop.create(500_000, currency="ISK", manual=True))["id"]
    return identifier


@pytest.mark.parametrize(
    ("amount", "param"),
    [
        (lambda shop, intent: shop.create(505_050, currency="ISK", order_id="other"), "amount"),
        (lambda shop, intent: shop.capture(intent, 250_050), "amount_to_capture"),
        (lambda shop, intent: shop.increment(intent, 500_050), "amount"),
    ],
    ids=["create", "capture", "increment"],
)
def test_every_command_refuses_half_a_krona(
    shop: Shop, amount: Callable[[Shop, str], Answer], param: str
) -> None:
    intent_id = held_krona(shop)
    before = shop.effects()
    with pytest.raises(AmountRefused) as refused:
        amount(shop, intent_id)
    assert (refused.value.code, refused.value.param) == ("invalid_charge_amount", param)
    assert shop.effects() == before
    assert len(shop.operations(intent_id)) == 1


def test_a_refund_refuses_half_a_krona(shop: Shop) -> None:
    intent_id = held_krona(shop)
    shop.capture(intent_id)
    with pytest.raises(AmountRefused, match="divisible by 100"):
        shop.refund(intent_id, 250_050)
    shop.refund(intent_id, 250_000)
    assert shop.intent(intent_id).amount_refunded_minor == 250_000


def test_the_psp_counts_whole_kronur_and_the_books_hundredths(shop: Shop) -> None:
    """500000 on the merchant API is 5,000 kr, everywhere."""
    shop.merchant.platform_fee_basis_points = 155
    shop.merchant.save(update_fields=["platform_fee_basis_points"])
    intent_id = held_krona(shop)
    shop.capture(intent_id)
    assert [effect["amount_minor"] for effect in shop.effects()] == [5_000, 5_000]
    intent, capture = shop.intent(intent_id), shop.operations(intent_id)[-1]
    assert str(intent.amount) == "5000.00 ISK"
    assert intent.amount_captured_minor == 500_000
    assert capture.platform_fee_minor == 7_700, "77.5 kr, rounded down to whole ones"


@given(
    currency=st.sampled_from(["USD", "JPY", "KWD", "ISK"]),
    parts=st.lists(st.integers(1, 5_000), min_size=1, max_size=12),
    basis_points=st.integers(0, 10_000),
)
def test_the_fees_of_captures_are_the_fee_of_their_sum(
    currency: str, parts: list[int], basis_points: int
) -> None:
    step_minor, before, fees = amount_step_minor(currency), Money(0, currency), Money(0, currency)
    for part in parts:
        amount = Money(part * step_minor, currency)
        fee = platform_fee(before, amount, basis_points=basis_points)
        assert Money(0, currency) <= fee <= amount
        assert fee.minor % step_minor == 0
        before, fees = before + amount, fees + fee
    assert fees == platform_fee(Money(0, currency), before, basis_points=basis_points)
    exact = Fraction(before.minor * basis_points, 10_000)
    assert 0 <= exact - fees.minor < step_minor


def test_many_small_captures_cost_as_much_as_one(shop: Shop) -> None:
    shop.merchant.platform_fee_basis_points = 150
    shop.merchant.save(update_fields=["platform_fee_basis_points"])
    intent_id = body_of(shop.create(1_000, manual=True))["id"]
    for _ in range(3):
        shop.capture(intent_id, 60, final=False)
    shop.capture(intent_id, 820)
    captures = [each for each in shop.operations(intent_id) if each.kind == "capture"]
    assert [each.platform_fee_minor for each in captures] == [0, 1, 1, 13]
    assert list(differences()) == []


def test_what_the_psp_raised_by_a_fraction_is_booked_all_the_same(shop: Shop) -> None:
    intent_id = body_of(shop.create(10_000, currency="KWD", manual=True))["id"]
    act(shop, "increment", 5)
    sync(shop, intent_id)
    assert shop.intent(intent_id).amount_held_minor == 10_005
    assert list(differences()) == []
    act(shop, "capture", 7_003, final=False)
    sync(shop, intent_id)
    shop.capture(intent_id, 3_002)  # All that is left, though no merchant could ask for it.
    assert shop.intent(intent_id).amount_captured_minor == 10_005
    shop.refund(intent_id, 10_005)
    assert shop.intent(intent_id).amount_refunded_minor == 10_005
    assert list(differences()) == []
