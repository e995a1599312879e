"""Policies and boosts through ingest, as the aggregator's answer comes back over the changelog."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from services.adapters.kafka import partition_for
from services.adapters.settings import Settings
from services.adapters.topics import ensure_topics, topic
from services.adapters.web import listening
from services.cli.api import open_api
from services.cli.connection import Connection
from services.core.effects import GrantedBoost, PolicyEntry
from services.ingest.app import build
from services.ingest.settings import IngestSettings
from tests.integration.enforcing import slow_aggregator
from tests.integration.ingesting import Client, arrived, make_keys, usage

PARTITION = partition_for("acme", 4)
POLICY: dict[str, Any] = {"organization": "acme", "budgets": [{"name": "month", "limit_usd": "50", "window": "month"}]}
CHANGE = {"policy": POLICY, "by": "alice"}
BOOST = {"organization": "acme", "budget": "month", "amount_usd": "5", "until": "2099-01-01T00:00:00Z", "by": "alice"}


class Applier:
    """Puts in force what stands in the ledger, as the aggregator would: one entry of the changelog each event."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def publish(self, entry: PolicyEntry) -> None:
        """One entry, committed."""
        producer = AIOKafkaProducer(bootstrap_servers=self._settings.kafka, acks="all")
        await producer.start()
        try:
            name = topic(self._settings, "policies")
            value = msgspec.json.encode(entry)
            await producer.send_and_wait(name, value, key=entry.organization.encode(), partition=PARTITION)
        finally:
            await producer.stop()

    async def _run(self) -> None:
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._settings.kafka, auto_offset_reset="earliest", enable_auto_commit=False
        )
        await consumer.start()
        consumer.assign([TopicPartition(topic(self._settings, "ledger"), PARTITION)])
        entry: PolicyEntry | None = None
        try:
            async for record in consumer:
                for event in json.loads(record.value):
                    entry = apply(entry, event["data"], record.offset)
                    await self.publish(entry)
        finally:
            await consumer.stop()


def apply(entry: PolicyEntry | None, data: dict[str, Any], offset: int) -> PolicyEntry:
    """The entry after one event."""
    if "policy" in data:
        facts = {name: data[name] for name in ("organization", "version", "policy", "by")}
        return PolicyEntry(**facts, reason=data.get("reason", ""), offset=offset)
    assert entry is not None
    boost = GrantedBoost(budget=data["budget"], amount_usd=data["amount_usd"], until_ms=1, by=data["by"], reason="")
    return msgspec.structs.replace(entry, boosts=(*entry.boosts, boost), offset=offset)


async def in_ledger(settings: Settings, *, events: int) -> None:
    """Wait until the ledger holds so many events."""
    async with asyncio.timeout(30):
        while len(await arrived(settings)) < events:
            await asyncio.sleep(0.01)


@pytest.fixture
def without_topics(broker: str, prefix: str, tmp_path: Path) -> IngestSettings:
    return IngestSettings(
        kafka=broker,
        topic_prefix=prefix,
        keys_file=tmp_path / "keys.json",
        data_dir=tmp_path,
        append_timeout_s=30.0,
        apply_wait_s=20.0,
    )


@pytest.fixture
async def settings(without_topics: IngestSettings) -> IngestSettings:
    await ensure_topics(without_topics)
    return without_topics


@pytest.fixture
async def applier(settings: IngestSettings) -> AsyncIterator[Applier]:
    applier = Applier(settings)
    yield applier
    await applier.stop()


@pytest.fixture
async def ingest(settings: IngestSettings, tmp_path: Path) -> AsyncIterator[Client]:
    tokens = make_keys(tmp_path / "keys.json")
    async with (
        listening(build(settings), settings) as port,
        aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session,
    ):
        client = Client(session, tokens)
        await client.until_policies_known()
        yield client


async def test_a_policy_is_in_force_when_it_is_answered(ingest: Client, applier: Applier) -> None:
    admin, viewer = ingest.tokens.admin, ingest.tokens.viewer
    assert (await ingest.get("/v1/policies/acme", token=viewer)).body["error"]["code"] == "no_policy"
    applier.start()
    first = await ingest.post("/v1/policies", {**CHANGE, "expected_version": 0}, token=admin)
    second = await ingest.post("/v1/policies", {**CHANGE, "expected_version": 1, "reason": "more"}, token=admin)
    assert [(a.status, a.body["version"], a.body["applied"]) for a in (first, second)] == [
        (200, 1, True),
        (200, 2, True),
    ]
    shown = await ingest.get("/v1/policies/acme", token=viewer)
    assert (shown.status, shown.body["version"], shown.body["reason"]) == (200, 2, "more")
    assert shown.body["policy"]["budgets"][0]["name"] == "month"
    stale = await ingest.post("/v1/policies", {**CHANGE, "expected_version": 1}, token=admin)
    assert (stale.status, stale.body["error"]["code"], stale.body["current_version"]) == (409, "version_conflict", 2)


