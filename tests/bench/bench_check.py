"""The enforcer: how long a decision takes, and checks over HTTP against aiohttp that does nothing.

The floor gets the very same requests and answers them with a decision of the enforcer's (see `idle_server`). Servers
share one core, in turns, and the load comes from another: on a machine with less than two idle cores the floor is the
load generator's, and the ratio flatters. Processor time does not care.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from time import process_time
from typing import Any

import msgspec
import uvloop

from services.core.ask import Ask
from services.core.decide import decide
from services.core.decision import Decision
from services.core.estimate import estimate
from services.enforcer.engine import Engine
from tests.bench.asking import BODIES, BUDGETS, asks
from tests.bench.load import Answered, request, run
from tests.bench.loaded import entries
from tests.bench.servers import LOADED, Server, aggregator, allowed, enforcer, server
from tests.core.loop import Loop
from tests.integration.backends import running_kafka
from tests.integration.enforcing import make_keys

ROUNDS = 5
REQUESTS = 20_000
CONNECTIONS = 32
SETTLING = 256
"""Connections that settle: each waits for the ledger to have its usage, so there must be enough of them."""
DECISIONS = 20_000
_RESERVATION = re.compile(rb'"reservation":\{"id":"([^"]+)"')
_decode = msgspec.json.Decoder(Ask).decode
_encode = msgspec.json.Encoder().encode


def measure() -> dict[str, dict[str, Any]]:
    """Microseconds of processor time in memory, and requests a second; the floor is aiohttp that does nothing."""
    return {**in_memory(), **uvloop.run(http())}


def in_memory() -> dict[str, dict[str, Any]]:
    """`decide_core`: estimate, route and decide. `check_core`: from JSON to JSON, reserved and let go of."""
    loop = Loop(*BUDGETS)
    (engine,) = loop.engines
    engine.standings.absorb(0, [(key, value) for _, key, value in entries(LOADED, loop.now_ms)])
    timed = {"decide_core": _deciding(engine, loop.now_ms)}
    for name, detail in (("check_core", "brief"), ("check_core_full", "full")):
        bodies = [msgspec.json.encode({**ask, "detail": detail}) for ask in asks()]
        for body in bodies:
            warm = loop.decide(engine, _decode(body))
            assert warm.reservation is not None
            engine.closings.release(warm.reservation.id)
        timed[name] = _checking(engine, bodies, loop.now_ms)
    return {name: {"value": _fastest_us(work), "unit": "us"} for name, work in timed.items()}


def _deciding(engine: Engine, at_ms: int) -> Callable[[int], object]:
    organization = engine.directory.organization("acme")
    asked, caps, prices = [msgspec.convert(ask, Ask) for ask in asks()], organization.policy.requests, engine.prices

    def work(number: int) -> object:
        ask = asked[number % BODIES]
        ruling = decide(
            ask, estimate(ask, caps, prices, at_ms), organization.route(ask, at_ms).chain, caps, at_ms, enforcers=1
        )
        return ruling.action

    return work


def _checking(engine: Engine, bodies: Sequence[bytes], at_ms: int) -> Callable[[int], object]:
    def work(number: int) -> object:
        decision = engine.check(_decode(bodies[number % BODIES]), at_ms, at_ms)
        encoded = _encode(decision)
        assert isinstance(decision, Decision)
        assert decision.reservation is not None
        engine.closings.release(decision.reservation.id)
        return encoded

    return work


def _fastest_us(work: Callable[[int], object]) -> float:
    rounds = []
    for _ in range(ROUNDS):
        started = process_time()
        for number in range(DECISIONS):
            work(number)
        rounds.append((process_time() - started) / DECISIONS * 1e6)
    return min(rounds)


@dataclass(slots=True)
class Rounds:
    """What one kind of load came to, round by round: requests a second, and processor time of the server for one."""

    rates: list[float] = field(default_factory=list)
    cpu_us: list[float] = field(default_factory=list)

    async def round(
        self, server: Server, load: Sequence[bytes], connections: int, answered: Answered | None = None
    ) -> None:
        """One more round."""
        before = server.cpu_s()
        rate, tally = await run(server.port, load, connections=connections, answered=answered)
        assert set(tally.statuses) == {b"200"}, tally.statuses
        self.rates.append(rate)
        self.cpu_us.append((server.cpu_s() - before) / len(tally.nanoseconds) * 1e6)

    def lines(self, name: str, floor: Rounds) -> dict[str, dict[str, Any]]:
        """Medians, beside those of the floor."""
        return {
            name: line(median(self.rates), "requests/s", median(floor.rates)),
            f"{name}_cpu": line(median(self.cpu_us), "us", median(floor.cpu_us)),
        }


def line(value: float, unit: str, floor: float) -> dict[str, Any]:
    """One number against its floor."""
    return {"value": value, "unit": unit, "floor": floor, "ratio": value / floor}


async def http() -> dict[str, dict[str, Any]]:
    """Interleaved rounds: brief answers, full ones, and each check with its settlement."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        keys = make_keys(folder)
        brief, full = (
            [request("/v1/check", keys.edge, _encode(ask)) for ask in asks(way)] for way in ("brief", "full")
        )
        async with (
            running_kafka(folder) as kafka,
            aggregator(folder, kafka, keys.path, BUDGETS),
            enforcer(folder, kafka, keys.path) as ours,
        ):
            answers = await allowed(ours.port, brief[0]), await allowed(ours.port, full[0])
            async with idle(folder, "brief", answers[0]) as floor, idle(folder, "full", answers[1]) as floor_full:
                return await _rounds(ours, (floor, floor_full), (brief, full), keys.edge)


def idle(folder: Path, name: str, answer: bytes) -> AbstractAsyncContextManager[Server]:
    """The floor: a server that answers everything with these bytes."""
    fixed = folder / f"{name}.json"
    fixed.write_bytes(answer)
    arguments = [str(Path(__file__).with_name("idle_server.py")), str(fixed), str(folder / f"{name}.port")]
    return server(folder, name, arguments, {})


async def _rounds(
    ours: Server, idle: tuple[Server, Server], bodies: tuple[list[bytes], list[bytes]], token: str
) -> dict[str, dict[str, Any]]:
    def settle(status: bytes, answer: bytes) -> bytes | None:
        assert status == b"200", answer
        found = _RESERVATION.search(answer)
        if found is None:
            return None
        usage = {"gen_ai.usage.input_tokens": 1, "gen_ai.usage.output_tokens": 1}
        return request("/v1/settle", token, _encode({"reservation": found[1].decode(), **usage}))

    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    brief, full = ([kind[number % BODIES] for number in range(REQUESTS)] for kind in bodies)
    for asked in (ours, *idle):
        await run(asked.port, brief[:BODIES], connections=CONNECTIONS)
    floor, floor_full, checks, checks_full, pairs = Rounds(), Rounds(), Rounds(), Rounds(), Rounds()
    for _ in range(ROUNDS):
        await floor.round(idle[0], brief, CONNECTIONS)
        await checks.round(ours, brief, CONNECTIONS)
        await floor_full.round(idle[1], full, CONNECTIONS)
        await checks_full.round(ours, full, CONNECTIONS)
        await pairs.round(ours, brief[: REQUESTS // 2], SETTLING, settle)
    return {
        **checks.lines("check_http", floor),
        **checks_full.lines("check_http_full", floor_full),
        **pairs.lines("check_and_settle_http", floor),
    }


if __name__ == "__main__":
    for title, found in measure().items():
        print(title, found)
