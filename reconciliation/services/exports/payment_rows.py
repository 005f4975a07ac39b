"""Exports of what merchants see: payments, refunds, disputes, balance transactions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from ledger.database.statements import stream
from payments import public_ids
from payments.selectors.balance_by_day import balance_transactions_of_days
from reconciliation.services.exports.declaration import (
    Chosen,
    Export,
    Limit,
    Period,
    Row,
    amounts,
    days,
    text,
    times,
)
from reconciliation.services.exports.names import AccountNames, ActorNames, encoded, mode

# Ids carry the time at which a row was made, so that days are ranges of the primary key.
_CHOSEN: Final = """
       x.id >= %(first_id)s::uuid AND x.id < %(end_id)s::uuid
       AND (%(merchant)s::uuid IS NULL OR x.merchant_id = %(merchant)s)
       AND (%(currency)s::text IS NULL OR x.currency = %(currency)s)
     ORDER BY x.id"""
_PAYMENTS: Final = f"""
    SELECT x.id, x.created_at, x.merchant_id, m.name, x.livemode, x.order_id, x.status,
           x.capture_method, x.currency, x.amount_minor, x.amount_authorized_minor,
           x.amount_held_minor, x.amount_captured_minor, x.amount_refunded_minor,
           x.amount_refund_pending_minor, x.amount_disputed_minor, x.amount_excess_minor,
           x.latest_charge_id, c.payment_method_details ->> 'type',
           c.payment_method_details -> 'card' ->> 'brand',
           c.payment_method_details -> 'card' ->> 'last4',
           p.code, x.psp_reference, x.customer_id, x.description, x.statement_descriptor,
           x.last_payment_error ->> 'code', x.canceled_at, x.cancellation_reason
      FROM payments_payment_intent x
      JOIN payments_merchant m ON m.id = x.merchant_id
      JOIN payments_psp_account p ON p.id = x.psp_account_id
      LEFT JOIN payments_operation c ON c.id = x.latest_charge_id
     WHERE {_CHOSEN}"""
_REFUNDS: Final = f"""
    SELECT x.id, x.created_at, x.merchant_id, m.name, x.livemode, x.intent_id, i.order_id,
           x.charge_id, x.currency, x.amount_minor, x.status, x.reason, x.failure_reason,
           x.description, p.code, o.psp_id, o.actor, g.requester, g.approver, g.decision_reason,
           x.updated_at
      FROM payments_refund x
      JOIN payments_merchant m ON m.id = x.merchant_id
      JOIN payments_payment_intent i ON i.id = x.intent_id
      LEFT JOIN payments_operation o ON o.id = x.operation_id
      LEFT JOIN payments_psp_account p ON p.id = o.psp_account_id
      LEFT JOIN payments_approval g ON g.id = x.approval_id
     WHERE {_CHOSEN}"""
_DISPUTES: Final = f"""
    SELECT x.id, x.created_at, x.opened_at, x.merchant_id, m.name, x.livemode, x.intent_id,
           i.order_id, x.charge_id, x.currency, x.amount_minor, x.fee_minor,
           x.fee_returned_minor, x.status, x.reason, x.network_reason_code, x.loss_policy,
           p.code, x.psp_dispute_id, x.evidence_due_by, x.submitted_at, x.closed_at
      FROM payments_dispute x
      JOIN payments_merchant m ON m.id = x.merchant_id
      JOIN payments_payment_intent i ON i.id = x.intent_id
      JOIN payments_psp_account p ON p.id = x.psp_account_id
     WHERE {_CHOSEN}"""


def _payments(chosen: Chosen) -> Iterator[Row]:
    for row in stream(_PAYMENTS, chosen.parameters):
        intent, created_at, merchant, name, livemode, *told = row
        *about, charge, method, brand, last4, account, reference, customer = told[:19]
        yield (
            *(encoded(public_ids.PAYMENT_INTENT, intent), created_at),
            *(encoded(public_ids.MERCHANT, merchant), name, mode(livemode), *about),
            *(encoded(public_ids.CHARGE, charge), method, brand, last4, account, reference),
            *(encoded(public_ids.CUSTOMER, customer), *told[19:]),
        )


def _refunds(chosen: Chosen) -> Iterator[Row]:
    actors = ActorNames()
    for row in stream(_REFUNDS, chosen.parameters):
        refund, created_at, merchant, name, livemode, intent, order_id, charge, *told = row
        *about, actor, requester, approver, decision, updated_at = told
        yield (
            *(encoded(public_ids.REFUND, refund), created_at),
            *(encoded(public_ids.MERCHANT, merchant), name, mode(livemode)),
            *(encoded(public_ids.PAYMENT_INTENT, intent), order_id),
            *(encoded(public_ids.CHARGE, charge), *about, actors.name_of(actor)),
            *(actors.name_of(requester), approver, decision, updated_at),
        )


def _disputes(chosen: Chosen) -> Iterator[Row]:
    for row in stream(_DISPUTES, chosen.parameters):
        dispute, created_at, opened_at, merchant, name, livemode, intent, order_id, *told = row
        yield (
            *(encoded(public_ids.DISPUTE, dispute), created_at, opened_at),
            *(encoded(public_ids.MERCHANT, merchant), name, mode(livemode)),
            *(encoded(public_ids.PAYMENT_INTENT, intent), order_id),
            *(encoded(public_ids.CHARGE, told[0]), *told[1:]),
        )


def _balance_transactions(chosen: Chosen) -> Iterator[Row]:
    names = AccountNames()
    found = balance_transactions_of_days(
        chosen.first, chosen.last, merchant_id=chosen.merchant_id, currency=chosen.currency
    )
    for dated in found:
        change = dated.change
        yield (
            *(encoded(public_ids.BALANCE_TRANSACTION, change.id), dated.effective_date),
            encoded(public_ids.MERCHANT, dated.merchant_id),
            *(names.merchants.get(dated.merchant_id), mode(dated.livemode)),
            *(change.type, change.reporting_category, change.source),
            *(encoded(public_ids.PAYMENT_INTENT, dated.payment_id), change.currency),
            *(change.gross_minor, change.fee_minor, change.gross_minor - change.fee_minor),
            *(change.available_on, "available" if change.available else "pending"),
        )


_BOTH: Final = frozenset({Limit.MERCHANT, Limit.CURRENCY})

PAYMENT_ROWS: Final = (
    Export(
        name="balance_transactions",
        what="each change of what a merchant is owed, as the merchant API shows it",
        period=Period.SPAN,
        columns=(
            *text("balance_transaction"),
            *days("effective_date"),
            *text("merchant", "merchant_name", "mode", "type", "reporting_category", "source"),
            *text("payment", "currency"),
            *amounts("amount", "fee", "net"),
            *days("available_on"),
            *text("status"),
        ),
        rows=_balance_transactions,
        limits=_BOTH,
    ),
    Export(
        name="payments",
        what="the payments that were made in these days, as they are now",
        period=Period.SPAN,
        columns=(
            *text("payment"),
            *times("created_at"),
            *text("merchant", "merchant_name", "mode", "order_id", "status", "capture_method"),
            *text("currency"),
            *amounts("amount", "authorized", "held", "captured", "refunded", "refund_pending"),
            *amounts("disputed", "excess"),
            *text("charge", "method", "card_brand", "card_last4", "psp_account", "psp_reference"),
            *text("customer", "description", "statement_descriptor", "last_error"),
            *times("canceled_at"),
            *text("cancellation_reason"),
        ),
        rows=_payments,
        limits=_BOTH,
    ),
    Export(
        name="refunds",
        what="the refunds that were made in these days, as they are now",
        period=Period.SPAN,
        columns=(
            *text("refund"),
            *times("created_at"),
            *text("merchant", "merchant_name", "mode", "payment", "order_id", "charge"),
            *text("currency"),
            *amounts("amount"),
            *text("status", "reason", "failure_reason", "description", "psp_account"),
            *text("psp_refund", "actor", "requested_by", "decided_by", "decision"),
            *times("updated_at"),
        ),
        rows=_refunds,
        limits=_BOTH,
    ),
    Export(
        name="disputes",
        what="the disputes that came in these days, as they are now",
        period=Period.SPAN,
        columns=(
            *text("dispute"),
            *times("created_at", "opened_at"),
            *text("merchant", "merchant_name", "mode", "payment", "order_id", "charge"),
            *text("currency"),
            *amounts("amount", "fee", "fee_returned"),
            *text("status", "reason", "network_reason_code", "borne_by", "psp_account"),
            *text("psp_dispute"),
            *times("evidence_due_by", "submitted_at", "closed_at"),
        ),
        rows=_disputes,
        limits=_BOTH,
    ),
)
"""Exports of payments and what became of them."""
