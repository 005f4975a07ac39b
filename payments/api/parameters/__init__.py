"""Declares request parameters; one declaration both validates and documents an endpoint.

    CREATE = Parameters({"amount": Amount(required=True), "metadata": Metadata()})
    given = CREATE.validate(decode_body(content_type, body))

`validate` returns only the parameters given, in one canonical form: a form and a JSON body with the
same content give equal dictionaries, hence the same idempotency fingerprint. An empty value unsets:
text becomes "", an object or metadata {}. Nothing is coerced, and no refusal repeats a value.
"""

from payments.api.parameters.declaration import ABSENT, Parameter, Parameters
from payments.api.parameters.expansion import Expand
from payments.api.parameters.scalars import (
    Amount,
    Boolean,
    Currency,
    Enum,
    Integer,
    PublicId,
    Timestamp,
)
from payments.api.parameters.structures import (
    CreatedRange,
    ListOf,
    Metadata,
    Nested,
    RawCardData,
    Unsupported,
)
from payments.api.parameters.texts import Email, Phone, Text, Url

__all__ = [
    "ABSENT",
    "Amount",
    "Boolean",
    "CreatedRange",
    "Currency",
    "Email",
    "Enum",
    "Expand",
    "Integer",
    "ListOf",
    "Metadata",
    "Nested",
    "Parameter",
    "Parameters",
    "Phone",
    "PublicId",
    "RawCardData",
    "Text",
    "Timestamp",
    "Unsupported",
    "Url",
]
