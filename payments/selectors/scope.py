"""Whose objects are read, and the one way to say that there is no such object.

What may not live here: queries of one kind of object.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, NoReturn, TypeVar
from uuid import UUID

from django.db.models import Model, QuerySet

from payments import public_ids
from payments.exceptions import ResourceMissing

M = TypeVar("M", bound=Model)

_REPEATABLE: Final = re.compile(r"[A-Za-z]{1,12}_[A-Za-z0-9_]{1,64}")


@dataclass(frozen=True, slots=True)
class Scope:
    """One merchant in one mode."""

    merchant_id: UUID
    livemode: bool


@dataclass(frozen=True, slots=True)
class Kind:
    """How one kind of object is named in ids, in refusals and as a parameter."""

    prefix: str
    noun: str
    param: str = "id"


INTENT: Final = Kind(public_ids.PAYMENT_INTENT, "payment_intent", "intent")
CHARGE: Final = Kind(public_ids.CHARGE, "charge")
REFUND: Final = Kind(public_ids.REFUND, "refund")
CUSTOMER: Final = Kind(public_ids.CUSTOMER, "customer")
PAYMENT_METHOD: Final = Kind(public_ids.PAYMENT_METHOD, "PaymentMethod", "payment_method")
SETUP_INTENT: Final = Kind(public_ids.SETUP_INTENT, "setup_intent")
SETUP_ATTEMPT: Final = Kind(public_ids.SETUP_ATTEMPT, "setup_attempt")
MANDATE: Final = Kind(public_ids.MANDATE, "mandate", "mandate")
EVENT: Final = Kind(public_ids.EVENT, "event")
WEBHOOK_ENDPOINT: Final = Kind(public_ids.WEBHOOK_ENDPOINT, "webhook endpoint")
DISPUTE: Final = Kind(public_ids.DISPUTE, "dispute", "dispute")
CHECKOUT_SESSION: Final = Kind(public_ids.CHECKOUT_SESSION, "checkout.session")
PAYMENT_LINK: Final = Kind(public_ids.PAYMENT_LINK, "payment_link")
BALANCE_TRANSACTION: Final = Kind(public_ids.BALANCE_TRANSACTION, "balance transaction")


def scoped(rows: QuerySet[M], scope: Scope) -> QuerySet[M]:
    """The rows of one merchant and mode."""
    return rows.filter(merchant_id=scope.merchant_id, livemode=scope.livemode)


def id_of(kind: Kind, public_id: str, *, param: str = "") -> UUID:
    """The UUID behind a public id; a malformed one is as missing as an unknown one."""
    identifier = public_ids.decode(kind.prefix, public_id)
    if identifier is None:
        refuse_missing(kind, public_id, param=param)
    return identifier


def one_of(rows: QuerySet[M], kind: Kind, public_id: str, *, param: str = "") -> M:
    """The row with this public id; refuses with ResourceMissing."""
    found = rows.filter(pk=id_of(kind, public_id, param=param)).first()
    if found is None:
        refuse_missing(kind, public_id, param=param)
    return found


def require_one(rows: QuerySet[M], kind: Kind, public_id: str, *, param: str) -> UUID:
    """The UUID of a row that exists; refuses with ResourceMissing."""
    identifier = id_of(kind, public_id, param=param)
    if not rows.filter(pk=identifier).exists():
        refuse_missing(kind, public_id, param=param)
    return identifier


def refuse_missing(kind: Kind, public_id: str, *, param: str = "") -> NoReturn:
    """Raise ResourceMissing; what does not look like an id is not repeated."""
    shown = f": '{public_id}'" if _REPEATABLE.fullmatch(public_id) else ""
    raise ResourceMissing(f"No such {kind.noun}{shown}", param=param or kind.param)
