"""An enforcer served in the test's own loop, and an aggregator that applies the ledger only when it is told to."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from services.adapters.clock import now_ms
from services.adapters.ending import end_tasks
from services.adapters.kafka import partition_for
from services.adapters.keys import Role, new_key, write_keys
from services.adapters.settings import Settings
from services.adapters.topics import TopicName, ensure_topics, topic
from services.adapters.web import listening
from services.aggregator.changelog import Messages, encode
from services.core.effects import Effects
from services.core.events import from_ms
from services.core.fold import fold
from services.core.pricing import PriceBook
from services.core.record import Record
from services.core.state import LedgerState
from services.enforcer.app import build
from services.enforcer.settings import EnforcerSettings

PARTITIONS = 4
SAID = ("spendgate.allowance.claimed.v1", "spendgate.enforcer.alive.v1")
WAIT_MS = 30_000


@dataclass(slots=True)
class SlowAggregator:
    """The real fold behind a hand brake: nothing is applied before `advance`, and a transaction may stay open.

    But for what enforcers say of themselves: that is answered at once, unless something waits before it.
    """

    settings: Settings
    ledger: AIOKafkaProducer
    producer: AIOKafkaProducer
    consumer: AIOKafkaConsumer
    states: list[LedgerState] = field(
        default_factory=lambda: [LedgerState(number, PriceBook.bundled()) for number in range(PARTITIONS)]
    )
    versions: dict[str, int] = field(default_factory=dict)
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    _waiting: list[Record] = field(default_factory=list)

    async def policy(self, organization: str, *budgets: Mapping[str, Any], **parts: Any) -> tuple[int, int]:
        """Put a policy with these budgets in force; its partition and offset."""
        self.versions[organization] = version = self.versions.get(organization, 0) + 1
        data = {
            "organization": organization,
            "version": version,
            "policy": {"organization": organization, "budgets": list(budgets), **parts},
            "by": "test",
        }
        position = await self.append(organization, "spendgate.policy.changed.v1", f"{organization}-{version}", data)
        await self.advance()
        return position

    async def append(self, organization: str, kind: str, name: str, data: Mapping[str, Any]) -> tuple[int, int]:
        """Append an event to the ledger; its partition and offset."""
        event = {
            "specversion": "1.0",
            "id": name,
            "source": "test",
            "type": kind,
            "time": from_ms(now_ms()).isoformat(),
            "data": data,
        }
        partition = partition_for(organization, PARTITIONS)
        value = json.dumps([event]).encode()
        sent = await self.ledger.send_and_wait(topic(self.settings, "ledger"), value, partition=partition)
        return partition, int(sent.offset)

    async def events(self) -> list[dict[str, Any]]:
        """What the ledger holds beyond what was applied, without what enforcers say of themselves; applies it."""
        async with self._lock:
            records = await self._take()
            await self._commit(records)
        return [event for record in records for event in json.loads(record.value) if event["type"] not in SAID]

    async def advance(self) -> None:
        """Apply all that is in the ledger, a transaction for each partition."""
        async with self._lock:
            await self._commit(await self._take())

    async def answer(self) -> None:
        """Answer enforcers, until cancelled."""
        while True:
            async with self._lock:
                await self._read(timeout_ms=10)
                if all(event["type"] in SAID for record in self._waiting for event in json.loads(record.value)):
                    said, self._waiting = self._waiting, []
                    await self._commit(said)
            await asyncio.sleep(0)

    async def write(self, name: TopicName, partition: int, messages: Messages) -> None:
        """Write some messages of one topic in a transaction of their own."""
        async with self.producer.transaction():
            for key, value in messages[name]:
                await self.producer.send(topic(self.settings, name), value=value, key=key, partition=partition)

    async def fold_only(self) -> dict[int, Messages]:
        """What applying the new records would write, by partition; writes nothing."""
        found: dict[int, Effects] = {}
        async with self._lock:
            for record in await self._take():
                found.setdefault(record.partition, Effects()).absorb(fold(self.states[record.partition], record))
        return {partition: encode(effects) for partition, effects in found.items()}

    async def _commit(self, records: list[Record]) -> None:
        found: dict[int, Effects] = {}
        for record in records:
            found.setdefault(record.partition, Effects()).absorb(fold(self.states[record.partition], record))
        for partition, effects in found.items():
            async with self.producer.transaction():
                for name, messages in encode(effects).items():
                    for key, value in messages:
                        await self.producer.send(topic(self.settings, name), value=value, key=key, partition=partition)

    async def _take(self) -> list[Record]:
        """All that was not applied yet, from now on it is."""
        ledger = [TopicPartition(topic(self.settings, "ledger"), number) for number in range(PARTITIONS)]
        ends = await self.consumer.end_offsets(ledger)
        while any([await self.consumer.position(tp) < end for tp, end in ends.items()]):
            await self._read(timeout_ms=100)
        taken, self._waiting = self._waiting, []
        return taken

    async def _read(self, timeout_ms: int) -> None:
        for tp, records in (await self.consumer.getmany(timeout_ms=timeout_ms)).items():
            self._waiting += [Record(tp.partition, each.offset, each.timestamp, each.value) for each in records]


@asynccontextmanager
async def slow_aggregator(settings: Settings) -> AsyncIterator[SlowAggregator]:
    """Create the topics, and stand ready to apply the ledger."""
    await ensure_topics(settings, partitions=PARTITIONS)
    ledger = AIOKafkaProducer(bootstrap_servers=settings.kafka, enable_idempotence=True)
    producer = AIOKafkaProducer(
        bootstrap_servers=settings.kafka, transactional_id=f"{settings.topic_prefix}slow", linger_ms=0
    )
    consumer = AIOKafkaConsumer(
        bootstrap_servers=settings.kafka, isolation_level="read_committed", auto_offset_reset="earliest"
    )
    for part in (ledger, producer, consumer):
        await part.start()
    try:
        consumer.assign([TopicPartition(topic(settings, "ledger"), number) for number in range(PARTITIONS)])
        aggregator = SlowAggregator(settings, ledger, producer, consumer)
        answering = asyncio.create_task(aggregator.answer())
        try:
            yield aggregator
        finally:
            await end_tasks(answering)
    finally:
        for part in (consumer, producer, ledger):
            await part.stop()


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer, its body decoded."""

    status: int
    body: dict[str, Any]
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Client:
    """Calls one enforcer with one key."""

    session: aiohttp.ClientSession
    url: str
    token: str

    async def call(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Answer:
        """Any request."""
        sent = {"Authorization": f"Bearer {self.token}", **headers}
        async with self.session.request(method, self.url + path, data=body and BytesIO(body), headers=sent) as response:
            content = await response.read()
            return Answer(response.status, msgspec.json.decode(content) if content else {}, response.headers)

    async def post(self, path: str, body: Mapping[str, Any]) -> Answer:
        """A JSON request."""
        return await self.call("POST", path, msgspec.json.encode(body))

    async def check(self, **changed: Any) -> Answer:
        """Ask for a request of Acme's that costs at most 0.0225 USD."""
        ask = {"organization": "acme", "model": "gpt-4o", "input_tokens": 1000, "max_output_tokens": 2000, **changed}
        return await self.post("/v1/check", ask)

    async def reserve(self, **changed: Any) -> str:
        """A reservation that must be given."""
        answer = await self.check(**changed)
        assert answer.status == 200, answer
        reservation: str = answer.body["reservation"]["id"]
        return reservation

    async def settle(
        self, reservation: str, *, input_tokens: int = 1000, output_tokens: int = 100, **more: Any
    ) -> Answer:
        """Report what was used."""
        usage = {"gen_ai.usage.input_tokens": input_tokens, "gen_ai.usage.output_tokens": output_tokens}
        return await self.post("/v1/settle", {"reservation": reservation, **usage, **more})

    async def day(self, scope: str = "org:acme", after: tuple[int, int] | None = None) -> dict[str, Any]:
        """The status of a scope's day, once a ledger position has been applied."""
        query = f"?after={after[0]}:{after[1]}&wait_ms={WAIT_MS}" if after else ""
        answer = await self.call("GET", f"/v1/status/{scope}{query}")
        assert answer.status == 200, answer
        assert answer.body["reached"]
        days: list[dict[str, Any]] = [one for one in answer.body["windows"] if one["window"].startswith("day:")]
        return days[0] if days else {"settled_usd": "0.00", "reserved_usd": "0.00", "pending_usd": "0.00"}

    async def ready(self) -> None:
        """Wait until it may be sent traffic."""
        while (await self.call("GET", "/readyz")).status != 200:
            pass

    async def leased(self) -> None:
        """Wait until the ledger has heard of it."""
        while not all(one["leased"] for one in (await self.call("GET", "/v1/position")).body["partitions"]):
            pass


def position_of(answer: Answer) -> tuple[int, int]:
    """Where the ledger has what was settled."""
    (position,) = answer.body["positions"]
    return position["partition"], position["offset"]


@dataclass(frozen=True, slots=True)
class Keys:
    """Tokens of each kind, and the file that knows them."""

    path: Path
    edge: str
    other: str
    viewer: str
    admin: str


def make_keys(folder: Path) -> Keys:
    """Keys of acme's, one of another organization, and an admin's."""
    made = [
        new_key(Role.EDGE, "acme"),
        new_key(Role.EDGE, "other"),
        new_key(Role.VIEWER, "acme"),
        new_key(Role.ADMIN, "*"),
    ]
    path = folder / "keys.json"
    write_keys(path, [record for _, record in made])
    edge, other, viewer, admin = (token for token, _ in made)
    return Keys(path, edge, other, viewer, admin)


@asynccontextmanager
async def running_enforcer(settings: EnforcerSettings, token: str, *, ready: bool = True) -> AsyncIterator[Client]:
    """Serve an enforcer, ready unless told otherwise, and call it with this key.

    Unless they say otherwise, its checks wait for a share for as long as a busy machine may take.
    """
    if "claim_timeout_ms" not in settings.model_fields_set:
        settings = settings.model_copy(update={"claim_timeout_ms": WAIT_MS})
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    async with listening(build(settings), settings) as port, aiohttp.ClientSession() as session:
        client = Client(session, f"http://127.0.0.1:{port}", token)
        if ready:
            await client.ready()
        yield client
