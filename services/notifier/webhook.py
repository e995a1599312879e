"""Webhooks: the whole alert as JSON, signed, sent with an idempotency key; no redirect is followed."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from ipaddress import ip_address
from typing import Final

import aiohttp
from yarl import URL

from services.adapters.clock import now_ms
from services.notifier.addresses import PrivateAddress, PublicResolver, is_public
from services.notifier.letter import Letter
from services.notifier.signing import Signer
from services.notifier.taken import NotTaken, Outcome, Taken

GONE: Final = frozenset({400, 401, 403, 404, 405, 410, 411, 413, 414, 415, 422, 451, 501})
"""What a receiver says that will not take the same message later either."""


class Webhooks:
    """Sends to `http` and `https` channels. `allow_private`: receivers inside, on loopback for example, are meant."""

    def __init__(self, signer: Signer, *, timeout_s: float, allow_private: bool) -> None:
        self._signer, self._allow_private = signer, allow_private
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)
        self._session: aiohttp.ClientSession | None = None

    async def send(self, channel: str, letter: Letter) -> Outcome:
        """One attempt. The status is the answer: whatever the body does, the receiver has said it by then."""
        try:
            url = self._checked(channel)
        except ValueError as error:
            return NotTaken(str(error), for_good=True)
        body = letter.json()
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "spendgate-notifier",
            "Idempotency-Key": letter.id,
            "Spendgate-Signature": self._signer.signature(letter.organization, now_ms() // 1000, body),
        }
        try:
            async with self._open().post(url, data=body, headers=headers, allow_redirects=False) as response:
                response.close()
                return _outcome(response.status, response.headers)
        except PrivateAddress as error:
            return NotTaken(str(error), for_good=True)
        except aiohttp.ClientConnectorError as error:
            if isinstance(error.os_error, PrivateAddress):
                return NotTaken(str(error.os_error), for_good=True)
            return NotTaken(f"cannot connect: {error.os_error}")
        except TimeoutError:
            return NotTaken("no answer in time")
        except (aiohttp.ClientError, OSError) as error:
            return NotTaken(f"no answer: {type(error).__name__}")

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()

    def _checked(self, channel: str) -> URL:
        url = URL(channel)
        if url.scheme not in ("http", "https") or not url.host:
            raise ValueError("not an http address with a host")
        if not self._allow_private and _is_inside(url.host):
            raise ValueError("a private address: SPENDGATE_NOTIFY_PRIVATE allows those")
        return url

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            resolver = None if self._allow_private else PublicResolver()
            connector = aiohttp.TCPConnector(resolver=resolver, limit=32, ttl_dns_cache=0, use_dns_cache=False)
            self._session = aiohttp.ClientSession(
                connector=connector, timeout=self._timeout, cookie_jar=aiohttp.DummyCookieJar(), trust_env=False
            )
        return self._session


def _is_inside(host: str) -> bool:
    """Whether an address that is written out, which nobody resolves, is not public."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return not is_public(host)


def _outcome(status: int, headers: Mapping[str, str]) -> Outcome:
    if 200 <= status < 300:
        return Taken(f"answered {status}")
    if 300 <= status < 400:
        return NotTaken(f"answered {status}: redirects are not followed; write the final address", for_good=True)
    return NotTaken(f"answered {status}", for_good=status in GONE, after_ms=_retry_after_ms(headers.get("Retry-After")))


def _retry_after_ms(value: str | None) -> int | None:
    """Seconds, or an HTTP date (RFC 9110, 10.2.3)."""
    if value is None:
        return None
    if value.isascii() and value.isdigit():
        return min(int(value[:9]), 86_400) * 1000
    try:
        at = parsedate_to_datetime(value)
    except ValueError:
        return None
    left = at.astimezone(UTC) - datetime.fromtimestamp(now_ms() / 1000, UTC)
    return max(0, min(int(left.total_seconds()), 86_400) * 1000)
