"""What the ledger writer acknowledges is in Kafka or on disk, in order, whatever happens to the broker."""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from hypothesis import given
from hypothesis import strategies as st

from deploy.local.kafka.broker import Broker
from deploy.local.ports import free_port
from deploy.local.process import Process
from services.adapters.kafka import partition_for
from services.adapters.lane import MAX_BYTES, MAX_EVENTS, Pace
from services.adapters.ledger import (
    MAX_EVENT_BYTES,
    EventTooLarge,
    LedgerUnavailable,
    LedgerWriter,
    SpoolFull,
    parcels,
    receipt_of,
)
from services.adapters.metrics import Metrics
from services.adapters.publisher import MAX_RECORD_BYTES
from services.adapters.settings import Settings
from services.adapters.spool import Spool
from services.adapters.topics import ensure_topics, topic, topics
from services.adapters.vital import VitalTasks
from tests.integration.ingesting import records_of, until

PARTITIONS = 4
PATIENT = Pace(timeout_s=30.0)
HASTY = Pace(timeout_s=2.0)
PLENTY = 1 << 30
Sent = dict[str, list[int]]


@pytest.fixture(scope="module")
async def mortal(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[str, Process]]:
    """A broker that tests of this module may freeze and kill; they leave it running."""
    folder = tmp_path_factory.mktemp("mortal")
    broker = Broker(folder / "kafka", free_port(), folder / "kafka.log")
    process = Process(await asyncio.to_thread(broker.program))
    await process.start()
    yield broker.bootstrap, process
    await process.stop()


@pytest.fixture
async def settings(broker: str, prefix: str) -> Settings:
    settings = Settings(kafka=broker, topic_prefix=prefix)
    await ensure_topics(settings)
    return settings


@pytest.fixture
async def mortal_settings(
    mortal: tuple[str, Process], prefix: str, tmp_path_factory: pytest.TempPathFactory
) -> Settings:
    """Topics of the test's own on the mortal broker, their leaders elected: one record is in each partition."""
    settings = Settings(kafka=mortal[0], topic_prefix=prefix)
    await ensure_topics(settings)
    async with writing(settings, tmp_path_factory.mktemp("first")) as writer:
        await writer.append([event for number in range(20) for event in events(f"first-{number}", [0])])
    return settings


@asynccontextmanager
async def writing(
    settings: Settings, folder: Path, *, pace: Pace = PATIENT, spool_bytes: int = PLENTY
) -> AsyncIterator[LedgerWriter]:
    spool = Spool.open(folder / "spool.sqlite", max_bytes=spool_bytes)
    writer = LedgerWriter(settings, spool, Metrics(process=False), VitalTasks(), pace=pace)
    await writer.start()
    try:
        yield writer
    finally:
        await writer.stop()


def events(organization: str, numbers: Sequence[int]) -> list[tuple[str, bytes]]:
    return [(organization, json.dumps([organization, number]).encode()) for number in numbers]


async def drained(writer: LedgerWriter) -> None:
    """The spool is empty, and every lane knows it."""
    await until(lambda: all(lane.reached is not None for lane in writer._lanes.values()))


async def found(settings: Settings) -> Sent:
    """The numbers of each organization as they stand in the ledger, each in its own partition."""
    numbers: Sent = defaultdict(list)
    for partition, values in (await records_of(settings)).items():
        for value in values:
            for organization, number in json.loads(value):
                assert partition == partition_for(organization, PARTITIONS)
                numbers[organization].append(number)
    return numbers


async def set_ledger_config(settings: Settings, **changed: str) -> None:
    name = topic(settings, "ledger")
    config = {**topics(settings)[name].config, **{key.replace("_", "."): value for key, value in changed.items()}}
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka)
    await admin.start()
    await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, name, config)])
    await admin.close()


def in_order_of_first_arrival(numbers: Sequence[int]) -> list[int]:
    return list(dict.fromkeys(numbers))


