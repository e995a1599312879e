"""The client for gateways that run on threads: the same one, on an event loop of its own behind them."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Coroutine
from threading import Thread
from typing import Any, Self, TypeVar

from services.client.aio import AsyncClient, OnUnavailable
from services.client.keeper import Backoff
from services.client.messages import Ask, Decision, Settled, Usage

ResultT = TypeVar("ResultT")


class Client:
    """`AsyncClient` for any number of threads, whose calls share one connection. Use it as a context manager.

    Make it after a fork: threads do not survive one.
    """

    def __init__(
        self,
        address: str,
        key: str,
        *,
        on_unavailable: OnUnavailable,
        timeout_s: float = 1.0,
        settle_timeout_s: float = 10.0,
        in_flight_max: int = 1_024,
        backoff: Backoff | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._client = AsyncClient(
            address,
            key,
            on_unavailable=on_unavailable,
            timeout_s=timeout_s,
            settle_timeout_s=settle_timeout_s,
            in_flight_max=in_flight_max,
            backoff=backoff,
            tls=tls,
        )
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._loop.run_forever, name="spendgate-client", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._wait(self._client.__aenter__())
        return self

    def __exit__(self, *_: object) -> None:
        self._wait(self._client.__aexit__())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def check(self, ask: Ask, *, timeout_s: float | None = None) -> Decision:
        """As `AsyncClient.check`."""
        return self._wait(self._client.check(ask, timeout_s=timeout_s))

    def settle(self, decision: Decision | str, usage: Usage, *, timeout_s: float | None = None) -> Settled:
        """As `AsyncClient.settle`."""
        return self._wait(self._client.settle(decision, usage, timeout_s=timeout_s))

    def release(self, decision: Decision | str, *, timeout_s: float | None = None) -> None:
        """As `AsyncClient.release`."""
        self._wait(self._client.release(decision, timeout_s=timeout_s))

    def status(
        self, scope: str, *, after: tuple[int, int] | None = None, wait_ms: int = 1_000, timeout_s: float | None = None
    ) -> dict[str, Any]:
        """As `AsyncClient.status`."""
        return self._wait(self._client.status(scope, after=after, wait_ms=wait_ms, timeout_s=timeout_s))

    def ping(self, *, timeout_s: float | None = None) -> dict[str, Any]:
        """As `AsyncClient.ping`."""
        return self._wait(self._client.ping(timeout_s=timeout_s))

    def _wait(self, work: Coroutine[Any, Any, ResultT]) -> ResultT:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()
