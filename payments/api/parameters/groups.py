"""Parameters that several endpoints share: of lists, methods, names and addresses of people."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from payments.api.parameters import (
    CreatedRange,
    Email,
    Enum,
    Expand,
    Integer,
    Nested,
    Parameter,
    Parameters,
    Phone,
    PublicId,
    Text,
)
from payments.api.parameters.declaration import Schema
from payments.api.parameters.expansion import TOTAL_COUNT

METHOD_TYPES: Final = (
    *("acss_debit", "affirm", "afterpay_clearpay", "alipay", "alma", "amazon_pay"),
    *("au_becs_debit", "bacs_debit", "bancontact", "billie", "bizum", "blik", "boleto", "card"),
    *("card_present", "cashapp", "crypto", "customer_balance", "eps", "fpx", "giropay"),
    *("grabpay", "ideal", "interac_present", "kakao_pay", "klarna", "konbini", "kr_card"),
    *("link", "mb_way", "mobilepay", "multibanco", "naver_pay", "nz_bank_account", "oxxo"),
    *("p24", "pay_by_bank", "payco", "paynow", "paypal", "paypay", "payto", "pix", "promptpay"),
    *("revolut_pay", "samsung_pay", "satispay", "scalapay", "sepa_debit", "sequra", "sofort"),
    *("sunbit", "swish", "twint", "upi", "us_bank_account", "wechat_pay", "zip"),
)
"""As the official SDKs list them for payment intents (2026). Which of them a payment may use is the
PSP's matter (`Capabilities.method_types`)."""
METHOD_TYPE: Final = Enum(*METHOD_TYPES, description="Only those of this type.")


class SearchText(Text):
    """A query of the search language; selectors.search_query parses it."""

    def __init__(self, fields: Iterable[str]) -> None:
        super().__init__(
            max_length=4000,
            lines=True,
            required=True,
            description='As in `status:"succeeded" AND amount>=1000`, or '
            '`-metadata["order"]:null`. Fields: ' + ", ".join(f"`{each}`" for each in fields) + ".",
        )

    def own_schema(self) -> Schema:
        return {**super().own_schema(), "example": "created>=1767225600"}


def search_parameters(
    object_name: str, fields: Iterable[str], *, example: str = 'metadata["order_id"]:"6735"'
) -> Parameters:
    """The parameters of a search among objects of one kind."""
    return Parameters(
        {
            "query": SearchText(fields),
            "limit": Integer(minimum=1, maximum=100, description="10 if not given."),
            "page": Text(
                max_length=40,
                pattern="page_[A-Za-z0-9]+",
                rule="give the next_page of the last answer",
                can_unset=False,
                description="The `next_page` of the last answer; none for the first page.",
            ),
            "expand": Expand(object_name, in_list=True, also=(TOTAL_COUNT,)),
        },
        example={"query": example},
    )


def list_parameters(
    prefix: str,
    object_name: str,
    filters: Mapping[str, Parameter],
    *,
    noun: str,
    exclusive: tuple[tuple[str, ...], ...] = (),
    created: bool = True,
    example: Mapping[str, Any] | None = None,
) -> Parameters:
    """The parameters of a list of objects whose ids start with `prefix`."""
    declared: dict[str, Parameter] = {
        **filters,
        "limit": Integer(minimum=1, maximum=100, description="10 if not given."),
        "starting_after": PublicId(prefix, noun=noun, description="The page after this id."),
        "ending_before": PublicId(prefix, noun=noun, description="The page before this id."),
        "expand": Expand(object_name, in_list=True),
    }
    if created:
        declared["created"] = CreatedRange()
    return Parameters(
        declared,
        exclusive=(("starting_after", "ending_before"), *exclusive),
        example=example or {"limit": 3},
    )


def _line(description: str, *, max_length: int = 200) -> Text:
    return Text(max_length=max_length, description=description)


ADDRESS_FIELDS: Final[dict[str, Parameter]] = {
    "line1": _line("Street and number."),
    "line2": _line("Second line."),
    "city": _line("City."),
    "state": _line("State or province."),
    "postal_code": _line("Postal code.", max_length=20),
    "country": Text(
        max_length=2,
        pattern="[A-Za-z]{2}",
        rule="a country is its two-letter ISO 3166 code",
        description="ISO 3166 two-letter code.",
    ),
}


def address(*, required: bool = False) -> Nested:
    """A postal address."""
    return Nested(
        ADDRESS_FIELDS,
        can_unset=not required,
        required=required,
        description="A postal address; it replaces the one there is.",
    )


def shipping(*, can_unset: bool = False) -> Nested:
    """Recipient and address of the shipment."""
    return Nested(
        {
            "address": address(required=True),
            "name": Text(max_length=256, required=True, description="The recipient."),
            "phone": Phone(),
            "carrier": _line("Who delivers."),
            "tracking_number": _line("The carrier's number of the parcel."),
        },
        can_unset=can_unset,
        description="Where the goods go.",
    )


def billing_details() -> Nested:
    """The payment method's owner."""
    return Nested(
        {
            "address": address(),
            "email": Email(),
            "name": Text(max_length=256, description="The owner's name."),
            "phone": Phone(),
            "tax_id": Text(max_length=64, description="The owner's tax number; kept for you."),
        },
        description="Who owns the payment method.",
    )
