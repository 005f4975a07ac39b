"""Decides which IP addresses may be called. Pure.

The list is our own: `ipaddress.is_global` treats multicast, NAT64, 6to4 and a cloud's metadata
service as public. Of IPv6 only the assigned range 2000::/3 is public, so mapped, translated and
local forms need no entry here.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network
from typing import Final

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_LOOPBACK_IPV4: Final = IPv4Network("127.0.0.0/8")
_LOOPBACK_IPV6: Final = IPv6Address("::1")
_PUBLIC_IPV6: Final = IPv6Network("2000::/3")
DENIED: Final[tuple[Network, ...]] = tuple(
    ip_network(each)
    for each in (
        "0.0.0.0/8",  # this network
        "10.0.0.0/8",  # private
        "100.64.0.0/10",  # shared by carriers; metadata services too (100.100.100.200)
        "127.0.0.0/8",  # this machine
        "168.63.129.16/32",  # a cloud provider's host, although the address is public
        "169.254.0.0/16",  # link local; metadata services
        "172.16.0.0/12",  # private
        "192.0.0.0/24",  # protocol assignments
        "192.0.2.0/24",  # documentation
        "192.88.99.0/24",  # 6to4 relays
        "192.168.0.0/16",  # private
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, broadcast
        "2001::/23",  # protocol assignments: Teredo, benchmarks, ORCHID
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4: IPv4 addresses in IPv6 form
        "3fff::/20",  # documentation
    )
)


def is_callable(address: Address, *, also_denied: Iterable[Network] = ()) -> bool:
    """Whether the address is public, and in none of the `also_denied` networks."""
    if address.version == 6 and address not in _PUBLIC_IPV6:
        return False
    return not any(
        address in network
        for network in (*DENIED, *also_denied)
        if network.version == address.version
    )


def is_this_machine(address: Address) -> bool:
    """Whether it is a loopback address in its plain form."""
    if address.version == 6:
        return address == _LOOPBACK_IPV6
    return address in _LOOPBACK_IPV4
