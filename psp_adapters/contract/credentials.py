"""What a PSP needs to know us by: which credentials there are, their form, and what is wrong.

No text here ever holds a value: values are secrets.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

SECRET_LENGTH_LEAST: Final = 16
_ORIGIN: Final = re.compile(r"https?://[A-Za-z0-9.-]{1,253}(:[0-9]{1,5})?", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class CredentialField:
    """One credential of a PSP."""

    name: str
    meaning: str
    default: str | None = None
    """What it is if it is not given; None: it must be given."""
    is_secret: bool = True


WEBHOOK_SECRETS: Final = CredentialField(
    name="webhook_secrets",
    meaning="secrets that sign notifications, separated by commas; without any, none is taken",
    default="",
)


def fields_origin_field(origin: str) -> CredentialField:
    """Where the script of the PSP's card fields comes from; tests name a double's origin."""
    return CredentialField(
        name="fields_origin",
        meaning="of a double of the card fields; never of a live account",
        default=origin,
        is_secret=False,
    )


@dataclass(frozen=True, slots=True)
class CredentialFault:
    """A credential that the PSP does not take."""

    name: str
    why: str

    def __str__(self) -> str:
        return f"{self.name}: {self.why}"


class CredentialsRefused(ValueError):
    """Credentials that cannot be used, or not together; the text names them, never a value."""


def complete(fields: tuple[CredentialField, ...], given: Mapping[str, str]) -> dict[str, str]:
    """The credentials with defaults for what is not given.

    Raises CredentialsRefused for one that is unknown or missing, or has not the form of one.
    """
    names = [field.name for field in fields]
    for name in given:
        if name not in names:
            raise CredentialsRefused(f"{name} is none of the credentials: {', '.join(names)}")
    found = {}
    for field in fields:
        value = given.get(field.name) or field.default
        if value is None:
            raise CredentialsRefused(f"{field.name} is missing")
        if not isinstance(value, str) or not value.isprintable() or value != value.strip():
            raise CredentialsRefused(f"{field.name} is no text in one line, without spaces around")
        found[field.name] = value
    if "base_url" in found:
        _require_address(found["base_url"])
    _require_long(split_secrets(found))
    return found


def require_mode(name: str, what: str, *, is_live: bool, livemode: bool) -> None:
    """Refuse with CredentialsRefused a credential of the other mode than the account's."""
    if is_live is not livemode:
        its, ours = ("test", "live") if livemode else ("live", "test")
        raise CredentialsRefused(f"{name} is {what.format(its)}, and this is a {ours} account")


def require_fields_origin(given: str, origin: str, *, livemode: bool) -> None:
    """Refuse with CredentialsRefused another origin of scripts than the PSP's, but of a double.

    The script runs in the checkout page: a live account takes the PSP's own alone.
    """
    if given == origin:
        return
    if livemode:
        raise CredentialsRefused(f"fields_origin of a live account is {origin}: leave it out")
    if not _ORIGIN.fullmatch(given):
        raise CredentialsRefused("fields_origin is no origin, such as http://127.0.0.1:8000")


def split_secrets(credentials: Mapping[str, str]) -> tuple[str, ...]:
    """The secrets that notifications may be signed with; several while one is replaced."""
    joined = credentials.get(WEBHOOK_SECRETS.name, "")
    return tuple(joined.split(",")) if joined else ()


def _require_address(text: str) -> None:
    try:
        parts = urlsplit(text)
        is_address = parts.scheme in ("http", "https") and bool(parts.hostname)
        is_address = is_address and (parts.port is None or parts.port > 0)
    except ValueError:
        is_address = False
    if not is_address:
        raise CredentialsRefused("base_url is no address that begins with https:// or http://")


def _require_long(secrets: tuple[str, ...]) -> None:
    if any(len(each) < SECRET_LENGTH_LEAST for each in secrets):
        raise CredentialsRefused(
            f"webhook_secrets holds one of less than {SECRET_LENGTH_LEAST} characters, which is "
            "easy to guess"
        )
