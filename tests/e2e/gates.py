"""Two ways to guard a budget, on the same services: enforcers that hold shares of it, and check-then-record."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from itertools import count
from typing import Any, Protocol

import aiohttp
import msgspec

from services.adapters.clock import now_ms
from services.client import Ask, AsyncClient, ClientError, Usage
from services.core.decision import Hold
from services.core.events import from_ms
from services.core.money import format_usd, parse_usd
from services.core.pricing import PriceBook
from services.enforcer.answers import Status
from tests.e2e.demand import MODEL, WINDOW, Spender

RETRY_S = 0.1
AWAY = (aiohttp.ClientError, OSError, asyncio.TimeoutError)
"""What a call raises when nobody answers."""

_encode = msgspec.json.encode
_status = msgspec.json.Decoder(Status).decode


class Refusal(Enum):
    """Why a request may not be made now."""

    EXCEEDED = auto()
    UNKNOWN = auto()


@dataclass(frozen=True, slots=True)
class Admitted:
    """A request that may be made, for at most so many nano-dollars. `enforcer` holds its reservation, if it has one."""

    estimate_nanousd: int
    enforcer: int = -1
    reservation: str | None = None


class Gate(Protocol):
    """What stands between a gateway and the provider."""

    async def admit(self, spender: Spender, tokens: tuple[int, int], home: int) -> Admitted | Refusal:
        """May this request be made? `home` is the enforcer that the gateway prefers."""

    async def record(self, spender: Spender, admitted: Admitted, cost_nanousd: int) -> None:
        """It was made, and cost this much: returns once that is durable."""


@dataclass(slots=True)
class Services:
    """The HTTP side of the services that gates are made of."""

    session: aiohttp.ClientSession
    enforcers: Sequence[str]
    ingest: str

    async def report(self, event_id: str, data: Mapping[str, Any]) -> bool:
        """Report usage through ingest; whether it is durable."""
        event = {
            "specversion": "1.0",
            "id": event_id,
            "source": "gateway/overspend",
            "type": "spendgate.usage.recorded.v1",
            "time": from_ms(now_ms()).isoformat(),
            "data": data,
        }
        status, body = await self.post(f"{self.ingest}/v1/events", event)
        assert status in (202, 503), (status, body)
        return status == 202

    async def post(self, url: str, body: Mapping[str, Any]) -> tuple[int, dict[str, Any]]:
        """A JSON request: the answer's status and body; 503 when nobody answers."""
        try:
            async with self.session.post(url, data=_encode(body)) as response:
                return response.status, msgspec.json.decode(await response.read())
        except AWAY:
            return 503, {}

    async def status(self, home: int, scope: str) -> Status | None:
        """What an enforcer knows of a scope; None when it does not answer."""
        try:
            async with self.session.get(f"{self.enforcers[home]}/v1/status/{scope}") as response:
                return _status(await response.read()) if response.status == 200 else None
        except AWAY:
            return None


class EscrowGate:
    """Enforcers over HTTP. When one dies, its gateways settle through another, or through ingest."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def admit(self, spender: Spender, tokens: tuple[int, int], home: int) -> Admitted | Refusal:
        """Reserve the estimate at the gateway's own enforcer."""
        ask = {**spender.dimensions, "model": MODEL, "input_tokens": tokens[0], "max_output_tokens": tokens[1]}
        status, body = await self._services.post(f"{self._services.enforcers[home]}/v1/check", ask)
        if status == 200:
            return _held(msgspec.convert(body["reservation"], Hold), home)
        assert status in (429, 503), (status, body)
        return Refusal.EXCEEDED if status == 429 else Refusal.UNKNOWN

    async def record(self, spender: Spender, admitted: Admitted, cost_nanousd: int) -> None:
        """Settle where it was reserved, else anywhere: all that is known of the request is sent along."""
        assert admitted.reservation is not None, "enforcers reserve what they allow"
        usage = {**_usage(spender, cost_nanousd), "reservation": admitted.reservation}
        for attempt in count():
            if attempt % 3 == 2:
                if await self._services.report(admitted.reservation, usage):
                    return
            else:
                enforcer = (admitted.enforcer + attempt) % len(self._services.enforcers)
                status, body = await self._services.post(f"{self._services.enforcers[enforcer]}/v1/settle", usage)
                if status == 200:
                    return
                assert status == 503, (status, body)
            await asyncio.sleep(RETRY_S)


