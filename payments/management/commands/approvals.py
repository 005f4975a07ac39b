"""`manage.py approvals`: lists, shows, approves and rejects requests; sets the limits of roles.

Who decides is a login of the console. The command asks for no password: who may run it on a server
can read its secrets too.
"""

from __future__ import annotations

from typing import Any, Final

from django.contrib.auth.models import Group
from django.core.management.base import CommandError, CommandParser
from django.db.models import Q

from ledger.money import Money
from payments import public_ids
from payments.exceptions import PaymentRefused
from payments.management.authors import add_author, named_author_of
from payments.management.commands.merchant import merchant_of
from payments.management.rows import RowCommand, add_verb
from payments.models import (
    Approval,
    ApprovalCommand,
    ApprovalLimit,
    ApprovalStatus,
    PspAccount,
)
from payments.services.approvals import decisions
from payments.services.approvals.rights import remove_limit, set_limit
from payments.services.audit.authors import Author

_ANY: Final = "any"


class Command(RowCommand):
    help = "List, show, approve or reject requests for approval; set how much a role may approve."

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        waiting = add_verb(verbs, "list", "list the requests that wait, oldest first")
        waiting.add_argument("--all", action="store_true", help="the decided ones too")
        waiting.add_argument("--most", type=int, default=100, help="list at most this many")
        add_verb(verbs, "show", "show one, with what will be booked").add_argument("approval")
        for verb, what in (
            ("approve", "approve it: it is carried out at once"),
            ("reject", "reject it: what is reserved for it is released"),
            ("withdraw", "end a request of your own that is not wanted any more"),
        ):
            decision = add_verb(verbs, verb, what)
            decision.add_argument("approval", help="apr_…")
            add_author(decision)
        limits = add_verb(verbs, "limits", "show how much roles may approve; with --role, set it")
        limits.add_argument("--role", help="the role whose limit is set")
        limits.add_argument("--command", choices=[each.value for each in ApprovalCommand])
        limits.add_argument("--currency", default="", help="empty: for commands without an amount")
        limits.add_argument("--amount-max-minor", help=f"in minor units; `{_ANY}` is any amount")
        limits.add_argument("--merchant", help="acct_…: of this merchant alone")
        limits.add_argument("--psp-account", help="its code: at this account alone")
        limits.add_argument("--remove", action="store_true", help="remove the limit")
        add_author(limits)

    def _list(self, given: dict[str, Any]) -> list[dict[str, Any]]:
        rows = Approval.objects.select_related("merchant").order_by("id")
        if not given["all"]:
            rows = rows.filter(status=ApprovalStatus.REQUESTED)
        return [
            {
                "approval": row.public_id,
                "command": row.command,
                "amount": _amount(row),
                "subject": row.subject,
                "merchant": str(row.merchant) if row.merchant else None,
                "by": row.requester,
                "status": row.status,
                "until": _moment(row.expires_at),
            }
            for row in rows[: given["most"]]
        ]

    def _show(self, given: dict[str, Any]) -> dict[str, Any]:
        return _shown(_approval_of(given["approval"]))

    def _approve(self, given: dict[str, Any]) -> dict[str, Any]:
        return self._decide(decisions.approve, given)

    def _reject(self, given: dict[str, Any]) -> dict[str, Any]:
        return self._decide(decisions.reject, given)

    def _withdraw(self, given: dict[str, Any]) -> dict[str, Any]:
        return self._decide(decisions.withdraw, given)

    def _decide(self, decide: Any, given: dict[str, Any]) -> dict[str, Any]:
        approval = _approval_of(given["approval"])
        try:
            decide(approval.pk, author=named_author_of(given))
        except PaymentRefused as refusal:
            raise CommandError(refusal.message) from None
        return _shown(_approval_of(given["approval"]))

    def _limits(self, given: dict[str, Any]) -> list[dict[str, Any]]:
        if given["role"]:
            self._change_limit(given)
        rows = ApprovalLimit.objects.select_related("group", "merchant", "psp_account")
        return [
            {
                "role": row.group.name,
                "command": row.command,
                "currency": row.currency or None,
                "up to": _up_to(row),
                "merchant": str(row.merchant) if row.merchant else "all",
                "psp account": str(row.psp_account) if row.psp_account else "all",
            }
            for row in rows.order_by("group__name", "command", "currency")
        ]

    def _change_limit(self, given: dict[str, Any]) -> None:
        if not (given["command"] and given["why"].strip()):
            raise CommandError("give --command and --why as well")
        try:
            self._set_or_remove(given, named_author_of(given))
        except PaymentRefused as refusal:
            raise CommandError(refusal.message) from None

    def _set_or_remove(self, given: dict[str, Any], author: Author) -> None:
        group = Group.objects.filter(name=given["role"]).first()
        if group is None:
            raise CommandError(f"no such role: {given['role']}. manage.py role list shows all.")
        command, currency = ApprovalCommand(given["command"]), given["currency"].upper()
        merchant = merchant_of(given["merchant"]) if given["merchant"] else None
        account = _account_of(given["psp_account"]) if given["psp_account"] else None
        if given["remove"]:
            rows = ApprovalLimit.objects.filter(
                Q(merchant=merchant) if merchant else Q(merchant=None),
                Q(psp_account=account) if account else Q(psp_account=None),
                group=group,
                command=command.value,
                currency=currency,
            )
            limit = rows.first()
            if limit is None:
                raise CommandError("there is no such limit: manage.py approvals limits shows all")
            remove_limit(limit, author=author)
            return
        set_limit(
            group,
            author=author,
            command=command,
            currency=currency,
            amount_max=_amount_max(given["amount_max_minor"], currency),
            merchant=merchant,
            psp_account=account,
        )


