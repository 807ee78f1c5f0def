"""Resolves a host and refuses it unless every one of its addresses may be sent to.

Used when a channel is configured and again at every connection, which is then made to the very
address that was checked: a name that resolves to something else a moment later gains nothing.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence

from controllers.alarms.addresses import Network, is_allowed
from controllers.kernel.errors import DomainError, TemporaryError

RESOLVE_DEADLINE_S = 3.0

Resolve = Callable[[str, int], Awaitable[list[str]]]
"""From host and port to numeric addresses."""


class UnresolvedError(TemporaryError):
    """A host name has no address now."""


async def resolve_with_dns(host: str, port: int) -> list[str]:
    """Return the addresses of a host, as the system resolves it.

    Raises:
        UnresolvedError: it has none, or the answer took too long.
    """
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(RESOLVE_DEADLINE_S):
            found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError, TimeoutError) as error:
        raise UnresolvedError(f"{host} cannot be resolved") from error
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


class AddressGuard:
    """Tells where notices may go.

    Args:
        allowed: networks that are allowed although they are not public.
        resolve: another resolver only in tests.
    """

    def __init__(
        self, allowed: Sequence[Network] = (), *, resolve: Resolve = resolve_with_dns
    ) -> None:
        self._allowed = tuple(allowed)
        self._resolve = resolve

    async def address_of(self, host: str, port: int, *, encrypted: bool, field: str) -> str:
        """Return an address of a host that may be connected to.

        Args:
            host: name or numeric address.
            port: TCP port.
            encrypted: whether the connection will be; in the clear only to allowed networks.
            field: what a refusal names.

        Raises:
            DomainError: one of its addresses is not public and not allowed.
            UnresolvedError: it has no address.
        """
        addresses = await self._resolve(host, port)
        if not addresses:
            raise UnresolvedError(f"{host} has no address")
        for address in addresses:
            if not is_allowed(address, self._allowed):
                rule = "leads to an address that is not public and not allowed"
                raise DomainError(field, host, rule)
            if not encrypted and not is_allowed(address, self._allowed, public=False):
                rule = "must be reached encrypted, unless its network is allowed by name"
                raise DomainError(field, host, rule)
        return addresses[0]
