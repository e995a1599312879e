"""Aggregator workers as processes to be killed and paused, load for them, and the sums that must come out."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import msgspec
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from services.adapters.clock import monotonic_ms, now_ms
from services.adapters.consuming import started
from services.adapters.kafka import partition_for, tail
from services.adapters.keys import Role, new_key, write_keys
from services.adapters.settings import Settings
from services.adapters.topics import TopicName, topic
from services.aggregator.settings import AggregatorSettings
from services.core.balance import Balance, split_key
from services.core.effects import POSITION_KEY, Position
from services.core.events import from_ms
from services.core.money import format_usd
from services.core.outcomes import Charge, ChargePosted
from services.core.scope import scope_key

ORGANIZATIONS = [f"org-{n}" for n in range(8)]
PARTITIONS = 4
SEGMENT_MS = 1000
WAIT_S = 150.0
"""What a condition may take at most, on the slowest machine."""

_decode_charges = msgspec.json.Decoder(list[ChargePosted]).decode

Sums = Counter[tuple[str, str]]
"""Nano-dollars by scope and kind of window."""


@dataclass(slots=True)
class Load:
    """Seeded usage and its sums, computed from nothing but the usage itself."""

    random: Random
    sums: Sums = field(default_factory=Counter)
    events: int = 0
    sent: list[dict[str, Any]] = field(default_factory=list)

    def record(self, organization: str, size: int) -> bytes:
        """A ledger record of one organization; every tenth event is one that was sent before."""
        return json.dumps([self._event(organization) for _ in range(size)]).encode()

    def _event(self, organization: str) -> dict[str, Any]:
        again = [event for event in self.sent[-50:] if event["data"]["organization"] == organization]
        if again and self.random.random() < 0.1:
            return self.random.choice(again)
        cost = self.random.randint(1, 5_000_000)
        data = {
            "organization": organization,
            "project": f"project-{self.random.randrange(3)}",
            "team": f"team-{self.random.randrange(3)}",
            "user": f"user-{self.random.randrange(20)}",
            "gen_ai.request.model": "gpt-4o",
            "gen_ai.usage.input_tokens": 1,
            "gen_ai.usage.output_tokens": 1,
            "cost_usd": format_usd(cost),
        }
        self.events += 1
        self._count(data, cost)
        event = {
            "specversion": "1.0",
            "id": f"e{self.events}",
            "source": "test",
            "type": "spendgate.usage.recorded.v1",
            "time": from_ms(now_ms()).isoformat(),
            "data": data,
        }
        self.sent.append(event)
        return event

    def _count(self, data: Mapping[str, Any], cost: int) -> None:
        organization = {"org": data["organization"]}
        project = organization | {"project": data["project"]}
        for dimensions in (
            organization,
            project,
            project | {"team": data["team"]},
            organization | {"user": data["user"]},
        ):
            for kind in ("hour", "day", "month"):
                self.sums[scope_key(dimensions), kind] += cost


@dataclass(slots=True)
class Image:
    """The balances changelog as a reader sees it."""

    values: dict[str, bytes] = field(default_factory=dict)
    positions: dict[int, Position] = field(default_factory=dict)

    def sums(self) -> Sums:
        """What the balances say, over all windows of a kind."""
        sums: Sums = Counter()
        for key, value in self.values.items():
            scope, window = split_key(key)
            sums[scope, window.partition(":")[0]] += msgspec.json.decode(value, type=Balance).settled_nanousd
        return sums


async def settled_image(settings: AggregatorSettings, ends: Mapping[int, int]) -> Image:
    """The changelog once every partition has applied its ledger up to `ends`."""
    image = Image()
    try:
        async with asyncio.timeout(WAIT_S), aclosing(tail(settings, ["balances"])) as batches:
            async for batch in batches:
                for (_, partition), records in batch.records.items():
                    for record in records:
                        _take(image, partition, record)
                if all(_applied(image, partition) >= end for partition, end in ends.items()):
                    return image
    except TimeoutError:
        applied = {partition: _applied(image, partition) for partition in ends}
        raise AssertionError(f"still not applied after {WAIT_S:g} s: {applied} of {dict(ends)}") from None
    raise AssertionError("the tail never ends by itself")


def _take(image: Image, partition: int, record: Any) -> None:
    key = record.key.decode()
    if key == POSITION_KEY:
        image.positions[partition] = msgspec.json.decode(record.value, type=Position)
    elif record.value is None:
        image.values.pop(key, None)
    else:
        image.values[key] = record.value


def _applied(image: Image, partition: int) -> int:
    position = image.positions.get(partition)
    return 0 if position is None else position.offset + 1


async def ends(settings: AggregatorSettings, name: TopicName, *, committed: bool = False) -> dict[int, int]:
    """The ends of a topic's partitions; of the committed records alone, an open transaction lies beyond them."""
    async with consumer(settings, committed=committed) as asking:
        found = await asking.end_offsets([TopicPartition(topic(settings, name), n) for n in range(PARTITIONS)])
    return {tp.partition: end for tp, end in found.items()}


