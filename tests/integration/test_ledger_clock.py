"""A machine whose clock is wrong keeps the ledger's time, and says so; one whose clock is right keeps its own."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

import pytest

from services.adapters.clock import now_ms
from services.adapters.ledger import LedgerWriter
from services.adapters.ledger_clock import PRECISE_MS, LedgerClock
from services.adapters.metrics import Metrics
from services.adapters.settings import Settings
from services.adapters.spool import Spool
from services.adapters.topics import ensure_topics
from services.adapters.vital import VitalTasks
from services.core.balance import FUTURE_TOLERANCE_MS

LEDGER_MS = 1_790_000_000_000
HOUR_MS = 3_600_000


@dataclass
class World:
    """The ledger's time, a machine whose clock is off, and one that counts from some start."""

    off_ms: int
    passed_ms: int = 0

    def clock(self) -> LedgerClock:
        return LedgerClock(own=lambda: self.ledger_ms + self.off_ms, steady=lambda: 77_000 + self.passed_ms)

    @property
    def ledger_ms(self) -> int:
        return LEDGER_MS + self.passed_ms


@pytest.mark.parametrize("off_ms", [0, 1000, -1000, FUTURE_TOLERANCE_MS, -FUTURE_TOLERANCE_MS])
def test_a_clock_that_is_about_right_is_trusted(off_ms: int) -> None:
    world = World(off_ms)
    clock = world.clock()
    clock.appended(clock.begin(), world.ledger_ms)
    assert (clock.now_ms(), clock.ahead_ms()) == (LEDGER_MS + off_ms, off_ms)


@pytest.mark.parametrize("off_ms", [FUTURE_TOLERANCE_MS + 1, -FUTURE_TOLERANCE_MS - 1, HOUR_MS, -50 * HOUR_MS])
def test_one_that_is_off_is_corrected_until_somebody_sets_it(off_ms: int) -> None:
    world = World(off_ms)
    clock = world.clock()
    assert clock.now_ms() == LEDGER_MS + off_ms
    clock.appended(clock.begin(), world.ledger_ms)
    world.passed_ms += HOUR_MS
    assert (clock.now_ms(), clock.ahead_ms()) == (world.ledger_ms, off_ms)
    world.off_ms = 3
    assert (clock.now_ms(), clock.ahead_ms()) == (world.ledger_ms + 3, 3)


def test_an_acknowledgement_that_took_long_proves_nothing() -> None:
    world = World(0)
    clock = world.clock()
    begun, appended_ms = clock.begin(), world.ledger_ms
    world.passed_ms += HOUR_MS
    clock.appended(begun, appended_ms)
    assert clock.now_ms() == world.ledger_ms
    begun = clock.begin()
    world.passed_ms += PRECISE_MS
    clock.appended(begun, world.ledger_ms)
    assert abs(clock.ahead_ms()) == PRECISE_MS // 2


def test_a_clock_that_is_behind_shows_before_anything_is_sent() -> None:
    world = World(-2 * HOUR_MS)
    clock = world.clock()
    clock.reached(world.ledger_ms - HOUR_MS)
    assert clock.now_ms() == world.ledger_ms - HOUR_MS
    clock.reached(world.ledger_ms - HOUR_MS - 1)
    assert clock.now_ms() == world.ledger_ms - HOUR_MS


def test_a_ledger_that_was_once_ahead_of_its_broker_is_no_clock_to_follow() -> None:
    world = World(0)
    clock = world.clock()
    clock.reached(world.ledger_ms + HOUR_MS)
    clock.appended(clock.begin(), world.ledger_ms)
    clock.reached(world.ledger_ms + HOUR_MS)
    assert (clock.now_ms(), clock.ahead_ms()) == (world.ledger_ms, 0)


async def test_the_broker_tells_a_writer_the_time(broker: str, prefix: str, tmp_path: Path) -> None:
    settings = Settings(kafka=broker, topic_prefix=prefix)
    await ensure_topics(settings)
    metrics = Metrics(process=False)
    clock = LedgerClock(own=lambda: now_ms() + HOUR_MS)
    spool = Spool.open(tmp_path / "spool.sqlite", max_bytes=1 << 20)
    writer = LedgerWriter(settings, spool, metrics, VitalTasks(), clock=clock)
    await writer.start()
    await writer.append([("acme", b"{}")])
    async with asyncio.timeout(60):
        while not clock.ahead_ms():  # the first acknowledgement may have waited for the partition's leader
            await writer.append([("acme", b"{}")])
    await writer.stop()
    assert abs(clock.ahead_ms() - HOUR_MS) < PRECISE_MS
    assert abs(writer.clock.now_ms() - now_ms()) < PRECISE_MS
    shown = metrics.registry.get_sample_value("spendgate_clock_ahead_seconds")
    assert shown is not None
    assert abs(shown * 1000 - HOUR_MS) < PRECISE_MS
