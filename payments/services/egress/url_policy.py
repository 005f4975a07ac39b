"""Decides which URLs of merchants may be called; parses strictly, refuses what is ambiguous.

Names are checked here, the addresses that they resolve to in `http_client`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import Final
from urllib.parse import urlsplit

from django.conf import settings

from payments.services.egress.ip_policy import Address, Network, is_callable, is_this_machine

URL_LENGTH_MAX: Final = 2048
# What RFC 3986 allows unescaped; no blank, no control character, no `\`, nothing beyond ASCII.
_URL: Final = re.compile(r"[A-Za-z0-9\-._~:/?\[\]@!$&'()*+,;=%]+")
_LABEL: Final = r"[a-z0-9](?:[a-z0-9\-]{0,61}[a-z0-9])?"
_NAME: Final = re.compile(rf"(?:{_LABEL}\.)+{_LABEL}")
# A last label that resolvers read as a number makes the whole name an address: 127.1, 0x7f000001.
_NUMBER: Final = re.compile(r"[0-9]+|0x[0-9a-f]*")
_LOCAL_NAMES: Final = frozenset(
    {"localhost", "local", "localdomain", "internal", "intranet", "lan", "home", "corp", "arpa"}
    | {"test", "example", "invalid", "onion", "private"}
)
"""Last labels of names that exist only in private networks."""


class TargetRefused(ValueError):
    """The URL may not be called; the message tells the merchant why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UrlPolicy:
    """Which URLs may be called."""

    ports: frozenset[int] = frozenset({443, 8443})
    loopback: bool = False
    """Development: `localhost` and loopback addresses, on any port from 1024, by http too."""
    denied_networks: Sequence[Network] = field(default=())
    ca_file: str = ""
    """Certificates that are trusted in addition to the system's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where a request goes; the name is not resolved yet."""

    scheme: str
    host: str
    """A lower-case name, or an address without brackets."""
    port: int
    path: str
    """With the query; never empty."""
    address: Address | None
    """The host, if it is an IP address itself."""
    is_loopback: bool


def policy_of_settings() -> UrlPolicy:
    """The policy from this installation's settings."""
    return UrlPolicy(
        ports=settings.WEBHOOK_PORTS,
        loopback=settings.WEBHOOK_LOOPBACK,
        denied_networks=settings.WEBHOOK_DENIED_NETWORKS,
        ca_file=settings.WEBHOOK_CA_FILE,
    )


def target_of(url: str, policy: UrlPolicy) -> Target:
    """Parse the URL; raises TargetRefused if the policy does not allow it."""
    if len(url) > URL_LENGTH_MAX or not _URL.fullmatch(url):
        raise TargetRefused(
            f"Give an absolute URL of at most {URL_LENGTH_MAX} characters without blanks, "
            "fragment or anything that must be escaped; write international names in their "
            "`xn--` form."
        )
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise TargetRefused("This is no URL.") from None
    if "@" in parts.netloc:
        raise TargetRefused("The URL may not carry credentials.")
    host, address = _host_of(parts.netloc, parts.hostname or "")
    is_loopback = host == "localhost" or (address is not None and is_this_machine(address))
    if is_loopback and policy.loopback:
        _check_development(parts.scheme, port)
    else:
        _check(parts.scheme, port, address, policy, is_loopback=is_loopback)
    path = parts.path or "/"
    return Target(
        scheme=parts.scheme,
        host=host,
        port=port or (443 if parts.scheme == "https" else 80),
        path=f"{path}?{parts.query}" if parts.query else path,
        address=address,
        is_loopback=is_loopback,
    )


def _check(
    scheme: str, port: int | None, address: Address | None, policy: UrlPolicy, *, is_loopback: bool
) -> None:
    if scheme != "https":
        raise TargetRefused("The URL must begin with https://.")
    if (443 if port is None else port) not in policy.ports:
        allowed = ", ".join(str(each) for each in sorted(policy.ports))
        raise TargetRefused(f"The URL may name one of these ports only: {allowed}.")
    refused = address is not None and not is_callable(address, also_denied=policy.denied_networks)
    if is_loopback or refused:
        raise TargetRefused("The URL must name a host that is reachable from the internet.")


def _check_development(scheme: str, port: int | None) -> None:
    if scheme not in ("http", "https"):
        raise TargetRefused("The URL must begin with http:// or https://.")
    if port is None or port < 1024:
        raise TargetRefused("On this machine, name a port from 1024.")


def _host_of(netloc: str, hostname: str) -> tuple[str, Address | None]:
    """The host in canonical form, and the IP address if it is one."""
    if netloc.startswith("["):
        return _ipv6_of(netloc, hostname)
    host = hostname.lower()
    last = host.rpartition(".")[2]
    if _NUMBER.fullmatch(last):
        try:
            return host, IPv4Address(host)  # four decimal numbers without leading zeros, or nothing
        except AddressValueError:
            raise TargetRefused("The host is an address in an unusual form.") from None
    if host == "localhost":
        return host, None
    if len(host) > 253 or not _NAME.fullmatch(host) or last in _LOCAL_NAMES:
        raise TargetRefused("The URL must name a host that is reachable from the internet.")
    return host, None


def _ipv6_of(netloc: str, hostname: str) -> tuple[str, Address]:
    if not re.fullmatch(r"\[[0-9a-fA-F:.]+\](?::[0-9]+)?", netloc):
        raise TargetRefused("The host in brackets is no address.")
    try:
        address = IPv6Address(hostname)
    except AddressValueError:
        raise TargetRefused("The host in brackets is no address.") from None
    return address.compressed, address
