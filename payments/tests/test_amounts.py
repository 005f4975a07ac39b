"""Every currency has a smallest and a largest payment."""

from __future__ import annotations

import pytest

from ledger.money import CURRENCY_EXPONENTS, Money
from payments.amounts import LARGEST_MINOR, check_amount_limits, maximum, minimum
from payments.exceptions import AmountRefused


@pytest.mark.parametrize("currency", sorted(CURRENCY_EXPONENTS))
def test_the_limits_themselves_are_allowed_and_one_beyond_is_not(currency: str) -> None:
    one = Money(1, currency)
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
