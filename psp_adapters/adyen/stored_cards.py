"""Cards that are stored at Adyen: described, verified for later payments, deleted.

A token names a card that Adyen stores already. So a setup stores nothing new: an authorization of
nothing verifies the card, and tells its bank what the customer agrees to. The token stays.
"""

from __future__ import annotations

import time
from typing import Final
from urllib.parse import quote

from ledger.money import Money
from psp_adapters.adyen import mapping, vocabulary
from psp_adapters.adyen.connection import Connection, in_path
from psp_adapters.contract.answers import readable, view_of
from psp_adapters.contract.operations import (
    OperationKind,
    Outcome,
    PspRequest,
    PspResult,
    PspUnavailable,
)
from psp_adapters.contract.payments import PaymentToken
from psp_adapters.contract.setups import SetupRequest, SetupResult

_DELETED: Final = (200, 204)


def described(
    connection: Connection, token: str, *, merchant_account: str, deadline_seconds: float
) -> PaymentToken | None:
    """A stored card as the list of its customer shows it; None if it is not there.

    Raises PspUnavailable.
    """
    customer, _ = _parts(token)
    asked = _asked(customer, merchant_account)
    answer = connection.get(
        lambda: connection.recurring.get_tokens_for_stored_payment_details(query_parameters=asked),
        deadline_seconds=deadline_seconds,
    )
    return readable(mapping.token_of, view_of(answer), token=token)


def delete(
    connection: Connection, token: str, *, merchant_account: str, deadline_seconds: float
) -> None:
    """Delete a stored card; deleted before is deleted. Raises PspUnavailable.

    Without a key: Adyen would repeat a stored error, and a second deletion changes nothing. How it
    refuses one is not documented: so what is not answered with success is looked up.
    """
    end = time.monotonic() + deadline_seconds
    customer, stored_id = _parts(token)
    path, asked = in_path(stored_id), _asked(customer, merchant_account)
    answer = connection.get(
        lambda: connection.recurring.delete_token_for_stored_payment_details(
            path, query_parameters=asked
        ),
        deadline_seconds=deadline_seconds,
    )
    if answer.status in _DELETED:
        return
    left = described(
        connection,
        token,
        merchant_account=merchant_account,
        deadline_seconds=end - time.monotonic(),
    )
    if left is not None:
        raise PspUnavailable(f"answered {answer.status}")


def verification_of(request: SetupRequest, *, currency: str) -> PspRequest:
    """The authorization of nothing that a setup is at Adyen."""
    return PspRequest(
        kind=OperationKind.AUTHORIZE,
        psp_key=request.psp_key,
        reference=request.reference,
        amount=Money.zero(currency),
        token=request.token,
        three_d_secure=request.three_d_secure,
        return_url=request.return_url,
        save_for=request.usage,
    )


def setup_result(result: PspResult) -> SetupResult:
    """The result of a verification as that of a setup, which is never pending."""
    is_pending = result.outcome is Outcome.PENDING
    return SetupResult(
        outcome=Outcome.UNKNOWN if is_pending else result.outcome,
        psp_id=result.psp_id,
        network_transaction_id=result.network_transaction_id,
        code=vocabulary.SETUP_CODES.get(result.code, result.code),
        decline_code=result.decline_code,
        message=result.message,
        elsewhere=result.elsewhere,
        redirect_url=result.redirect_url,
        retry_after_seconds=result.retry_after_seconds,
        detail=result.detail,
    )


def _parts(token: str) -> tuple[str, str]:
    parts = mapping.token_parts(token)
    if parts is None:
        raise PspUnavailable("not the token of a stored card")
    return parts


def _asked(customer: str, merchant_account: str) -> dict[str, str]:
    """The query of a stored card's customer; the library puts it into the address as it is."""
    return {
        "merchantAccount": quote(merchant_account, safe=""),
        "shopperReference": quote(customer, safe=""),
    }
