"""The invariants, each a function from the final truth to its violations. Pure.

Numbered as in the design of the test.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from bench.chaos.load.history import Record
from bench.chaos.platform.psp_payments import MovedMoney, lasting, moved_by
from bench.chaos.verdict.accepted_changes import never_made
from bench.chaos.verdict.final_state import FinalState
from bench.chaos.verdict.reported_changes import unreported_changes
from bench.chaos.verdict.settlement_lines import breaks_of
from bench.chaos.verdict.shown_payments import (
    differences_of_amounts,
    differences_of_status,
    why_not_after,
)
from bench.chaos.verdict.webhook_deliveries import (
    problems_of,
    problems_of_notifications,
    unheard_changes,
)


@dataclass(frozen=True, slots=True)
class Violation:
    """One thing that must never be, and whose timeline to print."""

    invariant: str
    text: str
    order: str = ""
    intent: str = ""


class Evidence:
    """The truth, indexed once for all invariants."""

    def __init__(self, truth: FinalState) -> None:
        self.truth = truth
        self.operations = {row["reference"]: row for row in truth.operations}
        self.external = {row["psp_id"]: row for row in truth.operations if row["psp_id"]}
        self.effects = [each for each in truth.effects if not each["kind"].startswith("dispute")]
        """Those of disputes are no operation's: I13 speaks of these."""
        self.effects_of: dict[str, list[dict[str, Any]]] = defaultdict(list)
        """By the platform's reference, or the PSP's id if staff made it in the dashboard."""
        self.moved: dict[str, MovedMoney] = defaultdict(MovedMoney)
        self._intent_of: dict[str, str] = {}
        self.published = {
            (event["intent"], event["type"].removeprefix("payment_intent."))
            for event in truth.events
            if event["type"] in ("payment_intent.succeeded", "payment_intent.canceled")
        }
        """Payments and the final statuses that merchants were told of: late failures keep these."""
        for effect in self.effects:
            self.effects_of[effect["reference"] or effect["id"]].append(effect)
            operation = self.operation_of(effect)
            if operation is not None:
                self._intent_of.setdefault(effect["payment_id"], operation["intent"])
        for effect in self.effects:
            if self.intent_of(effect):
                self.moved[self.intent_of(effect)].add(effect)
        self.order_of = {row["intent"]: row["order_id"] for row in truth.operations}
        for record in truth.records:
            if record.seen.get("intent") and record.order:
                self.order_of.setdefault(record.seen["intent"], record.order)

    def operation_of(self, effect: dict[str, Any]) -> dict[str, Any] | None:
        """Ours, or the record of one that staff made in the PSP's dashboard."""
        return self.operations.get(effect["reference"]) or self.external.get(effect["id"])

    def intent_of(self, effect: dict[str, Any]) -> str:
        """The payment that the PSP's payment belongs to; empty if we do not know it."""
        return self._intent_of.get(effect["payment_id"], "")

    def about(self, invariant: str, text: str, intent: str) -> Violation:
        return Violation(invariant, text, order=self.order_of.get(intent, ""), intent=intent)


def one_live_charge_per_order(judged: Evidence) -> Iterator[Violation]:
    """I1: an order is charged again only after its former charge was given back, in PSP order."""
    payments: dict[str, dict[str, MovedMoney]] = defaultdict(dict)
    for effect in judged.effects:
        order, of_order = effect["order_id"], payments[effect["order_id"]]
        intent = judged.intent_of(effect) or f"unknown to us: {effect['reference']}"
        if effect["kind"] == "authorize":
            live = [each for each, moved in of_order.items() if moved.is_live]
            if live:
                text = f"order {order}: charged for {intent} while {live[0]} holds its money"
                yield Violation("I1", text, order=order, intent=intent)
        of_order.setdefault(intent, MovedMoney()).add(effect)


def no_acknowledged_write_lost(judged: Evidence) -> Iterator[Violation]:
    """I2: what was answered with 200 is there at the end, and so is what follows from it."""
    for record in judged.truth.records:
        if record.type != "ok" or record.verb == "list":
            continue
        refund = record.seen.get("refund")
        if refund:
            yield from _lost_refund(judged, record, refund)
        else:
            yield from _lost_intent(judged, record)


