"""Ingest as a process, killed and cut off under load: what it answered with 202 is in the ledger, once it can be."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from deploy.local.kafka.broker import Broker
from deploy.local.ports import free_port
from deploy.local.process import Process
from services.adapters.settings import Settings
from services.adapters.topics import ensure_topics
from tests.integration.ingesting import Client, IngestProcess, Tokens, arrived, make_keys, until, usage

KILLS = 5
EVENTS_A_REQUEST = 20
CLIENTS = 4


@pytest.fixture
async def mortal(tmp_path: Path, prefix: str) -> AsyncIterator[tuple[Settings, Process]]:
    """A broker of the test's own, to be killed, with the topics in place."""
    broker = Broker(tmp_path / "kafka", free_port(), tmp_path / "kafka.log")
    process = Process(await asyncio.to_thread(broker.program))
    await process.start()
    settings = Settings(kafka=broker.bootstrap, topic_prefix=prefix)
    await ensure_topics(settings)
    yield settings, process
    await process.stop()


class Senders:
    """Gateways that report usage all the time, sending again what was not acknowledged."""

    def __init__(self, ingest: IngestProcess, tokens: Tokens) -> None:
        self._ingest, self._tokens, self._over = ingest, tokens, False
        self.acknowledged: set[str] = set()
        self.spooled = 0

    async def run(self, number: int) -> None:
        batch = 0
        while not self._over:
            first = (number * 1_000_000) + batch * EVENTS_A_REQUEST
            events = [usage(n) for n in range(first, first + EVENTS_A_REQUEST)]
            try:
                async with self._ingest.client(self._tokens) as client:
                    answer = await client.post("/v1/events", events)
            except (aiohttp.ClientError, OSError, ValueError):
                await asyncio.sleep(0.05)
                continue
            if answer.status == 202:
                self.acknowledged |= {event["id"] for event in events}
                self.spooled += EVENTS_A_REQUEST * (answer.body["durability"] == "spool")
                batch += 1

    async def get_acknowledged(self, more: int) -> None:
        """Return once so many more events were acknowledged."""
        goal = len(self.acknowledged) + more
        await until(lambda: len(self.acknowledged) >= goal, within_s=100)

    async def get_spooled(self, more: int) -> None:
        """Return once so many more were acknowledged from the spool."""
        goal = self.spooled + more
        await until(lambda: self.spooled >= goal, within_s=100)

    def end(self) -> None:
        """Let each sender finish its request."""
        self._over = True


async def settled(ingest: IngestProcess, tokens: Tokens) -> None:
    """Wait until the spool is empty."""

    async def waiting(client: Client) -> int:
        return int((await client.get("/readyz")).body["spooled_events"])

    async with ingest.client(tokens) as client, asyncio.timeout(100):
        while await waiting(client):
            await asyncio.sleep(0.05)


@pytest.mark.timeout(600)
async def test_kills_of_ingest_and_broker_lose_nothing_acknowledged(
    mortal: tuple[Settings, Process], tmp_path: Path
) -> None:
    settings, broker = mortal
    tokens = make_keys(tmp_path / "keys.json")
    ingest = IngestProcess(settings, tmp_path, SPENDGATE_APPEND_TIMEOUT_S="0.5")
    await ingest.start()
    senders = Senders(ingest, tokens)
    running = [asyncio.create_task(senders.run(number)) for number in range(CLIENTS)]
    for kill in range(KILLS):
        await senders.get_acknowledged(10 * EVENTS_A_REQUEST)
        if kill % 2:
            await broker.kill()
            await senders.get_spooled(10 * EVENTS_A_REQUEST)
            await ingest.process.kill()
            await ingest.start()
            await broker.start()
        else:
            await ingest.process.kill()
            await ingest.start()
    senders.end()
    await asyncio.gather(*running)
    await settled(ingest, tokens)
    found = {event["id"] for event in await arrived(settings)}
    assert senders.spooled > 0
    assert senders.acknowledged <= found
    assert await ingest.process.stop() == 0


async def test_sigterm_drains_and_exits_cleanly(broker: str, prefix: str, tmp_path: Path) -> None:
    settings = Settings(kafka=broker, topic_prefix=prefix)
    await ensure_topics(settings)
    tokens = make_keys(tmp_path / "keys.json")
    ingest = IngestProcess(settings, tmp_path, SPENDGATE_APPEND_TIMEOUT_S="30")
    await ingest.start()
    async with ingest.client(tokens) as client:
        requests = [asyncio.create_task(client.post("/v1/events", [usage(n)])) for n in range(50)]
        await asyncio.sleep(0)
        assert (await client.post("/v1/events", [usage(99)])).status == 202
        stopped = asyncio.create_task(ingest.process.stop())
        answers = await asyncio.gather(*requests, return_exceptions=True)
        assert await stopped == 0
    acknowledged = sum(not isinstance(answer, BaseException) and answer.status == 202 for answer in answers) + 1
    assert len(await arrived(settings)) >= acknowledged > 1


@pytest.mark.parametrize(
    ("environment", "advice"),
    [
        ({"SPENDGATE_KEYS_FILE": "/nowhere/keys.json"}, "create one with `spendgate up`"),
        ({"SPENDGATE_TLS_CERTIFICATE": "/nowhere/cert.pem"}, "cert.pem"),
    ],
)
async def test_a_start_that_cannot_work_says_what_to_do(
    tmp_path: Path, environment: dict[str, str], advice: str
) -> None:
    make_keys(tmp_path / "keys.json")
    settings = Settings(kafka=f"127.0.0.1:{free_port()}")
    ingest = IngestProcess(settings, tmp_path, **environment)
    with pytest.raises(Exception, match="exited with 1"):
        await ingest.start()
    assert advice in (tmp_path / "ingest.log").read_text()
