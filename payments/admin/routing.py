"""Routing: the rules in their order, and why each charge or setup went to its account."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from django.contrib import admin
from django.db.models import Q
from unfold.decorators import display as shown

from payments import public_ids
from payments.admin import display
from payments.admin.columns import column, linked
from payments.admin.filters import CreatedFilter, one_of
from payments.admin.merchant import WithHistory
from payments.admin.read_only import ReadOnlyAdmin, group
from payments.admin.search import SearchByPublicId
from payments.admin.story import Section, rows_of_section
from payments.models import PaymentIntent, RoutingDecision, RoutingReason, RoutingRule


def _shown_accounts(targets: Mapping[str, Any]) -> str:
    """`stripe-eu 80 %, adyen-eu 20 %; then mollie`"""
    split = ", ".join(f"{each['account']} {each['share']} %" for each in targets["split"])
    fallback = ", ".join(targets.get("fallback", ()))
    return f"{split}; then {fallback}" if fallback else split


def _shown_candidates(candidates: Sequence[Mapping[str, Any]]) -> str:
    """`stripe-eu (rule), adyen-eu (fallback, left out: paused)`"""
    return ", ".join(f"{each['account']} ({_why(each)})" for each in candidates)


def _why(candidate: Mapping[str, Any]) -> str:
    reason = display.in_words(candidate["reason"])
    share = f" {candidate['percent']} %" if "percent" in candidate else ""
    left_out = f", left out: {display.in_words(candidate.get('left_out', ''))}"
    return f"{reason}{share}{left_out if 'left_out' in candidate else ''}"


@admin.register(RoutingRule)
class RoutingRuleAdmin(SearchByPublicId, WithHistory):
    """The rules of both modes; `manage.py routing_rules` changes them."""

    list_display = ("position", "name", "mode", "whose", "active", "shown_targets", "created")
    list_select_related = ("merchant",)
    list_filter = ("livemode", "active")
    ordering = ("livemode", "position")
    leading_filters = ()
    search_help_text = "acct_… or the beginning of the name"
    id_paths = {public_ids.MERCHANT: "merchant_id"}
    fieldsets = (
        group(
            None,
            ("position", "name"),
            ("mode", "whose"),
            ("active", "shown_targets"),
            ("created_at", "updated_at"),
        ),
        group("Conditions", "shown_conditions"),
    )
    shown_targets = column("accounts", "targets", _shown_accounts)
    shown_conditions = column("all of", "conditions", display.shown_json)

    @shown(description="merchant")
    def whose(self, rule: RoutingRule) -> str:
        return str(rule.merchant) if rule.merchant is not None else "every merchant"

    def texts(self, term: str) -> Iterable[Q]:
        # Rules are few: a scan of this table is cheap.
        yield Q(name__istartswith=term)


@admin.register(RoutingDecision)
class RoutingDecisionAdmin(SearchByPublicId, ReadOnlyAdmin):
    """Charges and setups without a decision went to the merchant's own account, by no rule."""

    list_display = (
        *("__str__", "payment", "shown_charge", "setup", "psp_account", "shown_rule", "created"),
    )
    list_select_related = ("psp_account",)
    list_filter = (one_of("reason", RoutingReason), ("created_at", CreatedFilter), "livemode")
    search_help_text = "pi_… seti_…"
    id_paths = {
        public_ids.PAYMENT_INTENT: "intent_id",
        public_ids.SETUP_INTENT: "setup_intent_id",
    }
    fieldsets = (
        group(
            None,
            ("payment", "shown_charge"),
            ("setup", "shown_attempt"),
            ("merchant", "mode"),
            ("psp_account", "shown_reason"),
            ("shown_rule", "created_at"),
        ),
        group("Accounts, in order", "shown_candidates"),
    )
    payment = linked("payment", public_ids.PAYMENT_INTENT, "intent_id")
    shown_charge = linked("charge", public_ids.CHARGE, "charge_id")
    setup = linked("setup intent", public_ids.SETUP_INTENT, "setup_intent_id")
    shown_attempt = linked("setup attempt", public_ids.SETUP_ATTEMPT, "setup_attempt_id")
    shown_reason = column("reason", "reason", display.in_words)
    shown_candidates = column("accounts", "candidates", _shown_candidates)

    @shown(description="rule")
    def shown_rule(self, decision: RoutingDecision) -> str:
        return _rule_of(decision)


def _rule_of(decision: RoutingDecision) -> str:
    """Name and position of the rule, as they were then."""
    if decision.rule_position is None:
        return display.NOTHING
    return f"{decision.rule_name} (position {decision.rule_position})"


def routing_of_payment(intent: PaymentIntent) -> Section:
    """Why each charge went to its account; none: to the merchant's own, by no rule."""
    decisions = RoutingDecision.objects.filter(intent=intent).select_related("psp_account")
    rows, more_url = rows_of_section(decisions.order_by("sequence"), "routingdecision", intent)
    return Section(
        title="Routing",
        headers=("#", "charge", "PSP account", "reason", "rule", "accounts, in order", "created"),
        rows=[
            [
                decision.sequence,
                display.link(public_ids.CHARGE, decision.charge_id),
                decision.psp_account.code,
                display.in_words(decision.reason),
                _rule_of(decision),
                _shown_candidates(decision.candidates),
                display.moment(decision.created_at),
            ]
            for decision in rows
        ],
        more_url=more_url,
    )
