"""The enforcer over its RPC on a Unix socket, against the same connection behind which nothing is decided."""

from __future__ import annotations

import asyncio
import os
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import msgspec
import uvloop

from tests.bench.asking import BODIES, BUDGETS, asks
from tests.bench.bench_check import ROUNDS, line
from tests.bench.rpc_load import call, one, run
from tests.bench.servers import Server, aggregator, enforcer, server
from tests.integration.backends import running_kafka
from tests.integration.enforcing import make_keys

CALLS = 38_400
WAYS = {"": (32, 1), "_pipelined": (4, 16)}
"""What is measured: connections, and calls in flight on each."""


@dataclass(slots=True)
class Rounds:
    """What one server did, by the way in which it was asked: calls a second, and processor time for one."""

    server: Server
    rates: dict[str, list[float]] = field(default_factory=lambda: {way: [] for way in WAYS})
    cpu_us: dict[str, list[float]] = field(default_factory=lambda: {way: [] for way in WAYS})

    async def round(self, way: str, hello: bytes, calls: list[bytes], *, settling: bool = False) -> None:
        """One load more."""
        connections, in_flight = WAYS[way]
        before = self.server.cpu_s()
        rate, answered = await run(
            self.server.socket, hello, calls, connections=connections, in_flight=in_flight, settling=settling
        )
        self.rates[way].append(rate)
        self.cpu_us[way].append((self.server.cpu_s() - before) / answered * 1e6)


def measure() -> dict[str, dict[str, Any]]:
    """Decisions a second with one call in flight and with many, and their processor time: medians of rounds in turn."""
    return uvloop.run(_measure())


async def _measure() -> dict[str, dict[str, Any]]:
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        keys = make_keys(folder)
        hello = call("hello", msgspec.msgpack.encode({"version": 1, "key": keys.edge}), 1)
        checks = [call("check", msgspec.msgpack.encode(ask)) for ask in asks()]
        async with (
            running_kafka(folder) as kafka,
            aggregator(folder, kafka, keys.path, BUDGETS),
            enforcer(folder, kafka, keys.path) as ours,
        ):
            while msgspec.msgpack.decode(found := await one(ours.socket, hello, checks[0])).get("action") != "allow":
                await asyncio.sleep(0.05)
            (folder / "answer").write_bytes(found)
            arguments = ["-m", "tests.bench.idle_rpc", str(folder / "answer"), str(folder / "idle.sock")]
            async with server(folder, "idle", arguments, {}, rpc_only=True) as idle:
                return await _rounds(ours, idle, hello, checks)


async def _rounds(server: Server, floor: Server, hello: bytes, checks: list[bytes]) -> dict[str, dict[str, Any]]:
    """Checks before anything is settled, then checks between settlements, whose usage is still coming back."""
    ours, between, pairs, idle = Rounds(server), Rounds(server), Rounds(server), Rounds(floor)
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    load = [checks[number % BODIES] for number in range(CALLS)]
    await ours.round("", hello, load[:BODIES])
    ours.rates[""].clear()
    ours.cpu_us[""].clear()
    for _ in range(ROUNDS):
        for way in WAYS:
            await idle.round(way, hello, load)
            await ours.round(way, hello, load)
    for _ in range(ROUNDS):
        for way in WAYS:
            await between.round(way, hello, load[: CALLS // 2])
            await pairs.round(way, hello, load[: CALLS // 4], settling=True)
    return {
        **_lines("check_rpc", ours, idle),
        **_lines("check_between_rpc", between, idle),
        **_lines("check_and_settle_rpc", pairs, idle),
    }


def _lines(name: str, ours: Rounds, idle: Rounds) -> dict[str, dict[str, Any]]:
    found = {}
    for way in WAYS:
        cpu, cpu_floor = median(ours.cpu_us[way]), median(idle.cpu_us[way])
        found[f"{name}{way}"] = line(median(ours.rates[way]), "calls/s", median(idle.rates[way]))
        found[f"{name}{way}_cpu"] = line(cpu, "us", cpu_floor)
        found[f"{name}{way}_per_core"] = line(1e6 / cpu, "calls/s", 1e6 / cpu_floor)
    return found


if __name__ == "__main__":
    for title, found in measure().items():
        print(title, found)
