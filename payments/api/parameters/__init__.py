"""Declares request parameters; one declaration both validates and documents an endpoint.

    CREATE = Parameters({"amount": Amount(required=True), "metadata": Metadata()})
    given = CREATE.validate(decode_body(content_type, body))

`validate` returns only the parameters given, in one canonical form: a form and a JSON body with the
same content give equal dictionaries, hence the same idempotency fingerprint. An empty value unsets:
text becomes "", an object or metadata {}. Nothing is coerced, and no refusal repeats a value.
"""

from payments.api.parameters.declaration import ABSENT as ABSENT
from payments.api.parameters.declaration import Parameter as Parameter
from payments.api.parameters.declaration import Parameters as Parameters
from payments.api.parameters.expansion import Expand as Expand
from payments.api.parameters.scalars import Amount as Amount
from payments.api.parameters.scalars import Boolean as Boolean
from payments.api.parameters.scalars import Currency as Currency
from payments.api.parameters.scalars import Enum as Enum
from payments.api.parameters.scalars import Integer as Integer
from payments.api.parameters.scalars import PublicId as PublicId
from payments.api.parameters.scalars import Timestamp as Timestamp
from payments.api.parameters.structures import CreatedRange as CreatedRange
from payments.api.parameters.structures import ListOf as ListOf
from payments.api.parameters.structures import Metadata as Metadata
from payments.api.parameters.structures import Nested as Nested
from payments.api.parameters.structures import RawCardData as RawCardData
from payments.api.parameters.structures import Unsupported as Unsupported
from payments.api.parameters.texts import Email as Email
from payments.api.parameters.texts import Phone as Phone
from payments.api.parameters.texts import StatementDescriptor as StatementDescriptor
from payments.api.parameters.texts import Text as Text
from payments.api.parameters.texts import Url as Url
