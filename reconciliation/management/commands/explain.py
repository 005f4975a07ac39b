"""`manage.py explain ID`: the full history of one payment, and what of it is unexplained."""

from __future__ import annotations

import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from payments.models import PaymentIntent
from reconciliation.services.explanation.explain import Explanation, explain_payment
from reconciliation.services.explanation.named_payments import NAMED_MOST, payments_named


class Command(BaseCommand):
    help = (
        "Explain one payment by any id of it: ours, the order's, or the PSP's. Prints what "
        "happened in order, what is open, and the unexplained remainder. Exit 1 if that is not 0."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("id", help="pi_…, ch_…, re_…, dp_…, an order id, or an id of the PSP")

    def handle(self, *args: Any, **given: Any) -> None:
        found = payments_named(given["id"])
        if not found:
            raise CommandError(
                f"no payment is named {given['id']}: give an id of ours such as pi_…, the order "
                "id, or the PSP's id of the payment, operation, dispute, notification or "
                "settlement line"
            )
        if len(found) > 1:
            self._list(found)
            sys.exit(2)
        explanation = explain_payment(found[0].pk)
        self._show(explanation)
        if not explanation.is_explained:
            sys.exit(1)

    def _list(self, found: list[PaymentIntent]) -> None:
        least = "at least " if len(found) == NAMED_MOST else ""
        self.stdout.write(f"this names {least}{len(found)} payments; explain one of them:")
        for intent in found:
            self.stdout.write(f"  {intent.public_id} {intent.amount} {intent.status}")

    def _show(self, explanation: Explanation) -> None:
        intent = explanation.intent
        order = f", order {intent.order_id}" if intent.order_id else ""
        self.stdout.write(f"{intent.public_id} {intent.amount} {intent.status}{order}")
        self.stdout.write(f"merchant {intent.merchant}, PSP account {intent.psp_account.code}")
        self.stdout.write("")
        for entry in explanation.timeline:
            moment = f"{entry.at:%Y-%m-%d %H:%M:%S}.{entry.at.microsecond // 1000:03d}"
            self.stdout.write(f"{moment}  {entry.source:12}  {entry.text}")
        self.stdout.write("")
        self._section("open", explanation.open)
        self._section("differences", explanation.differences)
        for amount in explanation.unexplained.values():
            self.stdout.write(f"unexplained: {amount}")

    def _section(self, title: str, lines: list[str]) -> None:
        self.stdout.write(f"{title}: {len(lines) or 'nothing'}")
        for line in lines:
            self.stdout.write(f"  {line}")
