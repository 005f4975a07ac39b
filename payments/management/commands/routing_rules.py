"""`manage.py routing_rules`: shows and changes routing rules, and tries them on past payments."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, Final
from uuid import NAMESPACE_OID, uuid5

from django.core.management.base import CommandError, CommandParser

from ledger.money import Money
from payments import public_ids
from payments.clock import now_utc
from payments.management.authors import add_author, add_most, history_of, named_author_of
from payments.management.commands.merchant import merchant_of
from payments.management.rows import RowCommand, add_verb
from payments.models import AuditEntry, RoutingRule
from payments.services.commands.operators import routing_rules as commands
from payments.services.routing.dry_run import Comparison, Tally, compare
from payments.services.routing.rules import rule_of

_LISTS: Final = ("currencies", "methods", "brands", "countries")
_FIELDS: Final = ("name", "merchant", "active", "conditions", "targets")
_NONE: Final = "none"


class Command(RowCommand):
    help = "List, show, add, change, move and remove routing rules; try them on past payments."

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        every = [add_verb(verbs, "list", "list the rules of a mode, in their order")]
        for verb, what in (
            ("show", "show one, as a file of it is written"),
            ("change", "change what is named; the rest stays"),
            ("move", "have it tried at another position"),
            ("remove", "remove it"),
        ):
            every.append(add_verb(verbs, verb, what))
            every[-1].add_argument("position", type=int, help="of the rule, now")
            if verb == "move":
                every[-1].add_argument("to", type=int, help="its position afterwards")
        add = add_verb(verbs, "add", "add one at the end, or at a position")
        add.add_argument("name", nargs="?", help="what people call it")
        add.add_argument("--position", type=int, help="before the rule that is there now")
        for each in (add, *every[2:]):
            add_author(each)
        for each in (add, every[2]):
            _add_fields(each)
        history = add_verb(verbs, "history", "show who changed rules of a mode, what and why")
        history.add_argument(
            "position", type=int, nargs="?", help="only of the rule that is there now"
        )
        add_most(history)
        every += [add, _add_dry_run(verbs), history]
        every[2].add_argument("--name", help="what people call it")
        for each in every:
            each.add_argument("--live", action="store_true", help="of live payments")

    def _list(self, given: dict[str, Any]) -> list[dict[str, Any]]:
        rows = RoutingRule.objects.filter(livemode=given["live"]).select_related("merchant")
        return [
            {
                "position": row.position,
                "name": row.name,
                "merchant": row.merchant.public_id if row.merchant else "every",
                "active": row.active,
                "conditions": ", ".join(row.conditions) or _NONE,
                "accounts": _accounts(row.targets),
            }
            for row in rows.order_by("position")
        ]

    def _show(self, given: dict[str, Any]) -> dict[str, Any]:
        return _shown(_rule_of(given))

    def _add(self, given: dict[str, Any]) -> dict[str, Any]:
        values = _values(given, {})
        if "name" not in values or "targets" not in values:
            raise CommandError("name the rule and its accounts, such as: add euros --to stripe-eu")
        return _shown(
            commands.add_rule(
                livemode=given["live"],
                position=given["position"],
                author=named_author_of(given),
                **values,
            )
        )

    def _change(self, given: dict[str, Any]) -> dict[str, Any]:
        rule = _rule_of(given)
        values = _values(given, {"conditions": rule.conditions, "targets": rule.targets})
        if not values:
            raise CommandError("name what is to change, such as --active off")
        return _shown(commands.change_rule(rule, author=named_author_of(given), **values))

    def _move(self, given: dict[str, Any]) -> dict[str, Any]:
        rule, author = _rule_of(given), named_author_of(given)
        return _shown(commands.move_rule(rule, to=given["to"], author=author))

    def _remove(self, given: dict[str, Any]) -> dict[str, Any]:
        rule = _rule_of(given)
        commands.remove_rule(rule, author=named_author_of(given))
        return {"removed": rule.name}

    def _history(self, given: dict[str, Any]) -> list[dict[str, Any]]:
        entries = AuditEntry.objects.filter(act__startswith="routing_rule.", livemode=given["live"])
        if given["position"] is not None:
            entries = entries.filter(object_id=_rule_of(given).id)
        return history_of(entries, given)

    def _dry_run(self, given: dict[str, Any]) -> list[dict[str, Any]]:
        rows = _proposed(given) if given["rules"] else _present(given)
        merchant = merchant_of(given["merchant"]) if given["merchant"] else None
        found = compare(
            [rule_of(row) for row in rows if row.active],
            since=now_utc() - timedelta(days=given["days"]),
            livemode=given["live"],
            merchant_id=merchant.id if merchant is not None else None,
            progress=lambda payments: self.stderr.write(f"{payments} payments"),
        )
        return _compared(found)


def _add_dry_run(verbs: Any) -> CommandParser:
    parser = add_verb(verbs, "dry-run", "what rules would do with past payments; changes nothing")
    parser.add_argument("--days", type=int, default=7, help="how far back; 7 if not named")
    parser.add_argument("--rules", metavar="FILE", help="a JSON list of rules, instead of these")
    parser.add_argument("--merchant", help="acct_…: only this merchant's payments")
    return parser


def _add_fields(parser: CommandParser) -> None:
    parser.add_argument("--file", help="a JSON object of the rule; - reads standard input")
    parser.add_argument("--merchant", help="acct_…, or `none` for the payments of every merchant")
    parser.add_argument("--active", choices=("on", "off"), help="off: it is not applied")
    parser.add_argument("--to", metavar="CODE", help="the PSP account of all its payments")
    parser.add_argument("--split", metavar="CODE=SHARE,…", help="accounts with shares of 100")
    parser.add_argument("--fallback", metavar="CODE,…", help="accounts after those, or `none`")
    parser.add_argument("--amount", help='{"currency": "EUR", "min_minor": 100}, or `none`')
    for option in ("--currencies", "--methods", "--brands", "--countries"):
        parser.add_argument(option, help="separated by commas, or `none`")
    parser.add_argument("--metadata", metavar="KEY=VALUE,…", help="all of them, or `none`")


def _values(given: Mapping[str, Any], present: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a rule that a file or options name."""
    values = _of_file(given["file"], list_of_rules=False)[0] if given["file"] else {}
    if given["name"] is not None:
        values["name"] = given["name"]
    if given["active"] is not None:
        values["active"] = given["active"] == "on"
    if given["merchant"] is not None:
        values["merchant"] = None if given["merchant"] == _NONE else given["merchant"]
    conditions = _conditions(given)
    if conditions:
        merged = {**values.get("conditions", present.get("conditions", {})), **conditions}
        values["conditions"] = {k: v for k, v in merged.items() if v is not None}
    targets = _targets(given)
    if targets:
        values["targets"] = {**values.get("targets", present.get("targets", {})), **targets}
    if values.get("merchant"):
        values["merchant"] = merchant_of(values["merchant"])
    return values


