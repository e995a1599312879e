"""The client for gateways that run on asyncio."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final, Literal, Self

import msgspec

from services.client.address import Address
from services.client.errors import LinkLost, NothingReserved, Unavailable
from services.client.keeper import Backoff, Keeper
from services.client.messages import Ask, Decision, Settled, Usage, report
from services.client.results import result

OnUnavailable = Literal["open", "closed"]
PASSING: Final = frozenset({"restoring", "ledger_unavailable"})
"""Why an enforcer did nothing for now, and will soon."""
TRY_AGAIN_S: Final = 0.1

_decision = msgspec.msgpack.Decoder(Decision)
_settled = msgspec.msgpack.Decoder(Settled)
_mapping = msgspec.msgpack.Decoder(dict[str, Any])


class AsyncClient:
    """Asks an enforcer over its RPC. Use it as an async context manager, one for the whole process.

    `on_unavailable` says what a check answers when no enforcer does: `open` allows, `closed` denies; both are marked
    `unavailable` and come within `timeout_s`, and at once while the enforcer is known to be gone. All other methods
    raise `Unavailable` then. `Refused` is raised in either mode: a wrong key must not open the gate.
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
        self._open = on_unavailable == "open"
        self._timeout_s, self._settle_timeout_s = timeout_s, settle_timeout_s
        self._keeper = Keeper(Address.parse(address, tls), key, backoff or Backoff(), timeout_s)
        self._room = asyncio.Semaphore(in_flight_max)

    async def __aenter__(self) -> Self:
        self._keeping = asyncio.create_task(self._keeper.run())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._keeping.cancel()
        with suppress(asyncio.CancelledError):
            await self._keeping

    async def check(self, ask: Ask, *, timeout_s: float | None = None) -> Decision:
        """Ask before a request. A check whose answer is lost is not repeated: it may have reserved."""
        try:
            body = await self._call("check", ask, timeout_s or self._timeout_s)
        except Unavailable as error:
            return self._undecided(ask, error)
        return _decision.decode(body)

    async def settle(self, decision: Decision | str, usage: Usage, *, timeout_s: float | None = None) -> Settled:
        """Say what a request used; tried again until it is durable or the time is up, as it counts once in any case.

        Raises `NothingReserved`.
        """
        _require_reservation(decision)
        body = report(decision, usage)
        return _settled.decode(await self._call("settle", body, timeout_s or self._settle_timeout_s, patient=True))

    async def release(self, decision: Decision | str, *, timeout_s: float | None = None) -> None:
        """Give back what was reserved for a request that was never made. Raises `NothingReserved`."""
        body = {"reservation": _require_reservation(decision)}
        await self._call("release", body, timeout_s or self._timeout_s, patient=True)

    async def status(
        self, scope: str, *, after: tuple[int, int] | None = None, wait_ms: int = 1_000, timeout_s: float | None = None
    ) -> dict[str, Any]:
        """What a scope has spent, once a ledger position (partition, offset) has been applied."""
        body: dict[str, Any] = {"scope": scope, "wait_ms": wait_ms}
        if after is not None:
            body["after"] = {"partition": after[0], "offset": after[1]}
        limit_s = timeout_s or self._timeout_s + wait_ms / 1000
        return _mapping.decode(await self._call("status", body, limit_s, patient=True))

    async def ping(self, *, timeout_s: float | None = None) -> dict[str, Any]:
        """Which enforcer answers, and whether it knows every balance."""
        return _mapping.decode(await self._call("ping", {}, timeout_s or self._timeout_s))

    async def _call(
        self, method: str, body: Ask | Mapping[str, Any], timeout_s: float, *, patient: bool = False
    ) -> msgspec.Raw:
        deadline = asyncio.get_running_loop().time() + timeout_s
        try:
            if self._room.locked():
                async with asyncio.timeout_at(deadline):
                    await self._room.acquire()
            else:
                await self._room.acquire()
        except TimeoutError:
            raise Unavailable("too_many_in_flight", "too many calls wait for their answers") from None
        try:
            return await self._persist(method, body, deadline, patient)
        finally:
            self._room.release()

    async def _persist(self, method: str, body: Ask | Mapping[str, Any], deadline: float, patient: bool) -> msgspec.Raw:
        """Call, and once more where nothing was done; the patient also where nobody knows what was done."""
        loop, moving = asyncio.get_running_loop(), False
        while True:
            link = self._keeper.link or await self._keeper.connected(deadline, patient=patient or moving)
            try:
                return result(await link.call(method, body, deadline - loop.time()))
            except TimeoutError:
                raise Unavailable("timeout", "the enforcer did not answer in time") from None
            except LinkLost as error:
                if not patient:
                    raise Unavailable("connection_lost", str(error)) from None
            except Unavailable as error:
                if error.code in PASSING and patient and loop.time() + TRY_AGAIN_S < deadline:
                    await asyncio.sleep(TRY_AGAIN_S)
                    continue
                if error.code != "draining":
                    raise
                moving = True
            link.retire()

    def _undecided(self, ask: Ask, why: Unavailable) -> Decision:
        return Decision(
            decision="",
            action="allow" if self._open else "deny",
            reason="unavailable",
            message=f"{why.code}: {why}",
            organization=ask.organization,
            project=ask.project,
            team=ask.team,
            user=ask.user,
            provider=ask.provider,
            model=ask.model,
            tags=ask.tags,
            priority=ask.priority,
            input_tokens=ask.input_tokens,
            max_output_tokens=ask.max_output_tokens,
            dry_run=ask.dry_run,
            unavailable=True,
        )


def _require_reservation(decision: Decision | str) -> str:
    if isinstance(decision, str):
        return decision
    if decision.reservation is None:
        raise NothingReserved
    return decision.reservation.id
