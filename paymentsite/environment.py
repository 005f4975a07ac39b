"""Reads environment variables; every refusal is one line that says what to set."""

from __future__ import annotations

import base64
import hashlib
import os
import re
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any

import psycopg
from django.core.exceptions import ImproperlyConfigured
from psycopg.conninfo import conninfo_to_dict

# Below the outer timeouts (docs/operations.md): a request that cannot get its lock answers "try
# again" long before its client times out.
LOCK_TIMEOUT_MS = 2_000
STATEMENT_TIMEOUT_MS = 5_000
IDLE_IN_TRANSACTION_TIMEOUT_MS = 5_000
TRANSACTION_TIMEOUT_MS = 10_000
# PostgreSQL's default of 4 is that of a rotating disk. With it a merchant's newest rows are looked
# for among the newest of all merchants, and not in the index of the merchant: a merchant without
# sales of late would have most of the table read.
RANDOM_PAGE_COST = 1.1
SESSION_OPTIONS = (
    f"-c random_page_cost={RANDOM_PAGE_COST} "
    f"-c lock_timeout={LOCK_TIMEOUT_MS} -c statement_timeout={STATEMENT_TIMEOUT_MS} "
    f"-c idle_in_transaction_session_timeout={IDLE_IN_TRANSACTION_TIMEOUT_MS} "
    f"-c transaction_timeout={TRANSACTION_TIMEOUT_MS}"
)
CONNECT_TIMEOUT_SECONDS = 3
# After this time without an acknowledgment of what we sent, the network counts as cut.
TCP_USER_TIMEOUT_MS = 10_000
POOL_TIMEOUT_SECONDS = 5
REQUEST_WITHIN_SECONDS = 15
"""Default for the headers of a request, and again for its body."""

_SECRET_LENGTH_LEAST = 16
_FERNET_KEY = re.compile(r"[A-Za-z0-9_-]{43}=")


def required(name: str, hint: str) -> str:
    """The variable's value; refuses with ImproperlyConfigured and the hint when it is not set."""
    value = os.environ.get(name, "").strip()
    if not value:
        raise ImproperlyConfigured(f"{name} is not set: {hint}")
    return value


def choice(name: str, allowed: tuple[str, ...]) -> str:
    """The variable's value, the first of `allowed` when it is not set."""
    value = os.environ.get(name, "").strip() or allowed[0]
    if value not in allowed:
        raise ImproperlyConfigured(f"{name} is {value!r}: set it to {' or '.join(allowed)}")
    return value


def integer(name: str, default: int, *, least: int) -> int:
    """The variable as an integer of at least `least`."""
    text = os.environ.get(name, "").strip() or str(default)
    if not text.isascii() or not text.isdigit() or int(text) < least:
        raise ImproperlyConfigured(f"{name} is {text!r}: set it to a number of at least {least}")
    return int(text)


def names(name: str, default: str) -> tuple[str, ...]:
    """Names in lower case, separated by commas; at least one."""
    text = os.environ.get(name, "").strip() or default
    found = tuple(each.strip() for each in text.split(","))
    if not all(re.fullmatch(r"[a-z][a-z0-9_-]{0,31}", each) for each in found):
        raise ImproperlyConfigured(
            f"{name} is {text!r}: write names in lower case, separated by commas"
        )
    return found


def secrets(name: str) -> str:
    """Secrets separated by commas, unchanged; empty when the variable is not set.

    Refuses with ImproperlyConfigured an empty or short secret: it would be easy to guess.
    """
    text = os.environ.get(name)
    if text is None:
        return ""
    if any(len(each) < _SECRET_LENGTH_LEAST for each in text.split(",")):
        raise ImproperlyConfigured(
            f"{name} holds an empty or short secret: separate secrets of at least "
            f"{_SECRET_LENGTH_LEAST} characters by commas, or do not set it"
        )
    return text


