"""The first request of a user: from asking to the grant of a share, through the real ledger and the real aggregator.

Every request is of somebody new, so each waits for a claim of its own; budgets above are shared by all and soon warm.
"""

from __future__ import annotations

import os
import tempfile
from itertools import count
from pathlib import Path
from typing import Any

import msgspec
import uvloop

from tests.bench.asking import BUDGETS, asks
from tests.bench.load import Tally, request, run
from tests.bench.servers import aggregator, allowed, enforcer
from tests.integration.backends import running_kafka
from tests.integration.enforcing import make_keys

COLD = {"": (1, 300), "_busy": (32, 3_000)}
"""What is measured: connections, and requests; each connection has one request in flight."""
PATIENT_MS = "10000"
"""How long a check waits here: as long as it takes, or the slowest would be missing from the figures."""
_ASK = asks()[0]


def measure() -> dict[str, dict[str, Any]]:
    """Milliseconds at the gateway, one request after another and (busy) many at once; the floor is a warm check."""
    return uvloop.run(_measure())


async def _measure() -> dict[str, dict[str, Any]]:
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        keys = make_keys(folder)
        warm = [request("/v1/check", keys.edge, msgspec.json.encode(ask)) for ask in asks()]
        newcomers = (_newcomer(keys.edge, number) for number in count())
        async with (
            running_kafka(folder) as kafka,
            aggregator(folder, kafka, keys.path, BUDGETS),
            enforcer(folder, kafka, keys.path, SPENDGATE_CLAIM_TIMEOUT_MS=PATIENT_MS) as ours,
        ):
            os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
            await allowed(ours.port, warm[0])
            found: dict[str, dict[str, Any]] = {}
            for way, (connections, requests) in COLD.items():
                await _asked(ours.port, warm, connections)
                floor = await _asked(ours.port, warm, connections)
                cold = await _asked(ours.port, [next(newcomers) for _ in range(requests)], connections)
                found |= _lines(f"claim_cold{way}", cold, floor)
            return found


def _newcomer(token: str, number: int) -> bytes:
    return request("/v1/check", token, msgspec.json.encode({**_ASK, "user": f"newcomer-{number}"}))


async def _asked(port: int, load: list[bytes], connections: int) -> Tally:
    _, tally = await run(port, load, connections=connections)
    assert set(tally.statuses) == {b"200"}, tally.statuses
    return tally


def _lines(name: str, cold: Tally, warm: Tally) -> dict[str, dict[str, Any]]:
    found = {}
    for title, share in (("p50", 0.5), ("p99", 0.99)):
        value, floor = cold.percentile_us(share) / 1000, warm.percentile_us(share) / 1000
        found[f"{name}_{title}"] = {"value": value, "unit": "ms", "floor": floor, "ratio": value / floor}
    return found


if __name__ == "__main__":
    for title, found in measure().items():
        print(title, found)
