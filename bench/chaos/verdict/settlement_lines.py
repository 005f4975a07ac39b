"""Compares the PSP's settlement report with what we recorded, to the minor unit. Pure.

I13: every line is ledger transactions of ours, and every chargeback is here, with its money where
the PSP has it. With everything settled, our balance at the PSP (1110) is the net of all lines,
payouts (1120), reserves (1130) and fees (5100 to 5120, 5600) are what the PSP did, and nothing is
left that was captured or refunded and not settled (1100, 2200) or is unexplained (1990).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

Row = Mapping[str, Any]

# Kind of effect to the sign of its gross; fees have none.
_GROSS: Final = {
    "capture": 1,
    "capture_failed": -1,
    "refund": -1,
    "refund_failed": 1,
    "dispute": -1,
    "dispute_reversed": 1,
    "dispute_fee": 0,
    "dispute_fee_returned": 0,
}
_OF_ACCOUNT: Final = {"payout": 1120, "payout_reversal": 1120, "risk_reserved_funds": 1130}
"""Type of a movement to the account of its gross; that of any other is a fee."""
_OPEN: Final = frozenset({"needs_response", "under_review"})


def breaks_of(
    *,
    effects: Sequence[Row],
    movements: Sequence[Row],
    lines: Sequence[Row],
    disputes_there: Sequence[Row],
    disputes_here: Sequence[Row],
    balances: Sequence[Row],
) -> Iterator[tuple[str, str]]:
    """Everything that is not explained: (order, what)."""
    moved = [effect for effect in effects if effect["kind"] in _GROSS]
    told = {
        f"sln_{each['seq']}": (each, _GROSS[each["kind"]] * each["amount_minor"]) for each in moved
    }
    told |= {f"slm_{each['seq']}": (each, each["gross_minor"]) for each in movements}
    seen = Counter(line["identity"] for line in lines)
    by_identity = {line["identity"]: line for line in lines}
    for identity, (done, gross_minor) in told.items():
        order = done.get("order_id", "")
        what = f"{done.get('kind') or done['type']} {done['id']} ({identity})"
        line = by_identity.get(identity)
        if line is None:
            yield order, f"no line reports {what}"
            continue
        if line["status"] != "matched":
            yield order, f"{what} is {line['status']}: {line['last_error'] or '-'}"
        if line["gross_minor"] != gross_minor:
            yield order, f"the line of {what} says {line['gross_minor']}"
    for identity in seen.keys() - told.keys():
        yield "", f"the line {identity} reports nothing that the PSP did"
    for identity, count in seen.items():
        if count > 1:
            yield "", f"the line {identity} is here {count} times"
    yield from _breaks_of_disputes(disputes_there, disputes_here)
    expected = _expected_balances(moved=moved, movements=movements, lines=lines)
    yield from _breaks_of_balances(expected, balances)


def _expected_balances(
    *, moved: Sequence[Row], movements: Sequence[Row], lines: Sequence[Row]
) -> Counter[tuple[int, str]]:
    """Debits - credits by account and currency, once everything is settled."""
    expected: Counter[tuple[int, str]] = Counter()
    for line in lines:
        expected[1110, line["currency"]] += line["gross_minor"] - line["fee_minor"]
    for effect in moved:
        passed_on = {5110: effect["interchange_minor"], 5120: effect["scheme_fee_minor"]}
        for code, minor in passed_on.items():
            expected[code, effect["currency"]] += minor
        expected[5100, effect["currency"]] += effect["fee_minor"] - sum(passed_on.values())
    for movement in movements:
        currency = movement["currency"]
        expected[_OF_ACCOUNT.get(movement["type"], 5600), currency] -= movement["gross_minor"]
        expected[5600, currency] += movement["fee_minor"]
    return expected


def _breaks_of_balances(
    expected: Counter[tuple[int, str]], balances: Sequence[Row]
) -> Iterator[tuple[str, str]]:
    booked = {(row["code"], row["currency"]): int(row["minor"]) for row in balances}
    for code, currency in sorted({*booked, *expected}):
        found, wanted = booked.get((code, currency), 0), expected[code, currency]
        if found != wanted:
            yield "", f"account {code} is {found} {currency}, by the report it is {wanted}"


def _breaks_of_disputes(there: Sequence[Row], here: Sequence[Row]) -> Iterator[tuple[str, str]]:
    ours = {row["psp_dispute_id"]: row for row in here}
    for dispute in there:
        order, row = dispute["order_id"], ours.get(dispute["id"])
        if row is None:
            yield order, f"we know nothing of the dispute {dispute['id']}"
            continue
        if row["amount_minor"] != dispute["amount_minor"]:
            yield order, f"{dispute['id']} is about {row['amount_minor']} here"
        # A loss moves no money: if its notification was lost, the next sync finds it.
        missed_loss = dispute["status"] == "lost" and row["status"] in _OPEN
        if row["status"] != dispute["status"] and not missed_loss:
            yield order, f"{dispute['id']} is {dispute['status']}, here {row['status']}"
    for psp_dispute_id in ours.keys() - {dispute["id"] for dispute in there}:
        yield "", f"{psp_dispute_id} is no dispute of the PSP"
