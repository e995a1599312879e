"""The enforcer as a library: a gateway in Python asks it in its own process, as fast as memory."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from types import TracebackType
from typing import Final, Self

from services.adapters.keys import ANY_ORGANIZATION, Principal, Role
from services.adapters.metrics import Metrics
from services.core.ask import Ask
from services.core.decision import Decision
from services.enforcer.answers import Released, Settled
from services.enforcer.report import Release, Report
from services.enforcer.settings import EnforcerSettings
from services.enforcer.wiring import Wired

_ITSELF: Final = Principal("embedded", Role.EDGE, ANY_ORGANIZATION)


class NotReady(Exception):
    """The balances could not be read in time; Kafka may be away."""


class Enforcer:
    """One enforcer among others, inside the process that asks it. Use it as an asynchronous context manager.

    Whoever holds it may ask for every organization: it checks no keys. `check`, `settle` and `release` raise `ApiError`
    for what is refused, as the transports answer it.
    """

    def __init__(self, settings: EnforcerSettings, *, ready_within_s: float = 60.0) -> None:
        """`settings` as of the service; its ports, sockets and keys are not used. Raises `SpoolError`, with advice."""
        self.metrics = Metrics()
        self._wired = Wired.of(settings, self.metrics)
        self._ready_within_s = ready_within_s
        self._running = AsyncExitStack()

    async def __aenter__(self) -> Self:
        """Start, and wait until every balance is known. Raises `NotReady` when that takes too long."""
        await self._running.enter_async_context(asynccontextmanager(self._wired.background.running)())
        try:
            async with asyncio.timeout(self._ready_within_s):
                await self._wired.until_ready()
        except TimeoutError:
            await self._running.aclose()
            raise NotReady(f"the balances were not known after {self._ready_within_s} s: is Kafka there?") from None
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give shares back, make what is on its way durable, and stop."""
        await self._running.aclose()

    async def check(self, ask: Ask) -> Decision:
        """May this request spend its estimate? A denial is an answer like any other.

        Awaits nothing when shares cover it. Raises `VitalTaskFailed` once this enforcer is of no use any more.
        """
        self._wired.vital.check()
        decision = await self._wired.desk.check_waiting(_ITSELF, ask)
        self._wired.desk.publish(decision)
        return decision

    async def settle(self, report: Report) -> Settled:
        """Replace a reservation by what was used; returns once that is durable."""
        return await self._wired.desk.settle(_ITSELF, report)

    def release(self, reservation: str) -> Released:
        """Give back what was reserved for a request that was never made."""
        return self._wired.desk.release(_ITSELF, Release(reservation=reservation))
