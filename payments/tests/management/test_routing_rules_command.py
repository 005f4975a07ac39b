"""`manage.py routing_rules`: rules in order, mistakes that name the field, and the dry run."""

from __future__ import annotations

import io
import json
import sys
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from ledger.money import Money
from payments.clock import now_utc
from payments.models import (
    Customer,
    Merchant,
    Operation,
    PaymentMethod,
    PspAccount,
    RoutingDecision,
    RoutingRule,
)
from payments.services.psp_gateway import accounts
from payments.services.routing import dry_run
from payments.services.routing.rules import rule_of
from payments.tests.support.factories import PspAccountFactory, staff
from payments.tests.support.shop import Shop, another_account, body_of

pytestmark = pytest.mark.usefixtures("database")

READS = ("list", "show", "dry-run", "history")


@pytest.fixture(autouse=True)
def staff_users(database: None) -> None:
    for name in ("ada", "bea"):
        staff(name)


def run(*arguments: str) -> str:
    out = StringIO()
    by = () if arguments[0] in READS or "--by" in arguments else ("--by", "staff:ada")
    call_command("routing_rules", *arguments, *by, stdout=out, stderr=StringIO())
    return out.getvalue()


def made(*arguments: str) -> Any:
    return json.loads(run(*arguments, "--json"))


def names() -> list[str]:
    rows = RoutingRule.objects.filter(livemode=False).order_by("position")
    assert [row.position for row in rows] == list(range(1, len(rows) + 1))
    return [row.name for row in rows]


@pytest.fixture
def code() -> str:
    code: str = PspAccountFactory.create(code="first").code
    PspAccountFactory.create(code="second")
    PspAccountFactory.create(code="live", livemode=True)
    return code