class Load:
    """Several organizations that append all the time, and what was acknowledged to each."""

    def __init__(self, writer: LedgerWriter) -> None:
        self._writer, self._over = writer, False
        self.acknowledged: Sent = defaultdict(list)
        self.by: dict[str, int] = defaultdict(int)

    async def run(self, organization: str) -> None:
        start = 0
        while not self._over:
            batch = range(start, start + 10)
            start += 10
            receipt = await self._writer.append(events(organization, batch))
            self.acknowledged[organization] += batch
            self.by[receipt.durability] += len(batch)
            await asyncio.sleep(0.002)

    def end(self) -> None:
        self._over = True

    async def acknowledges(self, durability: str, more: int) -> None:
        """Wait until so many more events have become durable in this way."""
        goal = self.by[durability] + more
        await until(lambda: self.by[durability] >= goal)


@given(st.lists(st.binary(min_size=1, max_size=60_000), max_size=1200))
def test_parcels_cut_in_order_within_the_bounds_of_a_record(values: list[bytes]) -> None:
    cut = list(parcels(values))
    assert [value for parcel, _ in cut for value in parcel] == values
    assert all(size == sum(map(len, parcel)) for parcel, size in cut)
    assert all(len(parcel) <= MAX_EVENTS and size <= MAX_BYTES for parcel, size in cut)


