"""Ends what a charge or setup began with a mandate: it becomes active, or inactive for good.

Lock order: what names the mandate, customer, payment method, mandate.
"""

from __future__ import annotations

from typing import Final
from uuid import UUID

from ledger.database.row_ids import new_row_id
from ledger.database.statements import Batch
from payments.clock import now_utc
from payments.models import Mandate, MandateStatus, Operation, PaymentMethod
from payments.models.mandate import MULTI_USE, ONLINE
from payments.objects.mandate import mandate_object
from payments.public_ids import created_at_of
from payments.services.callers.caller import Caller
from payments.services.outbox.events import EventDraft, events_of, previous_attributes

_WRITTEN: Final = ("status", "ended_at", "updated_at")


def settle_mandate(batch: Batch, mandate_id: UUID | None, *, kept: bool) -> None:
    """Settle a pending mandate, once the charge or setup that made it has ended.

    It is active if its method was kept by that, which must be locked then, and allows more than one
    payment. A mandate that was settled before stays as it is.
    """
    if mandate_id is None:
        return
    mandate = Mandate.objects.select_for_update().get(pk=mandate_id)
    if mandate.status != MandateStatus.PENDING:
        return
    mandate.updated_at = now_utc()
    if kept and mandate.use == MULTI_USE:
        mandate.activate()
    else:
        mandate.end(at=mandate.updated_at)
    batch.update(mandate, _WRITTEN)


def adopt_mandate(batch: Batch, charge: Operation, psp_reference: str) -> None:
    """Write the mandate that a PSP made by itself as it kept the charge's method, which is locked.

    The customer accepted it on the PSP's page: of the browser nothing is known.
    """
    assert charge.payment_method_id is not None, "its method was kept"
    identifier = new_row_id()
    created_at = created_at_of(identifier)
    mandate = Mandate(
        id=identifier,
        merchant_id=charge.merchant_id,
        livemode=charge.livemode,
        payment_method_id=charge.payment_method_id,
        status=MandateStatus.ACTIVE,
        use=MULTI_USE,
        acceptance=ONLINE,
        accepted_at=charge.created_at,
        made_by_id=charge.id,
        psp_reference=psp_reference,
        created_at=created_at,
        updated_at=created_at,
    )
    batch.insert(mandate)


def revoke_mandates(batch: Batch, method: PaymentMethod, caller: Caller) -> None:
    """End the active mandates of a locked method that is being detached, with an event for each.

    The method's `event_seq` is advanced: the caller writes it.
    """
    rows = Mandate.objects.select_for_update().filter(payment_method_id=method.id)
    for mandate in rows.filter(status=MandateStatus.ACTIVE).order_by("id"):
        before = mandate_object(mandate, method)
        mandate.updated_at = now_utc()
        mandate.end(at=mandate.updated_at)
        after = mandate_object(mandate, method)
        draft = EventDraft("mandate.updated", after, previous_attributes(before, after))
        batch.insert(*events_of(method, [draft], caller)).update(mandate, _WRITTEN)