def test_rules_are_added_changed_moved_and_removed(code: str, tmp_path: Path) -> None:
    run("add", "euros", "--to", code, "--currencies", "EUR,USD", "--metadata", "shop=berlin")
    run("add", "cards", "--split", "first=80,second=20", "--fallback", "first", "--position", "1")
    written = made("show", "2")
    assert written["conditions"] == {"currencies": ["EUR", "USD"], "metadata": {"shop": "berlin"}}
    (tmp_path / "rule.json").write_text(json.dumps({**written, "name": "copy"}))
    run("add", "--file", str(tmp_path / "rule.json"), "--active", "off")
    assert names() == ["cards", "euros", "copy"]
    run("move", "3", "1")
    run("move", "2", "3")
    assert names() == ["copy", "euros", "cards"]
    changed = made("change", "3", "--currencies", "USD", "--fallback", "none", "--name", "all")
    assert changed["conditions"] == {"currencies": ["USD"]}
    assert changed["targets"]["fallback"] == []
    assert [each["share"] for each in changed["targets"]["split"]] == [80, 20]
    amount = '{"currency": "USD", "min_minor": 5}'
    assert "amount" in made("change", "3", "--amount", amount)["conditions"]
    assert made("change", "3", "--amount", "none", "--currencies", "none")["conditions"] == {}
    run("remove", "2")
    assert names() == ["copy", "all"]
    run("add", "of live payments", "--to", "live", "--live")
    history = made("history")
    assert [(row["did"], row["to"]) for row in history[:3]] == [
        *(("remove", "euros"), ("change", "all"), ("change", "all")),
    ]
    assert len(history) == 9
    assert {row["to"] for row in made("history", "2")} == {"cards", "all"}
    assert [row["did"] for row in made("history", "--live")] == ["add"]
    assert "position: 2 → 3" in run("history")
    listed = run("list")
    assert "2 found" in listed
    assert "first 80 %, second 20 %" in listed
    assert made("list", "--live")[0]["accounts"] == "live 100 %"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("add", "a"), "its accounts"),
        (("add", "a", "--to", "nowhere"), "no PSP account nowhere"),
        (("add", "a", "--to", "live"), "no PSP account live in this mode"),
        (("add", "a", "--split", "first=80"), "do not add up to 100"),
        (("add", "a", "--split", "first"), "--split"),
        (("add", "a", "--split", "first=x"), "--split"),
        (("add", "a", "--to", "first", "--currencies", "euro"), "conditions.currencies"),
        (("add", "a", "--to", "first", "--currencies", "XXX"), "no currency XXX"),
        (("add", "a", "--to", "first", "--amount", "5"), "conditions.amount"),
        (("add", "a", "--to", "first", "--amount", "{"), "--amount: this is no JSON"),
        (("add", "a", "--to", "first", "--position", "3"), "position: use 1 to 1"),
        (("add", "a" * 65, "--to", "first"), "name"),
        (("add", "a", "--to", "first", "--merchant", "acct_none"), "acct_none"),
        (("change", "1", "--active", "off"), "no rule at position 1"),
        (("add", "--file", "nowhere.json"), "nowhere.json"),
        (("dry-run", "--rules", "-"), "rule 1: conditions: there is no weekday"),
    ],
)
def test_what_is_wrong_is_named_and_nothing_is_stored(
    code: str, arguments: tuple[str, ...], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rule = {"name": "a", "conditions": {"weekday": [1]}, "targets": {}}
    monkeypatch.setattr(sys, "stdin", io.StringIO(json.dumps([rule])))
    with pytest.raises(CommandError, match=said):
        run(*arguments)
    assert not RoutingRule.objects.exists()


def test_a_dry_run_shows_what_proposed_rules_would_do_and_changes_nothing(
    shop: Shop, other_shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dry_run, "PART", 2)
    second = another_account(shop)
    rows = PspAccount.objects.filter(pk=second.pk)
    rows.update(costs=[{"basis_points": 150}], currencies=["USD"])
    own = PspAccount.objects.filter(pk=shop.account.pk)
    own.update(costs=[{"currency": "USD", "fixed_minor": 30, "basis_points": 200}])
    accounts.forget_accounts()
    paid = [body_of(shop.create(10_000, order_id=f"order {n}"))["id"] for n in range(3)]
    shop.create(500, currency="EUR", order_id="euros")
    shop.create(token="pm_card_chargeDeclined", order_id="declined")
    other_shop.create(order_id="of another")
    before = (Operation.objects.count(), RoutingDecision.objects.count())
    rule = {"name": "dollars", "targets": {"split": [{"account": second.code, "share": 100}]}}
    proposed = tmp_path / "rules.json"
    proposed.write_text(json.dumps([{**rule, "conditions": {"currencies": ["USD"]}}]))
    merchant = Merchant.objects.get(pk=shop.merchant.pk).public_id
    shown = made("dry-run", "--days", "1", "--rules", str(proposed), "--merchant", merchant)
    of_account = {row["account"]: row for row in shown if "account" in row}
    taken = of_account[second.code]
    assert (taken["payments then"], taken["payments now"]) == (0, 3)
    assert taken["USD now"] == str(Money(30_000, "USD"))
    everything = of_account["all accounts"]
    assert (everything["payments then"], everything["moved payments"]) == (4, 3)
    saved_minor = 3 * (150 - 230)
    assert everything["USD cost, now against then"] == str(Money(saved_minor, "USD"))
    examples = [row["such as"] for row in shown if "such as" in row]
    assert [each.split()[0] for each in examples] == paid
    assert (Operation.objects.count(), RoutingDecision.objects.count()) == before
    assert not RoutingRule.objects.exists()
    nothing = made("dry-run", "--merchant", merchant)[-1]
    assert (nothing["payments now"], nothing["moved payments"]) == (4, 0)


def test_a_dry_run_counts_what_would_be_refused_and_leaves_kept_methods_where_they_are(
    shop: Shop,
) -> None:
    second = another_account(shop)
    PspAccount.objects.filter(pk=second.pk).update(currencies=["EUR"])
    accounts.forget_accounts()
    shop.create(order_id="once")
    rule = RoutingRule(position=1, name="all", livemode=False, conditions={})
    rule.targets = {"split": [{"account": second.code, "share": 100}]}
    charge = Operation.objects.get()
    compared = dry_run.compare([rule_of(rule)], since=charge.created_at, livemode=False)
    assert compared.now[dry_run.NOWHERE].payments == 1
    customer = Customer.objects.create(
        merchant=shop.merchant, livemode=False, created_at=now_utc(), updated_at=now_utc()
    )
    PaymentMethod.objects.filter(pk=charge.payment_method_id).update(customer=customer)
    compared = dry_run.compare([rule_of(rule)], since=charge.created_at, livemode=False)
    assert compared.now[shop.account.code].payments == 1
