"""Sinks and a ClickHouse engine as processes to be killed, charges to carry, and the sums that must come out."""

from __future__ import annotations

import asyncio
import json
import secrets
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from random import Random
from typing import Any, Literal

import aiohttp
import msgspec
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.structs import OffsetAndMetadata
from clickhouse_connect.driver import Client

from deploy.local.clickhouse.program import ClickHouse
from deploy.local.health import answers
from deploy.local.ports import free_port
from deploy.local.process import Process, Program
from services.adapters.clickhouse import open_client
from services.adapters.clock import monotonic_ms
from services.adapters.keys import Role, new_key, write_keys
from services.adapters.topics import ensure_topics, topic
from services.core.events import from_ms
from services.core.outcomes import Charge, ChargePosted, UsageRejected
from services.sink.audit import audit
from services.sink.settings import SinkSettings

PARTITIONS = 4
NOON_MS = 1_795_000_000_000
DAY_MS = 86_400_000
WAIT_S = 150.0
"""What a condition may take at most, on the slowest machine; a sink that a watch has to restart included."""
ANSWER = aiohttp.ClientTimeout(total=60)
LOG_LINES = 15
KINDS: tuple[Literal["usage", "adjustment", "correction"], ...] = ("usage", "adjustment", "correction")

_decode_rejected = msgspec.json.Decoder(list[UsageRejected]).decode


@asynccontextmanager
async def running_engine(folder: Path) -> AsyncIterator[tuple[ClickHouse, Process]]:
    """A ClickHouse engine of one's own, which may be killed."""
    clickhouse = ClickHouse(folder / "engine", free_port(), folder / "engine.log", secrets.token_urlsafe(12))
    process = Process(clickhouse.program())
    await process.start()
    try:
        yield clickhouse, process
    finally:
        await process.kill()


def sink_settings(broker: str, address: str, prefix: str, folder: Path, **more: Any) -> SinkSettings:
    """Settings of a sink in a hurry: small ranges, a short session."""
    _, key = new_key(Role.ADMIN, "*")
    write_keys(folder / "keys.json", [key])
    return SinkSettings(
        kafka=broker,
        clickhouse=address,
        topic_prefix=prefix,
        keys_file=folder / "keys.json",
        data_dir=folder,
        **{"linger_ms": 40, "batch_bytes": 64 << 10, "session_timeout_ms": 1_500, "retry_ms_max": 500, **more},
    )


@dataclass(slots=True)
class Sink:
    """One `python -m services.sink`."""

    process: Process
    url: str

    @classmethod
    def of(cls, settings: SinkSettings, name: str = "sink") -> Sink:
        """Not started yet; the log is in the data directory."""
        url = f"http://127.0.0.1:{(port := free_port())}"
        named = {f"SPENDGATE_{key.upper()}": str(getattr(settings, key)) for key in settings.model_fields_set}
        program = Program(
            name=name,
            command=(sys.executable, "-m", "services.sink"),
            log=settings.data_dir / f"{name}.log",
            ready=partial(answers, f"{url}/healthz"),
            env={**named, "SPENDGATE_PORT": str(port)},
        )
        return cls(Process(program), url)

    async def readiness(self) -> tuple[int, dict[str, Any]]:
        """Status and body of `/readyz`."""
        async with aiohttp.ClientSession(timeout=ANSWER) as session, session.get(f"{self.url}/readyz") as response:
            return response.status, await response.json()

    async def ready(self) -> None:
        """Wait until rows arrive."""
        await eventually(lambda: self._answers(200), self.describe)

    async def owns(self, partitions: int) -> None:
        """Wait until the group has given it so many partitions."""
        await eventually(lambda: self._owns(partitions), self.describe)

    async def waiting_for(self, text: str) -> dict[str, str]:
        """Wait until `/readyz` gives a reason that contains this text; all its reasons."""
        reasons: dict[str, str] = {}

        async def told() -> bool:
            nonlocal reasons
            status, body = await self.readiness()
            reasons = body["waiting_for"]
            found = any(text in reason for reason in reasons.values())
            assert status == 503 or not found
            return found

        await eventually(told, self.describe)
        return reasons

    async def describe(self) -> str:
        """What it says of itself, and the end of its log."""
        try:
            said = repr(await self.readiness())
        except (aiohttp.ClientError, TimeoutError) as error:
            said = repr(error)
        log = self.process.program.log.read_text(errors="replace").splitlines()[-LOG_LINES:]
        return "\n".join([f"{self.process.program.name}, running: {self.process.running}, /readyz: {said}", *log])

    async def _answers(self, status: int) -> bool:
        return (await self.readiness())[0] == status

    async def _owns(self, partitions: int) -> bool:
        owned: int | None = (await self.readiness())[1]["partitions"]
        return owned == partitions

    def lines(self, event: str) -> list[dict[str, Any]]:
        """The log lines of an event."""
        found = (json.loads(line) for line in self.process.program.log.read_text().splitlines() if line[:1] == "{")
        return [line for line in found if line.get("event") == event]


