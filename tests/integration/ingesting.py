"""What the tests of ingest share: events to send, keys, the service as a process, and what arrived in Kafka."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import aiohttp
from aiokafka import AIOKafkaConsumer, TopicPartition

from deploy.local.process import Process, Program
from services.adapters.clock import monotonic_ms, now_ms
from services.adapters.keys import Role, new_key, write_keys
from services.adapters.settings import Settings
from services.adapters.topics import TopicName, topic
from services.core.events import from_ms

Event = dict[str, Any]


def usage(number: int, organization: str = "acme", *, age: timedelta = timedelta(), **data: Any) -> Event:
    """A valid usage event, `age` old; `data` replaces attributes of its data."""
    return {
        "specversion": "1.0",
        "id": f"{organization}-{number:08}",
        "source": "gateway/test",
        "type": "spendgate.usage.recorded.v1",
        "time": (from_ms(now_ms()) - age).isoformat(),
        "data": {
            "organization": organization,
            "project": "search",
            "team": "ranking",
            "user": "alice",
            "gen_ai.request.model": "gpt-4o",
            "gen_ai.usage.input_tokens": 1200,
            "gen_ai.usage.output_tokens": 300,
            **data,
        },
    }


@dataclass(frozen=True, slots=True)
class Tokens:
    """One key of each kind that a test may need."""

    edge: str
    other_edge: str
    viewer: str
    admin: str


def make_keys(path: Path) -> Tokens:
    """Write a keys file for `acme` and `globex`."""
    kinds = [(Role.EDGE, "acme"), (Role.EDGE, "globex"), (Role.VIEWER, "acme"), (Role.ADMIN, "*")]
    made = [new_key(role, organization) for role, organization in kinds]
    write_keys(path, [record for _, record in made])
    return Tokens(*(token for token, _ in made))


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer, read."""

    status: int
    body: Any
    headers: Mapping[str, str]


class Client:
    """Speaks to one running ingest."""

    def __init__(self, session: aiohttp.ClientSession, tokens: Tokens) -> None:
        self._session, self.tokens = session, tokens

    async def post(
        self, path: str, body: Any, *, token: str | None = None, media: str = "application/json", **headers: str
    ) -> Answer:
        """Send bytes as they are and anything else as JSON; the edge key of `acme` unless told otherwise."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        sent = {"Content-Type": media, "Authorization": f"Bearer {token or self.tokens.edge}"}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        async with self._session.post(path, data=BytesIO(data), headers=sent) as response:
            return await _read(response)

    async def get(self, path: str, *, token: str | None = None) -> Answer:
        """Ask without a key unless one is given."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        async with self._session.get(path, headers=headers) as response:
            return await _read(response)

    async def until_policies_known(self, *, within_s: float = 60.0) -> None:
        """Wait until it has read the policies in force; events are taken before, changes of policy answer 503."""
        async with asyncio.timeout(within_s):
            while not (await self.get("/readyz")).body["policies_known"]:
                await asyncio.sleep(0.01)


async def _read(response: aiohttp.ClientResponse) -> Answer:
    body = await response.read()
    return Answer(response.status, json.loads(body) if response.content_type == "application/json" else body,
                  response.headers)  # fmt: skip


class IngestProcess:
    """`python -m services.ingest` as an operator runs it."""

    def __init__(self, settings: Settings, folder: Path, **environment: str) -> None:
        self._port_file = folder / "ingest.port"
        env = {
            "SPENDGATE_KAFKA": settings.kafka,
            "SPENDGATE_TOPIC_PREFIX": settings.topic_prefix,
            "SPENDGATE_KEYS_FILE": str(folder / "keys.json"),
            "SPENDGATE_DATA_DIR": str(folder / "data"),
            "SPENDGATE_PORT_FILE": str(self._port_file),
            **environment,
        }
        command = (sys.executable, "-m", "services.ingest")
        self.process = Process(Program("ingest", command, folder / "ingest.log", self._answers, env))

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._port_file.read_text()}"

    async def start(self) -> None:
        """Start it; returns once it listens, whether or not Kafka is there."""
        self._port_file.unlink(missing_ok=True)
        await self.process.start()

    @asynccontextmanager
    async def client(self, tokens: Tokens) -> AsyncIterator[Client]:
        """A client of the process as it runs now."""
        async with aiohttp.ClientSession(self.url) as session:
            yield Client(session, tokens)

    async def _answers(self) -> bool:
        if not self._port_file.exists():
            return False
        async with aiohttp.ClientSession(self.url) as session:
            try:
                async with session.get("/healthz") as response:
                    return response.status == 200
            except aiohttp.ClientError:
                return False


async def until(condition: Callable[[], bool], *, within_s: float = 60.0) -> None:
    """Return as soon as the condition holds; a TimeoutError when that takes too long."""
    deadline = monotonic_ms() + within_s * 1000
    while not condition():
        if monotonic_ms() > deadline:
            raise TimeoutError(f"still not so after {within_s} s")
        await asyncio.sleep(0.01)


async def arrived(settings: Settings, name: TopicName = "ledger") -> list[Event]:
    """Every event on a topic, each organization's in the order of the log."""
    return [event for values in (await arrived_by_partition(settings, name)).values() for event in values]


async def arrived_by_partition(settings: Settings, name: TopicName = "ledger") -> dict[int, list[Event]]:
    """Every event on a topic, by partition, in order."""
    records = await records_of(settings, name)
    return {partition: [event for value in values for event in json.loads(value)]
            for partition, values in records.items()}  # fmt: skip


async def records_of(settings: Settings, name: TopicName = "ledger") -> dict[int, list[bytes]]:
    """The values of all records on a topic, by partition, in order."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=settings.kafka, auto_offset_reset="earliest", enable_auto_commit=False
    )
    await consumer.start()
    try:
        full = topic(settings, name)
        await consumer.topics()
        partitions = [TopicPartition(full, p) for p in range(4)]
        consumer.assign(partitions)
        ends = await consumer.end_offsets(partitions)
        found: dict[int, list[bytes]] = {p.partition: [] for p in partitions}
        while any([await consumer.position(p) < ends[p] for p in partitions]):
            for partition, records in (await consumer.getmany(timeout_ms=200)).items():
                found[partition.partition] += [record.value for record in records]
        return found
    finally:
        await consumer.stop()
