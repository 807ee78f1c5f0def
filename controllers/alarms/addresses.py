"""Which network addresses notices may be sent to: the public ones, and those allowed by name.

A webhook's address comes from a form, so it must not lead into the network behind us: neither
loopback, private, link-local (where clouds keep their credentials) nor anything else that is not a
public unicast address, in whatever notation or wrapped in whatever transition format.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)

from controllers.kernel.errors import ConfigError

Network = IPv4Network | IPv6Network

_NAT64 = IPv6Network("64:ff9b::/96")


def parse_networks(names: Iterable[str]) -> tuple[Network, ...]:
    """Return networks written as addresses with prefix, such as ``10.1.0.0/16``.

    Raises:
        ConfigError: one is not a network.
    """
    networks = []
    for name in names:
        try:
            networks.append(ip_network(name.strip()))
        except ValueError as error:
            problem = f"{name!r}: must be a network such as 10.1.0.0/16"
            raise ConfigError("allowed networks", [problem]) from error
    return tuple(networks)


def is_allowed(address: str, allowed: Sequence[Network] = (), *, public: bool = True) -> bool:
    """Tell whether a notice may be sent to an address.

    Args:
        address: numeric, IPv4 or IPv6; anything else is not allowed.
        allowed: networks that are allowed although they are not public.
        public: whether public addresses are allowed at all.
    """
    try:
        ip = _unwrapped(ip_address(address.partition("%")[0]))
    except ValueError:
        return False
    if any(ip.version == network.version and ip in network for network in allowed):
        return True
    return public and ip.is_global and not (ip.is_multicast or ip.is_reserved or ip.is_unspecified)


def _unwrapped(ip: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    if isinstance(ip, IPv4Address):
        return ip
    if ip in _NAT64:
        return IPv4Address(int(ip) & 0xFFFF_FFFF)
    return ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else ip)