@asynccontextmanager
async def running_sink(settings: SinkSettings, name: str = "sink") -> AsyncIterator[Sink]:
    """A sink that answers; it may not be ready yet. It is stopped in good order, what it is inserting included."""
    sink = Sink.of(settings, name)
    await sink.process.start()
    try:
        yield sink
    finally:
        await sink.process.stop()


@dataclass(slots=True)
class Charges:
    """Seeded charges of four ledger partitions, numbered as the aggregator numbers them, and their sums."""

    random: Random
    sequence: Counter[int] = field(default_factory=Counter)
    totals: Counter[str] = field(default_factory=Counter)
    by_user: Counter[tuple[str, str]] = field(default_factory=Counter)
    by_tag: Counter[tuple[str, str]] = field(default_factory=Counter)

    def record(self, partition: int, size: int) -> bytes:
        """A Kafka record of charges that count."""
        posted = []
        for index in range(size):
            self.sequence[partition] += 1
            charge = self.charge(partition, self.sequence[partition], index)
            self._count(charge)
            posted.append(_posted(charge))
        return msgspec.json.encode(posted)

    def charge(self, partition: int, sequence: int, index: int = 0) -> Charge:
        """One charge: of two months, of few users, now and then unpriced, a correction or a negative adjustment."""
        r = self.random
        kind = r.choices(KINDS, [90, 6, 4])[0]
        priced = kind != "usage" or r.random() > 0.03
        at_ms = NOON_MS + r.randrange(-10 * DAY_MS, 10 * DAY_MS)
        return Charge(
            charge=f"{partition}-{sequence}-{index}",
            sequence=sequence,
            kind=kind,
            organization=f"org-{partition}",
            project=r.choice(["search", "chat", None]),
            team=r.choice(["ranking", "index", None]),
            user=r.choice([f"user-{n}" for n in range(12)] + [None]),
            provider="openai",
            model=r.choice(["gpt-4o", "gpt-4o-mini"]),
            tags=r.choice([{}, {"feature": "autocomplete"}, {"feature": "answer", "cost-center": "7"}]),
            status=r.choice(["ok", "ok", "ok", "error"]),
            cost_nanousd=(r.randrange(-2_000_000, 5_000_000) if kind != "usage" else r.randrange(9_000_000))
            if priced
            else None,
            requests=int(kind == "usage"),
            unpriced=int(not priced) - int(kind == "correction"),
            input_tokens=r.randrange(9_000),
            output_tokens=r.randrange(900),
            cache_read_tokens=r.randrange(90),
            charged_at_ms=at_ms,
            recorded_at_ms=at_ms + 1_000,
            latency_ms=r.choice([None, 250]),
            source="gateway",
            event_id=f"e-{partition}-{sequence}",
            ledger_partition=partition,
            ledger_offset=sequence,
            ledger_index=index,
            price_version="test",
        )

    def _count(self, charge: Charge) -> None:
        cost = charge.cost_nanousd or 0
        self.totals["rows"] += 1
        self.totals["cost_nanousd"] += cost
        for name in ("requests", "unpriced", "input_tokens", "output_tokens"):
            self.totals[name] += getattr(charge, name)
        self.by_user[charge.organization, charge.user or ""] += cost
        for tag in charge.tags.items():
            self.by_tag[tag] += cost


def _posted(charge: Charge) -> ChargePosted:
    time = from_ms(charge.recorded_at_ms)
    return ChargePosted(id=charge.charge, source="spendgate/aggregator", time=time, data=charge)


@asynccontextmanager
async def charge_producer(settings: SinkSettings) -> AsyncIterator[AIOKafkaProducer]:
    """A producer as the aggregator has one: transactional, so offsets have gaps and some records never count."""
    await ensure_topics(settings, partitions=PARTITIONS)
    producer = AIOKafkaProducer(bootstrap_servers=settings.kafka, transactional_id=f"{settings.topic_prefix}charges")
    await producer.start()
    try:
        yield producer
    finally:
        await producer.stop()


