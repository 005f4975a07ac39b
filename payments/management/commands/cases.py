"""`manage.py cases`: lists cases, shows one with advice, closes one."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from ledger.money import Money
from payments import public_ids
from payments.exceptions import PaymentRefused
from payments.management.authors import add_author, named_author_of
from payments.models import Case
from payments.services.cases.opening import ADVICE
from payments.services.commands.operators.cases import close_case
from payments.states import CaseKind, CaseStatus


class Command(BaseCommand):
    help = (
        "List open cases, show one with advice, or close one with an explanation. Closing moves no "
        "money."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("case", nargs="?", default="", help="case_…: show this one")
        parser.add_argument("--kind", choices=sorted(CaseKind), default="", help="only this kind")
        parser.add_argument("--closed", action="store_true", help="list closed cases")
        parser.add_argument("--most", type=int, default=100, help="list at most this many")
        parser.add_argument("--close", action="store_true", help="close the case")
        parser.add_argument("--resolution", default="", help="the explanation")
        add_author(parser)

    def handle(self, *args: Any, **given: Any) -> None:
        if not given["case"]:
            if given["close"]:
                raise CommandError("name the case: manage.py cases case_… --close")
            self._list(given)
            return
        case = _case(given["case"])
        if given["close"]:
            self._close(case, given)
        else:
            self._show(case)

    def _list(self, given: dict[str, Any]) -> None:
        status = CaseStatus.CLOSED if given["closed"] else CaseStatus.OPEN
        rows = Case.objects.filter(status=status).order_by("id")
        if given["kind"]:
            rows = rows.filter(kind=given["kind"])
        for case in rows[: given["most"]]:
            self.stdout.write(
                f"{case.opened_at:%Y-%m-%d %H:%M:%S} {case.public_id} {case.kind} {case.subject} "
                f"{_amount(case)}: {case.summary}"
            )
        self.stdout.write(f"{rows.count()} {status} cases")

    def _show(self, case: Case) -> None:
        payment = (
            public_ids.encode(public_ids.PAYMENT_INTENT, case.intent_id) if case.intent_id else "-"
        )
        lines = {
            "case": f"{case.public_id} ({case.kind}, {case.status})",
            "opened": f"{case.opened_at:%Y-%m-%d %H:%M:%S} UTC",
            "merchant": str(case.merchant) if case.merchant is not None else "-",
            "payment": payment,
            "subject": case.subject,
            "amount": _amount(case),
            "discrepancy": case.discrepancy or "-",
            "what is wrong": case.summary,
            "what to do": ADVICE[CaseKind(case.kind)],
        }
        if case.closed_at is not None:
            lines["closed"] = f"{case.closed_at:%Y-%m-%d %H:%M:%S} UTC by {case.closed_by}"
            lines["resolution"] = case.resolution
        for name, value in lines.items():
            self.stdout.write(f"{name + ':':15} {value}")

    def _close(self, case: Case, given: dict[str, Any]) -> None:
        if not given["resolution"].strip():
            raise CommandError("give --resolution")
        try:
            close_case(case.id, author=named_author_of(given), resolution=given["resolution"])
        except (PaymentRefused, ValueError) as refusal:
            raise CommandError(str(refusal)) from refusal
        self.stdout.write(f"{case.public_id} is closed")


def _case(public_id: str) -> Case:
    identifier = public_ids.decode(public_ids.CASE, public_id)
    if identifier is None:
        raise CommandError(f"no such case: {public_id}")
    case = Case.objects.select_related("merchant").filter(pk=identifier).first()
    if case is None:
        raise CommandError(f"no such case: {public_id}")
    return case


def _amount(case: Case) -> str:
    return "-" if case.amount_minor is None else str(Money(case.amount_minor, case.currency))
