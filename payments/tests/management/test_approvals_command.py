"""`manage.py approvals`: a lead approves what support has asked for, and only within a limit."""

from __future__ import annotations

import json
from io import StringIO
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.core.management import call_command
from django.core.management.base import CommandError

from payments.models import ApprovalLimit
from payments.services.commands.operators.staff import make_superuser
from payments.tests.approvals.approving import Waiting, written
from payments.tests.support.factories import TESTS
from payments.tests.support.shop import Shop

LIMIT = (
    "--command",
    "refund_payment",
    "--currency",
    "USD",
    "--by",
    "staff:root",
    "--why",
    "agreed",
)


def approvals(*arguments: str) -> str:
    out = StringIO()
    call_command("approvals", *arguments, stdout=out)
    return out.getvalue()


def shown(*arguments: str) -> Any:
    return json.loads(approvals(*arguments, "--json"))


def merchant(*arguments: str) -> str:
    out = StringIO()
    call_command("merchant", *arguments, stdout=out)
    return out.getvalue()


def test_a_lead_approves_within_the_limit_of_the_role(shop: Shop) -> None:
    make_superuser(User.objects.create_user("root", is_staff=True), author=TESTS)
    group, _ = Group.objects.get_or_create(name="support lead")
    User.objects.create_user("ada", is_staff=True).groups.add(group)
    [limit] = shown(
        "limits", "--role", "support lead", "--amount-max-minor", "6000",
        "--merchant", shop.merchant.public_id, *LIMIT,
    )  # fmt: skip
    assert (limit["up to"], limit["merchant"]) == ("60.00 USD", shop.merchant.name)
    waiting = Waiting(shop)
    name = waiting.approval.public_id
    [listed] = shown("list")
    assert (listed["approval"], listed["amount"]) == (name, "60.00 USD")
    page = approvals("show", name)
    assert "debit 2100 merchant_payable 60.00 USD" in page
    decision = ("approve", name, "--why", "receipt seen", "--by")
    before = written()
    for by, because in (("ada", "is no staff user"), ("staff:eve", "no active staff user")):
        with pytest.raises(CommandError, match=because):
            approvals(*decision, by)
    assert written() == before
    done = shown(*decision, "staff:ada")
    assert (done["status"], done["decided by"]) == ("applied", "staff:ada")
    assert waiting.refund.status == "succeeded"
    assert shown("list") == []
    assert [row["status"] for row in shown("list", "--all")] == ["applied"]
    assert shown("limits", "--role", "support lead", "--remove", "--merchant",
                 shop.merchant.public_id, *LIMIT) == []  # fmt: skip
    assert not group.permissions.filter(codename="decide_approvals").exists()


def test_limits_are_set_by_who_may_and_are_whole_amounts(database: None) -> None:
    make_superuser(User.objects.create_user("root", is_staff=True), author=TESTS)
    User.objects.create_user("ada", is_staff=True)
    Group.objects.get_or_create(name="support lead")
    role = ("limits", "--role", "support lead", "--amount-max-minor")
    for arguments, because in (
        ((*role, "5.00", *LIMIT), "whole number"),
        (("limits", "--role", "no-such-role", "--amount-max-minor", "1", *LIMIT), "no such role"),
        ((*role, "1", *LIMIT[:4], "--by", "staff:ada", "--why", "mine"), "may not set limits"),
        ((*role, "1", *LIMIT[:4]), "give --command"),
    ):
        with pytest.raises(CommandError, match=because):
            approvals(*arguments)
    assert not ApprovalLimit.objects.exists()


def test_a_merchant_says_how_much_goes_back_without_a_second_person(shop: Shop) -> None:
    name = shop.merchant.public_id
    merchant("set", name, "--refund-approval-limits", '{"EUR": 50000}')
    shop.merchant.refresh_from_db()
    assert shop.merchant.refund_approval_limits == {"EUR": 50_000}
    for wrong in ("[]", "{", '{"EUR": 1.5}', '{"XXX": 1}'):
        with pytest.raises(CommandError, match="refund"):
            merchant("set", name, "--refund-approval-limits", wrong)
    shop.merchant.refresh_from_db()
    assert shop.merchant.refund_approval_limits == {"EUR": 50_000}