async def post(
    producer: AIOKafkaProducer, settings: SinkSettings, charges: Charges, *, transactions: int, pause_s: float = 0
) -> None:
    """Transactions of up to three records in random partitions; each fifth one is aborted and must not show."""
    name = topic(settings, "charges")
    for number in range(transactions):
        await producer.begin_transaction()
        aborted = number % 5 == 4
        for _ in range(charges.random.randint(1, 3)):
            partition = charges.random.randrange(PARTITIONS)
            size = charges.random.randint(1, 80)
            record = _ghost(charges, partition, size) if aborted else charges.record(partition, size)
            await producer.send(name, record, partition=partition)
        await (producer.abort_transaction() if aborted else producer.commit_transaction())
        if pause_s:
            await asyncio.sleep(pause_s)


def _ghost(charges: Charges, partition: int, size: int) -> bytes:
    return msgspec.json.encode([_posted(charges.charge(partition, 10**9 + n)) for n in range(size)])


async def send(settings: SinkSettings, name: str, *values: tuple[int, bytes]) -> None:
    """Append records (partition, value) to a topic without a transaction."""
    await ensure_topics(settings, partitions=PARTITIONS)
    producer = AIOKafkaProducer(bootstrap_servers=settings.kafka)
    await producer.start()
    try:
        for partition, value in values:
            await producer.send_and_wait(settings.topic_prefix + name, value, partition=partition)
    finally:
        await producer.stop()


async def bookmark(settings: SinkSettings, name: str, partition: int, offset: int, metadata: str = "") -> None:
    """Commit as a sink would that has just stopped."""
    consumer = AIOKafkaConsumer(bootstrap_servers=settings.kafka, group_id=settings.group_id, enable_auto_commit=False)
    await consumer.start()
    try:
        place = TopicPartition(settings.topic_prefix + name, partition)
        consumer.assign([place])
        await consumer.commit({place: OffsetAndMetadata(offset, metadata)})
    finally:
        await consumer.stop()


async def rejected(settings: SinkSettings, count: int) -> list[UsageRejected]:
    """Wait until so many rejections are kept."""
    consumer = AIOKafkaConsumer(bootstrap_servers=settings.kafka, auto_offset_reset="earliest")
    await consumer.start()
    found: list[UsageRejected] = []
    try:
        consumer.assign([TopicPartition(topic(settings, "rejected"), n) for n in range(PARTITIONS)])
        while len(found) < count:
            for records in (await consumer.getmany(timeout_ms=200)).values():
                for record in records:
                    found += _decode_rejected(record.value or b"")
    finally:
        await consumer.stop()
    return found


def one_row(client: Client, query: str) -> tuple[Any, ...]:
    """The only row of a query."""
    return tuple(client.query(query).result_rows[0])


async def rows_in(address: str, table: str, wanted: int, *sinks: Sink) -> None:
    """Wait until a table holds so many rows, or more; the sinks tell of themselves when it never does."""
    with await asyncio.to_thread(open_client, address) as client:

        async def count() -> int:
            return int(str(await asyncio.to_thread(client.command, f"SELECT count() FROM {table}")))

        async def arrived() -> bool:
            return await count() >= wanted

        async def describe() -> str:
            return "\n".join(
                [f"{await count()} of {wanted} rows in {table}", *[await sink.describe() for sink in sinks]]
            )

        await eventually(arrived, describe)


async def eventually(
    condition: Callable[[], Awaitable[bool]], describe: Callable[[], Awaitable[str]], *, within_s: float = WAIT_S
) -> None:
    """Wait until a condition holds. Raises `AssertionError` with what `describe` says when that takes too long."""
    until = monotonic_ms() + within_s * 1000
    while not await condition():
        if monotonic_ms() > until:
            raise AssertionError(f"still not so after {within_s:g} s: {await describe()}")
        await asyncio.sleep(0.05)


def assert_exact(address: str, charges: Charges) -> None:
    """Every sum, in the raw table and in each roll-up, to the nano-dollar."""
    with open_client(address) as client:
        result = audit(client)
        assert result.exact, str(result)
        names: Sequence[str] = ("requests", "unpriced", "cost_nanousd", "input_tokens", "output_tokens")
        sums = ", ".join(f"sum({name})" for name in names)
        expected = tuple(charges.totals[name] for name in names)
        assert one_row(client, f"SELECT count(), {sums} FROM charges") == (charges.totals["rows"], *expected)
        assert one_row(client, f"SELECT {sums} FROM spend_by_hour") == expected
        by_user = client.query("SELECT organization, user, sum(cost_nanousd) FROM spend_by_day_user GROUP BY ALL")
        assert {(org, user): cost for org, user, cost in by_user.result_rows} == charges.by_user
        by_tag = client.query("SELECT tag, value, sum(cost_nanousd) FROM spend_by_day_tag GROUP BY ALL")
        assert {(tag, value): cost for tag, value, cost in by_tag.result_rows} == charges.by_tag