def fernet_keys(name: str, *, development_from: str) -> tuple[str, ...]:
    """Fernet keys, separated by commas: the first encrypts, each decrypts.

    Not set, one is derived from `development_from`; if that is empty, refuses with
    ImproperlyConfigured.
    """
    text = os.environ.get(name, "").strip()
    if not text and development_from:
        digest = hashlib.sha256(f"{name}:{development_from}".encode()).digest()
        return (base64.urlsafe_b64encode(digest).decode(),)
    hint = "make one with `python -c 'from cryptography.fernet import Fernet as F; \
print(F.generate_key().decode())'`"
    if not text:
        raise ImproperlyConfigured(f"{name} is not set: {hint}")
    keys = tuple(each.strip() for each in text.split(","))
    if not all(_FERNET_KEY.fullmatch(each) for each in keys):
        raise ImproperlyConfigured(f"{name} holds something that is no Fernet key: {hint}")
    return keys


def ports(name: str, default: str) -> frozenset[int]:
    """Port numbers, separated by commas."""
    texts = (os.environ.get(name, "").strip() or default).split(",")
    if not all(each.strip().isdigit() and 0 < int(each) < 65536 for each in texts):
        raise ImproperlyConfigured(f"{name} is no list of ports: write 443,8443")
    return frozenset(int(each) for each in texts)


def listener(name: str) -> tuple[str, int] | None:
    """An address to listen on, such as 10.0.0.5:9000. Returns None when the variable is not set."""
    text = os.environ.get(name, "").strip()
    if not text:
        return None
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise ImproperlyConfigured(
            f"{name} is {text!r}: write an address and a port: 10.0.0.5:9000"
        )
    return host.strip("[]"), int(port)


def networks(name: str) -> tuple[IPv4Network | IPv6Network, ...]:
    """Networks, separated by commas; none when the variable is not set."""
    texts = [each.strip() for each in os.environ.get(name, "").split(",") if each.strip()]
    try:
        return tuple(ip_network(each) for each in texts)
    except ValueError:
        raise ImproperlyConfigured(
            f"{name} is no list of networks: write 203.0.113.0/24,2001:db8::/32"
        ) from None


def database(name: str, hint: str, *, owner: bool, pool: bool) -> dict[str, Any]:
    """Django's settings of the PostgreSQL database whose connection string `name` holds."""
    text = required(name, hint)
    try:
        parts = dict(conninfo_to_dict(text))
    except psycopg.ProgrammingError:
        # The parser's own message may contain the password.
        raise ImproperlyConfigured(
            f"{name} is no PostgreSQL URL: write postgresql://user:password@host:5432/name"
        ) from None
    if not parts.get("dbname") or not parts.get("user"):
        lacking = "user" if parts.get("dbname") else "database"
        raise ImproperlyConfigured(f"{name} names no {lacking}: write it into the URL")
    result: dict[str, Any] = {
        "ENGINE": "paymentsite.postgresql",
        "NAME": parts.pop("dbname"),
        "USER": parts.pop("user"),
        "PASSWORD": parts.pop("password", None) or "",
        "HOST": parts.pop("host", None) or "",
        "PORT": str(parts.pop("port", None) or ""),
        "ATOMIC_REQUESTS": False,
        "CONN_HEALTH_CHECKS": True,
        "CONN_MAX_AGE": 0 if pool else None,
    }
    options: dict[str, Any] = {**parts, "prepare_threshold": 2}
    options.setdefault("connect_timeout", CONNECT_TIMEOUT_SECONDS)
    options.setdefault("tcp_user_timeout", TCP_USER_TIMEOUT_MS)
    if not owner:
        options["options"] = f"{parts.get('options') or ''} {SESSION_OPTIONS}".strip()
    if pool:
        most = integer("DATABASE_POOL_MAX_SIZE", 16, least=2)
        options["pool"] = {"min_size": 2, "max_size": most, "timeout": POOL_TIMEOUT_SECONDS}
    return {**result, "OPTIONS": options}


def warehouse_role() -> str:
    """The login of warehouses, which `migrate` lets read the views made for them."""
    return os.environ.get("WAREHOUSE_ROLE", "").strip() or "payments_warehouse"


def application_role() -> str:
    """The login of the running application: the user of DATABASE_URL.

    Also in a process that logs in as the owner.
    """
    url = required("DATABASE_URL", "it names the role that the application runs as")
    return str(conninfo_to_dict(url)["user"])
