"""Setup intents and setup attempts as the merchant sees them."""

from __future__ import annotations

from typing import Any, Final
from uuid import UUID

from payments import public_ids
from payments.models import SetupAttempt, SetupIntent
from payments.objects.fields import (
    ObjectType,
    always_null,
    any_of,
    created,
    flag,
    id_of,
    list_of,
    livemode,
    metadata,
    named,
    null_ids,
    one_of,
    own_id,
    record,
    text,
)
from payments.objects.parts import public_id, reference, unix_seconds_of
from payments.objects.payment_intent import NEXT_ACTION, redirect_to
from payments.objects.payment_method import METHOD_TYPE, charged_method_object
from payments.states import SETUP_ATTEMPT_SHOWN_AS, SetupAttemptStatus, SetupStatus

_ERROR: Final = {
    "code": text("As in errors, such as `card_declined`.", sample="card_declined"),
    "decline_code": text(
        "The bank's reason, such as `insufficient_funds`.", sample="insufficient_funds"
    ).but(absent=True),
    "message": text(
        "A sentence; of a `card_error` it may be shown to the customer.",
        sample="Your card was declined.",
    ),
    "payment_method": any_of("What was declined.", "payment_method").but(absent=True),
    "type": one_of("As in errors.", "card_error", "invalid_request_error"),
}
_CARD_OPTIONS: Final = {
    "request_three_d_secure": one_of(
        "`automatic`: the PSP decides. `any`, `challenge`: 3-D Secure where the card supports it.",
        *("automatic", "any", "challenge"),
    ),
    **always_null("mandate_options", "network"),
}
_NO_CARD_OPTIONS: Final = {
    "mandate_options": None,
    "network": None,
    "request_three_d_secure": "automatic",
}
_USAGE: Final = one_of(
    "Whether the customer will be there (`on_session`) or not (`off_session`) when it is charged.",
    *("off_session", "on_session"),
)

SETUP_INTENT: Final = ObjectType(
    "setup_intent",
    "One payment method that is verified, and kept for later payments. No money moves.",
    {
        "id": own_id(public_ids.SETUP_INTENT),
        "object": named("setup_intent"),
        "automatic_payment_methods": record(
            "The automatic choice of payment methods; null if the merchant named types.",
            {
                "allow_redirects": one_of(
                    "Whether methods that send the customer to another page are taken.",
                    *("always", "never"),
                ).but(absent=True),
                "enabled": flag("Whether the platform chooses.", example=True),
            },
            nullable=True,
            shown=False,
        ),
        "cancellation_reason": one_of(
            "Why it was canceled; null if it was not, or without a reason.",
            *("abandoned", "duplicate", "requested_by_customer"),
            nullable=True,
        ),
        "client_secret": text("For clients of this setup only. Never log it.", "seti_…_secret_…"),
        "created": created("the setup intent"),
        "customer": id_of(
            "customer", "Whose the payment method becomes; null without one.", nullable=True
        ),
        "description": text("Your own text.", sample="Card for the subscription", nullable=True),
        "last_setup_error": record(
            "Why the last attempt failed; null if none did.", _ERROR, nullable=True, shown=False
        ),
        "latest_attempt": id_of(
            "setup_attempt",
            "The last attempt; null before the first.",
            public_ids.SETUP_ATTEMPT,
            nullable=True,
        ),
        "livemode": livemode(),
        "metadata": metadata(),
        "next_action": record(
            "What the customer must do; null unless `status` is `requires_action`.",
            NEXT_ACTION,
            nullable=True,
            shown=False,
        ),
        "payment_method": id_of(
            "payment_method",
            "What is kept; null before one is chosen, and after a decline.",
            public_ids.PAYMENT_METHOD,
            nullable=True,
        ),
        "payment_method_options": record(
            "What is asked of the PSP, by type of method.",
            {"card": record("Of cards, if they are allowed.", _CARD_OPTIONS).but(absent=True)},
        ),
        "payment_method_types": list_of(
            "What may be kept.", text("A type of payment method."), ["card"]
        ),
        "status": one_of(
            "Where it stands. `succeeded` and `canceled` are final. `processing`: the PSP has yet "
            "to answer, or its answer was lost; wait for the event.",
            *sorted(SetupStatus),
            example="succeeded",
        ),
        "usage": _USAGE,
        "mandate": id_of(
            "mandate",
            "With which the method was kept, if its type needs one; null before `succeeded`.",
            nullable=True,
        ),
        **null_ids("application", "on_behalf_of", "single_use_mandate"),
        **always_null("attach_to_self", "customer_account", "excluded_payment_method_types"),
        **always_null("flow_directions", "managed_payments"),
        **always_null("payment_method_configuration_details"),
    },
)

