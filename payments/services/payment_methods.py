"""Payment methods: find one of ours, or make one of a PSP's token."""

from __future__ import annotations

from payments import public_ids
from payments.exceptions import PspNotReached, ResourceMissing
from payments.models import PaymentMethod
from payments.services import psp
from payments.services.caller import Caller
from payments.services.events import time_of
from psp_adapters.contract import PspUnavailable, UnknownToken


def resolve_payment_method(caller: Caller, reference: str) -> PaymentMethod:
    identifier = public_ids.decode(public_ids.PAYMENT_METHOD, reference)
    if identifier is not None:
        found = PaymentMethod.objects.filter(
            pk=identifier, merchant_id=caller.merchant.id, livemode=caller.livemode
        ).first()
        if found is not None:
            return found
    try:
        token = psp.adapter_of(caller.psp_account).find_token(reference, deadline_seconds=5)
    except UnknownToken:
        raise ResourceMissing(
            f"No such PaymentMethod: '{reference}'", param="payment_method"
        ) from None
    except PspUnavailable as error:
        raise PspNotReached("The payment provider could not be asked.") from error
    new = public_ids.new_id()
    return PaymentMethod(
        id=new,
        merchant_id=caller.merchant.id,
        livemode=caller.livemode,
        psp_account_id=caller.psp_account.id,
        token=token.token,
        method_type=token.method_type,
        brand=token.brand,
        funding=token.funding,
        last4=token.last4,
        expiry_month=token.expiry_month,
        expiry_year=token.expiry_year,
        country=token.country,
        fingerprint=token.fingerprint,
        created_at=time_of(new),
        updated_at=time_of(new),
    )
