"""Ingest: how long it takes to admit an event, and events a second into Kafka against aiohttp that does nothing."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from statistics import median
from time import process_time
from typing import Any

import uvloop

from deploy.local.process import Process, Program
from services.adapters.clock import now_ms
from services.adapters.settings import Settings
from services.adapters.topics import ensure_topics
from services.ingest.admission import Admitted, admit
from tests.bench.load import Tally, request, run
from tests.integration.backends import running_kafka
from tests.integration.ingesting import IngestProcess, make_keys, usage

ROUNDS = 5
BATCH = 100
BATCH_CONNECTIONS = 16
SINGLE_CONNECTIONS = 256  # each waits for Kafka most of the time
BODIES = 200
BATCHES = 600
SINGLES = 6_000
ADMISSIONS = 20_000


def event(random: Random, number: int) -> dict[str, Any]:
    """A usage event as a gateway sends it, with tags and all."""
    return usage(
        number,
        f"org-{random.randrange(10)}",
        user=f"user-{random.randrange(100)}",
        tags={"feature": random.choice(["search", "chat", "autocomplete"]), "env": "prod"},
        request_id=f"req-{number:012}",
        latency_ms=random.randrange(5000),
        streaming=True,
    )


def measure() -> dict[str, dict[str, Any]]:
    """`ingest_batches` and `ingest_singles` in events/s, medians of interleaved rounds; `ingest_admission` in us."""
    return {
        "ingest_admission": {"value": admission_us(), "unit": "us", "floor": None, "ratio": None},
        **uvloop.run(http()),
    }


def admission_us() -> float:
    """From an event's bytes to what the ledger takes."""
    random = Random(1)
    raws = [json.dumps(event(random, number)).encode() for number in range(BODIES)]
    at_ms = now_ms()
    assert all(isinstance(admit(raw, now_ms=at_ms), Admitted) for raw in raws)
    rounds = []
    for _ in range(ROUNDS):
        started = process_time()
        for number in range(ADMISSIONS):
            admit(raws[number % BODIES], now_ms=at_ms)
        rounds.append((process_time() - started) / ADMISSIONS * 1e6)
    return min(rounds)


async def http() -> dict[str, dict[str, Any]]:
    """Batches of 100 events, and one event a request; the floor reads the same bodies and answers with fixed bytes."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        token = make_keys(folder / "keys.json").admin
        random = Random(2)
        batches = [
            request("/v1/events", token, json.dumps([event(random, number) for number in range(BATCH)]).encode())
            for _ in range(BODIES)
        ]
        singles = [request("/v1/events", token, json.dumps([event(random, n)]).encode()) for n in range(BODIES)]
        async with running_kafka(folder) as kafka, servers(folder, kafka) as (ingest, idle):
            return {
                "ingest_batches": await compare(ingest, idle, cycle(batches, BATCHES), BATCH, BATCH_CONNECTIONS),
                "ingest_singles": await compare(ingest, idle, cycle(singles, SINGLES), 1, SINGLE_CONNECTIONS),
            }


def cycle(bodies: list[bytes], count: int) -> list[bytes]:
    """So many requests of these bodies."""
    return [bodies[number % len(bodies)] for number in range(count)]


async def compare(port: int, idle: int, load: list[bytes], events: int, connections: int) -> dict[str, Any]:
    """Events a second, and those that the floor could have read."""
    floors, values = [], []
    await run(port, load[: len(load) // 5], connections=connections)
    for _ in range(ROUNDS):
        floors.append(rate(await run(idle, load, connections=connections), b"200") * events)
        values.append(rate(await run(port, load, connections=connections), b"202") * events)
    value, floor = median(values), median(floors)
    return {"value": value, "unit": "events/s", "floor": floor, "ratio": value / floor}


def rate(result: tuple[float, Tally], status: bytes) -> float:
    """Requests a second, if all were answered as they should be."""
    requests_per_s, tally = result
    assert set(tally.statuses) == {status}, tally.statuses
    return requests_per_s


@asynccontextmanager
async def servers(folder: Path, kafka: str) -> AsyncIterator[tuple[int, int]]:
    """Ingest and the idle server, both on the first core; the load and the broker have the other."""
    settings = Settings(kafka=kafka, topic_prefix="bench.")
    await ensure_topics(settings)
    ingest = IngestProcess(settings, folder)
    idle = idle_server(folder)
    await ingest.start()
    await idle.start()
    first, last = min(os.sched_getaffinity(0)), max(os.sched_getaffinity(0))
    for process in (ingest.process, idle):
        os.sched_setaffinity(process.pid, {first})
    os.sched_setaffinity(0, {last})
    try:
        yield int(ingest.url.rsplit(":", 1)[1]), int((folder / "idle.port").read_text())
    finally:
        await ingest.process.stop()
        await idle.stop()


def idle_server(folder: Path) -> Process:
    """A do-nothing aiohttp handler in a process of its own."""
    answer, port_file = folder / "answer.json", folder / "idle.port"
    answer.write_bytes(b"{}")

    async def listens() -> bool:
        return port_file.exists()

    script = Path(__file__).with_name("idle_server.py")
    command = (sys.executable, str(script), str(answer), str(port_file))
    return Process(Program("idle", command, folder / "idle.log", listens))


if __name__ == "__main__":
    for title, line in measure().items():
        print(title, line)
