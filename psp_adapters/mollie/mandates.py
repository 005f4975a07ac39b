"""What Mollie needs to charge a customer again: a customer of its own, and that one's mandate.

A first payment, made on Mollie's page or with a card's token, makes the mandate: for a card, or for
SEPA direct debit if it was paid by a bank. Both together are the token of later payments.
"""

from __future__ import annotations

from typing import Any

from mollie.api.objects.customer import Customer
from mollie.api.resources.mandates import CustomerMandates

from psp_adapters.contract.answers import UNREADABLE, Contradiction, retry_after, text
from psp_adapters.contract.operations import PspUnavailable
from psp_adapters.contract.setups import CustomerNotMade
from psp_adapters.http import AnswerUnknown, NotSent
from psp_adapters.mollie import mapping
from psp_adapters.mollie.connection import Connection, is_success


def new_customer(
    connection: Connection,
    *,
    psp_key: str,
    reference: str,
    livemode: bool,
    deadline_seconds: float,
) -> str:
    """Make the customer of a method that is to be kept; the same for every repeat of one request.

    Raises CustomerNotMade. A customer of which the answer is lost is left over, and holds nothing.
    """
    body = {"metadata": {mapping.REFERENCE: reference}}
    try:
        answer = connection.post(
            lambda: connection.api.customers.create(body, idempotency_key=f"{psp_key}:customer"),
            deadline_seconds=deadline_seconds,
        )
    except (NotSent, AnswerUnknown) as error:
        raise CustomerNotMade(str(error)) from None
    if not is_success(answer):
        wait_seconds = retry_after(answer.headers) if answer.status == 429 else None
        raise CustomerNotMade(f"answered {answer.status}", wait_seconds)
    try:
        mapping.require_mode(answer.body, livemode=livemode)
        return text(answer.body["id"])
    except (Contradiction, *UNREADABLE) as error:
        raise CustomerNotMade(type(error).__name__) from None


def revoke(connection: Connection, token: str, *, deadline_seconds: float) -> None:
    """Revoke the mandate of a kept method; revoked before is revoked. Raises PspUnavailable."""
    parts = mapping.token_parts(token)
    if parts is None:
        raise PspUnavailable("not the token of a kept method")
    customer, mandate = parts
    mandates: Any = CustomerMandates(
        connection.api,
        Customer({"id": customer}, connection.api),  # type: ignore[no-untyped-call]
    )
    # Without a key: Mollie would repeat a stored 5xx, and a second revocation changes nothing.
    answer = connection.get(lambda: mandates.delete(mandate), deadline_seconds=deadline_seconds)
    if not is_success(answer) and answer.status not in (404, 410):
        raise PspUnavailable(f"answered {answer.status}")
