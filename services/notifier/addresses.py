"""Which addresses may be connected to: none inside, so that no policy can make the notifier call its own house."""

from __future__ import annotations

import socket
from ipaddress import IPv6Address, IPv6Network, ip_address

from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver


class PrivateAddress(OSError):
    """The address is one of the inside, and the operator has not allowed those."""


def is_public(address: str) -> bool:
    """Whether an IP address is one of the internet.

    Loopback, private, link-local (metadata services) and the like are not, nor what IPv6 writes of them in other words.
    """
    found = ip_address(address)
    if isinstance(found, IPv6Address):
        inner = found.ipv4_mapped or found.sixtofour or (found.teredo[1] if found.teredo else None)
        if inner is not None and not inner.is_global:
            return False
        if found in _NAT64:
            return is_public(str(ip_address(int(found) & 0xFFFFFFFF)))
    return found.is_global and not found.is_multicast


_NAT64 = IPv6Network("64:ff9b::/96")


class PublicResolver(AbstractResolver):
    """Resolves names to public addresses; the connection goes to exactly what was looked at."""

    def __init__(self) -> None:
        self._resolver = ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """The addresses of a host. Raises `PrivateAddress` when any is not public: such a name is a trap."""
        found = await self._resolver.resolve(host, port, family)
        for each in found:
            if not is_public(each["host"]):
                raise PrivateAddress(f"{host} has the private address {each['host']}")
        return found

    async def close(self) -> None:
        """Nothing is open."""
        await self._resolver.close()
