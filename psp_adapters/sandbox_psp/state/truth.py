"""The simulator's state in memory, built by applying its journal; only `apply` changes it.

What may not live here: rules. What is allowed is decided before a record is made.
"""

from __future__ import annotations

import heapq
from typing import Any

from psp_adapters.sandbox_psp.state.batches import CONVERTED, Batches
from psp_adapters.sandbox_psp.state.disputes import apply_change, apply_effect, notice_of
from psp_adapters.sandbox_psp.state.movements import Movement, movement_of
from psp_adapters.sandbox_psp.state.notices import (
    Endpoint,
    Outbox,
    notice_of_setup,
    type_of_effect,
    types_on_creation,
    types_on_status_change,
)
from psp_adapters.sandbox_psp.state.records import (
    Account,
    Dispute,
    DueDispute,
    Effect,
    FieldToken,
    Operation,
    Payment,
    ProcessingFee,
    SettledIn,
    Setup,
    StoredAnswer,
)

Record = dict[str, Any]


class Truth:
    """Everything that ever happened at this PSP."""

    def __init__(self) -> None:
        self.accounts: dict[str, Account] = {}
        self.payments: dict[str, Payment] = {}
        self.disputes: dict[str, Dispute] = {}
        self.setups: dict[str, Setup] = {}
        self.effects: list[Effect] = []
        self.movements: list[Movement] = []
        self.batches = Batches()
        self.operation_count = 0
        self.clock_offset_ms = 0
        self.processing_fee = ProcessingFee()
        """Of each capture from now on."""
        self.outbox = Outbox()
        self.due: list[tuple[int, int, Payment, Operation | DueDispute | None]] = []
        """What happens at a set time; entries may be out of date and are checked when due."""
        self._due_count = 0
        self._happened: set[int] = set()
        self._unsaved: list[Record] = []

    def record(self, record: Record) -> None:
        """Apply a new record, and keep it for the journal."""
        self.apply(record)
        self._unsaved.append(record)

    def take_unsaved(self) -> list[Record]:
        """Take the records made since the last call, in order; the caller must journal them."""
        self.outbox.hand_in()
        unsaved, self._unsaved = self._unsaved, []
        return unsaved

    def take_due(self, now_ms: int) -> tuple[int, Payment, Operation | DueDispute | None] | None:
        """Take the next entry that is due. Returns None if none is.

        The taking is journaled: after a restart it does not happen again.
        """
        while self.due and self.due[0][0] <= now_ms:
            due_ms, number, payment, what = heapq.heappop(self.due)
            if number not in self._happened:
                self.record({"t": "happened", "number": number})
                return due_ms, payment, what
        return None

    def account(self, account_id: str) -> Account:
        account = self.accounts.get(account_id)
        if account is None:
            account = self.accounts[account_id] = Account(account_id)
        return account

    def apply(self, record: Record) -> None:
        """Change the state by one record of the journal."""
        match record["t"]:
            case "payment":
                self._apply_payment(record)
            case "history":
                self._apply_history(record)
            case "operation":
                self._apply_operation(record)
            case "status":
                self._apply_status(record)
            case "effect":
                self._apply_effect(record)
            case "due":
                payment = self.payments[record["payment"]]
                operation = payment.account.operations[record["operation"]]
                self._push_due(record["due"], payment, operation)
            case "happened":
                self._happened.add(record["number"])
            case "answer":
                self.account(record["account"]).answers[record["key"]] = StoredAnswer(
                    record["fingerprint"], record["status"], record["body"].encode(), record["at"]
                )
            case "dispute" | "dispute_change" | "dispute_effect" | "dispute_due":
                self._apply_dispute(record)
            case "setup":
                self._apply_setup(record)
            case "setup_status":
                self._set_setup_status(self.setups[record["id"]], record)
            case "settlement":
                self.batches.apply(record, self.effects, self.movements)
            case "report_defect":
                self.batches.add_defect(record)
            case "movement":
                movement = movement_of(record, seq=len(self.movements) + 1)
                self.movements.append(movement)
                if record.get("report"):
                    self.batches.add_payout(record["report"], movement)
            case "fence":
                self.account(record["account"]).fenced.add(record["reference"])
            case "field_origin":
                self.account(record["account"]).field_origins.add(record["origin"])
            case "field_token":
                self._apply_field_token(record)
            case "processing_fee":
                self.processing_fee = ProcessingFee(**record["fee"])
            case "settlement_currency":
                self.account(record["account"]).settled_in = {
                    currency: SettledIn(record["currency"], rate)
                    for currency, rate in record["rates"].items()
                }
            case "clock":
                self.clock_offset_ms = record["offset"]
            case "endpoint":
                self._apply_endpoint(record)
            case "told":
                self.outbox.open.pop(record["notice"], None)
            case other:
                raise ValueError(f"unknown journal record {other!r}")

    def _apply_endpoint(self, record: Record) -> None:
        account_id = record["account"]
        if record["url"]:
            self.outbox.endpoints[account_id] = Endpoint(record["url"], record["secret"])
        else:
            self.outbox.drop(account_id)

    def _apply_field_token(self, record: Record) -> None:
        token = FieldToken(
            id=record["id"],
            stands_for=record["stands_for"],
            exp_month=record["exp_month"],
            exp_year=record["exp_year"],
            made_ms=record["at"],
        )
        self.account(record["account"]).field_tokens[token.id] = token

    def _apply_history(self, record: Record) -> None:
        """A payment as it was left, with one operation: nothing is paid out or told again."""
        told: Record = {"reference": "", "order_id": "", "return_url": "", "metadata": {}}
        told |= {"amount": record["authorized"], "token": "pm_card_visa", "capture": False}
        payment = self._apply_payment({**told, **record})
        payment.authorized_minor = record["authorized"]
        payment.captured_minor = record["captured"]
        payment.refunded_minor = record["refunded"]
        payment.released_minor = record["released"]
        operation = Operation(
            id=payment.id.replace("spay", "sop", 1),
            seq=0,
            kind="authorize",
            reference="",
            payment=payment,
            amount_minor=payment.amount_minor,
            status="succeeded" if payment.amount_minor else "declined",
            code="",
            decline_code="",
            message="",
            final=True,
            at_ms=payment.created_ms,
        )
        payment.operations.append(operation)
        payment.account.operations[operation.id] = operation

    def _apply_payment(self, record: Record) -> Payment:
        account = self.account(record["account"])
        payment = Payment(
            id=record["id"],
            account=account,
            reference=record["reference"],
            order_id=record["order_id"],
            currency=record["currency"],
            amount_minor=record["amount"],
            token=record["token"],
            capture=record["capture"],
            return_url=record["return_url"],
            metadata=record["metadata"],
            created_ms=record["at"],
            expires_ms=record["expires"],
            save_for=record.get("save_for", ""),
            mandate=record.get("mandate", ""),
            field_token=record.get("spent", ""),
        )
        account.payments[payment.id] = payment
        self.payments[payment.id] = payment
        if payment.field_token:
            account.field_tokens[payment.field_token].spent = True
        return payment

    def _apply_setup(self, record: Record) -> None:
        account = self.account(record["account"])
        setup = Setup(
            id=record["id"],
            account=account,
            reference=record["reference"],
            token=record["token"],
            usage=record["usage"],
            return_url=record["return_url"],
            status="",
            code="",
            decline_code="",
            message="",
            at_ms=record["at"],
            field_token=record.get("spent", ""),
        )
        self.setups[setup.id] = account.setups[setup.id] = setup
        if setup.field_token:
            account.field_tokens[setup.field_token].spent = True
        self._set_setup_status(setup, record)

    def _set_setup_status(self, setup: Setup, record: Record) -> None:
        setup.status, setup.code = record["status"], record["code"]
        setup.decline_code, setup.message = record["decline_code"], record["message"]
        if setup.network_transaction_id:
            agreement = (setup.token, setup.usage)
            setup.account.agreements[setup.network_transaction_id] = agreement
            _keep(setup)
        if setup.status != "requires_action" and self.outbox.endpoints:
            self.outbox.put(notice_of_setup(setup, record["at"]))

    def _apply_operation(self, record: Record) -> None:
        payment = self.payments[record["payment"]]
        self.operation_count += 1
        operation = Operation(
            id=record["id"],
            seq=self.operation_count,
            kind=record["kind"],
            reference=record["reference"],
            payment=payment,
            amount_minor=record["amount"],
            status=record["status"],
            code=record["code"],
            decline_code=record["decline_code"],
            message=record["message"],
            final=record["final"],
            purchase=record.get("purchase"),
            at_ms=record["at"],
            due_ms=record["due"],
        )
        payment.operations.append(operation)
        account = payment.account
        account.operations[operation.id] = operation
        account.in_order.append(operation)
        if operation.reference:
            account.by_reference.setdefault(operation.reference, []).append(operation)
        if operation.due_ms:
            self._push_due(operation.due_ms, payment, operation)
        if self.outbox.endpoints:
            for type_ in types_on_creation(operation):
                self.outbox.add(type_, operation, operation.at_ms)

    def _apply_status(self, record: Record) -> None:
        operation = self.payments[record["payment"]].account.operations[record["operation"]]
        before, operation.status = operation.status, record["status"]
        operation.status_changes += 1
        operation.code = record["code"]
        operation.decline_code = record["decline_code"]
        operation.message = record["message"]
        if self.outbox.endpoints:
            for type_ in types_on_status_change(operation, before):
                self.outbox.add(type_, operation, record["at"])

    def _apply_effect(self, record: Record) -> None:
        payment = self.payments[record["payment"]]
        kind, amount = record["kind"], record["amount"]
        self._add_effect(record, payment, record["reference"])
        match kind:
            case "authorize":
                payment.authorized_minor += amount
                payment.network_transaction_id = payment.id.replace("spay_", "snt_", 1)
                if payment.save_for:
                    agreement = (payment.token, payment.save_for)
                    payment.account.agreements[payment.network_transaction_id] = agreement
                    _keep(payment)
                if not payment.capture:
                    self._push_due(payment.expires_ms, payment, None)
            case "increment":
                payment.authorized_minor += amount
            case "capture":
                payment.captured_minor += amount
                payment.released_minor += record["released"]
                payment.account.operations[record["id"]].released_minor = record["released"]
            case "void":
                payment.voided_minor += amount
            case "refund":
                payment.refunded_minor += amount
            case "refund_failed":
                payment.refunded_minor -= amount
            case "expire":
                payment.expired_minor += amount
                payment.expired_ms = record["at"]
            case "authorize_failed" | "increment_failed":
                payment.authorized_minor -= amount
            case "capture_failed":
                payment.captured_minor -= amount
                payment.released_minor -= record["released"]
            case "void_failed":
                payment.voided_minor -= amount
        if self.outbox.endpoints:
            operation = payment.account.operations[record["id"]]
            if type_ := type_of_effect(kind, operation):
                self.outbox.add(type_, operation, record["at"])

    def _add_effect(self, record: Record, payment: Payment, reference: str) -> None:
        self.effects.append(
            Effect(
                len(self.effects) + 1,
                record["kind"],
                record["id"],
                reference,
                payment,
                record["amount"],
                record["at"],
                record.get("released", 0),
                record.get("fee", 0),
                record.get("interchange", 0),
                record.get("scheme_fee", 0),
                payment.account.settled_in.get(payment.currency)
                if record["kind"] in CONVERTED
                else None,
            )
        )

    def _apply_dispute(self, record: Record) -> None:
        if record["t"] == "dispute_due":
            payment, due = self.payments[record["payment"]], DueDispute(**record["words"])
            payment.disputes_planned |= due.opens is not None
            self._push_due(record["due"], payment, due)
            return
        if record["t"] == "dispute":
            dispute, type_ = self._add_dispute(record), "dispute.created"
        elif record["t"] == "dispute_change":
            dispute = self.disputes[record["id"]]
            type_ = apply_change(dispute, record)
        else:
            dispute = self.disputes[record["id"]]
            type_ = apply_effect(dispute, record["kind"], record["amount"])
            self._add_effect(record, dispute.payment, dispute.payment.reference)
        if type_ and self.outbox.endpoints:
            self.outbox.put(notice_of(dispute, type_, record["at"]))

    def _add_dispute(self, record: Record) -> Dispute:
        payment = self.payments[record["payment"]]
        dispute = Dispute(
            id=record["id"],
            payment=payment,
            amount_minor=record["amount"],
            reason=record["reason"],
            inquiry=record["inquiry"],
            status=record["status"],
            at_ms=record["at"],
            due_ms=record["due"],
        )
        self.disputes[dispute.id] = payment.account.disputes[dispute.id] = dispute
        return dispute

    def _push_due(self, due_ms: int, payment: Payment, what: Operation | DueDispute | None) -> None:
        self._due_count += 1
        heapq.heappush(self.due, (due_ms, self._due_count, payment, what))


def _keep(charged: Payment | Setup) -> None:
    """Let the token of the card fields be charged again."""
    if charged.field_token:
        charged.account.field_tokens[charged.field_token].kept = True
