"""Who may decide a request: people of a role that has the right, up to the limits of that role.

Superusers of the console have no limit of their own: they need a role with one, as others do.
"""

from __future__ import annotations

from typing import Final

from django.contrib.auth.models import Group, Permission, User
from django.db import transaction
from django.db.models import Q, QuerySet
from guardian.shortcuts import assign_perm, remove_perm

from ledger.money import Money
from payments.exceptions import PaymentRefused
from payments.models import Approval, ApprovalCommand, ApprovalLimit, Merchant, PspAccount

DECIDE: Final = "payments.decide_approvals"
"""Of everything, or as an object permission of one merchant."""
STAFF: Final = "staff:"


class ApprovalRefused(PaymentRefused):
    """A request for approval is not open any more, or this person may not decide it."""


def actor_of(user: User) -> str:
    """How a staff user is written wherever an actor stands."""
    return f"{STAFF}{user.get_username()}"


def person_who_decides(username: str, approval: Approval) -> User:
    """The staff user as of now, who may decide this request; raises ApprovalRefused.

    Read again under the request's lock: a role may have been removed a moment ago.
    """
    user = User.objects.filter(username=username, is_staff=True, is_active=True).first()
    if user is None:
        raise ApprovalRefused(f"There is no active staff user {username}.")
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


def person_who_sets_limits(username: str) -> User:
    """The staff user who may say how much roles may approve; raises ApprovalRefused."""
    user = User.objects.filter(username=username, is_staff=True, is_active=True).first()
    if user is None or not user.has_perm("payments.change_approvallimit"):
        raise ApprovalRefused(f"staff:{username} is no active staff user who may set limits.")
    return user


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
    command: ApprovalCommand,
    amount_max: Money | None,
    currency: str,
    merchant: Merchant | None = None,
    psp_account: PspAccount | None = None,
) -> ApprovalLimit:
    """Let a role approve a command up to an amount; None is any. It gets the right to decide.

    Of one merchant alone the right is an object permission. Raises ValueError for another currency.
    """
    if amount_max is not None and amount_max.currency != currency:
        raise ValueError(f"{amount_max} is not in {currency}")
    with transaction.atomic(durable=True):
        limit, _ = ApprovalLimit.objects.update_or_create(
            group=group,
            merchant=merchant,
            psp_account=psp_account,
            command=command.value,
            currency=currency,
            defaults={"amount_max_minor": None if amount_max is None else amount_max.minor},
        )
        if merchant is None:
            group.permissions.add(_permission())
        else:
            assign_perm(DECIDE, group, merchant)
    return limit


def remove_limit(limit: ApprovalLimit) -> None:
    """Remove a limit; with its last one of a merchant, or of all, a role loses the right too."""
    with transaction.atomic(durable=True):
        group, merchant = limit.group, limit.merchant
        limit.delete()
        if ApprovalLimit.objects.filter(group=group, merchant=merchant).exists():
            return
        if merchant is None:
            group.permissions.remove(_permission())
        else:
            remove_perm(DECIDE, group, merchant)


def _permission() -> Permission:
    app, codename = DECIDE.split(".")
    return Permission.objects.get(content_type__app_label=app, codename=codename)
