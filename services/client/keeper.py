"""Keeps a connection: dials, says hello, and after a loss dials again, waiting longer each time that fails."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass

import msgspec

from schemas.rpc import VERSION, Hello
from services.client.address import Address
from services.client.errors import ClientError, LinkLost, Refused, Unavailable
from services.client.link import Link
from services.client.results import result


@dataclass(frozen=True, slots=True)
class Backoff:
    """Seconds to wait before dialling again: doubled with each failure in a row, and spread by chance."""

    first_s: float = 0.05
    max_s: float = 2.0

    def after(self, failures: int) -> float:
        """How long to wait after this many failures in a row."""
        if failures == 0:
            return 0.0
        longest = min(self.max_s, self.first_s * 2.0 ** min(failures - 1, 32))
        return longest * random.uniform(0.5, 1.0)  # noqa: S311 - clients must not return all at once, nothing more


class Keeper:
    """The connection of a client."""

    def __init__(self, address: Address, key: str, backoff: Backoff, timeout_s: float) -> None:
        self._address, self._hello = address, Hello(VERSION, key)
        self._backoff, self._timeout_s = backoff, timeout_s
        self._link: Link | None = None
        self._why: ClientError = Unavailable("not_connected", "the client was not started")
        self._hopeful = True
        """Whether a connection is there, or is being made: worth waiting for even when one must not wait long."""
        self._turn = asyncio.Event()

    @property
    def link(self) -> Link | None:
        """The connection to use, None while there is none."""
        return None if self._link is None or self._link.retired.done() else self._link

    async def run(self) -> None:
        """Keep it, until cancelled."""
        loop, failures = asyncio.get_running_loop(), 0
        try:
            while True:
                since = loop.time()
                await self._dial()
                if self._link is not None:
                    await asyncio.shield(self._link.retired)
                failures = 0 if loop.time() - since > self._backoff.max_s else failures + 1
                self._turned(hopeful=failures == 0)
                await asyncio.sleep(self._backoff.after(failures))
                self._hopeful = True
        finally:
            if self._link is not None:
                self._link.close()

    async def connected(self, deadline: float, *, patient: bool) -> Link:
        """The connection, once the attempt that is being made has succeeded; the patient wait for the next ones, too.

        Raises `Unavailable`, and `Refused` when the enforcer does not take the key.
        """
        while (link := self.link) is None:
            if isinstance(self._why, Refused) or not (patient or self._hopeful):
                raise self._why.with_traceback(None)
            try:
                async with asyncio.timeout_at(deadline):
                    await self._turn.wait()
            except TimeoutError:
                raise Unavailable("timeout", f"no connection to the enforcer in time: {self._why}") from None
        return link

    async def _dial(self) -> None:
        link = None
        try:
            async with asyncio.timeout(self._timeout_s):
                link = await self._address.dial(Link)
                result(await link.call("hello", self._hello, self._timeout_s))
        except ClientError as error:
            self._why = error
        except (OSError, LinkLost, TimeoutError, msgspec.MsgspecError) as error:
            self._why = Unavailable("not_connected", f"no connection to the enforcer: {error!r}")
        else:
            self._link, self._why = link, Unavailable("connection_lost", "the connection to the enforcer was lost")
            self._turned(hopeful=True)
            return
        finally:
            if link is not None and link is not self._link:
                link.close()
        self._link = None

    def _turned(self, *, hopeful: bool) -> None:
        """Wake those who wait for a connection, to look again."""
        self._hopeful = hopeful
        self._turn.set()
        self._turn = asyncio.Event()