def _lost_refund(judged: Evidence, record: Record, refund: str) -> Iterator[Violation]:
    final = judged.truth.refunds.get(refund)
    if final is None:
        return  # could not be read: the verdict is unknown
    if not final:
        yield judged.about("I2", f"{refund} was answered and is gone", record.seen["intent"])
        return
    reference = judged.truth.refund_operations.get(refund, "")
    if moved_by(judged.effects_of[reference]).was_reversed:
        return  # It was made, and failed later.
    if record.seen["refund_status"] == "succeeded" != final["refund_status"]:
        text = f"{refund} was answered as succeeded, now it is {final['refund_status']}"
        yield judged.about("I2", text, record.seen["intent"])


def _lost_intent(judged: Evidence, record: Record) -> Iterator[Violation]:
    intent = record.seen["intent"]
    final = judged.truth.intents.get(intent)
    if final is None:
        return
    if not final:
        yield judged.about("I2", f"{intent} was answered and is gone", intent)
        return
    problem = why_not_after(record.seen, final)
    if problem and not judged.moved[intent].was_reversed:
        yield judged.about("I2", f"{intent} ends before an answer it gave: {problem}", intent)


def no_false_failure(judged: Evidence) -> Iterator[Violation]:
    """I3: what was called declined, failed or never sent has no effect at the PSP."""
    for record in judged.truth.records:
        charge = record.seen.get("charge")
        if record.status == 402 and charge:
            reference = f"op_{charge.removeprefix('ch_')}"
            if lasting(judged.effects_of[reference]):
                text = f"{charge} was answered as declined, the PSP has taken it"
                yield judged.about("I3", text, record.seen.get("intent", record.intent))
    for row in judged.truth.operations:
        refused = row["status"] in ("DECLINED", "NOT_SENT")
        if refused and lasting(judged.effects_of[row["reference"]]):
            text = f"{row['kind']} {row['reference']} is {row['status']}, the PSP has done it"
            yield judged.about("I3", text, row["intent"])


def every_unknown_outcome_ends(judged: Evidence) -> Iterator[Violation]:
    """I4: no operation is open when the time to converge is over."""
    for reference in judged.truth.still_open:
        row = judged.operations.get(reference)
        if row is not None:
            text = f"{row['kind']} {reference} is {row['status']} after {row['checks']} look-ups"
            yield judged.about("I4", text, row["intent"])


def payments_equal_the_psp(judged: Evidence) -> Iterator[Violation]:
    """I5: what a merchant is shown at the end is what the PSP did."""
    unheard = _unheard_payments(judged)
    for effect in judged.effects:
        if judged.operation_of(effect) is None and effect["payment_id"] not in unheard:
            text = f"the PSP has {effect['kind']} {effect['id']}, of which we know nothing"
            yield Violation("I5", text, order=effect["order_id"])
    excused = {judged.intent_of(e) for e in judged.effects if e["payment_id"] in unheard}
    open_intents = {
        judged.operations[each]["intent"]
        for each in judged.truth.still_open
        if each in judged.operations
    }
    for intent, final in judged.truth.intents.items():
        if not final or intent in open_intents:
            continue  # I2 and I4 speak of these
        moved = judged.moved[intent]
        for problem in differences_of_amounts(final, moved):
            yield judged.about("I5", f"{intent}: {problem}", intent)
        keeps = moved.was_reversed and (intent, final["status"]) in judged.published
        if intent in excused or keeps:
            continue
        for problem in differences_of_status(final, moved):
            yield judged.about("I5", f"{intent}: {problem}", intent)


def _unheard_payments(judged: Evidence) -> set[str]:
    """The PSP's payments of which staff changed the hold, and no notification reached us."""
    unheard = unheard_changes(
        judged.effects,
        notifications=judged.truth.notifications,
        recorded={row["psp_id"] for row in judged.truth.operations},
    )
    return {effect["payment_id"] for effect in unheard}


