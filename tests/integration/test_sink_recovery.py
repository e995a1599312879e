"""How the sink goes on: a pending range is repeated as it was, and what cannot be right is refused, with advice."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from aiokafka.errors import KafkaError

from deploy.local.process import StartError
from services.adapters.clickhouse import open_async_client, open_client
from services.adapters.metrics import Metrics
from services.adapters.migrations import migrate, read_migrations
from services.adapters.topics import ensure_topics
from services.sink.__main__ import MIGRATIONS
from services.sink.charges import CHARGES
from services.sink.health import Health
from services.sink.ranges import Range
from services.sink.settings import SinkSettings
from services.sink.store import Store
from services.sink.worker import FEEDS, Worker
from tests.integration.sinking import (
    Charges,
    Sink,
    assert_exact,
    bookmark,
    one_row,
    rows_in,
    running_sink,
    send,
    sink_settings,
)

RECORDS = 12
FIRST, LAST = 3, 7


@pytest.fixture
async def settings(broker: str, clickhouse: str, prefix: str, tmp_path: Path) -> SinkSettings:
    """A sink of this test's own topics and database, the tables in place."""
    await asyncio.to_thread(migrate, clickhouse, read_migrations(MIGRATIONS))
    return sink_settings(broker, clickhouse, prefix, tmp_path)


async def stored(settings: SinkSettings, records: list[bytes], stretch: Range) -> None:
    """Insert a range as the sink does."""
    places = [(offset, records[offset]) for offset in range(stretch.first, stretch.last + 1)]
    store = Store(partial(open_async_client, settings.clickhouse))
    try:
        await store.insert("charges", CHARGES.block(0, places).rows, stretch)
    finally:
        await store.close()


def ranges(settings: SinkSettings) -> tuple[Range, Range]:
    """One that is complete, and the one that was pending when the sink died."""
    topic = f"{settings.topic_prefix}charges"
    return Range(topic, 0, 0, FIRST - 1), Range(topic, 0, FIRST, LAST)


@pytest.mark.parametrize("inserted", ["not yet", "without its views", "whole"])
async def test_a_pending_range_is_repeated_as_exactly_that_range(settings: SinkSettings, inserted: str) -> None:
    charges = Charges(Random(6))
    records = [charges.record(0, 20) for _ in range(RECORDS)]
    await send(settings, "charges", *[(0, record) for record in records])
    complete, pending = ranges(settings)
    await stored(settings, records, complete)
    with open_client(settings.clickhouse) as client:
        if inserted == "without its views":
            client.command("DETACH TABLE spend_by_hour_view")
            client.command("DETACH TABLE spend_by_day_tag_view")
        if inserted != "not yet":
            await stored(settings, records, pending)
        if inserted == "without its views":
            client.command("ATTACH TABLE spend_by_hour_view")
            client.command("ATTACH TABLE spend_by_day_tag_view")
    await bookmark(settings, "charges", 0, FIRST, f"pending:{LAST}")
    async with running_sink(settings) as sink:
        await sink.ready()
        await rows_in(settings.clickhouse, "charges", charges.totals["rows"], sink)
        assert [line["token"] for line in sink.lines("repeating a range")] == [pending.token]
    await asyncio.to_thread(assert_exact, settings.clickhouse, charges)


async def test_a_pending_range_of_which_retention_took_all_is_passed_over(settings: SinkSettings) -> None:
    charges = Charges(Random(7))
    records = [charges.record(0, 5) for _ in range(RECORDS)]
    await send(settings, "charges", *[(0, record) for record in records])
    complete, pending = ranges(settings)
    await stored(settings, records, complete)
    await stored(settings, records, pending)
    await bookmark(settings, "charges", 0, FIRST, f"pending:{LAST}")
    await delete_before(settings, LAST + 2)
    charges.totals["rows"] -= 5
    async with running_sink(settings) as sink:
        await sink.ready()
        await rows_in(settings.clickhouse, "charges", charges.totals["rows"], sink)
        assert sink.lines("rows lost to retention")
    with open_client(settings.clickhouse) as client:
        assert one_row(client, "SELECT count(), uniqExact(sequence) FROM charges") == (55, 55)


async def test_offsets_that_the_group_forgot_are_not_guessed(settings: SinkSettings) -> None:
    charges = Charges(Random(8))
    records = [charges.record(0, 5) for _ in range(RECORDS)]
    await send(settings, "charges", *[(0, record) for record in records])
    complete, pending = ranges(settings)
    await stored(settings, records, complete)
    await stored(settings, records, pending)
    async with running_sink(settings) as sink:
        reasons = await sink.waiting_for("has forgotten its offsets")
        assert f"set the group to offset {LAST + 1} " in reasons["charges/0"]
        assert await sink.process.stop() == 0
    await bookmark(settings, "charges", 0, LAST + 1)
    async with running_sink(settings, "advised") as sink:
        await sink.ready()
        await rows_in(settings.clickhouse, "charges", charges.totals["rows"], sink)
    await asyncio.to_thread(assert_exact, settings.clickhouse, charges)


async def test_a_topic_that_ends_before_the_bookmark_is_refused(settings: SinkSettings) -> None:
    await send(settings, "charges", (0, Charges(Random(9)).record(0, 5)))
    await bookmark(settings, "charges", 0, 40, "pending:44")
    async with running_sink(settings) as sink:
        reasons = await sink.waiting_for("the topic ends at offset 1, but was read up to 45")
        assert list(reasons) == ["charges/0"]
        with open_client(settings.clickhouse) as client:
            assert one_row(client, "SELECT count() FROM charges") == (0,)


async def test_a_database_made_by_a_newer_version_stops_the_sink(settings: SinkSettings) -> None:
    with open_client(settings.clickhouse) as client:
        client.command("INSERT INTO schema_migrations (number, name, checksum) VALUES (999, 'future', 'x')")
    sink = Sink.of(settings)
    with suppress(StartError):  # it may have ended before anybody saw it alive
        await sink.process.start()
    assert await sink.process.wait() == 1
    assert "a newer Spendgate made it" in sink.lines("cannot start")[0]["reason"]


class Breaking(RoundRobinPartitionAssignor):  # type: ignore[misc] # aiokafka has no types
    """Fails in the middle of a consumer's own work, as its transport does when it closes at the wrong moment."""

    @classmethod
    def metadata(cls, topics: Any) -> Any:
        raise RuntimeError(f"the handler is closed, {len(topics)} topics")


async def test_a_worker_whose_consumer_has_died_ends_and_is_not_half_alive(settings: SinkSettings) -> None:
    await ensure_topics(settings)
    worker = Worker(settings, Health(Metrics(process=False)), partial(asyncio.sleep, 0))
    worker._consumer._partition_assignment_strategy = [Breaking]
    with pytest.raises(KafkaError, match=f"the handler is closed, {len(FEEDS)} topics"):
        await worker.run()


async def delete_before(settings: SinkSettings, offset: int) -> None:
    """What retention does, at once."""
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka)
    await admin.start()
    try:
        place = TopicPartition(f"{settings.topic_prefix}charges", 0)
        await admin.delete_records({place: RecordsToDelete(before_offset=offset)})
    finally:
        await admin.close()
