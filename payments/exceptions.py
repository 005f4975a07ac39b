"""What the payment services refuse, by name, each with the stable code a merchant sees.

What may not live here: HTTP statuses (the API's table of errors owns them).
"""

from __future__ import annotations

from typing import Any


class PaymentRefused(Exception):
    """A command was refused and wrote nothing.

    `message` says what is wrong and what to do. `param` names the request's parameter, if one is
    to blame. `intent` is the payment intent as it stands, where the answer should show it.
    """

    code = ""

    def __init__(
        self, message: str, *, param: str = "", code: str = "", intent: Any = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.code = code or self.code
        self.intent = intent


class InvalidParameter(PaymentRefused):
    """A value cannot be used; the code says why, such as `parameter_invalid_integer`."""

    code = "parameter_invalid"


class ResourceMissing(PaymentRefused):
    """No such object, or another merchant's: the two are never told apart."""

    code = "resource_missing"


class UnexpectedState(PaymentRefused):
    """The intent's state does not allow this command."""

    code = "payment_intent_unexpected_state"


class PendingAtBank(UnexpectedState):
    """The customer's bank has yet to decide, which may take days: repeating helps nothing."""


class AmountRefused(PaymentRefused):
    """The amount is below the minimum, above the maximum, or more than is left."""

    code = "amount_too_large"


class ChargeRefused(PaymentRefused):
    """The charge cannot be refunded or captured: `charge_already_refunded` and its kin."""

    code = "charge_already_refunded"


class DisputeRefused(PaymentRefused):
    """The dispute takes no response, or not any more: `dispute_past_due` and its kin."""

    code = "dispute_unexpected_state"


class SetupRefused(PaymentRefused):
    """The status of the setup intent does not allow this command; the answer shows it."""

    code = "setup_intent_unexpected_state"

    def __init__(self, message: str, *, setup_intent: dict[str, Any]) -> None:
        super().__init__(message)
        self.setup_intent = setup_intent
        """As merchants see it."""


class OrderAlreadyPaid(PaymentRefused):
    """The order guard: another payment of this order is open or successful."""

    code = "order_already_has_payment"


class OperationUnderWay(PaymentRefused):
    """Another operation of this intent is at the PSP; the same request may be repeated shortly."""

    code = "lock_timeout"


class IdempotencyKeyRequired(PaymentRefused):
    """A POST that can move money came without an Idempotency-Key."""

    code = "idempotency_key_required"


class IdempotencyKeyInvalid(PaymentRefused):
    """The Idempotency-Key is empty, longer than 255 characters or not printable ASCII."""

    code = "idempotency_key_invalid"


class IdempotencyKeyReused(PaymentRefused):
    """The key was first used with another request."""


class IdempotencyKeyInUse(PaymentRefused):
    """The first request with this key is still under way."""

    code = "idempotency_key_in_use"


class AuthenticationFailed(PaymentRefused):
    """No API key, or one that is unknown, revoked or expired."""


class PermissionRefused(PaymentRefused):
    """The API key may not do this."""


class ProviderPaused(PaymentRefused):
    """The PSP account takes no new charges: an operator paused it, or closes it."""

    code = "payment_provider_paused"


class PspNotReached(PaymentRefused):
    """Nothing was sent to the PSP; the same request may be repeated."""

    code = "psp_unavailable"

    def __init__(self, message: str, *, retry_after_seconds: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds
