"""Applies journal records to a dispute, and makes the notices about it."""

from __future__ import annotations

from typing import Any, Final

import orjson

from psp_adapters.sandbox_psp.state.notices import Notice
from psp_adapters.sandbox_psp.state.records import Dispute, iso

INQUIRY_OPEN: Final = ("warning_needs_response", "warning_under_review")


CHARGEBACK_OPEN: Final = ("needs_response", "under_review")


OPEN: Final = (*INQUIRY_OPEN, *CHARGEBACK_OPEN)


def apply_change(dispute: Dispute, record: dict[str, Any]) -> str:
    """Apply a change of status to a dispute. Returns the type of its notice."""
    dispute.version += 1
    if "reference" in record:
        dispute.submissions.append({"reference": record["reference"], "stage": dispute.stage})
        dispute.evidence = record["evidence"]
    dispute.accepted_reference = record.get("accepted", dispute.accepted_reference)
    dispute.due_ms = record.get("due", dispute.due_ms)
    dispute.status = record["status"]
    return "dispute.updated" if dispute.status in OPEN else "dispute.closed"


def apply_effect(dispute: Dispute, kind: str, amount_minor: int) -> str:
    """Note money that moved for a dispute. Returns the type of its notice, or empty if none."""
    dispute.version += 1
    match kind:
        case "dispute":
            dispute.withdrawn = True
            return "dispute.funds_withdrawn"
        case "dispute_reversed":
            dispute.reinstated = True
            return "dispute.funds_reinstated"
        case "dispute_fee":
            dispute.fee_minor += amount_minor
        case "dispute_fee_returned":
            dispute.fee_returned_minor += amount_minor
    return ""


def notice_of(dispute: Dispute, type_: str, at_ms: int) -> Notice:
    """Make the notice of a change; the same bytes whenever it is made again."""
    payment = dispute.payment
    number = dispute.id.removeprefix("sdp_")
    identifier = f"sev_{number}_{type_.replace('.', '_')}_{dispute.version}"
    body = {
        "object": "notice",
        "id": identifier,
        "type": type_,
        "account": payment.account.id,
        "created_at": iso(at_ms),
        "data": {
            "payment_id": payment.id,
            "references": [payment.reference],
            "order_id": payment.order_id,
            "dispute": {
                "id": dispute.id,
                "status": dispute.status,
                "amount_minor": dispute.amount_minor,
                "currency": payment.currency,
            },
        },
    }
    return Notice(identifier, payment.account.id, orjson.dumps(body), at_ms)