@pytest.mark.parametrize("count", [0, 1, MAX_EVENTS, MAX_EVENTS + 1, 2 * MAX_EVENTS + 7])
def test_parcels_are_as_few_as_the_bounds_allow(count: int) -> None:
    assert len(list(parcels([b"x"] * count))) == -(-count // MAX_EVENTS)


def test_an_event_larger_than_a_record_should_be_goes_alone() -> None:
    large = bytes(MAX_BYTES + 1)
    assert [len(parcel) for parcel, _ in parcels([b"a", large, b"b"])] == [1, 1, 1]


@pytest.mark.parametrize(
    ("owners", "offsets", "durability", "positions"),
    [
        ([0, 1], [5, 6], "kafka", ((0, 5), (1, 6))),
        ([0, 0], [5, 6], "kafka", ((0, 6),)),
        ([0, 0, 1], [5, None, 7], "spool", ((1, 7),)),
        ([0, 0, 1], [None, 5, None], "spool", ()),
    ],
)
def test_a_receipt_names_no_position_of_a_partition_that_is_not_all_in_kafka(
    owners: list[int], offsets: list[int | None], durability: str, positions: tuple[tuple[int, int], ...]
) -> None:
    receipt = receipt_of(owners, offsets)
    assert (receipt.durability, receipt.positions) == (durability, positions)


async def test_events_that_come_together_share_records(settings: Settings, tmp_path: Path) -> None:
    async with writing(settings, tmp_path) as writer:
        receipts = await asyncio.gather(*(writer.append(events("acme", [number])) for number in range(2000)))
    assert {receipt.durability for receipt in receipts} == {"kafka"}
    assert (await found(settings))["acme"] == list(range(2000))
    values = [value for values in (await records_of(settings)).values() for value in values]
    assert len(values) < 40
    assert max(len(json.loads(value)) for value in values) <= MAX_EVENTS


async def test_a_receipt_names_the_last_record_of_each_partition(settings: Settings, tmp_path: Path) -> None:
    organizations = [f"org-{number}" for number in range(12)]
    async with writing(settings, tmp_path) as writer:
        receipt = await writer.append([event for name in organizations for event in events(name, range(100))])
    written = await records_of(settings)
    assert dict(receipt.positions) == {p: len(values) - 1 for p, values in written.items() if values}
    assert await found(settings) == {name: list(range(100)) for name in organizations}


async def test_stopping_keeps_what_was_handed_in(settings: Settings, tmp_path: Path) -> None:
    async with writing(settings, tmp_path, pace=Pace(linger_s=5.0, timeout_s=30.0)) as writer:
        pending = asyncio.create_task(writer.append(events("acme", range(7))))
        await asyncio.sleep(0)
    assert (await pending).durability == "kafka"
    assert (await found(settings))["acme"] == list(range(7))


async def test_a_broker_killed_under_load_loses_nothing_acknowledged(
    mortal_settings: Settings, mortal: tuple[str, Process], tmp_path: Path
) -> None:
    _, process = mortal
    async with writing(mortal_settings, tmp_path, pace=HASTY) as writer:
        load = Load(writer)
        running = [asyncio.create_task(load.run(f"org-{number}")) for number in range(8)]
        await load.acknowledges("kafka", 500)
        await process.kill()
        await load.acknowledges("spool", 1000)
        await process.start()
        await drained(writer)
        await load.acknowledges("kafka", 500)
        load.end()
        await asyncio.gather(*running)
    arrived = await found(mortal_settings)
    for organization, numbers in load.acknowledged.items():
        assert in_order_of_first_arrival(arrived[organization]) == numbers


async def test_a_frozen_broker_gets_each_event_once_when_it_thaws(
    mortal_settings: Settings, mortal: tuple[str, Process], tmp_path: Path
) -> None:
    _, process = mortal
    async with writing(mortal_settings, tmp_path, pace=HASTY) as writer:
        await writer.append(events("acme", range(10)))
        process.pause()
        receipts = [await writer.append(events("acme", range(n, n + 10))) for n in (10, 20, 30)]
        process.resume()
        await drained(writer)
        last = await writer.append(events("acme", [40]))
    assert [(receipt.durability, receipt.positions) for receipt in receipts] == [("spool", ())] * 3
    assert last.durability == "kafka"
    assert (await found(mortal_settings))["acme"] == list(range(41))


async def test_a_full_spool_refuses_before_acknowledging(
    mortal_settings: Settings, mortal: tuple[str, Process], tmp_path: Path
) -> None:
    _, process = mortal
    async with writing(mortal_settings, tmp_path, pace=HASTY, spool_bytes=2000) as writer:
        await writer.append(events("acme", [0]))
        process.pause()
        acknowledged = [0]
        with pytest.raises(SpoolFull):
            for start in range(1, 1000, 10):
                await writer.append(events("acme", range(start, start + 10)))
                acknowledged += range(start, start + 10)
        process.resume()
        await drained(writer)
        await writer.append(events("acme", [5000]))
    assert 100 < len(acknowledged) < 200
    assert (await found(mortal_settings))["acme"] == [*acknowledged, 5000]


async def test_a_refused_first_batch_does_not_block_the_lane(
    mortal_settings: Settings, mortal: tuple[str, Process], tmp_path: Path
) -> None:
    _, process = mortal
    async with writing(mortal_settings, tmp_path, pace=HASTY, spool_bytes=0) as writer:
        await writer.append(events("acme", [0]))
        process.pause()
        for _ in range(3):
            with pytest.raises(SpoolFull):
                await writer.append(events("acme", [1]))
        process.resume()
        await until(lambda: writer.reached(partition_for("acme", PARTITIONS)) == 2)
        await writer.append(events("acme", [2]))
    assert in_order_of_first_arrival((await found(mortal_settings))["acme"]) == [0, 1, 2]


async def test_a_disk_that_takes_no_removal_delays_the_drain_and_does_not_end_it(
    mortal_settings: Settings, mortal: tuple[str, Process], tmp_path: Path
) -> None:
    _, process = mortal
    async with writing(mortal_settings, tmp_path, pace=HASTY) as writer:
        await writer.append(events("acme", [0]))
        process.pause()
        for number in (1, 2):
            assert (await writer.append(events("acme", [number]))).durability == "spool"
        disk = writer._spool._db
        await writer._disk.call(disk.execute, "PRAGMA query_only = ON")
        (lane,) = (lane for lane in writer._lanes.values() if lane.reached is None)
        delivered = lane.last_offset
        process.resume()
        await until(lambda: lane.last_offset > delivered)
        with pytest.raises(LedgerUnavailable, match="disk"):
            await writer.append(events("acme", [3]))
        await writer._disk.call(disk.execute, "PRAGMA query_only = OFF")
        await drained(writer)
        await until(lambda: lane.reached is not None)
        assert (await writer.append(events("acme", [4]))).durability == "kafka"
    assert in_order_of_first_arrival((await found(mortal_settings))["acme"]) == [0, 1, 2, 4]


async def test_what_kafka_never_takes_is_put_aside_and_blocks_nothing(settings: Settings, tmp_path: Path) -> None:
    partition = partition_for("acme", PARTITIONS)
    spool = Spool.open(tmp_path / "spool.sqlite", max_bytes=PLENTY)
    spool.remember_partitions(PARTITIONS)
    for value in (b'[["acme",1]]', b"[%s]" % bytes(MAX_RECORD_BYTES), b'[["acme",2]]'):
        spool.append(f"{settings.topic_prefix}ledger", partition, 1, value)
    spool.close()
    async with writing(settings, tmp_path) as writer:
        await drained(writer)
        assert (writer.spooled_events, writer._spool.aside) == (0, 1)
        assert (await writer.append(events("acme", [3]))).durability == "kafka"
    assert (await found(settings))["acme"] == [1, 2, 3]


async def test_an_event_that_the_broker_refuses_is_refused_and_the_next_is_kept(
    settings: Settings, tmp_path: Path
) -> None:
    async with writing(settings, tmp_path) as writer:
        await writer.append(events("acme", [1]))
        await set_ledger_config(settings, max_message_bytes="1000")
        large = json.dumps(["acme", Random(1).randbytes(5000).hex()]).encode()
        with pytest.raises(EventTooLarge, match="MessageSizeTooLarge"):
            while True:  # the broker obeys its new setting a moment after it has confirmed it
                await writer.append([("acme", large)])
        await set_ledger_config(settings)
        assert (await writer.append(events("acme", [2]))).durability == "kafka"
    assert [number for number in (await found(settings))["acme"] if number in (1, 2)] == [1, 2]


async def test_a_spool_outlives_its_process_and_a_start_without_kafka(
    mortal_settings: Settings, mortal: tuple[str, Process], tmp_path: Path
) -> None:
    _, process = mortal
    async with writing(mortal_settings, tmp_path, pace=HASTY) as writer:
        await writer.append(events("acme", range(10)))
    process.pause()
    async with writing(mortal_settings, tmp_path, pace=HASTY) as writer:
        assert writer.ready
        assert (await writer.append(events("acme", range(10, 20)))).durability == "spool"
    async with writing(mortal_settings, tmp_path, pace=HASTY) as writer:
        assert writer.spooled_events == 10
        assert (await writer.append(events("acme", range(20, 30)))).durability == "spool"
        process.resume()
        await drained(writer)
        assert (await writer.append(events("acme", range(30, 40)))).durability == "kafka"
    assert in_order_of_first_arrival((await found(mortal_settings))["acme"]) == list(range(40))


async def test_without_ever_having_seen_kafka_nothing_is_acknowledged(prefix: str, tmp_path: Path) -> None:
    nowhere = Settings(kafka=f"127.0.0.1:{free_port()}", topic_prefix=prefix)
    async with writing(nowhere, tmp_path, pace=HASTY) as writer:
        assert not writer.ready
        with pytest.raises(LedgerUnavailable, match="not been reached"):
            await writer.append(events("acme", [1]))


async def test_an_event_that_no_record_can_carry_is_refused_at_once(settings: Settings, tmp_path: Path) -> None:
    async with writing(settings, tmp_path) as writer:
        await writer.append([("acme", b"[" + b" " * (MAX_EVENT_BYTES - 2) + b"]")])
        with pytest.raises(EventTooLarge):
            await writer.append([("acme", bytes(MAX_EVENT_BYTES + 1))])
    assert sum(map(len, (await records_of(settings)).values())) == 1


async def test_rejections_travel_beside_the_ledger(settings: Settings, tmp_path: Path) -> None:
    async with writing(settings, tmp_path) as writer:
        await writer.append(events("acme", [1]), to="rejected")
    assert await found(settings) == {}
    values = (await records_of(settings, "rejected"))[partition_for("acme", PARTITIONS)]
    assert values == [b'[["acme", 1]]']
