"""The control API's part that moves money of an account, and gives its files defects."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from psp_adapters.sandbox_psp.refusals import Refusal, invalid
from psp_adapters.sandbox_psp.rules.bank import STATEMENT_DEFECTS, bank_statements
from psp_adapters.sandbox_psp.rules.report_defects import DEFECTS
from psp_adapters.sandbox_psp.server.requests import account_of
from psp_adapters.sandbox_psp.server.simulator import Simulator
from psp_adapters.sandbox_psp.state.movements import Movement

TYPES: Final = ("fee", "risk_reserved_funds", "payout", "payout_reversal", "other_adjustment")
_KEYS: Final = frozenset({"api_key", "type", "currency", "gross_minor", "fee_minor"})
_CURRENCY: Final = re.compile(r"[A-Z]{3}")
_RATE: Final = re.compile(r"[0-9]{1,6}(\.[0-9]{1,10})?")
_AMOUNT_MOST: Final = 10**12


def move_money(simulator: Simulator, body: dict[str, Any]) -> dict[str, Any]:
    """Change the balance of an account, as the next report will say."""
    if not _KEYS - {"fee_minor"} <= set(body) <= _KEYS:
        raise invalid("a movement has api_key, type, currency, gross_minor and perhaps fee_minor")
    gross_minor, fee_minor = body["gross_minor"], body.get("fee_minor", 0)
    if body["type"] not in TYPES:
        raise invalid(f"type is one of {', '.join(TYPES)}")
    if not all(
        type(each) is int and abs(each) <= _AMOUNT_MOST for each in (gross_minor, fee_minor)
    ):
        raise invalid("gross_minor and fee_minor are integers")
    currency = str(body["currency"])
    if not (len(currency) == 3 and currency.isalpha() and currency.isupper()):
        raise invalid("currency is a code of three capital letters")
    account_id = _known_account(simulator, body["api_key"])
    movement = simulator.rules.settlement.move(
        account_id,
        type_=body["type"],
        currency=currency,
        gross_minor=gross_minor,
        fee_minor=fee_minor,
        now_ms=simulator.settle(),
    )
    return movement_view(movement)


def add_report_defect(simulator: Simulator, body: dict[str, Any]) -> dict[str, Any]:
    """Give the files of an account's next report, or of a closed one, a defect."""
    if not {"api_key", "defect"} <= set(body) <= {"api_key", "defect", "line", "report"}:
        raise invalid("a defect of a report has api_key, defect, and perhaps line and report")
    kind, line, report = body["defect"], body.get("line", 1), body.get("report", "")
    if kind not in DEFECTS:
        raise invalid(f"defect is one of {', '.join(DEFECTS)}")
    if type(line) is not int or line < 1 or not isinstance(report, str):
        raise invalid("line is a number from 1, report the name of a closed report")
    account_id = _known_account(simulator, body["api_key"])
    settlement = simulator.rules.settlement
    settlement.add_defect(account_id, kind=kind, line=line, report=report)
    return {"defect": kind, "line": line, "report": report}


def pay_out(simulator: Simulator, body: dict[str, Any]) -> list[dict[str, Any]]:
    """Pay out all that the closed reports of an account, or of each, say it has, by currency."""
    if not set(body) <= {"api_key"}:
        raise invalid("a payout has an api_key, or nothing for all accounts")
    one = [_known_account(simulator, body["api_key"])] if body else []
    now_ms = simulator.settle()
    return [
        movement_view(movement)
        for account_id in one or list(simulator.truth.accounts)
        for movement in simulator.rules.settlement.pay_out(account_id, now_ms=now_ms)
    ]


def write_bank_statements(simulator: Simulator, body: dict[str, Any]) -> list[dict[str, Any]]:
    """The statements of the bank that these accounts are paid out to, or that all are."""
    if not set(body) <= {"api_keys", "defect"} or not isinstance(body.get("api_keys", []), list):
        raise invalid("bank statements have api_keys and perhaps a defect, or nothing for all")
    defect = body.get("defect", "")
    if defect not in ("", *STATEMENT_DEFECTS):
        raise invalid(f"defect is one of {', '.join(STATEMENT_DEFECTS)}")
    wanted = {_known_account(simulator, each) for each in body.get("api_keys", ())}
    return bank_statements(
        [
            movement
            for movement in simulator.truth.movements
            if not wanted or movement.account_id in wanted
        ],
        defect=defect,
    )


def set_settlement_currency(simulator: Simulator, body: dict[str, Any]) -> dict[str, Any]:
    """Settle captures and refunds of these currencies in another one from now on."""
    if set(body) != {"api_key", "currency", "rates"} or not isinstance(body["rates"], dict):
        raise invalid("a settlement currency has api_key, currency and rates")
    currency, rates = body["currency"], body["rates"]
    if not all(_CURRENCY.fullmatch(str(each)) for each in (currency, *rates)) or currency in rates:
        raise invalid("currencies are codes of three capital letters, each converted into another")
    if not all(isinstance(each, str) and _RATE.fullmatch(each) for each in rates.values()):
        raise invalid("a rate is a text such as 0.92")
    account_id = _known_account(simulator, body["api_key"])
    record = {"account": account_id, "currency": currency, "rates": rates}
    simulator.truth.record({"t": "settlement_currency", **record})
    return {"currency": currency, "rates": rates}


OF_ACCOUNTS: Final[Mapping[str, Callable[[Simulator, dict[str, Any]], Any]]] = {
    "movements": move_money,
    "payouts": pay_out,
    "bank_statements": write_bank_statements,
    "report_defects": add_report_defect,
    "settlement_currency": set_settlement_currency,
}
"""What is posted, by its address below /control."""


def _known_account(simulator: Simulator, api_key: Any) -> str:
    account_id = account_of(str(api_key))
    if account_id not in simulator.truth.accounts:
        raise Refusal(404, "not_found", "no account of that key", code="account_unknown")
    return account_id


def movement_view(movement: Movement) -> dict[str, Any]:
    """One movement, as harnesses read it."""
    return {
        "seq": movement.seq,
        "id": movement.id,
        "type": movement.type,
        "currency": movement.currency,
        "gross_minor": movement.gross_minor,
        "fee_minor": movement.fee_minor,
    }