SETUP_ATTEMPT: Final = ObjectType(
    "setup_attempt",
    "One try of a setup intent at the PSP.",
    {
        "id": own_id(public_ids.SETUP_ATTEMPT),
        "object": named("setup_attempt"),
        "created": created("the attempt"),
        "customer": id_of("customer", "Whose the method was to become.", nullable=True),
        "livemode": livemode(),
        "payment_method": id_of("payment_method", "What was tried.", public_ids.PAYMENT_METHOD),
        "payment_method_details": record(
            "The type of what was tried; `payment_method` has the rest.",
            {
                "card": record("If `type` says so.", always_null("three_d_secure", "wallet")).but(
                    absent=True
                ),
                "type": METHOD_TYPE,
            },
        ),
        "setup_error": record("Why it failed; null if not.", _ERROR, nullable=True, shown=False),
        "setup_intent": id_of("setup_intent", "What it is a try of.", public_ids.SETUP_INTENT),
        "status": one_of(
            "How it ended. `abandoned`: its challenge was given up.",
            *sorted(set(SETUP_ATTEMPT_SHOWN_AS.values())),
            example="succeeded",
        ),
        "usage": _USAGE,
        **null_ids("application", "on_behalf_of"),
        **always_null("attach_to_self", "customer_account", "flow_directions"),
    },
)


def setup_intent_object(setup: SetupIntent) -> dict[str, Any]:
    """A setup intent, nothing expanded."""
    return {
        "id": public_id(public_ids.SETUP_INTENT, setup.id),
        **SETUP_INTENT.constants,
        "automatic_payment_methods": setup.automatic_payment_methods,
        "cancellation_reason": setup.cancellation_reason or None,
        "client_secret": setup.client_secret,
        "created": unix_seconds_of(setup.id),
        "customer": reference(public_ids.CUSTOMER, setup.customer_id),
        "description": setup.description or None,
        "last_setup_error": _shown_error(setup.last_setup_error, setup),
        "latest_attempt": reference(public_ids.SETUP_ATTEMPT, setup.latest_attempt_id),
        "livemode": setup.livemode,
        "mandate": reference(public_ids.MANDATE, setup.mandate_id),
        "metadata": setup.metadata,
        "next_action": _next_action(setup),
        "payment_method": reference(public_ids.PAYMENT_METHOD, setup.payment_method_id),
        "payment_method_options": _method_options(setup),
        "payment_method_types": setup.payment_method_types,
        "status": setup.status,
        "usage": setup.usage,
    }


def setup_attempt_object(attempt: SetupAttempt) -> dict[str, Any]:
    """An attempt, nothing expanded."""
    method_type = attempt.payment_method_details["type"]
    details: dict[str, Any] = {"type": method_type}
    if method_type == "card":
        details["card"] = {"three_d_secure": None, "wallet": None}
    return {
        "id": public_id(public_ids.SETUP_ATTEMPT, attempt.id),
        **SETUP_ATTEMPT.constants,
        "created": unix_seconds_of(attempt.id),
        "customer": reference(public_ids.CUSTOMER, attempt.customer_id),
        "livemode": attempt.livemode,
        "payment_method": public_id(public_ids.PAYMENT_METHOD, attempt.payment_method_id),
        "payment_method_details": details,
        "setup_error": _setup_error(attempt),
        "setup_intent": public_id(public_ids.SETUP_INTENT, attempt.setup_intent_id),
        "status": SETUP_ATTEMPT_SHOWN_AS[attempt.status],
        "usage": attempt.usage,
    }


def declined_method_object(attempt: SetupAttempt) -> dict[str, Any]:
    """The method of a failed attempt, as errors show it."""
    return charged_method_object(
        attempt.payment_method_id,
        attempt.payment_method_details,
        customer_id=None,
        livemode=attempt.livemode,
    )


def _setup_error(attempt: SetupAttempt) -> dict[str, Any] | None:
    if attempt.status != SetupAttemptStatus.DECLINED:
        return None
    error: dict[str, Any] = {
        "code": attempt.code,
        "message": attempt.message,
        "payment_method": declined_method_object(attempt),
        "type": "card_error",
    }
    if attempt.decline_code:
        error["decline_code"] = attempt.decline_code
    return error


def _shown_error(stored: dict[str, Any] | None, setup: SetupIntent) -> dict[str, Any] | None:
    if not stored:
        return None
    error = dict(stored)
    method_id, snapshot = error.pop("payment_method_id"), error.pop("payment_method_details")
    error["payment_method"] = charged_method_object(
        UUID(method_id), snapshot, customer_id=None, livemode=setup.livemode
    )
    return error


def _next_action(setup: SetupIntent) -> dict[str, Any] | None:
    if setup.status != SetupStatus.REQUIRES_ACTION:
        return None
    return redirect_to(setup.next_action_url, setup.return_url)


def _method_options(setup: SetupIntent) -> dict[str, Any]:
    """The options of cards if they are allowed: typed SDKs expect the usual ones to be there."""
    if "card" not in setup.payment_method_types:
        return {}
    return {"card": {**_NO_CARD_OPTIONS, **setup.payment_method_options.get("card", {})}}
