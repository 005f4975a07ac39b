"""The sidebar of the console; it lists only tables that the user may view.

No badges that count: each would be a query on every page.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest
from django.urls import reverse_lazy


def sidebar(request: HttpRequest) -> list[dict[str, Any]]:
    """The groups with at least one table that this user may view."""
    groups = [
        _group(
            "Payments",
            _item("Payment intents", "payments", "credit_card", "paymentintent"),
            _item("Checkout sessions", "payments", "shopping_cart", "checkoutsession"),
            _item("Payment links", "payments", "link", "paymentlink"),
            _item("Operations", "payments", "sync_alt", "operation"),
            _item("Routing decisions", "payments", "alt_route", "routingdecision"),
            _item("Refunds", "payments", "undo", "refund"),
            _item("Disputes", "payments", "gavel", "dispute"),
            _item("Dispute responses", "payments", "outgoing_mail", "disputeresponse"),
            _item("Cases", "payments", "assignment_late", "case"),
            _item("Approvals", "payments", "approval", "approval"),
            _item("Deadlines", "payments", "timer", "deadline"),
        ),
        _group(
            "Customers",
            _item("Customers", "payments", "person", "customer"),
            _item("Payment methods", "payments", "wallet", "paymentmethod"),
            _item("Mandates", "payments", "contract", "mandate"),
            _item("Setup intents", "payments", "add_card", "setupintent"),
            _item("Setup attempts", "payments", "sync_alt", "setupattempt"),
        ),
        _books(),
        _settlement(),
        _group(
            "Events",
            _item("Events", "payments", "history", "event"),
            _item("Webhook endpoints", "payments", "webhook", "webhookendpoint"),
            _item("Deliveries", "payments", "outgoing_mail", "delivery"),
            _item("Delivery attempts", "payments", "receipt", "deliveryattempt"),
            _item("Outgoing queue", "payments", "outbox", "dispatch"),
            _item("PSP notifications", "payments", "move_to_inbox", "pspnotification"),
            _item("Idempotency keys", "payments", "fingerprint", "idempotencykey"),
            _item("Sweeps", "paymentsite", "autorenew", "sweeprun"),
        ),
        _group(
            "Stream",
            _item("Groups", "payments", "group_work", "streamgroup"),
            _item("Failed events", "payments", "report", "failedevent"),
            _item("Unnumbered events", "payments", "outbox", "unnumberedevent"),
            _item("Entries", "payments", "conveyor_belt", "streamentry"),
            _item("Card velocities", "payments", "speed", "cardvelocity"),
        ),
        _access(),
    ]
    return [
        group for group in groups if any(item["permission"](request) for item in group["items"])
    ]


def _books() -> dict[str, Any]:
    return _group(
        "Books",
        _item("Transactions", "ledger", "receipt_long", "ledgertransaction"),
        _item("Entries", "ledger", "format_list_bulleted", "ledgerentry"),
        _item("Accounts", "ledger", "account_balance", "ledgeraccount"),
        _item("Balance snapshots", "ledger", "photo_camera", "balancesnapshot"),
        _item("Availabilities", "ledger", "event_available", "availability"),
        _item("Merchant balances", "payments", "savings", "merchantbalance"),
        _item("Seals", "ledger", "verified_user", "seal"),
        _item("Periods", "ledger", "event_available", "period"),
        _item("Closes of the books", "reconciliation", "lock", "booksclose"),
        _item("Checks of the books", "payments", "fact_check", "bookscheck"),
    )


def _access() -> dict[str, Any]:
    return _group(
        "Access",
        _item("Merchants", "payments", "storefront", "merchant"),
        _item("API keys", "payments", "key", "apikey"),
        _item("PSP accounts", "payments", "hub", "pspaccount"),
        _item("Routing rules", "payments", "route", "routingrule"),
        _item("Audit entries", "payments", "manage_history", "auditentry"),
        _item("Service keys", "payments", "smart_toy", "servicekey"),
        _item("Staff", "auth", "badge", "user"),
        _item("Roles", "auth", "groups", "group"),
        _item("Approval limits", "payments", "price_check", "approvallimit"),
    )


def _settlement() -> dict[str, Any]:
    return _group(
        "Reconciliation",
        _item("Settlement reports", "reconciliation", "summarize", "settlementreport"),
        _item("Settlement lines", "reconciliation", "toc", "settlementline"),
        _item("Settlement matches", "reconciliation", "join_inner", "settlementmatch"),
        _item("Settlement shares", "reconciliation", "join_inner", "settlementshare"),
        _item("Line variances", "reconciliation", "difference", "linevariance"),
        _item("Payout sums", "reconciliation", "functions", "payoutsum"),
        _item("Missing settlements", "reconciliation", "event_busy", "missingsettlement"),
        _item("Settlement watches", "reconciliation", "visibility", "settlementwatch"),
        _item("Stated balances", "reconciliation", "scale", "statedbalance"),
        _item("Report fetches", "reconciliation", "cloud_download", "reportfetch"),
        _item("Look up budgets", "reconciliation", "speed", "lookupbudget"),
        _item("Bank statements", "reconciliation", "account_balance", "bankstatement"),
        _item("Bank lines", "reconciliation", "receipt_long", "bankline"),
        _item("Bank accounts", "reconciliation", "savings", "bankaccount"),
        _item("Bank statement files", "reconciliation", "draft", "bankstatementfile"),
        _item("Report chunks", "reconciliation", "draft", "reportchunk"),
        _item("Watched files", "reconciliation", "folder_open", "watchedfile"),
        _item("Staged lines", "reconciliation", "hourglass_empty", "stagedline"),
    )


def _group(title: str, *items: dict[str, Any]) -> dict[str, Any]:
    return {"title": title, "separator": True, "items": list(items)}


def _item(title: str, app: str, icon: str, model: str) -> dict[str, Any]:
    return {
        "title": title,
        "icon": icon,
        "link": reverse_lazy(f"admin:{app}_{model}_changelist"),
        "permission": _may_view(f"{app}.view_{model}"),
    }


def _may_view(permission: str) -> Callable[[HttpRequest], bool]:
    return lambda request: bool(request.user.has_perm(permission))