async def ledger_ends(settings: AggregatorSettings) -> dict[int, int]:
    """The end of every ledger partition that holds anything."""
    return {partition: end for partition, end in (await ends(settings, "ledger")).items() if end}


async def open_transactions(settings: AggregatorSettings) -> dict[int, int]:
    """The partitions in the middle of a transaction, and where what is committed ends there."""
    committed, every = await ends(settings, "balances", committed=True), await ends(settings, "balances")
    return {partition: end for partition, end in committed.items() if end < every[partition]}


async def create_hasty_changelogs(settings: AggregatorSettings) -> None:
    """Changelogs that the broker compacts within a second or two."""
    config = {
        "cleanup.policy": "compact",
        "message.timestamp.type": "LogAppendTime",
        "min.cleanable.dirty.ratio": "0.01",
        "segment.ms": str(SEGMENT_MS),
        "max.message.bytes": "4194304",
    }
    names: tuple[TopicName, ...] = ("balances", "policies", "seen")
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka)
    await admin.start()
    try:
        await admin.create_topics(
            [NewTopic(topic(settings, name), PARTITIONS, 1, topic_configs=config) for name in names]
        )
    finally:
        await admin.close()


async def compaction(settings: AggregatorSettings) -> None:
    """Wait until the broker has compacted away the first balances ever written, which later ones have replaced."""
    waiting = {number for number, end in (await ends(settings, "balances")).items() if end}
    until = monotonic_ms() + WAIT_S * 1000
    while waiting:
        assert monotonic_ms() < until, f"partitions {waiting} are not compacted after {WAIT_S:g} s"
        records = await read_all(settings, "balances", committed=False)
        waiting &= {record.partition for record in records if record.offset == 0}
        await asyncio.sleep(0.2)


async def read_all(settings: Settings, name: TopicName, *, committed: bool = True) -> list[Any]:
    """Every record of a topic, each partition in order."""
    async with consumer(settings, committed=committed) as reading:
        partitions = [TopicPartition(topic(settings, name), n) for n in range(PARTITIONS)]
        reading.assign(partitions)
        records: list[Any] = []
        for tp, end in (await reading.end_offsets(partitions)).items():
            reading.pause(*[other for other in partitions if other != tp])
            reading.resume(tp)
            while await reading.position(tp) < end:
                for found in (await reading.getmany(timeout_ms=100)).values():
                    records += found
    return records


@asynccontextmanager
async def consumer(
    settings: Settings, *, committed: bool = False, group: str | None = None
) -> AsyncIterator[AIOKafkaConsumer]:
    """A consumer that starts at the beginning and commits nothing by itself."""
    made = AIOKafkaConsumer(
        bootstrap_servers=settings.kafka,
        group_id=group,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        isolation_level="read_committed" if committed else "read_uncommitted",
    )
    async with started(made):
        yield made


async def commit_offsets(settings: AggregatorSettings, offsets: Mapping[int, int]) -> None:
    """Move the group's ledger offsets by hand, as an operator's tool does while no worker runs."""
    async with consumer(settings, group=settings.application) as moving:
        found = {TopicPartition(topic(settings, "ledger"), number): offset for number, offset in offsets.items()}
        moving.assign(list(found))
        await moving.commit(found)


async def committed_charges(settings: AggregatorSettings) -> dict[int, list[Charge]]:
    """Every charge that a reader of committed records finds, by partition, in order."""
    charges: dict[int, list[Charge]] = {n: [] for n in range(PARTITIONS)}
    for record in await read_all(settings, "charges"):
        charges[record.partition] += [event.data for event in _decode_charges(record.value)]
    return charges


@asynccontextmanager
async def ledger_producer(settings: Settings) -> AsyncIterator[AIOKafkaProducer]:
    """A producer as ingest has one: idempotent, so the ledger has neither gaps nor doubles."""
    producer = AIOKafkaProducer(bootstrap_servers=settings.kafka, enable_idempotence=True, linger_ms=2)
    await producer.start()
    try:
        yield producer
    finally:
        await producer.stop()


async def append(
    producer: AIOKafkaProducer, settings: AggregatorSettings, load: Load, *, records: int, size: int, pause_s: float = 0
) -> None:
    """Append records of random organizations, with a pause after each dozen."""
    pending = []
    for number in range(records):
        organization = load.random.choice(ORGANIZATIONS)
        partition = partition_for(organization, PARTITIONS)
        value = load.record(organization, size)
        pending.append(await producer.send(topic(settings, "ledger"), value, partition=partition))
        if pause_s and number % 12 == 11:
            await asyncio.sleep(pause_s)
    await asyncio.gather(*pending)


