"""Time travel: how fast the past is read from a real ledger and folded, against reading and decoding it alone.

The ledger is that of 28,000 requests, once as gateways report them one by one (a record each), once in batches of 50.
"""

from __future__ import annotations

import json
import secrets
import tempfile
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import uvloop

from services.adapters.clock import now_ms
from services.adapters.settings import Settings
from services.adapters.topics import ensure_topics, topic
from services.cli.connection import Connection
from services.cli.past import read_past
from services.cli.past_views import status_then
from services.core.as_of import Place
from tests.bench.bare_consumer import consume
from tests.bench.bench_fold import EVENTS_PER_RECORD, ledger
from tests.integration.aggregating import ledger_producer
from tests.integration.backends import running_kafka

REQUESTS = 28_000
ROUNDS = 3
ORGANIZATION = "acme"
SHAPES = {"as_of_singles": 1, "as_of_batches": EVENTS_PER_RECORD}
"""Events in a record."""


def measure() -> dict[str, dict[str, Any]]:
    """Events per second from the ledger's beginning to its end, and `_s`: seconds until the status of then is there."""
    return uvloop.run(_measure())


async def _measure() -> dict[str, dict[str, Any]]:
    measured: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as folder:
        async with running_kafka(Path(folder)) as bootstrap:
            for name, size in SHAPES.items():
                settings = Settings(kafka=bootstrap, topic_prefix=f"b{secrets.token_hex(4)}.")
                await ensure_topics(settings, partitions=1)
                last = await _fill(settings, size)
                taken = [await _seconds(settings, last) for _ in range(ROUNDS)]
                floors = [await consume(bootstrap, topic(settings, "ledger"), 1) for _ in range(ROUNDS)]
                value, floor = REQUESTS / median(taken), median(floors)
                measured[name] = {"value": value, "unit": "events/s", "floor": floor, "ratio": value / floor}
                measured[f"{name}_s"] = {"value": median(taken), "unit": f"s for {REQUESTS:,} requests"}
    return measured


async def _seconds(settings: Settings, last: int) -> float:
    started = perf_counter()
    connection = Connection(settings, None, None, None, "this bench")
    past = await read_past(connection, ORGANIZATION, Place(0, last))
    windows = status_then(past, f"org:{ORGANIZATION}").status.windows
    assert [window.requests for window in windows if window.window.startswith("month:")] == [REQUESTS]
    return perf_counter() - started


async def _fill(settings: Settings, size: int) -> int:
    """Append a policy and the requests, so many in a record; the last offset."""
    async with ledger_producer(settings) as producer:
        sent = [await producer.send(topic(settings, "ledger"), value, partition=0) for value in _records(size)]
        await producer.flush()
        return int((await sent[-1]).offset)


def _records(size: int) -> Iterator[bytes]:
    whole = ledger(organizations=[ORGANIZATION], records=REQUESTS // EVENTS_PER_RECORD, at_ms=now_ms())
    yield whole[0].value
    for record in whole[1:]:
        events = json.loads(record.value)
        for start in range(0, len(events), size):
            yield json.dumps(events[start : start + size]).encode()


if __name__ == "__main__":
    print(json.dumps(measure(), indent=2))
