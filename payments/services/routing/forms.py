"""The form of a routing rule: its conditions, and the accounts that it sends payments to.

PostgreSQL refuses the same forms (`routing_rules_have_a_form.sql`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from typing import Any, Final

from ledger.money import CURRENCY_EXPONENTS

AMOUNT_MINOR_MAX: Final = 10**18 - 1
ACCOUNTS_MAX: Final = 10
_WHOLE: Final = 100
_CURRENCY: Final = re.compile(r"[A-Z]{3}")
_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,31}")
_COUNTRY: Final = re.compile(r"[A-Z]{2}")
_ACCOUNT: Final = re.compile(r"[-a-zA-Z0-9_]{1,64}")
_BOUNDS: Final = ("min_minor", "max_minor")
_KEY_MAX: Final = 40
_VALUE_MAX: Final = 500


def require_conditions(given: Any) -> None:
    """Refuse with ValueError, which names the condition, what is no table of conditions."""
    if not isinstance(given, Mapping):
        raise ValueError('conditions: write {"currencies": ["EUR"]}, or {} for every payment')
    for name, value in given.items():
        check = _CONDITIONS.get(name)
        if check is None:
            raise ValueError(f"conditions: there is no {name}: use {', '.join(_CONDITIONS)}")
        check(value)


def _amount(given: Any) -> None:
    hint = 'conditions.amount: write {"currency": "EUR", "min_minor": 100, "max_minor": 9999}'
    if not isinstance(given, Mapping) or not given.keys() <= {"currency", *_BOUNDS}:
        raise ValueError(hint)
    bounds = [given[name] for name in _BOUNDS if name in given]
    if not bounds or not all(_is_amount(each) for each in bounds):
        raise ValueError(f"{hint}; one bound is enough")
    if not _is_name(given.get("currency"), _CURRENCY):
        raise ValueError(f"{hint}; an amount needs its currency")
    if bounds != sorted(bounds):
        raise ValueError("conditions.amount: min_minor is more than max_minor")


def _names(field: str, form: re.Pattern[str], example: str) -> Callable[[Any], None]:
    def check(given: Any) -> None:
        if not isinstance(given, list) or not given or not all(_is_name(n, form) for n in given):
            raise ValueError(f'conditions.{field}: write a list such as ["{example}"]')

    return check


def _metadata(given: Any) -> None:
    if (
        not isinstance(given, Mapping)
        or not given
        or not all(1 <= len(key) <= _KEY_MAX for key in given)
        or not all(isinstance(v, str) and 1 <= len(v) <= _VALUE_MAX for v in given.values())
    ):
        raise ValueError('conditions.metadata: write {"shop": "berlin"}, each value a text')


_CONDITIONS: Final[Mapping[str, Callable[[Any], None]]] = {
    "amount": _amount,
    "currencies": _names("currencies", _CURRENCY, "EUR"),
    "methods": _names("methods", _NAME, "card"),
    "brands": _names("brands", _NAME, "visa"),
    "countries": _names("countries", _COUNTRY, "DE"),
    "metadata": _metadata,
}


def require_targets(given: Any) -> None:
    """Refuse with ValueError what does not say to which accounts a rule sends payments."""
    if not isinstance(given, Mapping) or not given.keys() <= {"split", "fallback"}:
        raise ValueError(
            'targets: write {"split": [{"account": "stripe-eu", "share": 100}], "fallback": '
            '["adyen-eu"]}'
        )
    _require_split(given.get("split"))
    fallback = given.get("fallback", [])
    if not isinstance(fallback, list) or not all(_is_name(each, _ACCOUNT) for each in fallback):
        raise ValueError('targets.fallback: write a list of accounts, such as ["adyen-eu"]')
    if len(set(fallback)) < len(fallback):
        raise ValueError("targets.fallback: an account is named twice")
    if len(fallback) > ACCOUNTS_MAX:
        raise ValueError(f"targets.fallback: at most {ACCOUNTS_MAX} accounts")


def _require_split(given: Any) -> None:
    hint = 'targets.split: write [{"account": "stripe-eu", "share": 100}]'
    if not isinstance(given, list) or not 1 <= len(given) <= ACCOUNTS_MAX:
        raise ValueError(f"{hint}, with 1 to {ACCOUNTS_MAX} accounts")
    for each in given:
        if not isinstance(each, Mapping) or each.keys() != {"account", "share"}:
            raise ValueError(hint)
        if not _is_name(each["account"], _ACCOUNT):
            raise ValueError(f"{hint}: {each['account']!r} is no code of an account")
        if type(each["share"]) is not int or not 1 <= each["share"] <= _WHOLE:
            raise ValueError("targets.split: each share is a whole number from 1 to 100")
    if sum(each["share"] for each in given) != _WHOLE:
        raise ValueError(f"targets.split: the shares do not add up to {_WHOLE}")
    if len({each["account"] for each in given}) < len(given):
        raise ValueError("targets.split: an account is named twice")


def require_known(
    conditions: Mapping[str, Any], targets: Mapping[str, Any], *, accounts: Collection[str]
) -> None:
    """Refuse with ValueError a currency that does not exist, or an account not in `accounts`."""
    named = [*conditions.get("currencies", ())]
    named += [conditions["amount"]["currency"]] if "amount" in conditions else []
    for currency in named:
        if currency not in CURRENCY_EXPONENTS:
            raise ValueError(f"conditions: there is no currency {currency}")
    for code in account_codes(targets):
        if code not in accounts:
            raise ValueError(f"targets: there is no PSP account {code} in this mode")


def account_codes(targets: Mapping[str, Any]) -> list[str]:
    """Every account that well-formed targets name, once, in order."""
    split = [each["account"] for each in targets["split"]]
    return list(dict.fromkeys((*split, *targets.get("fallback", ()))))


def _is_amount(given: Any) -> bool:
    return type(given) is int and 0 <= given <= AMOUNT_MINOR_MAX


def _is_name(given: Any, form: re.Pattern[str]) -> bool:
    return isinstance(given, str) and form.fullmatch(given) is not None
