"""Which API versions are served, and what a request or an endpoint may ask for.

One shape of every object is served. It is compatible with each version since OLDEST_VERSION; older
SDKs expect fields that no longer exist (`charges` of an intent, inlined `refunds` of a charge).
"""

from __future__ import annotations

import re
from datetime import date
from typing import Final

from django.conf import settings

from payments.exceptions import InvalidParameter

OLDEST_VERSION: Final = "2022-11-15"
NEWEST_VERSION: Final[str] = getattr(settings, "MERCHANT_API_VERSION", "2026-10-28.endive")
VERSION_PATTERN: Final = r"[0-9]{4}-[0-9]{2}-[0-9]{2}(\.[a-z]{1,32})?"

_VERSION: Final = re.compile(VERSION_PATTERN, re.ASCII)
_RANGE: Final = f"{OLDEST_VERSION} to {NEWEST_VERSION}"


def served_version(asked: str, *, what: str, param: str = "") -> str:
    """The version in which a request that asks for `asked` is answered.

    A later version than the newest is answered in the newest. Raises InvalidParameter with the code
    `api_version_invalid` for what is no version, or is older than the oldest; `what` names the
    header or parameter.
    """
    day = _day_of(asked)
    if day is None:
        raise InvalidParameter(
            f"{what} is malformed: write a date and a release, such as {NEWEST_VERSION}, or leave "
            f"it out. Supported are {_RANGE}.",
            code="api_version_invalid",
            param=param,
        )
    if day < date.fromisoformat(OLDEST_VERSION):
        raise InvalidParameter(
            f"{what} asks for {asked}, whose objects have another shape. Supported are {_RANGE}: "
            "upgrade your SDK, or set its API version to one of these.",
            code="api_version_invalid",
            param=param,
        )
    return NEWEST_VERSION if day > date.fromisoformat(NEWEST_VERSION[:10]) else asked


def _day_of(version: str) -> date | None:
    if not _VERSION.fullmatch(version):
        return None
    try:
        return date.fromisoformat(version[:10])
    except ValueError:
        return None
