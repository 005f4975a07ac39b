"""Who acts: a staff user, a service with a key, or a login of the server; and from where."""

from __future__ import annotations

import getpass
import secrets
import socket
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any, Final

from django.contrib.auth import get_user_model

from payments.models.audit import ServiceKey

STAFF: Final = "staff:"
SERVICE: Final = "service:"
SHELL: Final = "shell:"
_NAME_LENGTH_MAX: Final = 200
_REASON_LENGTH_MAX: Final = 1000
_KEY_PREFIX: Final = "svc_"
_KEY_BYTES: Final = 24
"""192 bits cannot be guessed, so an unsalted hash is enough."""


class UnknownAuthor(ValueError):
    """There is no such active staff user, or no service with such a key."""


@dataclass(frozen=True, slots=True)
class Author:
    """Who acts, such as `staff:ada`, why, and from where; ValueError without a name.

    Whether a staff user of this name exists is checked when the act is recorded.
    """

    name: str
    reason: str = ""
    source: str = ""
    request_id: str = ""

    def __post_init__(self) -> None:
        if not 1 <= len(self.name) <= _NAME_LENGTH_MAX or not self.name.isprintable():
            raise ValueError("--by: say who changes it, such as staff:ada, in 1 to 200 characters")
        if len(self.reason) > _REASON_LENGTH_MAX:
            raise ValueError("--why: use at most 1000 characters")


def author_at_shell(name: str, *, reason: str = "", service_key: str = "") -> Author:
    """Who runs a command: the named staff user, else the service of the key, else the login.

    Raises UnknownAuthor for a name that is no active staff user, and for an unknown key: a service
    is known by its key, never by a text.
    """
    login = f"{getpass.getuser()}@{socket.gethostname()}"
    source = f"command line of {login}"
    if name.startswith(STAFF):
        author = Author(name, reason, source)
        active_staff(author)
        return author
    if name:
        raise UnknownAuthor(
            f"{name} is no staff user: write staff: and the name of a login. A service gives its "
            "key in SERVICE_KEY instead"
        )
    if service_key:
        return Author(str(service_of(service_key)), reason, source)
    return Author(f"{SHELL}{login}", reason, source)


def required_author(author: Author) -> Author:
    """The author, if it is a staff user or a service; UnknownAuthor for a login of the server."""
    if not author.name.startswith((STAFF, SERVICE)):
        raise UnknownAuthor(
            "say who does it: --by staff:ada, the name of a login of the console, or a service's "
            "key in SERVICE_KEY"
        )
    return author


def with_reason(author: Author, reason: str) -> Author:
    """The same author with another reason."""
    return replace(author, reason=reason)


def active_staff(author: Author) -> Any:
    """The login of a staff user who may act; raises UnknownAuthor."""
    username = author.name.removeprefix(STAFF)
    user = get_user_model().objects.filter(username=username, is_staff=True, is_active=True)
    found = user.first()
    if found is None:
        raise UnknownAuthor(
            f"staff:{username} is no active staff user: manage.py staff list shows all"
        )
    return found


def service_of(secret: str) -> ServiceKey:
    """The service of a key that is valid; raises UnknownAuthor."""
    digest = sha256(secret.encode()).hexdigest()
    found = ServiceKey.objects.filter(secret_sha256=digest, revoked_at__isnull=True).first()
    if found is None:
        raise UnknownAuthor("SERVICE_KEY is no valid key: manage.py service_key list shows all")
    return found


def new_service_secret() -> str:
    """A key for a service; its caller shows it once."""
    return f"{_KEY_PREFIX}{secrets.token_urlsafe(_KEY_BYTES)}"
