"""Compares the PSP's settlement report with what we recorded, to the minor unit. Pure.

I13: every line is ledger transactions of ours, and every chargeback is here, with its money where
the PSP has it. With everything settled, our balance at the PSP (1110) is the net of all lines, and
nothing is left that was captured or refunded and not settled (1100, 2200).
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
_OPEN: Final = frozenset({"needs_response", "under_review"})


def breaks_of(
    *,
    effects: Sequence[Row],
    lines: Sequence[Row],
    disputes_there: Sequence[Row],
    disputes_here: Sequence[Row],
    balances: Sequence[Row],
) -> Iterator[tuple[str, str]]:
    """Everything that is not explained: (order, what)."""
    moved = [effect for effect in effects if effect["kind"] in _GROSS]
    seen = Counter(line["identity"] for line in lines)
    by_identity = {line["identity"]: line for line in lines}
    for effect in moved:
        identity = f"sln_{effect['seq']}"
        what = f"{effect['kind']} {effect['id']} ({identity})"
        line = by_identity.get(identity)
        if line is None:
            yield effect["order_id"], f"no line reports {what}"
            continue
        if line["status"] != "matched":
            yield effect["order_id"], f"{what} is {line['status']}: {line['last_error'] or '-'}"
        if line["gross_minor"] != _GROSS[effect["kind"]] * effect["amount_minor"]:
            yield effect["order_id"], f"the line of {what} says {line['gross_minor']}"
    for identity in seen.keys() - {f"sln_{effect['seq']}" for effect in moved}:
        yield "", f"the line {identity} reports nothing that the PSP did"
    for identity, count in seen.items():
        if count > 1:
            yield "", f"the line {identity} is here {count} times"
    yield from _breaks_of_disputes(disputes_there, disputes_here)
    yield from _breaks_of_balances(lines, balances)


def _breaks_of_balances(lines: Sequence[Row], balances: Sequence[Row]) -> Iterator[tuple[str, str]]:
    nets: Counter[str] = Counter()
    for line in lines:
        nets[line["currency"]] += line["gross_minor"] - line["fee_minor"]
    booked = {(row["code"], row["currency"]): int(row["minor"]) for row in balances}
    for code, currency in sorted({*booked, *((1110, each) for each in nets)}):
        expected = nets[currency] if code == 1110 else 0
        if booked.get((code, currency), 0) != expected:
            found = booked.get((code, currency), 0)
            yield "", f"account {code} is {found} {currency}, by the report it is {expected}"


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
