"""Verifies what a PSP signed with a shared secret, and reads identifiers in it. No I/O, no clock.

Everything that is not genuine is refused by one exception, since an attacker may choose every byte.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, TypeGuard

from psp_adapters.contract.notifications import NotificationRefused, WebhookRequest

TOLERANCE_SECONDS: Final = 300
"""A notification is signed afresh at each attempt, so an honest one is never older, nor newer."""
REFERENCES_MAX: Final = 20
STORED_MINOR_MAX: Final = 2**63 - 1
_SIGNATURES_MAX: Final = 5
_HEADER_LENGTH_MAX: Final = 1_000
_SECONDS: Final = re.compile(r"[0-9]{1,12}")
_SIGNATURE: Final = re.compile(r"[0-9a-f]{64}")
_IDENTIFIER: Final = re.compile(r"[!-~]{1,128}")


@dataclass(frozen=True, slots=True, kw_only=True)
class TimedSignature:
    """`t=<unix seconds>,<scheme>=<hex HMAC-SHA256 of "t.body">`, one `<scheme>` per secret in use.

    Other schemes beside it are left out.
    """

    header: str
    """The header's name in lower case."""
    scheme: str

    def require(
        self, request: WebhookRequest, *, secrets: Sequence[str], now_seconds: float
    ) -> str:
        """Return the header's text once it is certain that one of `secrets` signed it recently.

        Raises NotificationRefused.
        """
        header = only_header(request.headers, self.header)
        parts = [part.partition("=") for part in header.split(",")]
        times = [value for name, _, value in parts if name == "t"]
        signatures = [value for name, _, value in parts if name == self.scheme]
        if len(times) != 1 or not _SECONDS.fullmatch(times[0]):
            raise NotificationRefused("not exactly one time of signing")
        if abs(now_seconds - int(times[0])) > TOLERANCE_SECONDS:
            raise NotificationRefused("signed too long ago, or in the future")
        require_signed(
            times[0].encode() + b"." + request.body, signatures=signatures, secrets=secrets
        )
        return header


def only_header(headers: Mapping[str, str], name: str) -> str:
    """The text of the one header of this name, given in lower case; raises NotificationRefused."""
    found = [value for each, value in headers.items() if each.lower() == name]
    if len(found) != 1:
        raise NotificationRefused("not exactly one signature header")
    if len(found[0]) > _HEADER_LENGTH_MAX:
        raise NotificationRefused("the signature header is too long")
    return found[0]


def require_signed(signed: bytes, *, signatures: Sequence[str], secrets: Sequence[str]) -> None:
    """Require that one of `signatures` is the hex HMAC-SHA256 of `signed` under one secret.

    Takes as long whichever it is. Raises NotificationRefused.
    """
    if not 0 < len(signatures) <= _SIGNATURES_MAX:
        raise NotificationRefused("no signature of a scheme we know, or too many")
    if not all(_SIGNATURE.fullmatch(signature) for signature in signatures):
        raise NotificationRefused("a malformed signature")
    if not secrets or not all(secrets):
        raise NotificationRefused("no secret to check it with")
    genuine = False
    for secret in secrets:
        expected = hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()
        for signature in signatures:
            genuine |= hmac.compare_digest(expected, signature)
    if not genuine:
        raise NotificationRefused("not signed with our secret, or changed on the way")


@contextmanager
def refusing_what_is_unreadable() -> Iterator[None]:
    """Make a refusal of every failure in the block: what no check foresaw is never a crash."""
    try:
        yield
    except NotificationRefused:
        raise
    except Exception as error:
        raise NotificationRefused(f"unreadable: {type(error).__name__}") from error


def could_be_identifier(value: object) -> TypeGuard[str]:
    """Whether it is a text of the form of an id, or of a reference of ours."""
    return isinstance(value, str) and _IDENTIFIER.fullmatch(value) is not None


def identifier(value: object) -> str:
    """`value` if it is of the form of an identifier; raises NotificationRefused."""
    if not isinstance(value, str) or not _IDENTIFIER.fullmatch(value):
        raise NotificationRefused("signed, but an identifier in it is malformed")
    return value
