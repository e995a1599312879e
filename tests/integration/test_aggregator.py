"""The aggregator on a real broker: sums stay exact through kills, zombies, compaction and rebalances."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from random import Random

import pytest

from services.adapters.topics import ensure_topics
from services.aggregator.replay import replay
from services.aggregator.settings import AggregatorSettings
from services.core.pricing import PriceBook
from tests.integration.aggregating import (
    SEGMENT_MS,
    Image,
    Load,
    Worker,
    Workers,
    append,
    assert_charges_exact,
    assert_exact,
    commit_offsets,
    committed_charges,
    compaction,
    create_hasty_changelogs,
    ledger_ends,
    ledger_producer,
    open_transactions,
    settled_image,
    with_keys,
)

KILLS = 7
FAILED = 3
SESSION_S = 3.0
COMMIT_S = 0.5
"""More than the broker takes to end a transaction that it was asked to commit."""


@pytest.fixture
def settings(broker: str, prefix: str, tmp_path: Path) -> AggregatorSettings:
    keys_file, _ = with_keys(tmp_path)
    return AggregatorSettings(kafka=broker, topic_prefix=prefix, keys_file=keys_file, session_timeout_s=SESSION_S)


async def assert_all_exact(settings: AggregatorSettings, image: Image, load: Load) -> None:
    """Balances, charges, and the ledger replayed into an empty state: with all that was published, byte for byte."""
    assert_exact(image, load)
    assert_charges_exact(await committed_charges(settings), load)
    audit = await replay(settings, PriceBook.bundled())
    assert audit.values > 0
    assert audit.events >= load.events, "a charge for each, at least"
    assert list(audit.differences) == []


async def test_kills_under_load_leave_every_sum_exact(settings: AggregatorSettings, workers: Workers) -> None:
    await ensure_topics(settings)
    random = Random(11)
    load = Load(random)
    named = settings.model_copy(update={"instance": "worker-0"})
    async with ledger_producer(settings) as producer:
        loading = asyncio.create_task(append(producer, settings, load, records=2500, size=10, pause_s=0.1))
        for _ in range(KILLS):
            worker = await workers.start(named, "killed")
            opened = len(worker.lines("partition opened"))
            await worker.logged("partition opened", count=opened + 1)
            await asyncio.sleep(random.uniform(0, 1.5))
            await worker.kill()
        await loading
    worker = await workers.start(named, "last")
    image = await settled_image(settings, await ledger_ends(settings))
    assert await worker.stop() == 0
    await assert_all_exact(settings, image, load)


@pytest.mark.timeout(600)
async def test_a_zombie_does_no_harm(settings: AggregatorSettings, workers: Workers) -> None:
    await create_hasty_changelogs(settings)
    await ensure_topics(settings)
    load = Load(Random(12))
    async with ledger_producer(settings) as producer:
        loading = asyncio.create_task(append(producer, settings, load, records=4000, size=10, pause_s=0.1))
        for round_number in range(2):
            zombie = await workers.start(settings, f"zombie-{round_number}")
            await zombie.logged("partition opened", count=4)
            await stop_in_mid_batch(settings, zombie)
            heir = await workers.start(settings, f"heir-{round_number}")
            await heir.logged("partition opened", count=4)
            zombie.send(signal.SIGCONT)
            assert await zombie.ended() == FAILED, zombie.log.read_text()
            end = zombie.lines("the aggregator failed and must be restarted")[-1]
            assert end["fenced"] is True, end
            await asyncio.sleep(1)
            await heir.kill()
        await loading
        await workers.apply_all(settings, "once")
        await asyncio.sleep(SEGMENT_MS / 1000)  # what is written after that goes to new segments; the old are compacted
        await append(producer, settings, load, records=60, size=1)
    await workers.apply_all(settings, "again")
    await compaction(settings)
    worker = await workers.start(settings, "last")
    await worker.logged("partition opened", count=4)
    image = await settled_image(settings, await ledger_ends(settings))
    assert await worker.stop() == 0
    await assert_all_exact(settings, image, load)


async def stop_in_mid_batch(settings: AggregatorSettings, worker: Worker) -> None:
    """SIGSTOP the worker while it holds a transaction open; let it go on and try again when it holds none.

    One that it has asked to commit already is not held: the broker ends it, given a moment.
    """
    while True:
        worker.send(signal.SIGSTOP)
        if opened := await open_transactions(settings):
            await asyncio.sleep(COMMIT_S)
            if opened.items() & (await open_transactions(settings)).items():
                return
        worker.send(signal.SIGCONT)
        await asyncio.sleep(0.037)


async def test_workers_that_join_and_leave_lose_and_double_nothing(
    settings: AggregatorSettings, workers: Workers
) -> None:
    await ensure_topics(settings)
    load = Load(Random(13))
    async with ledger_producer(settings) as producer:
        loading = asyncio.create_task(append(producer, settings, load, records=2500, size=10, pause_s=0.1))
        first = await workers.start(settings, "first")
        await first.logged("partition opened", count=4)
        second = await workers.start(settings, "second")
        await second.logged("partition opened", count=2)
        third = await workers.start(settings, "third")
        await third.logged("partitions assigned")
        assert await first.stop() == 0
        await third.logged("partition opened")
        fourth = await workers.start(settings, "fourth")
        await fourth.logged("partitions assigned")
        await second.kill()
        await third.logged("partition opened", count=3)
        assert await third.stop() == 0
        await loading
        image = await settled_image(settings, await ledger_ends(settings))
    assert await fourth.stop() == 0
    await assert_all_exact(settings, image, load)


async def test_a_rebalance_keeps_the_state_of_what_stays(settings: AggregatorSettings, workers: Workers) -> None:
    await ensure_topics(settings)
    load = Load(Random(14))
    first = await workers.start(settings, "first")
    async with ledger_producer(settings) as producer:
        await append(producer, settings, load, records=200, size=5)
        await settled_image(settings, await ledger_ends(settings))
        second = await workers.start(settings, "second")
        await first.logged("partition opened", count=6)
        await append(producer, settings, load, records=200, size=5)
    image = await settled_image(settings, await ledger_ends(settings))
    assert [line["kept"] for line in first.lines("partition opened")] == [False] * 4 + [True] * 2
    assert await first.stop() == 0
    assert await second.stop() == 0
    await assert_all_exact(settings, image, load)


async def test_a_worker_goes_on_from_the_position_when_the_group_has_forgotten_its_offsets(
    settings: AggregatorSettings, workers: Workers
) -> None:
    await ensure_topics(settings)
    load = Load(Random(15))
    async with ledger_producer(settings) as producer:
        await append(producer, settings, load, records=3000, size=1)
        await workers.apply_all(settings, "once")
        await commit_offsets(settings, dict.fromkeys(range(4), 0))
        await append(producer, settings, load, records=40, size=2)
    worker = await workers.start(settings, "late")
    image = await settled_image(settings, await ledger_ends(settings))
    assert worker.lines("seeking to the state's position")
    assert await worker.stop() == 0
    await assert_all_exact(settings, image, load)
