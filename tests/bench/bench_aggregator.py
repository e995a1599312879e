"""The aggregator, whole: events per second on one core through real transactions, and memory of a million balances."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from services.adapters.clock import now_ms
from services.adapters.kafka import partition_for
from services.adapters.topics import ensure_topics, topic
from services.aggregator.settings import AggregatorSettings
from tests.bench.balances_in_memory import BALANCES
from tests.bench.bench_fold import ORGANIZATIONS, ledger
from tests.integration.aggregating import (
    PARTITIONS,
    Workers,
    ledger_ends,
    ledger_producer,
    read_all,
    settled_image,
    with_keys,
)
from tests.integration.backends import running_kafka

ROUNDS = 3
RECORDS = 8_000
MEMORY_MIB_MAX = 1024.0


def measure() -> dict[str, dict[str, Any]]:
    """`aggregator_events`: 50 events a record, 12 balances an event, everything committed; the floor only decodes.

    `aggregator_memory`: MiB of 1,000,000 live balances; its floor is the most it may be.
    """
    with tempfile.TemporaryDirectory() as folder:
        rounds = asyncio.run(_rounds(Path(folder)))
    value, floor = median(value for value, _ in rounds), median(floor for _, floor in rounds)
    memory = float(_output([sys.executable, "-m", "tests.bench.balances_in_memory"]))
    return {
        "aggregator_events": {"value": value, "unit": "events/s", "floor": floor, "ratio": value / floor},
        "aggregator_memory": {
            "value": memory,
            "unit": f"MiB for {BALANCES} balances",
            "floor": MEMORY_MIB_MAX,
            "ratio": memory / MEMORY_MIB_MAX,
        },
    }


async def _rounds(folder: Path) -> list[tuple[float, float]]:
    keys_file, _ = with_keys(folder)
    async with running_kafka(folder) as bootstrap:
        rounds = []
        for number in range(ROUNDS):
            settings = AggregatorSettings(
                kafka=bootstrap, topic_prefix=f"b{secrets.token_hex(4)}.", keys_file=keys_file
            )
            await ensure_topics(settings, partitions=PARTITIONS)
            await _fill_ledger(settings)
            rounds.append((await _aggregated(settings, folder, number), await _only_decoded(settings)))
        return rounds


async def _fill_ledger(settings: AggregatorSettings) -> None:
    async with ledger_producer(settings) as producer:
        for number in range(PARTITIONS):
            organizations = [name for name in ORGANIZATIONS if partition_for(name, PARTITIONS) == number]
            if not organizations:
                continue
            share = RECORDS * len(organizations) // len(ORGANIZATIONS)
            records = ledger(number, organizations=organizations, records=share, at_ms=now_ms())
            name = topic(settings, "ledger")
            await asyncio.gather(*[await producer.send(name, each.value, partition=number) for each in records])


async def _aggregated(settings: AggregatorSettings, folder: Path, number: int) -> float:
    """Events per second between the first and the last commit, by the broker's clock."""
    workers = Workers(folder)
    try:
        worker = await workers.start(settings, f"worker-{number}")
        os.sched_setaffinity(worker.process.pid, {_core()})
        await settled_image(settings, await ledger_ends(settings))
    finally:
        await workers.kill_all()
    return _rate(await read_all(settings, "charges"))


def _rate(records: Sequence[Any]) -> float:
    first, last = min(r.timestamp for r in records), max(r.timestamp for r in records)
    charges = sum(len(json.loads(r.value)) for r in records if r.timestamp > first)
    return charges * 1000 / float(last - first)


async def _only_decoded(settings: AggregatorSettings) -> float:
    arguments = [settings.kafka, topic(settings, "ledger"), str(PARTITIONS)]
    command = [sys.executable, "-m", "tests.bench.bare_consumer", *arguments]
    return float(await asyncio.to_thread(_output, command))


def _output(command: list[str]) -> str:
    """What a program prints that has a core for itself."""
    pinned = ["taskset", "-c", str(_core()), *command]
    return subprocess.run(pinned, capture_output=True, text=True, check=True).stdout


def _core() -> int:
    return max(os.sched_getaffinity(0))


if __name__ == "__main__":
    print(json.dumps(measure(), indent=2))
