"""Payment links: permanent addresses, each visitor of which gets a checkout session."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from ledger.database.row_ids import new_row_id
from ledger.money import Money
from payments import public_ids
from payments.clock import now_utc
from payments.exceptions import InvalidParameter, PaymentRefused
from payments.metadata import merged_metadata
from payments.models import CheckoutSession, PaymentLink
from payments.public_ids import created_at_of
from payments.selectors.checkout import open_session_of_link, payment_links, sessions_made_by
from payments.selectors.scope import PAYMENT_LINK, refuse_missing
from payments.services.callers.caller import Caller, CommandRequest
from payments.services.checkout.sessions import Line, Page, create_session, session_of, total_of
from payments.services.commands import IntentDetails
from payments.services.commands.charge_guards import CHECKOUT_ACTOR
from payments.services.idempotency.direct_requests import DirectTx, direct_command

VISITS_PER_MINUTE_MAX: Final = 60
"""New sessions of one link: each is a payment that waits, with an event for the merchant."""
_MINUTE: Final = timedelta(minutes=1)
_CHANGEABLE: Final = ("active", "redirect_url", "inactive_message", "metadata", "updated_at")


class TooManyVisits(Exception):
    """The link made too many sessions within a minute."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkDetails:
    """What a merchant may say about a link at any time; None means not given."""

    active: bool | None = None
    redirect_url: str | None = None
    inactive_message: str | None = None
    metadata: dict[str, str] | None = None


@direct_command
def create_link(
    tx: DirectTx,
    *,
    lines: Sequence[Line],
    method_types: list[str],
    intent_details: dict[str, Any],
    submit_type: str,
    details: LinkDetails,
) -> PaymentLink:
    """Create a payment link. `intent_details` are those of IntentDetails, for each payment.

    Raises AmountRefused and InvalidParameter.
    """
    if (intent_details.get("metadata") or {}).get("order_id"):
        raise InvalidParameter(
            "A payment link is paid many times, and an order once: leave out order_id.",
            param="payment_intent_data[metadata][order_id]",
        )
    total = total_of(lines)
    identifier = new_row_id()
    created_at = created_at_of(identifier)
    link = PaymentLink(
        id=identifier,
        merchant_id=tx.caller.merchant.id,
        livemode=tx.caller.livemode,
        amount_minor=total.minor,
        currency=total.currency,
        token=secrets.token_urlsafe(24),
        line_items=[line.stored() for line in lines],
        method_types=method_types,
        intent_details=intent_details,
        submit_type=submit_type,
        created_at=created_at,
        updated_at=created_at,
    )
    _apply(link, details)
    tx.batch.insert(link)
    return link


@direct_command
def update_link(tx: DirectTx, *, link_id: UUID, details: LinkDetails) -> PaymentLink:
    """Change a link; sessions that it made stay as they are. Raises ResourceMissing."""
    rows = payment_links(tx.caller.scope).select_for_update()
    link = rows.filter(pk=link_id).first()
    if link is None:
        refuse_missing(PAYMENT_LINK, public_ids.encode(public_ids.PAYMENT_LINK, link_id))
    _apply(link, details)
    link.updated_at = now_utc()
    tx.batch.update(link, _CHANGEABLE)
    return link


def visit(link: PaymentLink, *, known_token: str, request_id: str) -> CheckoutSession:
    """The session for one visitor: the open one that this browser got before, or a new one.

    Raises TooManyVisits, and PaymentRefused where the merchant's account takes no payment.
    """
    known = open_session_of_link(link, known_token) if known_token else None
    if known is not None:
        return known
    if sessions_made_by(link, within=_MINUTE) >= VISITS_PER_MINUTE_MAX:
        raise TooManyVisits
    details = IntentDetails(**link.intent_details, payment_method_types=link.method_types or None)
    page = Page(
        success_url=link.redirect_url,
        submit_type=link.submit_type,
        metadata=link.metadata,
        payment_link_id=link.id,
    )
    request: CommandRequest[Any] = CommandRequest(_visitor(link, request_id))
    result = create_session(request, lines=_lines_of(link), details=details, page=page)
    assert result.intent is not None, "without a key nothing is replayed"
    return session_of(result.intent)


def _visitor(link: PaymentLink, request_id: str) -> Caller:
    merchant = link.merchant
    account = merchant.live_psp_account if link.livemode else merchant.test_psp_account
    if account is None:
        raise PaymentRefused("The merchant has no PSP account.", code="payment_provider_missing")
    return Caller(
        merchant=merchant,
        livemode=link.livemode,
        psp_account=account,
        actor=CHECKOUT_ACTOR,
        request_id=request_id,
    )


def _lines_of(link: PaymentLink) -> list[Line]:
    return [
        Line(
            name=each["name"],
            description=each["description"],
            unit_amount=Money(each["unit_amount"], link.currency),
            quantity=each["quantity"],
            metadata=each["metadata"],
        )
        for each in link.line_items
    ]


def _apply(link: PaymentLink, details: LinkDetails) -> None:
    if details.active is not None:
        link.active = details.active
    if details.redirect_url is not None:
        link.redirect_url = details.redirect_url
    if details.inactive_message is not None:
        link.inactive_message = details.inactive_message
    if details.metadata is not None:
        link.metadata = merged_metadata(link.metadata, details.metadata)
