"""Every column of the rows that tell of money is compared, or is named as one that moves none."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import psycopg
import pytest
from django.apps import apps
from django.db import models
from psycopg import sql

from payments.services.verification.rebuild import differences
from payments.tests.support.dispute_desk import Desk
from payments.tests.support.shop import Shop, body_of

TABLES: Final = (
    "payments.Operation",
    "payments.Refund",
    "payments.PaymentIntent",
    "payments.Dispute",
    "ledger.LedgerTransaction",
    "ledger.LedgerEntry",
)
SHOWN: Final = "shown to people, and moves no money"
SENT: Final = "says what was sent to the PSP, which has answered"
TIMED: Final = "says when a worker looks at it again"
NAMED: Final = "names a row or a request, and moves no money"
SETTING: Final = "says how a later command acts; the books hold what was done"
DATED: Final = "an estimate for the merchant, fixed when it was booked"


def _because(reason: str, names: str) -> dict[str, str]:
    return dict.fromkeys(names.split(), reason)


CANNOT_MATTER: Final[dict[str, dict[str, str]]] = {
    "payments_payment_intent": {
        **_because(
            SHOWN,
            "amount_details automatic_payment_methods cancellation_reason canceled_at created_at "
            "customer_id description last_payment_error level3 "
            "metadata next_action_url order_id payment_method_id payment_method_types "
            "published_status receipt_email return_url shipping statement_descriptor "
            "statement_descriptor_suffix updated_at",
        ),
        **_because(SETTING, "capture_method payment_method_options setup_future_usage"),
        **_because(TIMED, "authorization_expires_at"),
        **_because(NAMED, "checkout_session_id client_secret event_seq idempotency_key"),
    },
    "payments_operation": {
        **_because(
            SHOWN,
            "actor cancellation_reason closed_at code created_at decline_code detail message "
            "payment_method_details payment_method_id redirect_url request_id requested_at "
            "status_before",
        ),
        **_because(
            SENT,
            "challenge_allowed final psp_key purchase_details resent_at fenced_at return_url token",
        ),
        **_because(TIMED, "checks lease_until next_check_at reversal_due_at"),
        **_because(
            NAMED, "idempotency_id latest_dispute_id mandate_id network_charge_id replaces_id"
        ),
        "psp_id": "a wrong one has a settlement line that nothing explains",
        "revisions": "counts late outcomes, so that each posts under a source of its own",
    },
    "payments_refund": _because(
        SHOWN, "created_at description failure_reason metadata reason updated_at"
    ),
    "payments_dispute": {
        **_because(
            SHOWN,
            "answered_stage began_as_inquiry created_at evidence evidence_due_by "
            "funds_withdrawn_at is_charge_refundable metadata network_reason_code opened_at reason "
            "submission_count submitted_at updated_at",
        ),
        **_because(TIMED, "next_reminder_at next_sync_at"),
        **_because(NAMED, "held_id psp_dispute_id"),
    },
    "ledger_transaction": {
        **_because(DATED, "available_on"),
        **_because(SHOWN, "effective_date posted_at psp_account"),
    },
}


def changed(field: models.Field[Any, Any]) -> sql.SQL:
    """An SQL expression that is another value of the column than the one that is there."""
    kind = field.get_internal_type()
    column = field.column
    if column == "status":
        return sql.SQL(OTHER_STATUS[field.model._meta.db_table])
    if kind in ("UUIDField", "ForeignKey", "OneToOneField"):
        return sql.SQL("gen_random_uuid()")
    if kind == "JSONField":
        return sql.SQL("""'{"changed": 1}'""")
    if kind == "BooleanField":
        return sql.SQL(f'NOT coalesce("{column}", false)')
    if kind == "DateTimeField":
        return sql.SQL(f"""coalesce("{column}", now()) + interval '1 day'""")
    if kind == "DateField":
        return sql.SQL(f'coalesce("{column}", current_date) + 1')
    if kind in ("CharField", "TextField", "StatusField"):
        return sql.SQL(OTHER_TEXT.get(column, f"""coalesce("{column}", '') || 'x'"""))
    if column == "xid":
        return sql.SQL("'1'::xid8")
    return sql.SQL(f'coalesce("{column}", 0) + 1')


OTHER_TEXT: Final = {
    "currency": "'CHF'",
    "direction": "CASE direction WHEN 'D' THEN 'C' ELSE 'D' END",
    "kind": "CASE kind WHEN 'capture' THEN 'void' ELSE 'capture' END",
}
OTHER_STATUS: Final = {
    "payments_operation": "CASE status WHEN 'DECLINED' THEN 'SUCCEEDED' ELSE 'DECLINED' END",
    "payments_refund": "CASE status WHEN 'failed' THEN 'succeeded' ELSE 'failed' END",
    "payments_payment_intent": "CASE status WHEN 'FAILED' THEN 'CAPTURED' ELSE 'FAILED' END",
    "payments_dispute": "CASE status WHEN 'won' THEN 'lost' ELSE 'won' END",
}


@contextmanager
def changed_by_hand(
    owner: psycopg.Cursor[Any], table: str, column: str, value: sql.SQL, identifiers: list[Any]
) -> Iterator[bool]:
    """Change one column of these rows with every trigger off, and put it back; False if refused."""
    names = {"table": sql.Identifier(table), "column": sql.Identifier(column)}
    read = sql.SQL("SELECT {column}, id FROM {table} WHERE id = ANY(%s)").format(**names)
    before = [
        (psycopg.types.json.Jsonb(old) if isinstance(old, dict | list) else old, identifier)
        for old, identifier in owner.execute(read, [identifiers]).fetchall()
    ]
    write = sql.SQL("UPDATE {table} SET {column} = ").format(**names)
    try:
        with triggers_off(owner, table):
            owner.execute(write + value + sql.SQL(" WHERE id = ANY(%s)"), [identifiers])
    except psycopg.errors.IntegrityError:
        yield False
        return
    try:
        yield True
    finally:
        with triggers_off(owner, table):
            owner.executemany(write + sql.SQL("%s WHERE id = %s"), before)


def is_seen(owner: psycopg.Cursor[Any], field: models.Field[Any, Any], rows: list[Any]) -> bool:
    """Whether another value is found in all rows at once; if PostgreSQL refuses that, in one."""
    table = field.model._meta.db_table
    with changed_by_hand(owner, table, field.column, changed(field), rows) as is_changed:
        if is_changed:
            return any(True for _ in differences())
    for row in rows:
        with changed_by_hand(owner, table, field.column, changed(field), [row]) as is_changed:
            if not is_changed or any(True for _ in differences()):
                return True
    return False


@contextmanager
def triggers_off(owner: psycopg.Cursor[Any], table: str) -> Iterator[None]:
    """No trigger of ours on the table fires meanwhile; afterwards each is as it was."""
    always = owner.execute(
        "SELECT tgname FROM pg_trigger WHERE tgrelid = %s::regclass AND tgenabled = 'A'", [table]
    ).fetchall()
    alter = sql.SQL("ALTER TABLE {} {} TRIGGER {}")
    name, every = sql.Identifier(table), sql.SQL("USER")
    owner.execute(alter.format(name, sql.SQL("DISABLE"), every))
    try:
        yield
    finally:
        owner.execute(alter.format(name, sql.SQL("ENABLE"), every))
        for (trigger,) in always:
            enabled = alter.format(name, sql.SQL("ENABLE ALWAYS"), sql.Identifier(trigger))
            owner.execute(enabled)


def lives(shop: Shop) -> None:
    """Payments with everything that moves money: parts, refunds, fees, a dispute."""
    shop.merchant.platform_fee_basis_points = 150
    shop.merchant.save(update_fields=["platform_fee_basis_points"])
    intent_id = body_of(shop.create(10_000, manual=True))["id"]
    shop.increment(intent_id, 12_000)
    shop.capture(intent_id, 4_000, final=False)
    shop.capture(intent_id, 6_000)
    shop.refund(intent_id, 3_000)
    shop.order_id += "-disputed"
    shop.create(25_000)
    Desk(shop).opened()
    assert list(differences()) == []


@pytest.mark.matrix(most=2)
@pytest.mark.parametrize("label", TABLES)
def test_every_column_is_compared_or_is_named_as_one_that_cannot_matter(
    shop: Shop, owner_cursor: psycopg.Cursor[Any], label: str
) -> None:
    lives(shop)
    model = apps.get_model(label)
    table = model._meta.db_table
    rows = list(model._default_manager.order_by("id").values_list("id", flat=True))
    unseen = set()
    for field in model._meta.concrete_fields:
        if field.primary_key:
            continue
        if not is_seen(owner_cursor, field, rows):
            unseen.add(field.column)
    named = set(CANNOT_MATTER.get(table, {}))
    assert unseen == named, f"unseen: {sorted(unseen - named)}; seen: {sorted(named - unseen)}"
    assert list(differences()) == []
