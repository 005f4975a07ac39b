"""Routing rules and tokens of single accounts, as operators and customers make them."""

from __future__ import annotations

from typing import Any

from payments.models import Merchant, PspAccount, RoutingRule
from payments.services.psp_gateway.hosted_fields import hosted_fields_of
from payments.services.routing.rules import forget_rules
from psp_adapters.tests.sandbox_psp.test_fields import tokenize


def add_rule(
    merchant: Merchant | None,
    *split: tuple[PspAccount, int],
    fallback: tuple[PspAccount, ...] = (),
    **conditions: Any,
) -> RoutingRule:
    """A rule after all others; this process applies it at once."""
    position = RoutingRule.objects.count() + 1
    rule = RoutingRule.objects.create(
        merchant=merchant,
        livemode=False,
        position=position,
        name=f"rule {position}",
        conditions=conditions,
        targets={
            "split": [{"account": each.code, "share": share} for each, share in split],
            "fallback": [each.code for each in fallback],
        },
    )
    forget_rules()
    return rule


def token_of_account(account: PspAccount) -> str:
    """A token of a test card that this account alone knows: from its own card fields."""
    fields = hosted_fields_of(account.id)
    assert fields is not None, "the sandbox PSP serves card fields"
    status, made = tokenize(fields)
    assert status == 200, made
    return str(made["token"])
