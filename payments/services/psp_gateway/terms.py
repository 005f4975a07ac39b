"""The terms of a PSP account: what it charges, within which limits, at which cost.

PostgreSQL refuses the same forms (`psp_accounts_have_terms.sql`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from ledger.money import CURRENCY_EXPONENTS, Money
from payments.exceptions import AmountRefused, InvalidParameter, ProviderPaused
from payments.models import PaymentMethod, PspAccount
from payments.services.psp_gateway.agreed_fees import COMPONENTS
from payments.states import PspAccountStatus
from psp_adapters.contract.settlement_calendar import SettlementCalendar, calendar_with
from psp_adapters.registry import capabilities_of

_CURRENCY: Final = re.compile(r"[A-Z]{3}")
_METHOD: Final = re.compile(r"[a-z][a-z0-9_]{0,31}")
_COUNTRY: Final = re.compile(r"[A-Z]{2}")
_AMOUNT_MINOR_MAX: Final = 10**18 - 1
_BASIS_POINTS_MAX: Final = 10_000
_BOUNDS: Final = frozenset({"min_minor", "max_minor"})
_NAMES_OF_COST: Final = ("currency", "method", "brand", "component")
_COST: Final = frozenset({*_NAMES_OF_COST, "fixed_minor", "basis_points"})


def require_terms(account: PspAccount, *, method_types: Sequence[str]) -> None:
    """Refuse with ValueError terms that have not the form, or name what its PSP does not have."""
    for name, values, form in (
        ("methods", account.methods, _METHOD),
        ("currencies", account.currencies, _CURRENCY),
        ("countries", account.countries, _COUNTRY),
    ):
        if any(form.fullmatch(each) is None for each in values):
            raise ValueError(f"{name}: not all of {', '.join(values)} can be one")
    costs = account.costs
    require_limits(account.limits)
    require_costs(costs)
    calendar_with(SettlementCalendar(), account.settlement_calendar)
    for method in (*account.methods, *(each["method"] for each in costs if "method" in each)):
        if method not in method_types:
            raise ValueError(f"{account.psp} has no {method}: it has {', '.join(method_types)}")
    named = (each["currency"] for each in costs if "currency" in each)
    for currency in (*account.currencies, *account.limits, *named):
        if currency not in CURRENCY_EXPONENTS:
            raise ValueError(f"there is no currency {currency}")


def settlement_calendar_of(account: PspAccount) -> SettlementCalendar:
    """The account's settlement calendar: what its terms do not name is as its PSP usually is."""
    usual = capabilities_of(account.psp).settlement_calendar
    return calendar_with(usual, account.settlement_calendar)


def require_limits(given: Any) -> None:
    """Refuse with ValueError what is no table of limits."""
    hint = 'limits: write {"EUR": {"min_minor": 50, "max_minor": 500000}}'
    if not isinstance(given, Mapping):
        raise ValueError(hint)
    for currency, bounds in given.items():
        is_well_formed = (
            _CURRENCY.fullmatch(currency) is not None
            and isinstance(bounds, Mapping)
            and bounds.keys() <= _BOUNDS
            and all(_is_amount(each) for each in bounds.values())
        )
        if not is_well_formed:
            raise ValueError(hint)
        if bounds.get("min_minor", 0) > bounds.get("max_minor", _AMOUNT_MINOR_MAX):
            raise ValueError(f"limits: the least of {currency} is more than the greatest")


def require_costs(given: Any) -> None:
    """Refuse with ValueError what is no list of costs."""
    hint = (
        'costs: write [{"currency": "EUR", "method": "card", "fixed_minor": 25, '
        '"basis_points": 140}], perhaps with a brand and a component (markup, interchange or '
        "scheme_fee); a fixed part needs a currency"
    )
    if not isinstance(given, list) or not all(_is_cost(each) for each in given):
        raise ValueError(hint)
    named = [tuple(each.get(name, "") for name in _NAMES_OF_COST) for each in given]
    if len(set(named)) < len(named):
        raise ValueError("costs: two entries are for the same charges and component")


def _is_cost(given: Any) -> bool:
    if not isinstance(given, Mapping) or not given.keys() <= _COST:
        return False
    return (
        all(_is_amount(given.get(name, 0)) for name in ("fixed_minor", "basis_points"))
        and given.get("basis_points", 0) <= _BASIS_POINTS_MAX
        and ("currency" not in given or _is_name(given["currency"], _CURRENCY))
        and all(name not in given or _is_name(given[name], _METHOD) for name in ("method", "brand"))
        and ("component" not in given or given["component"] in COMPONENTS)
        and ("currency" in given or not given.get("fixed_minor", 0))
    )


def _is_amount(given: Any) -> bool:
    return type(given) is int and 0 <= given <= _AMOUNT_MINOR_MAX


def _is_name(given: Any, form: re.Pattern[str]) -> bool:
    return isinstance(given, str) and form.fullmatch(given) is not None


def require_not_closing(account: PspAccount) -> None:
    """Refuse with ProviderPaused a payment at an account that will never charge it."""
    if account.status == PspAccountStatus.CLOSING:
        raise ProviderPaused(
            "The payment provider account of this payment is being closed and takes no new "
            "charges. Nothing was charged. Create a new PaymentIntent; if that is refused too, ask "
            "the operator of this platform."
        )


def require_open(account: PspAccount) -> None:
    """Refuse with ProviderPaused a new charge at an account that takes none."""
    require_not_closing(account)
    if account.status != PspAccountStatus.ACTIVE:
        raise ProviderPaused(
            "The operator of this platform has paused the payment provider account of this "
            "payment. Nothing was charged. Please try the same request again later."
        )


def require_accepted(account: PspAccount, amount: Money) -> None:
    """Refuse an amount that the account does not charge; raises InvalidParameter, AmountRefused."""
    if account.currencies and amount.currency not in account.currencies:
        raise InvalidParameter(
            f"The payment provider of this account does not charge {amount.currency.lower()}. Use "
            f"{' or '.join(each.lower() for each in account.currencies)}.",
            param="currency",
            code="payment_provider_unsuitable",
        )
    bounds = account.limits.get(amount.currency, {})
    least, most = bounds.get("min_minor"), bounds.get("max_minor")
    if least is not None and amount.minor < least:
        least_amount = Money(least, amount.currency)
        raise AmountRefused(
            f"The payment provider of this account charges {least_amount} or more.",
            param="amount",
            code="amount_too_small",
        )
    if most is not None and amount.minor > most:
        most_amount = Money(most, amount.currency)
        raise AmountRefused(
            f"The payment provider of this account charges {most_amount} at most.",
            param="amount",
            code="amount_too_large",
        )


def require_method_accepted(account: PspAccount, method: PaymentMethod) -> None:
    """Refuse with InvalidParameter a type, or a country, that the account does not charge."""
    if account.methods and method.method_type not in account.methods:
        what = f"payments by {method.method_type}"
    elif method.country and account.countries and method.country not in account.countries:
        what = f"payment methods of {method.country}"
    else:
        return
    raise InvalidParameter(
        f"The payment provider of this account does not charge {what}. Ask the customer for "
        "another payment method.",
        param="payment_method",
        code="payment_provider_unsuitable",
    )


def method_types_of(account: PspAccount, method_types: Sequence[str]) -> list[str]:
    """The types of payment methods that an account charges, of those that its PSP has."""
    return [each for each in method_types if not account.methods or each in account.methods]