def the_books_hold(judged: Evidence) -> Iterator[Violation]:
    """I6: manage.py verify_ledger, as the application's role."""
    code, content = judged.truth.books
    if code:
        for line in content.splitlines()[:20] or [f"verify_ledger ended with {code}"]:
            intent = next((each for each in judged.order_of if each in line), "")
            yield judged.about("I6", line, intent)


def amounts_stay_in_bounds(judged: Evidence) -> Iterator[Violation]:
    """I7: captured <= authorized, refunded <= captured, and no operation has its effect twice."""
    for intent, moved in judged.moved.items():
        captured, refunded = moved.captured_minor, moved.refunded_minor
        if captured > moved.authorized_minor or refunded > captured:
            text = (
                f"{intent}: authorized {moved.authorized_minor}, captured {captured}, "
                f"refunded {refunded}"
            )
            yield judged.about("I7", text, intent)
    for reference, effects in judged.effects_of.items():
        kinds = [effect["kind"] for effect in effects]
        if any(count > 1 for kind, count in lasting(effects).items() if kind != "expire"):
            row = judged.operations.get(reference)
            text = f"{reference} has its effect twice: {', '.join(kinds)}"
            yield Violation("I7", text, effects[0]["order_id"], row["intent"] if row else "")


def one_answer_per_key(judged: Evidence) -> Iterator[Violation]:
    """I8: final answers of a key are the same bytes; a changed body is refused every time."""
    finals: dict[tuple[int, str], Record] = {}
    for record in judged.truth.records:
        if not record.key or record.type == "invoke":
            continue
        if record.verb == "changed":
            if record.type != "info" and record.seen.get("type") != "idempotency_error":
                text = f"key {record.key} with a changed body was answered {record.status}"
                yield Violation("I8", text, record.order, record.intent)
            continue
        name = (record.merchant, record.key)
        if record.status in (200, 402) or record.replayed:
            first = finals.setdefault(name, record)
            differs = (first.status, first.body_sha256) != (record.status, record.body_sha256)
        else:  # A refusal is not stored: it is wrong only after a final answer.
            first = finals.get(name, record)
            differs = record.type == "fail" and record.sent_at > first.at
        if differs:
            text = (
                f"key {record.key} was answered {first.status} {first.seen} and then "
                f"{record.status} {record.seen}"
            )
            yield Violation("I8", text, record.order, record.intent)


def one_psp_key_per_operation(judged: Evidence) -> Iterator[Violation]:
    """I9: every call for an operation carries its one key, and no key serves two operations."""
    keys: dict[str, set[str]] = defaultdict(set)
    references: dict[str, set[str]] = defaultdict(set)
    orders: dict[str, str] = {}
    for call in judged.truth.calls:
        if call["method"] == "POST" and call["idempotency_key"]:
            keys[call["reference"]].add(call["idempotency_key"])
            references[call["idempotency_key"]].add(call["reference"])
            orders[call["reference"]] = call["order_id"]
    for reference, found in keys.items():
        if len(found) > 1:
            text = f"{reference} was sent with {len(found)} keys"
            yield Violation("I9", text, orders[reference])
    for key, found in references.items():
        if len(found) > 1:
            text = f"the key {key} was sent for {len(found)} operations"
            yield Violation("I9", text, orders[next(iter(found))])


def events_arrive_in_order(judged: Evidence) -> Iterator[Violation]:
    """I10: events of a payment are numbered 1, 2, 3 …, and listening merchants received them."""
    yield from _gaps(judged)
    truth = judged.truth
    if truth.webhook_secrets:
        for problem in problems_of(
            truth.received,
            events=truth.events,
            events_read_at=truth.events_read_at,
            secrets=truth.webhook_secrets,
        ):
            yield judged.about("I10", problem.text, problem.intent)


def _gaps(judged: Evidence) -> Iterator[Violation]:
    last: dict[str, int] = defaultdict(int)
    for event in judged.truth.events:  # sorted by payment and number
        intent = event["intent"]
        if event["seq"] != last[intent] + 1:
            text = f"{intent}: event {event['seq']} follows {last[intent]}"
            yield judged.about("I10", text, intent)
        last[intent] = event["seq"]


