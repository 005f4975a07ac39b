"""Parameters of /v1/payment_links."""

from __future__ import annotations

from typing import Any, Final

from payments import public_ids
from payments.api.parameters import (
    Boolean,
    Currency,
    Enum,
    Expand,
    Metadata,
    Nested,
    Parameter,
    Parameters,
    Text,
    Unsupported,
    Url,
)
from payments.api.parameters.groups import list_parameters
from payments.api.views.checkout_parameters import (
    EXAMPLE_LINES,
    NO_PLATFORM,
    NO_SUBSCRIPTIONS,
    NOT_SHOWN,
    REMOVE,
    check_lines,
    lines_parameter,
    payment_data,
    shared_parameters,
)
from payments.exceptions import InvalidParameter

_AFTER_COMPLETION: Final = Nested(
    {
        "type": Enum("hosted_confirmation", "redirect", required=True, description="Which."),
        "redirect": Nested(
            {"url": Url(required=True, description="Where the customer goes afterwards.")},
            description="With the type redirect.",
        ),
        "hosted_confirmation": NOT_SHOWN,
    },
    description="What happens after the payment; our page says thank you, if not given.",
)


def _check_redirect(given: dict[str, Any]) -> None:
    after = given.get("after_completion", {})
    if (after.get("type") == "redirect") != ("redirect" in after):
        raise InvalidParameter(
            "Give redirect[url] with the type redirect, and only then.", param="after_completion"
        )


def _link() -> dict[str, Parameter]:
    return {
        **shared_parameters(),
        "after_completion": _AFTER_COMPLETION,
        "expand": Expand("payment_link"),
        "inactive_message": Text(
            max_length=500, description="What the page says while the link is not active."
        ),
        "on_behalf_of": NO_PLATFORM,
        "application_fee_amount": Unsupported("Platform fees are set by the operator: remove it."),
        "application_fee_percent": NO_SUBSCRIPTIONS,
        "restrictions": REMOVE,
        "transfer_data": NO_PLATFORM,
    }


CREATE_LINK: Final = Parameters(
    {
        **_link(),
        "line_items": lines_parameter(required=True),
        "currency": Currency(description="That of the lines."),
        "payment_intent_data": payment_data(with_person=False),
    },
    checks=(check_lines, _check_redirect),
    example={"line_items": EXAMPLE_LINES, "metadata": {"order_id": "6735"}},
)

_FIXED: Final = Unsupported("It cannot be changed: create a new payment link.")

UPDATE_LINK: Final = Parameters(
    {
        **_link(),
        "active": Boolean(description="false: its page takes no payments."),
        "metadata": Metadata(merges=True),
        "line_items": _FIXED,
        "payment_intent_data": _FIXED,
        "payment_method_types": _FIXED,
        "submit_type": _FIXED,
    },
    checks=(_check_redirect,),
    example={"active": False},
)

RETRIEVE_LINK: Final = Parameters({"expand": Expand("payment_link")})

LIST_LINKS: Final = list_parameters(
    public_ids.PAYMENT_LINK,
    "payment_link",
    {"active": Boolean(description="Only those that are active, or only others.")},
    noun="payment link",
    created=False,
)
