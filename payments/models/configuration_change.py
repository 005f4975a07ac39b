"""The log of what operators changed in PSP accounts and routing rules."""

from __future__ import annotations

import json
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from django.db import models

from payments import public_ids
from payments.models.merchant import PspAccount


class ConfigurationVerb(StrEnum):
    """What an operator did to an account or a rule."""

    CREATE = "create"
    CHANGE = "change"
    PAUSE = "pause"
    RESUME = "resume"
    CLOSE = "close"
    RESEAL = "reseal"
    ADD = "add"
    MOVE = "move"
    REMOVE = "remove"


class ConfigurationChange(models.Model):
    """One change of an account or a rule: who made it, when and why. Never changed or deleted."""

    application_rights = ("select", "insert")

    id = models.UUIDField(primary_key=True, default=public_ids.new_id, editable=False)
    psp_account = models.ForeignKey(
        PspAccount, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    rule_id = models.UUIDField(null=True, blank=True, db_index=True)
    """No foreign key: rules are removed."""
    subject = models.CharField(max_length=64)
    """The code of the account, or the name of the rule as it was then."""
    livemode = models.BooleanField()
    verb = models.CharField(max_length=16)
    changes = models.JSONField()
    """By field, the value `before` and `after`; of credentials only which were `changed`."""
    author = models.CharField(max_length=64)
    reason = models.CharField(max_length=1000, blank=True)
    created_at = models.DateTimeField()

    class Meta:
        db_table = "payments_configuration_change"
        constraints = [
            models.CheckConstraint(
                condition=models.Q(psp_account__isnull=True) ^ models.Q(rule_id__isnull=True),
                name="configuration_change_has_one_subject",
            ),
            models.CheckConstraint(
                condition=models.Q(verb__in=sorted(each.value for each in ConfigurationVerb)),
                name="configuration_verb",
            ),
            models.CheckConstraint(
                condition=~models.Q(author=""), name="configuration_change_has_an_author"
            ),
            models.CheckConstraint(
                condition=~models.Q(changes__has_key="sealed_credentials")
                & ~models.Q(changes__credentials__has_any_keys=["before", "after"]),
                name="credentials_are_not_logged",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.verb} {self.subject}"

    @property
    def in_words(self) -> str:
        """`hold_days: 7 → 5; credentials: api_key changed`; of what is new, what is not empty."""
        shown = {name: change for name, change in self.changes.items() if not _is_empty(change)}
        return "; ".join(f"{name}: {_shown(change)}" for name, change in shown.items())


def _is_empty(change: Mapping[str, Any]) -> bool:
    return change.keys() == {"after"} and change["after"] in (None, "", [], {})


def _shown(change: Mapping[str, Any]) -> str:
    if "changed" in change:
        return f"{', '.join(change['changed'])} changed"
    sides = [json.dumps(change[side]) for side in ("before", "after") if side in change]
    if len(sides) == 1:
        return sides[0] if "after" in change else f"was {sides[0]}"
    return " → ".join(sides)
