"""Verification finds a refund that is not what was asked for and decided, however it came about."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from payments.services.verification.rebuild import differences
from payments.tests.approvals.approving import Waiting, lead
from payments.tests.support.shop import Shop
from payments.tests.verification.test_every_column import triggers_off

OTHER = "replace(content, subject, 're_other')"
TAMPERED = [
    ("payments_refund", "approval_id = gen_random_uuid()", "its request, does not exist"),
    ("payments_refund", "approval_id = gen_random_uuid()", "that it asks for does not exist"),
    ("payments_refund", "amount_minor = 1", "0.01 USD, its request is about 60.00 USD"),
    ("payments_refund", "livemode = true", "its request is of another merchant, mode or payment"),
    ("payments_refund", "status = 'canceled'", "canceled, and apr_"),
    (
        "payments_approval",
        f"subject = 're_other', content = {OTHER}, "
        f"digest = encode(sha256(convert_to({OTHER}, 'UTF8')), 'hex')",
        "its request is about re_other",
    ),
]


@pytest.mark.parametrize(("table", "change", "found"), TAMPERED)
def test_a_refund_that_waits_is_what_was_asked_for(
    shop: Shop, owner_cursor: psycopg.Cursor[Any], table: str, change: str, found: str
) -> None:
    Waiting(shop)
    assert list(differences()) == []
    with triggers_off(owner_cursor, table):
        owner_cursor.execute(f"UPDATE {table} SET {change}")  # type: ignore[call-overload]
    assert any(found in each for each in differences()), list(differences())


def test_a_refund_that_was_made_was_approved(shop: Shop, owner_cursor: psycopg.Cursor[Any]) -> None:
    waiting = Waiting(shop)
    lead("ada")
    waiting.approve()
    assert list(differences()) == []
    with triggers_off(owner_cursor, "payments_approval"):
        owner_cursor.execute("UPDATE payments_approval SET status = 'rejected'")
    [found] = differences()
    assert found.endswith(f"made, and {waiting.approval.public_id} is rejected")
