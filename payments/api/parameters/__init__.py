"""Declared request parameters: what an endpoint takes, validated strictly and documented alike.

    CREATE = Parameters({"amount": Amount(required=True), "metadata": Metadata()})
    given = CREATE.validate(decode_body(content_type, body))

`validate` returns only what was given, in one canonical form: a form and a JSON body that say the
same give equal dictionaries (so they share an idempotency fingerprint). An empty value unsets: text
becomes "", an object or metadata {}. Nothing is coerced, and no refusal repeats a value.
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