class RpcGate(EscrowGate):
    """The same through the RPC client; what it cannot settle goes the other way."""

    def __init__(self, services: Services, clients: Sequence[AsyncClient]) -> None:
        super().__init__(services)
        self._clients = clients

    async def admit(self, spender: Spender, tokens: tuple[int, int], home: int) -> Admitted | Refusal:
        """Reserve the estimate at the gateway's own enforcer."""
        ask = Ask(
            organization=spender.organization,
            project=spender.project,
            team=spender.team,
            user=spender.user,
            model=MODEL,
            input_tokens=tokens[0],
            max_output_tokens=tokens[1],
        )
        decision = await self._clients[home].check(ask, timeout_s=5)
        if decision.allowed:
            assert decision.reservation is not None
            return _held(msgspec.convert(decision.reservation, Hold, from_attributes=True), home)
        return Refusal.EXCEEDED if decision.reason == "budget_exceeded" else Refusal.UNKNOWN

    async def record(self, spender: Spender, admitted: Admitted, cost_nanousd: int) -> None:
        """Settle where it was reserved, else as any gateway does."""
        assert admitted.reservation is not None, "enforcers reserve what they allow"
        usage = Usage(model=MODEL, input_tokens=1, output_tokens=1, cost_usd=format_usd(cost_nanousd))
        try:
            await self._clients[admitted.enforcer].settle(admitted.reservation, usage, timeout_s=2)
        except ClientError:
            await super().record(spender, admitted, cost_nanousd)


class NaiveGate:
    """Check, then record: allow what fits into what was recorded so far at every level, report the usage afterwards."""

    def __init__(self, services: Services, name: str) -> None:
        self._services, self._name = services, name
        self._prices, self._ids = PriceBook.bundled(), count()

    async def admit(self, spender: Spender, tokens: tuple[int, int], home: int) -> Admitted | Refusal:
        """Look at what every level has spent."""
        estimate = self._prices.upper_bound(None, MODEL, now_ms(), input_tokens=tokens[0], max_output_tokens=tokens[1])
        assert estimate is not None
        for status in await asyncio.gather(*[self._services.status(home, scope) for scope in spender.scopes]):
            if status is None:
                return Refusal.UNKNOWN
            windows = [window for window in status.windows if window.window == WINDOW]
            if any(parse_usd(b.remaining_usd) < estimate for window in windows for b in window.budgets):
                return Refusal.EXCEEDED
        return Admitted(estimate)

    async def record(self, spender: Spender, admitted: Admitted, cost_nanousd: int) -> None:
        """Report the usage, as often as it takes."""
        assert cost_nanousd <= admitted.estimate_nanousd
        event_id = f"{self._name}-{next(self._ids)}"
        while not await self._services.report(event_id, _usage(spender, cost_nanousd)):
            await asyncio.sleep(RETRY_S)


def _held(hold: Hold, home: int) -> Admitted:
    assert hold.estimate_usd is not None, "the model has a price"
    return Admitted(parse_usd(hold.estimate_usd), home, hold.id)


def _usage(spender: Spender, cost_nanousd: int) -> dict[str, Any]:
    return {
        **spender.dimensions,
        "gen_ai.request.model": MODEL,
        "gen_ai.usage.input_tokens": 1,
        "gen_ai.usage.output_tokens": 1,
        "cost_usd": format_usd(cost_nanousd),
    }
