"""What PostgreSQL itself refuses of approvals, also to the application's own login."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from ledger.money import Money
from payments.exceptions import OperationUnderWay
from payments.models import Merchant
from payments.models.approval import digest_of
from payments.services.verification.rebuild import differences
from payments.tests.approvals.approving import (
    Waiting,
    as_json,
    lead,
    make_overdue,
    need_approval_above,
    written,
)
from payments.tests.support.shop import Shop, body_of

DECIDE = (
    "UPDATE payments_approval SET status = 'approved', approver = %s, decided_at = now(), "
    "decision_reason = 'why'"
)
REJECT = DECIDE.replace("'approved'", "'rejected'")


@pytest.fixture
def waiting(shop: Shop) -> Waiting:
    return Waiting(shop)


def refuses(cursor: psycopg.Cursor[Any], name: str, statement: str, *values: Any) -> None:
    before = written()
    with pytest.raises(psycopg.Error, match=name):
        cursor.execute(statement, values)
        pytest.fail(f"not refused: {statement}")
    assert written() == before


def test_a_request_is_approved_by_another_person_who_may(
    waiting: Waiting, application_cursor: psycopg.Cursor[Any], owner_cursor: psycopg.Cursor[Any]
) -> None:
    refuses(application_cursor, "approver_is_not_the_requester", DECIDE, "test")
    refuses(application_cursor, "approver_may_not", DECIDE, "staff:eve")
    lead("junior", role="support", up_to_minor=5_999)
    refuses(application_cursor, "approver_may_not", DECIDE, "staff:junior")
    lead("ada")
    refuses(application_cursor, "approved_and_not_done", DECIDE, "staff:ada")
    refuses(application_cursor, "approver_may_not", REJECT, "job:approvals")
    refuses(application_cursor, "approver_is_not_the_requester", REJECT, "test")
    no_reason = REJECT.replace("'why'", "''")
    refuses(application_cursor, "decision_names_its_approver", no_reason, "staff:ada")
    refuses(application_cursor, "illegal_status", "UPDATE payments_approval SET status = 'applied'")
    make_overdue(waiting.approval)
    refuses(application_cursor, "approval_expired", DECIDE, "staff:ada")
    # Nor is a superuser of PostgreSQL exempt from a constraint.
    with owner_cursor.connection.transaction(force_rollback=True):
        owner_cursor.execute("ALTER TABLE payments_approval DISABLE TRIGGER USER")
        with pytest.raises(psycopg.Error, match="approver_is_not_the_requester"):
            owner_cursor.execute(DECIDE, ["test"])


def test_what_was_asked_for_does_not_change(
    waiting: Waiting, application_cursor: psycopg.Cursor[Any], owner_cursor: psycopg.Cursor[Any]
) -> None:
    content = waiting.approval.frozen
    more = as_json({**content, "amount_minor": 9_000})
    change = "UPDATE payments_approval SET content = %s, digest = %s, amount_minor = 9000"
    refuses(application_cursor, "permission denied", change, more, digest_of(more))
    refuses(owner_cursor, "permanent_column", change, more, digest_of(more))
    owner_cursor.execute("ALTER TABLE payments_approval DISABLE TRIGGER USER")
    try:
        for name, column, value in (
            ("approval_digest", "content", more),
            ("approval_is_of_its_content", "amount_minor", 9_000),
            ("approval_is_of_its_content", "requester", "staff:eve"),
        ):
            statement = f"UPDATE payments_approval SET {column} = %s"
            refuses(owner_cursor, name, statement, value)
    finally:
        owner_cursor.execute("ALTER TABLE payments_approval ENABLE TRIGGER USER")


def test_a_decision_does_not_change(
    waiting: Waiting, application_cursor: psycopg.Cursor[Any]
) -> None:
    lead("ada")
    waiting.reject()
    for column, value in (("approver", "staff:bob"), ("decision_reason", "x"), ("result", "x")):
        statement = f"UPDATE payments_approval SET {column} = %s"
        refuses(application_cursor, "decision_is_final", statement, value)
    refuses(application_cursor, "decision_is_final", DECIDE, "staff:ada")
    refuses(application_cursor, "permission denied", "DELETE FROM payments_approval")


def test_a_refund_gets_no_operation_without_approval(
    waiting: Waiting, application_cursor: psycopg.Cursor[Any], shop: Shop
) -> None:
    shop.order_id += "-other"
    other = body_of(shop.create(10_000))["id"]
    shop.refund(other, 5_000)
    [made] = shop.refunds(other)
    move = "UPDATE payments_refund SET operation_id = %s WHERE id = %s"
    refuses(application_cursor, "refund_not_approved", move, made.operation_id, waiting.refund.id)
    succeed = "UPDATE payments_refund SET status = 'succeeded' WHERE id = %s"
    refuses(application_cursor, "refund_without_operation_waits", succeed, waiting.refund.id)
    drop = "UPDATE payments_refund SET operation_id = NULL WHERE id = %s"
    refuses(application_cursor, "refund_of_other_operation", drop, made.id)
    assert list(differences()) == []


@pytest.mark.parametrize("amount_minor", [4_999, 5_000, 5_001])
def test_python_and_postgresql_say_the_same_of_the_limit(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, amount_minor: int
) -> None:
    """PostgreSQL alone is asked: so it is while a process knows the limit of before."""
    need_approval_above(shop, 5_000)
    intent_id = body_of(shop.create(10_000))["id"]
    needs = shop.merchant.needs_approval_to_refund(Money(amount_minor, "USD"))
    assert needs == (amount_minor > 5_000)
    monkeypatch.setattr(Merchant, "needs_approval_to_refund", lambda *_: False)
    before = written()
    if not needs:
        assert body_of(shop.refund(intent_id, amount_minor))["status"] == "succeeded"
        return
    with pytest.raises(OperationUnderWay, match="was changed just now"):
        shop.refund(intent_id, amount_minor)
    assert written() == before
    assert shop.effects("refund") == []


@pytest.mark.parametrize(
    "limits", ["[]", '{"EU": 1}', '{"EUR": -1}', '{"EUR": 1.5}', '{"EUR": "1"}', '{"EUR": null}']
)
def test_limits_of_a_merchant_are_amounts_by_currency(
    shop: Shop, application_cursor: psycopg.Cursor[Any], limits: str
) -> None:
    statement = "UPDATE payments_merchant SET refund_approval_limits = %s::jsonb WHERE id = %s"
    with pytest.raises(psycopg.Error, match="merchant_refund_approval_limits"):
        application_cursor.execute(statement, [limits, shop.merchant.id])