@dataclass(slots=True)
class Worker:
    """One `python -m services.aggregator`."""

    process: asyncio.subprocess.Process
    log: Path
    port_file: Path

    @classmethod
    async def start(cls, settings: AggregatorSettings, folder: Path, name: str) -> Worker:
        """Start it; its log and port are in `folder`. Tests use `Workers.start`, which leaves nothing running."""
        log, port_file = folder / f"{name}.log", folder / f"{name}.port"
        port_file.unlink(missing_ok=True)
        environment = _environment(settings) | {
            "SPENDGATE_PORT_FILE": str(port_file),
            "SPENDGATE_DATA_DIR": str(folder / name),
        }
        with log.open("ab") as output:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "services.aggregator", env=environment, stdout=output, stderr=output
            )
        return cls(process, log, port_file)

    def send(self, number: signal.Signals) -> None:
        """Signal the process if it still lives."""
        if self.process.returncode is None:
            self.process.send_signal(number)

    async def kill(self) -> None:
        """`kill -9`."""
        self.send(signal.SIGKILL)
        await self.process.wait()

    async def stop(self) -> int:
        """SIGTERM, and the exit code."""
        self.send(signal.SIGTERM)
        return await self.process.wait()

    async def ended(self, *, within_s: float = 60.0) -> int:
        """The exit code of a process that ends by itself; fails with its log when it does not."""
        try:
            return await asyncio.wait_for(self.process.wait(), within_s)
        except TimeoutError:
            raise AssertionError(f"still runs after {within_s:g} s:\n{self.log.read_text()}") from None

    def lines(self, event: str) -> list[dict[str, Any]]:
        """The log lines of an event."""
        found = (json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{"))
        return [line for line in found if line.get("event") == event]

    async def logged(self, event: str, *, count: int = 1) -> list[dict[str, Any]]:
        """Wait until an event has been logged so often; fails with the log when that takes too long or cannot be."""
        until = monotonic_ms() + WAIT_S * 1000
        while len(found := self.lines(event)) < count:
            assert self.process.returncode is None, f"ended with {self.process.returncode}:\n{self.log.read_text()}"
            assert monotonic_ms() < until, f"{len(found)} of {count} {event!r} in {WAIT_S:g} s:\n{self.log.read_text()}"
            await asyncio.sleep(0.05)
        return found


@dataclass(slots=True)
class Workers:
    """Starts the workers of a test."""

    folder: Path
    started: list[Worker] = field(default_factory=list)

    async def start(self, settings: AggregatorSettings, name: str) -> Worker:
        """Start a worker; those of one name share a log."""
        worker = await Worker.start(settings, self.folder, name)
        self.started.append(worker)
        return worker

    async def apply_all(self, settings: AggregatorSettings, name: str) -> None:
        """Let a worker apply all that the ledger holds, and stop it."""
        worker = await self.start(settings, name)
        await worker.logged("partition opened", count=PARTITIONS)
        await settled_image(settings, await ledger_ends(settings))
        assert await worker.stop() == 0

    async def kill_all(self) -> None:
        """End what a failed test has left."""
        for worker in self.started:
            await worker.kill()


def _environment(settings: AggregatorSettings) -> dict[str, str]:
    named = {f"SPENDGATE_{name.upper()}": str(getattr(settings, name)) for name in settings.model_fields_set}
    return {**os.environ, **named}


def with_keys(folder: Path) -> tuple[Path, str]:
    """A keys file with one admin key, and its token."""
    token, record = new_key(Role.ADMIN, "*")
    path = folder / "keys.json"
    write_keys(path, [record])
    return path, token


def assert_exact(image: Image, load: Load) -> None:
    """Every sum of every scope, to the nano-dollar."""
    assert dict(image.sums()) == dict(load.sums)


def assert_charges_exact(charges: Mapping[int, Sequence[Charge]], load: Load) -> None:
    """One charge an event, gaplessly numbered in each partition, adding up to the same sums."""
    for posted in charges.values():
        assert [charge.sequence for charge in posted] == list(range(1, len(posted) + 1))
    every = [charge for posted in charges.values() for charge in posted]
    assert len(every) == len({(charge.source, charge.event_id) for charge in every}) == load.events
    assert _by_organization(every) == {
        scope: total for (scope, kind), total in load.sums.items() if kind == "month" and "/" not in scope
    }


def _by_organization(charges: Iterable[Charge]) -> dict[str, int]:
    sums: Counter[str] = Counter()
    for charge in charges:
        sums[scope_key({"org": charge.organization})] += charge.cost_nanousd or 0
    return dict(sums)
