"""Adyen's card fields for the checkout page, and the exchange of what they encrypt for a token.

Adyen's fields return no token but the encrypted card. Our server hands that to Adyen at once, which
stores the card and names it; here it is neither stored nor logged.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from typing import Final

from psp_adapters.adyen import mapping, vocabulary
from psp_adapters.adyen.connection import Connection
from psp_adapters.contract.answers import UNREADABLE, text
from psp_adapters.contract.card_numbers import holds_card_number
from psp_adapters.contract.credentials import (
    CredentialField,
    CredentialsRefused,
    fields_origin_field,
    require_fields_origin,
    require_mode,
)
from psp_adapters.contract.operations import PspUnavailable
from psp_adapters.contract.payments import FieldsKind, FieldsRefused, HostedFields
from psp_adapters.http import AnswerUnknown, NotSent

VERSION: Final = "6.45.2"
"""Of Adyen Web that the driver was written for."""
CREDENTIAL_FIELDS: Final = (
    CredentialField(
        name="client_key",
        meaning="test_… or live_…, for the card fields of the checkout page; without it none",
        default="",
        is_secret=False,
    ),
    CredentialField(
        name="store_cards",
        meaning="true offers the fields for payments too that keep no card: Adyen stores each",
        default="",
        is_secret=False,
    ),
    CredentialField(
        name="fields_environment",
        meaning="live, live-us, live-au, live-apse, live-in, live-nea: where the account is",
        default="",
        is_secret=False,
    ),
    CredentialField(
        name="fields_country",
        meaning="the country of the customers, two letters",
        default="NL",
        is_secret=False,
    ),
    CredentialField(
        name="fields_version", meaning="of Adyen Web", default=VERSION, is_secret=False
    ),
    CredentialField(
        name="fields_integrity",
        meaning="sha384-…, as Adyen publishes it of adyen.js of this version",
        default="",
        is_secret=False,
    ),
    fields_origin_field(""),
)
_CLIENT_KEY: Final = re.compile(r"(?:test|live)_[A-Z0-9]{8,64}", re.ASCII)
_ENVIRONMENT: Final = re.compile(r"live(?:-(?:us|au|apse|in|nea))?", re.ASCII)
_VERSION: Final = re.compile(r"6\.\d{1,3}\.\d{1,3}", re.ASCII)
_INTEGRITY: Final = re.compile(r"(?:sha384-[A-Za-z0-9+/=]{64})?", re.ASCII)
_NEEDED: Final = ("encryptedCardNumber", "encryptedExpiryMonth", "encryptedExpiryYear")
_ENCRYPTED: Final = frozenset({*_NEEDED, "encryptedSecurityCode"})
_TEXT: Final = re.compile(r"[A-Za-z0-9_.$+/=!-]{1,15000}", re.ASCII)


def card_fields_of(credentials: Mapping[str, str], *, livemode: bool) -> HostedFields | None:
    """Adyen's card component for an account; None without a client key.

    Raises CredentialsRefused.
    """
    environment = credentials["fields_environment"] or ("live" if livemode else "test")
    script_origin = f"https://checkoutshopper-{environment}.cdn.adyen.com"
    origin = credentials["fields_origin"] or script_origin
    require_fields_origin(origin, script_origin, livemode=livemode)
    key = credentials["client_key"]
    if not key:
        return None
    if not _CLIENT_KEY.fullmatch(key):
        raise CredentialsRefused("client_key is no client key: these begin test_ or live_")
    require_mode("client_key", "a {} key", is_live=key.startswith("live_"), livemode=livemode)
    _require_forms(credentials, environment, livemode=livemode)
    folder = f"{origin}/checkoutshopper/sdk/{credentials['fields_version']}"
    frames = f"https://checkoutshopper-{environment}.adyen.com"
    is_adyens = origin == script_origin
    return HostedFields(
        kind=FieldsKind.SCRIPT,
        origin=origin,
        url=f"{folder}/adyen.js",
        public_key=key,
        driver="adyen",
        integrity=credentials["fields_integrity"],
        sources={
            "style-src": (origin,),
            "img-src": (origin,),
            "frame-src": (frames,) if is_adyens else (),
            "connect-src": (frames, origin) if is_adyens else (),
        },
        settings={
            "environment": environment,
            "country": credentials["fields_country"],
            "style": f"{folder}/adyen.css",
        },
        stores=credentials["store_cards"] != "true",
    )


def _require_forms(credentials: Mapping[str, str], environment: str, *, livemode: bool) -> None:
    fits = _ENVIRONMENT.fullmatch(environment) if livemode else environment == "test"
    if not fits:
        raise CredentialsRefused("fields_environment is live or live-…, and only of a live account")
    if not re.fullmatch(r"[A-Z]{2}", credentials["fields_country"], re.ASCII):
        raise CredentialsRefused("fields_country is a country's code, such as NL")
    if not _VERSION.fullmatch(credentials["fields_version"]):
        raise CredentialsRefused(f"fields_version is a version of Adyen Web 6, such as {VERSION}")
    if not _INTEGRITY.fullmatch(credentials["fields_integrity"]):
        raise CredentialsRefused("fields_integrity is a hash that begins with sha384-")


def token_of_fields(
    connection: Connection,
    fields: Mapping[str, str],
    *,
    merchant_account: str,
    deadline_seconds: float,
) -> str:
    """Have Adyen store an encrypted card for a new customer reference; returns the card's token.

    An answer that is lost leaves a card behind there that nothing names. Raises FieldsRefused and
    PspUnavailable.
    """
    if not set(_NEEDED) <= set(fields) <= _ENCRYPTED or not all(
        map(_is_encrypted, fields.values())
    ):
        raise FieldsRefused
    customer = f"{mapping.PAGE_CUSTOMER}{uuid.uuid4().hex}"
    body = {
        "merchantAccount": merchant_account,
        "shopperReference": customer,
        "paymentMethod": {"type": "scheme", **fields},
        "recurringProcessingModel": vocabulary.PRESENT,
    }
    try:
        answer = connection.post(
            connection.recurring.stored_payment_methods,
            body,
            key=str(uuid.uuid4()),
            deadline_seconds=deadline_seconds,
        )
    except (NotSent, AnswerUnknown) as error:
        raise PspUnavailable(type(error).__name__) from None
    if answer.status in (400, 422):
        raise FieldsRefused
    try:
        token = f"{customer}/{text(answer.body['id'])}" if answer.status in (200, 201) else ""
    except UNREADABLE as error:
        raise PspUnavailable(f"unreadable: {type(error).__name__}") from None
    if not mapping.is_token(token):
        raise PspUnavailable(f"answered {answer.status}")
    return token


def _is_encrypted(value: str) -> bool:
    """Whether it has the form of what Adyen's fields encrypt, and is no card number."""
    return _TEXT.fullmatch(value) is not None and not holds_card_number(value)
