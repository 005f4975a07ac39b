"""Who may decide a request: people of a role that has the right, up to the limits of that role.

Superusers of the console have no limit of their own: they need a role with one, as others do.
"""

from __future__ import annotations

from typing import Any, Final

from django.contrib.auth.models import Group, Permission, User
from django.db import transaction
from django.db.models import Q, QuerySet
from guardian.shortcuts import assign_perm, remove_perm

from ledger.money import Money
from payments.exceptions import PaymentRefused
from payments.models import Act, Approval, ApprovalCommand, ApprovalLimit, Merchant, PspAccount
from payments.services.audit.authors import STAFF, Author
from payments.services.audit.trail import (
    AuditSubject,
    differences,
    record_act,
    refusals_recorded,
)

DECIDE: Final = "payments.decide_approvals"
"""Of everything, or as an object permission of one merchant."""
_MOST: Final = "amount_max_minor"


class ApprovalRefused(PaymentRefused):
    """A request for approval is not open any more, or this person may not decide it."""


def actor_of(user: User) -> str:
    """How a staff user is written wherever an actor stands."""
    return f"{STAFF}{user.get_username()}"


def person_who_decides(author: Author, approval: Approval) -> User:
    """The staff user as of now, who may decide this request; raises ApprovalRefused.

    Read again under the request's lock: a role may have been removed a moment ago.
    """
    user = _person(author)
    if actor_of(user) == approval.requester:
        raise ApprovalRefused(
            f"{approval.requester} asked for {approval.public_id}: another person decides."
        )
    merchant = approval.merchant
    scoped = merchant is not None and user.has_perm(DECIDE, merchant)
    if not (scoped or user.has_perm(DECIDE)):
        whose = f" of {merchant}" if merchant is not None else ""
        raise ApprovalRefused(f"{actor_of(user)} has no role that decides requests{whose}.")
    return user


def _person(author: Author) -> User:
    """The login of a staff user who is active; programs decide nothing."""
    username = author.name.removeprefix(STAFF)
    rows = User.objects.filter(username=username, is_staff=True, is_active=True)
    user = rows.first() if author.name.startswith(STAFF) else None
    if user is None:
        raise ApprovalRefused(f"{author.name} is no active staff user, and only people decide.")
    return user


def _require_sets_limits(author: Author) -> None:
    """Refuse with ApprovalRefused who may not say how much roles may approve."""
    is_job = author.name.startswith("job:")
    if not is_job and not _person(author).has_perm("payments.change_approvallimit"):
        raise ApprovalRefused(f"{author.name} may not set limits.")


def require_within_limits(user: User, approval: Approval) -> None:
    """Refuse with ApprovalRefused if no role of the user may approve so much of this command."""
    limits = limits_for(approval).filter(group__in=user.groups.all())
    found = list(limits.values_list("amount_max_minor", flat=True))
    bounds = [bound for bound in found if bound is not None]
    asked_minor = approval.amount_minor
    is_within = asked_minor is not None and asked_minor <= max(bounds, default=0)
    if is_within or len(bounds) < len(found):
        return
    what = approval.command if approval.amount is None else f"{approval.command} {approval.amount}"
    most = f"at most {Money(max(bounds), approval.currency)}" if bounds else "none"
    raise ApprovalRefused(f"{actor_of(user)} may not approve {what}: by the roles, {most}.")


def limits_for(approval: Approval) -> QuerySet[ApprovalLimit]:
    """The limits of all roles that are about such a request."""
    return ApprovalLimit.objects.filter(
        Q(merchant=None) | Q(merchant=approval.merchant_id),
        Q(psp_account=None) | Q(psp_account=approval.psp_account_id),
        command=approval.command,
        currency=approval.currency,
    )


def set_limit(
    group: Group,
    *,
    author: Author,
    command: ApprovalCommand,
    amount_max: Money | None,
    currency: str,
    merchant: Merchant | None = None,
    psp_account: PspAccount | None = None,
) -> ApprovalLimit:
    """Let a role approve a command up to an amount; None is any. It gets the right to decide.

    Of one merchant alone the right is an object permission. Raises ValueError for another currency,
    and ApprovalRefused for an author who may not.
    """
    if amount_max is not None and amount_max.currency != currency:
        raise ValueError(f"{amount_max} is not in {currency}")
    of_whom: dict[str, Any] = {
        "group": group,
        "merchant": merchant,
        "psp_account": psp_account,
        "command": command.value,
        "currency": currency,
    }
    about = _about_limit(ApprovalLimit(**of_whom))
    most_minor = None if amount_max is None else amount_max.minor
    with (
        refusals_recorded(Act.APPROVAL_LIMIT_SET, author, about),
        transaction.atomic(durable=True),
    ):
        _require_sets_limits(author)
        before = ApprovalLimit.objects.select_for_update(of=("self",)).filter(**of_whom).first()
        changes = differences({} if before is None else _state(before), {_MOST: most_minor})
        limit, _ = ApprovalLimit.objects.update_or_create(**of_whom, defaults={_MOST: most_minor})
        if merchant is None:
            group.permissions.add(_permission())
        else:
            assign_perm(DECIDE, group, merchant)
        record_act(Act.APPROVAL_LIMIT_SET, author, about, changes)
    return limit


def remove_limit(limit: ApprovalLimit, *, author: Author) -> None:
    """Remove a limit; with its last one of a merchant, or of all, a role loses the right too."""
    about, group, merchant = _about_limit(limit), limit.group, limit.merchant
    with (
        refusals_recorded(Act.APPROVAL_LIMIT_REMOVE, author, about),
        transaction.atomic(durable=True),
    ):
        _require_sets_limits(author)
        record_act(Act.APPROVAL_LIMIT_REMOVE, author, about, differences(_state(limit), {}))
        limit.delete()
        if ApprovalLimit.objects.filter(group=group, merchant=merchant).exists():
            return
        if merchant is None:
            group.permissions.remove(_permission())
        else:
            remove_perm(DECIDE, group, merchant)


def _state(limit: ApprovalLimit) -> dict[str, Any]:
    """What the audit trail compares of a limit."""
    return {_MOST: limit.amount_max_minor}


def _about_limit(limit: ApprovalLimit) -> AuditSubject:
    account = limit.psp_account
    at = f" at {account.code}" if account is not None else ""
    return AuditSubject(
        label=f"role {limit.group.name}: {limit.command} {limit.currency}{at}".strip(),
        object_id=limit.pk,
        merchant_id=limit.merchant_id,
        psp_account_id=limit.psp_account_id,
    )


def _permission() -> Permission:
    app, codename = DECIDE.split(".")
    return Permission.objects.get(content_type__app_label=app, codename=codename)
