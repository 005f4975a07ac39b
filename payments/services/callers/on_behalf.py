"""Builds the Caller of a row, for a change that no request asked for."""

from __future__ import annotations

from typing import cast

from payments.models import Merchant, Operation, PaymentIntent, PspAccount, WebhookEndpoint
from payments.services.callers.caller import Caller


def for_operation(operation: Operation, actor: str) -> Caller:
    """The caller on behalf of an operation's merchant; events name the operation's request."""
    row = Operation.objects.select_related("merchant", "psp_account").get(pk=operation.pk)
    return Caller(
        merchant=row.merchant,
        livemode=row.livemode,
        psp_account=row.psp_account,
        actor=actor,
        request_id=row.request_id,
    )


def for_intent(intent: PaymentIntent, actor: str) -> Caller:
    """The caller on behalf of a payment's merchant."""
    return Caller(
        merchant=Merchant.objects.get(pk=intent.merchant_id),
        livemode=intent.livemode,
        psp_account=intent.psp_account,
        actor=actor,
    )


def for_endpoint(endpoint: WebhookEndpoint, actor: str) -> Caller:
    """The caller on behalf of an endpoint's merchant.

    A merchant may have no PSP account in this mode: nothing done to an endpoint needs one.
    """
    merchant = endpoint.merchant
    account = merchant.live_psp_account if endpoint.livemode else merchant.test_psp_account
    return Caller(
        merchant=merchant,
        livemode=endpoint.livemode,
        psp_account=cast(PspAccount, account),
        actor=actor,
        api_version=endpoint.api_version,
    )
