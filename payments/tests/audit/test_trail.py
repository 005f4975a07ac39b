"""The audit trail has every act with its author, the refused ones too, and never loses one."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from django.db import transaction

from payments.models import Act, AuditEntry, Merchant
from payments.services.audit.authors import Author, UnknownAuthor, author_at_shell
from payments.services.audit.trail import AuditSubject, recorded
from payments.services.commands.operators.merchants import change_merchant
from payments.services.commands.operators.service_keys import create_service_key, revoke_service_key
from payments.services.commands.operators.staff import create_staff_user, set_enabled, set_roles
from payments.tests.support.factories import TESTS, staff
from payments.tests.support.shop import Shop

ABOUT = AuditSubject(label="something")


def test_an_act_says_who_what_before_and_after_when_from_where_and_why(shop: Shop) -> None:
    ada = staff("ada")
    author = Author(ada.name, "They pay more.", "console from 10.1.2.3", "req_1")
    change_merchant(shop.merchant, author=author, platform_fee_basis_points=150)
    entry = AuditEntry.objects.latest("id")
    assert (entry.act, entry.result, entry.actor) == ("merchant.change", "done", "staff:ada")
    assert (entry.staff.username, entry.merchant_id) == ("ada", shop.merchant.id)
    assert (entry.source, entry.request_id) == ("console from 10.1.2.3", "req_1")
    assert (entry.subject, entry.reason) == (shop.merchant.public_id, "They pay more.")
    assert entry.changes == {"platform_fee_basis_points": {"before": 0, "after": 150}}


@pytest.mark.parametrize("name", ["staff:eve", "service:importer", "ada", "api_key:x"])
def test_an_unknown_author_changes_nothing(shop: Shop, name: str) -> None:
    with pytest.raises(Exception, match=r"staff|service|actor_of_a_done_act_exists"):
        change_merchant(shop.merchant, author=Author(name), platform_fee_basis_points=150)
    assert Merchant.objects.get(pk=shop.merchant.pk).platform_fee_basis_points == 0
    assert not AuditEntry.objects.filter(result="done", act="merchant.change").exists()


def test_a_staff_user_who_is_disabled_acts_no_more(shop: Shop) -> None:
    user, _ = create_staff_user("bob", email="", roles=[], author=TESTS)
    bob = Author("staff:bob")
    set_roles(user, [], author=bob)
    set_enabled(user, is_active=False, author=TESTS)
    with pytest.raises(UnknownAuthor, match="no active staff user"):
        change_merchant(shop.merchant, author=bob, platform_fee_basis_points=150)
    assert Merchant.objects.get(pk=shop.merchant.pk).platform_fee_basis_points == 0
    refused = AuditEntry.objects.latest("id")
    assert (refused.actor, refused.result) == ("staff:bob", "refused")
    assert "no active staff user" in refused.refusal


def test_a_refusal_is_kept_although_the_act_is_rolled_back(shop: Shop) -> None:
    with pytest.raises(ValueError, match="other mode"):
        change_merchant(
            shop.merchant, author=staff("ada"), live_psp_account=shop.account, order_guard=False
        )
    entry = AuditEntry.objects.latest("id")
    assert (entry.result, entry.staff, entry.changes) == ("refused", None, {})
    assert "other mode" in entry.refusal


def test_an_act_in_steps_is_recorded_when_it_is_done(database: None) -> None:
    with recorded(Act.LINES_REQUEUE, staff("ada"), ABOUT) as changes:
        changes["lines"] = {"after": 7}
    assert AuditEntry.objects.latest("id").in_words == "lines: 7"
    with pytest.raises(ValueError, match="no such"), recorded(Act.LINES_REQUEUE, TESTS, ABOUT):
        raise ValueError("no such lines")
    assert AuditEntry.objects.latest("id").refusal == "no such lines"


def test_an_act_is_recorded_although_its_author_was_disabled_before_it_ended(
    database: None,
) -> None:
    user, _ = create_staff_user("bob", email="", roles=[], author=TESTS)
    with recorded(Act.LINES_REQUEUE, Author("staff:bob"), ABOUT) as changes:
        changes["lines"] = {"after": 7}
        set_enabled(user, is_active=False, author=TESTS)
    entry = AuditEntry.objects.get(act="settlement_line.requeue")
    assert (entry.result, entry.staff, entry.in_words) == ("done", user, "lines: 7")


def test_a_service_is_known_by_its_key_alone(database: None) -> None:
    key, secret = create_service_key("importer", author=TESTS)
    assert author_at_shell("", service_key=secret).name == "service:importer"
    with pytest.raises(UnknownAuthor, match="SERVICE_KEY"):
        author_at_shell("service:importer")
    with pytest.raises(UnknownAuthor, match="no valid key"):
        author_at_shell("", service_key=f"{secret}x")
    with recorded(Act.LINES_REQUEUE, Author("service:importer"), ABOUT):
        pass
    assert AuditEntry.objects.latest("id").service == key
    revoke_service_key(key, author=TESTS)
    with pytest.raises(UnknownAuthor, match="no valid key"):
        author_at_shell("", service_key=secret)
    stored = str(list(AuditEntry.objects.values()))
    assert secret not in stored


def test_without_a_name_a_command_is_the_act_of_the_login_of_the_server(database: None) -> None:
    author = author_at_shell("")
    assert author.name.startswith("shell:")
    assert author.source.startswith("command line of ")


def test_a_revoked_service_stays_revoked(database: None, owner_cursor: psycopg.Cursor[Any]) -> None:
    key, _ = create_service_key("importer", author=TESTS)
    with transaction.atomic():
        revoke_service_key(key, author=TESTS)
    with pytest.raises(psycopg.errors.CheckViolation, match="payments_service_stays_revoked"):
        owner_cursor.execute("UPDATE payments_service_key SET revoked_at = NULL")
