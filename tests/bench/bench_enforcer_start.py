"""How long an enforcer takes from its start to being ready, with a million balances to read first."""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

import uvloop

from services.adapters.settings import Settings
from services.adapters.topics import ensure_topics, topic
from tests.bench.loaded import load_balances
from tests.bench.servers import PREFIX, Server, answer, enforcer
from tests.integration.backends import running_kafka
from tests.integration.enforcing import PARTITIONS, make_keys

BALANCES = 1_000_000


def measure() -> dict[str, dict[str, Any]]:
    """Seconds to ready, and those in which a consumer reads the same and keeps nothing; processor time; memory."""
    return uvloop.run(_measure())


async def _measure() -> dict[str, dict[str, Any]]:
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        keys = make_keys(folder)
        async with running_kafka(folder) as kafka:
            settings = Settings(kafka=kafka, topic_prefix=PREFIX, keys_file=keys.path)
            await ensure_topics(settings, partitions=PARTITIONS)
            await load_balances(settings, BALANCES)
            bare_s = await _bare_s([kafka, topic(settings, "balances"), str(PARTITIONS)])
            started = perf_counter()
            async with enforcer(folder, kafka, keys.path) as ours:
                ready_s = perf_counter() - started
                metrics = await answer(ours.port, b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
                assert b"\nspendgate_standings 1e+06\n" in metrics, "it knows fewer balances"
                return _lines(ready_s, bare_s, ours)


def _lines(ready_s: float, bare_s: float, ours: Server) -> dict[str, dict[str, Any]]:
    return {
        "enforcer_start": {"value": ready_s, "unit": "s", "floor": bare_s, "ratio": ready_s / bare_s},
        "enforcer_start_cpu": {"value": ours.cpu_s(), "unit": "s"},
        "enforcer_memory": {"value": ours.resident_mib(), "unit": f"MiB with {BALANCES} balances"},
    }


async def _bare_s(arguments: Sequence[str]) -> float:
    """What `bare_tail` says, on the core that the enforcer gets."""
    core = str(min(os.sched_getaffinity(0)))
    command = ["taskset", "-c", core, sys.executable, "-m", "tests.bench.bare_tail", *arguments]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    told, _ = await process.communicate()
    return float(told)


if __name__ == "__main__":
    for title, found in measure().items():
        print(title, found)