def _approval_of(public_id: str) -> Approval:
    identifier = public_ids.decode(public_ids.APPROVAL, public_id)
    rows = Approval.objects.select_related("merchant", "psp_account")
    found = rows.filter(pk=identifier).first() if identifier is not None else None
    if found is None:
        raise CommandError(f"no such request: {public_id}. manage.py approvals list shows all.")
    return found


def _account_of(code: str) -> PspAccount:
    found = PspAccount.objects.filter(code=code).first()
    if found is None:
        raise CommandError(f"no such PSP account: {code}. manage.py psp_accounts list shows all.")
    return found


def _amount_max(text: str | None, currency: str) -> Money | None:
    if text is None:
        raise CommandError(f"give --amount-max-minor, or `{_ANY}`")
    if text == _ANY:
        return None
    if not (text.isdecimal() and text.isascii() and currency):
        raise CommandError("--amount-max-minor: a whole number in the minor unit of --currency")
    return Money(int(text), currency)


def _shown(row: Approval) -> dict[str, Any]:
    frozen = row.frozen
    return {
        "approval": row.public_id,
        "status": row.status,
        "command": row.command,
        "subject": row.subject,
        "amount": _amount(row),
        "merchant": str(row.merchant) if row.merchant else None,
        "mode": "live" if row.livemode else "test",
        "parameters": [f"{name}={value}" for name, value in frozen["parameters"].items()],
        "postings": [_posting(posting) for posting in frozen["postings"]],
        "digest": row.digest,
        "requested by": row.requester,
        "because": row.request_reason,
        "requested": _moment(row.created_at),
        "until": _moment(row.expires_at),
        "decided by": row.approver,
        "decided": _moment(row.decided_at),
        "decided because": row.decision_reason,
        "ended": _moment(row.ended_at),
        "ended by": row.ended_by,
        "result": row.result,
    }


def _posting(posting: dict[str, Any]) -> str:
    """`refund_requested: debit 2100 merchant_payable 60.00 USD; credit …`"""
    lines = (
        f"{line['side']} {line['account']} {line['name']} "
        f"{Money(line['amount_minor'], line['currency'])}"
        for line in posting["lines"]
    )
    return f"{posting['rule']}: {'; '.join(lines)}"


def _amount(row: Approval) -> str | None:
    return None if row.amount is None else str(row.amount)


def _up_to(row: ApprovalLimit) -> str:
    if row.amount_max_minor is None:
        return _ANY
    return str(Money(row.amount_max_minor, row.currency))


def _moment(moment: Any) -> str | None:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC" if moment else None