async def test_the_key_behind_a_change_is_on_record_and_cannot_be_claimed(
    ingest: Client, settings: IngestSettings
) -> None:
    admin = ingest.tokens.admin
    key_id = json.loads((settings.keys_file or Path()).read_text())[-1]["id"]
    async with slow_aggregator(settings) as aggregator:
        for path, body in (("/v1/policies", CHANGE), ("/v1/boosts", BOOST)):
            claimed = await ingest.post(path, {**body, "key_id": "somebody"}, token=admin)
            assert (claimed.status, claimed.body["error"]["field"]) == (422, "key_id")
            posting = asyncio.create_task(ingest.post(path, body, token=admin))
            while not posting.done():
                await aggregator.advance()
            assert (await posting).status == 200
    shown = (await ingest.get("/v1/policies/acme", token=admin)).body
    assert (shown["by"], shown["key_id"]) == ("alice", key_id)
    assert [(boost["by"], boost["key_id"]) for boost in shown["boosts"]] == [("alice", key_id)]


async def test_an_entry_that_cannot_be_read_keeps_no_policy_from_being_followed(
    ingest: Client, settings: IngestSettings
) -> None:
    async with slow_aggregator(settings) as aggregator:
        await aggregator.write("policies", PARTITION, {"policies": [(b"broken", b"{")]})
        posting = asyncio.create_task(ingest.post("/v1/policies", CHANGE, token=ingest.tokens.admin))
        while not posting.done():
            await aggregator.advance()
        assert (await posting).body["applied"]
    assert (await ingest.get("/readyz")).status == 200


async def test_a_boost_needs_its_budget_and_is_shown_with_the_policy(ingest: Client, applier: Applier) -> None:
    admin = ingest.tokens.admin
    applier.start()
    assert (await ingest.post("/v1/boosts", BOOST, token=admin)).status == 422
    await ingest.post("/v1/policies", CHANGE, token=admin)
    answer = await ingest.post("/v1/boosts", BOOST, token=admin)
    assert (answer.status, answer.body["applied"], answer.body["budget"]) == (200, True, "month")
    shown = await ingest.get("/v1/policies/acme", token=admin)
    assert [boost["amount_usd"] for boost in shown.body["boosts"]] == ["5"]
    past = await ingest.post("/v1/boosts", {**BOOST, "until": "2020-01-01T00:00:00Z"}, token=admin)
    assert (past.status, past.body["error"]["field"]) == (422, "until")


async def test_who_loses_a_race_for_a_version_hears_of_it(
    ingest: Client, applier: Applier, settings: IngestSettings
) -> None:
    admin = ingest.tokens.admin
    await ingest.post("/v1/events", usage(1), token=admin)  # stands for the change of another instance, at offset 0
    posting = asyncio.create_task(ingest.post("/v1/policies", CHANGE, token=admin))
    await in_ledger(settings, events=2)
    elsewhere = PolicyEntry(organization="acme", version=1, policy=POLICY, by="bob", reason="", offset=0)
    await applier.publish(elsewhere)
    answer = await posting
    assert (answer.status, answer.body["error"]["code"], answer.body["current_version"]) == (409, "version_conflict", 1)
    assert (await ingest.get("/v1/policies/acme", token=admin)).body["by"] == "bob"


async def test_a_change_that_was_replaced_at_once_was_in_force_all_the_same(
    ingest: Client, applier: Applier, settings: IngestSettings
) -> None:
    posting = asyncio.create_task(ingest.post("/v1/policies", CHANGE, token=ingest.tokens.admin))
    await in_ledger(settings, events=1)
    await applier.publish(PolicyEntry(organization="acme", version=2, policy=POLICY, by="bob", reason="", offset=1))
    answer = await posting
    assert (answer.status, answer.body["version"], answer.body["applied"]) == (200, 1, True)


async def test_the_command_line_waits_until_ingest_knows_the_policies(
    without_topics: IngestSettings, tmp_path: Path
) -> None:
    tokens = make_keys(tmp_path / "keys.json")
    async with listening(build(without_topics), without_topics) as port:
        url = f"http://127.0.0.1:{port}"
        connection = Connection(without_topics, url, None, tokens.admin, "this test")
        async with open_api(connection) as api, aiohttp.ClientSession(url) as session:
            asking = asyncio.create_task(api.policy("acme"))
            answer = await Client(session, tokens).get("/v1/policies/acme", token=tokens.admin)
            assert (answer.status, answer.body["error"]["code"]) == (503, "policies_unknown")
            await ensure_topics(without_topics)
            assert await asking is None