def reads_go_forward(judged: Evidence) -> Iterator[Violation]:
    """I11: a client that reads a payment after an answer never sees it at an earlier point."""
    seen: dict[tuple[str, str], Record] = {}
    for record in sorted(judged.truth.records, key=lambda each: each.at):
        if record.type != "ok" or record.verb != "get":
            continue
        key = (record.client, record.seen["intent"])
        before = seen.get(key)
        if before is not None:
            problem = why_not_after(before.seen, record.seen)
            if problem and not judged.moved[key[1]].was_reversed:
                yield judged.about("I11", f"{record.client} read {key[1]}: {problem}", key[1])
        seen[key] = record


def every_change_is_reported(judged: Evidence) -> Iterator[Violation]:
    """I12: every change of a payment was reported by an event that names its actor."""
    for intent, text in unreported_changes(judged.truth.operations, judged.truth.events):
        yield judged.about("I12", f"{intent}: {text}", intent)


def notifications_are_taken_in(judged: Evidence) -> Iterator[Violation]:
    """M: unsigned notifications are not stored, and signed ones are processed."""
    for reference, text in problems_of_notifications(judged.truth.notifications):
        operation = judged.operations.get(reference)
        yield judged.about("M", text, operation["intent"] if operation else "")


def the_report_is_explained(judged: Evidence) -> Iterator[Violation]:
    """I13: every line of the PSP's report is booked, and every chargeback is here."""
    truth = judged.truth
    for order, text in breaks_of(
        effects=truth.effects,
        movements=truth.movements,
        lines=truth.lines,
        disputes_there=truth.disputes_at_psp,
        disputes_here=truth.disputes,
        balances=truth.balances,
    ):
        yield Violation("I13", text, order=order)


def what_was_accepted_is_made(judged: Evidence) -> Iterator[Violation]:
    """I16: a change or refund that was answered as processing or pending is made in the end."""
    held = {intent: moved.held_minor for intent, moved in judged.moved.items()}
    for intent, text in never_made(judged.truth, held=held):
        yield judged.about("I16", text, intent)


def nothing_breaks_unprovoked(judged: Evidence) -> Iterator[Violation]:
    """I15: no 5xx but 502, 503 and 504, and no process ends without a fault."""
    for record in judged.truth.records:
        if record.status == 500 or record.status > 504:
            text = f"{record.verb} with key {record.key or '-'} was answered {record.status}"
            yield Violation("I15", text, record.order, record.intent)
        elif record.status and not record.seen:
            text = f"{record.verb} was answered {record.status} with an unreadable body"
            yield Violation("I15", text, record.order, record.intent)
    for text in judged.truth.unprovoked_ends:
        yield Violation("I15", text)


Invariant = Callable[[Evidence], Iterator[Violation]]
INVARIANTS: Final[dict[str, tuple[str, Invariant]]] = {
    "I1": ("one live charge per order at the PSP", one_live_charge_per_order),
    "I2": ("no acknowledged write lost", no_acknowledged_write_lost),
    "I3": ("no false failure", no_false_failure),
    "I4": ("every unknown outcome ends in time", every_unknown_outcome_ends),
    "I5": ("payments = PSP truth", payments_equal_the_psp),
    "I6": ("the books hold (verify_ledger)", the_books_hold),
    "I7": ("amounts in bounds, one effect per operation", amounts_stay_in_bounds),
    "I8": ("one answer per key, byte for byte", one_answer_per_key),
    "I9": ("one PSP key per operation", one_psp_key_per_operation),
    "I10": ("events are 1, 2, 3 per payment, received too", events_arrive_in_order),
    "I11": ("reads go forward", reads_go_forward),
    "I12": ("every change is reported, with its actor", every_change_is_reported),
    "I13": ("the PSP's report is explained", the_report_is_explained),
    "M": ("notifications: none forged, none left", notifications_are_taken_in),
    "I15": ("nothing breaks without a fault", nothing_breaks_unprovoked),
    "I16": ("what was accepted is made", what_was_accepted_is_made),
}


def violations_of(truth: FinalState) -> dict[str, list[Violation]]:
    """What does not hold, by invariant; every invariant has its entry."""
    judged = Evidence(truth)
    return {name: list(check(judged)) for name, (_, check) in INVARIANTS.items()}
