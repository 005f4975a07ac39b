"""Chooses the mandate by which a charge debits its method, or a setup keeps it; makes new ones.

What a customer accepts is kept before anything is sent, as a pending mandate that names what made
it. What becomes of it is decided by the result (outcomes.mandates).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from ledger.database.row_ids import new_row_id
from ledger.database.statements import Batch
from ledger.money import Money
from payments.exceptions import InvalidParameter
from payments.models import METHODS_WITH_MANDATE, Mandate, MandateStatus, PaymentMethod
from payments.models.mandate import MULTI_USE, SINGLE_USE
from payments.public_ids import created_at_of
from payments.selectors.customers import mandates, one_mandate
from payments.selectors.scope import Scope

_INVALID: Final = "payment_intent_mandate_invalid"


@dataclass(frozen=True, slots=True, kw_only=True)
class Acceptance:
    """How a customer accepted a mandate, as the merchant tells it."""

    where: str
    """`online` or `offline`."""
    accepted_at: datetime | None = None
    """None: when it is told."""
    ip_address: str = ""
    user_agent: str = ""


def require_mandate(
    method: PaymentMethod, acceptance: Acceptance | None, *, named: str = ""
) -> Mandate | None:
    """The active mandate of the method that is to be used, locked.

    None if the customer accepted a new one with this request, or the method needs none; if its PSP
    keeps it, it may have one all the same. `named` is the id of the one that the merchant wants.
    Raises InvalidParameter and ResourceMissing.
    """
    scope = Scope(method.merchant_id, method.livemode)
    if named:
        return _named(scope, method, named)
    is_needed = method.method_type in METHODS_WITH_MANDATE
    if (is_needed and acceptance is not None) or not (is_needed or method.stored_token):
        return None
    active = mandates(scope).filter(payment_method_id=method.id, status=MandateStatus.ACTIVE)
    found = active.select_for_update(no_key=True).order_by("-id").first()
    if found is None and is_needed:
        raise InvalidParameter(
            f"A payment method of type {method.method_type} is debited by a mandate, and this one "
            "has none that is active. Pass mandate_data, which says how and when the customer "
            "accepted one, or use a payment method that was kept with a mandate.",
            param="mandate_data",
            code="parameter_missing",
        )
    return found


def _named(scope: Scope, method: PaymentMethod, named: str) -> Mandate:
    row = one_mandate(scope, named, param="mandate")
    found = mandates(scope).select_for_update(no_key=True).get(pk=row.pk)
    if found.payment_method_id != method.id or found.status != MandateStatus.ACTIVE:
        raise InvalidParameter(
            f"The mandate {named} cannot be used for this payment: it is {found.status}, or of "
            "another payment method. Leave mandate out, or pass mandate_data with a new acceptance "
            "of the customer.",
            param="mandate",
            code=_INVALID,
        )
    return found


def mandate_for(
    batch: Batch,
    method: PaymentMethod,
    acceptance: Acceptance | None,
    *,
    made_by: UUID,
    once: Money | None,
    named: str = "",
) -> UUID | None:
    """The id of the mandate that a charge or setup attempt of this id names; None if it needs none.

    A new one is put into the batch: for one payment of the amount `once`, or for later ones too.
    Raises as `require_mandate`.
    """
    active = require_mandate(method, acceptance, named=named)
    if active is not None:
        return active.id
    if acceptance is None or method.method_type not in METHODS_WITH_MANDATE:
        return None
    identifier = new_row_id()
    created_at = created_at_of(identifier)
    mandate = Mandate(
        id=identifier,
        merchant_id=method.merchant_id,
        livemode=method.livemode,
        payment_method_id=method.id,
        use=SINGLE_USE if once is not None else MULTI_USE,
        single_use_minor=once.minor if once is not None else None,
        currency=once.currency if once is not None else "",
        acceptance=acceptance.where,
        accepted_at=acceptance.accepted_at or created_at,
        ip_address=acceptance.ip_address,
        user_agent=acceptance.user_agent,
        made_by_id=made_by,
        created_at=created_at,
        updated_at=created_at,
    )
    batch.insert(mandate)
    return mandate.id