def _conditions(given: Mapping[str, Any]) -> dict[str, Any]:
    """Those that options name; None for one that is to be removed."""
    found: dict[str, Any] = {}
    for name in _LISTS:
        if given[name] is not None:
            found[name] = None if given[name] == _NONE else _listed(given[name])
    if given["amount"] is not None:
        found["amount"] = None if given["amount"] == _NONE else _json("--amount", given["amount"])
    if given["metadata"] is not None:
        found["metadata"] = (
            None if given["metadata"] == _NONE else _pairs("--metadata", given["metadata"])
        )
    return found


def _targets(given: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if given["to"] is not None:
        found["split"] = [{"account": given["to"], "share": 100}]
    if given["split"] is not None:
        shares = _pairs("--split", given["split"])
        if not all(share.isdecimal() for share in shares.values()):
            raise CommandError("--split: write stripe-eu=80,adyen-eu=20")
        found["split"] = [{"account": code, "share": int(n)} for code, n in shares.items()]
    if given["fallback"] is not None:
        found["fallback"] = [] if given["fallback"] == _NONE else _listed(given["fallback"])
    return found


def _listed(text: str) -> list[str]:
    return [each.strip() for each in text.split(",")]


def _pairs(option: str, text: str) -> dict[str, str]:
    parts = [each.partition("=") for each in _listed(text)]
    if not all(sign for _, sign, _ in parts):
        raise CommandError(f"{option}: write name=value, separated by commas")
    return {name: value for name, _, value in parts}


def _json(source: str, text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        raise CommandError(f"{source}: this is no JSON") from None


def _of_file(source: str, *, list_of_rules: bool) -> list[dict[str, Any]]:
    try:
        text = sys.stdin.read() if source == "-" else Path(source).read_text()
    except OSError as error:
        raise CommandError(f"{source}: {error.strerror}") from None
    read = _json(source, text)
    rules = read if list_of_rules else [read]
    if not isinstance(rules, list) or not all(isinstance(each, dict) for each in rules):
        raise CommandError(
            f"{source}: write a JSON {'list of objects' if list_of_rules else 'object'}"
        )
    for each in rules:
        for name in each.keys() - {*_FIELDS, "position", "mode"}:
            raise CommandError(f"{source}: a rule has no {name}: use {', '.join(_FIELDS)}")
        if not isinstance(each.get("merchant") or "", str):
            raise CommandError(f"{source}: merchant: write acct_… or null")
    return [{name: each[name] for name in _FIELDS if name in each} for each in rules]


def _present(given: Mapping[str, Any]) -> list[RoutingRule]:
    return list(RoutingRule.objects.filter(livemode=given["live"]).order_by("position"))


def _proposed(given: Mapping[str, Any]) -> list[RoutingRule]:
    """Rules that are not stored, in the order of the file."""
    rows = []
    for position, values in enumerate(_of_file(given["rules"], list_of_rules=True), start=1):
        merchant = merchant_of(values["merchant"]) if values.get("merchant") else None
        row = RoutingRule(
            id=uuid5(NAMESPACE_OID, str(values.get("name"))),
            livemode=given["live"],
            position=position,
            **{"targets": None} | values | {"merchant": merchant},
        )
        try:
            commands.require_rule(row)
        except ValueError as wrong:
            raise CommandError(f"{given['rules']}: rule {position}: {wrong}") from None
        rows.append(row)
    return rows


def _rule_of(given: Mapping[str, Any]) -> RoutingRule:
    rows = RoutingRule.objects.select_related("merchant").filter(livemode=given["live"])
    found = rows.filter(position=given["position"]).first()
    if found is None:
        mode = " --live" if given["live"] else ""
        raise CommandError(
            f"no rule at position {given['position']}. manage.py routing_rules list{mode} shows "
            "all."
        )
    return found


def _shown(rule: RoutingRule) -> dict[str, Any]:
    return {
        "position": rule.position,
        "name": rule.name,
        "mode": "live" if rule.livemode else "test",
        "merchant": rule.merchant.public_id if rule.merchant else None,
        "active": rule.active,
        "conditions": rule.conditions,
        "targets": rule.targets,
    }


def _accounts(targets: Mapping[str, Any]) -> str:
    split = ", ".join(f"{each['account']} {each['share']} %" for each in targets["split"])
    fallback = ", ".join(targets.get("fallback", ()))
    return f"{split}; then {fallback}" if fallback else split


def _compared(found: Comparison) -> list[dict[str, Any]]:
    """A row for each account, one for all, and the examples."""
    codes: Sequence[str] = sorted({*found.then, *found.now})
    empty = Tally()
    rows = [_row(code, found.then.get(code, empty), found.now.get(code, empty)) for code in codes]
    rows.append(_row("all accounts", *(_sum(found, each) for each in ("then", "now"))))
    rows[-1]["moved payments"] = found.moved
    for each in found.examples:
        intent = public_ids.encode(public_ids.PAYMENT_INTENT, each.intent_id)
        by = f" by {each.rule}" if each.rule else ", by no rule"
        rows.append({"such as": f"{intent} {each.amount}: {each.then} → {each.now}{by}"})
    return rows


def _row(code: str, then: Tally, now: Tally) -> dict[str, Any]:
    row: dict[str, Any] = {
        "account": code,
        "payments then": then.payments,
        "payments now": now.payments,
    }
    for currency in sorted({*then.amount_minor, *now.amount_minor}):
        row[f"{currency} then"] = str(Money(then.amount_minor[currency], currency))
        row[f"{currency} now"] = str(Money(now.amount_minor[currency], currency))
        change_minor = now.cost_minor[currency] - then.cost_minor[currency]
        row[f"{currency} cost, now against then"] = str(Money(change_minor, currency))
    return row


def _sum(found: Comparison, name: str) -> Tally:
    total = Tally()
    for each in getattr(found, name).values():
        total.payments += each.payments
        total.amount_minor.update(each.amount_minor)
        total.cost_minor.update(each.cost_minor)
    return total
