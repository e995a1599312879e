"""An enforcer that is gone for good is forgotten through ingest, in every partition of the ledger."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from services.adapters.keys import Role, new_key, write_keys
from services.adapters.settings import Settings
from services.adapters.web import listening
from services.ingest.app import build
from services.ingest.settings import IngestSettings
from tests.integration.enforcing import PARTITIONS, Client, SlowAggregator, slow_aggregator

FAREWELL = {"enforcer": "enforcer-1f0c9a2b", "by": "ada", "reason": "its machine is gone"}


@pytest.fixture
async def aggregator(broker: str, prefix: str) -> AsyncIterator[SlowAggregator]:
    async with slow_aggregator(Settings(kafka=broker, topic_prefix=prefix)) as found:
        yield found


@pytest.fixture
async def door(
    broker: str, prefix: str, tmp_path: Path, aggregator: SlowAggregator
) -> AsyncIterator[tuple[Client, str]]:
    """Ingest, asked by an admin of everybody, and the token of acme's own admin."""
    assert aggregator.states, "the topics exist"
    made = [new_key(Role.ADMIN, organization) for organization in ("*", "acme")]
    write_keys(tmp_path / "keys.json", [record for _, record in made])
    settings = IngestSettings(
        kafka=broker, topic_prefix=prefix, keys_file=tmp_path / "keys.json", data_dir=tmp_path, port=0
    )
    async with listening(build(settings), settings) as port, aiohttp.ClientSession() as session:
        yield Client(session, f"http://127.0.0.1:{port}", made[0][0]), made[1][0]


async def test_every_partition_hears_of_it(door: tuple[Client, str], aggregator: SlowAggregator) -> None:
    answer = await door[0].post("/v1/enforcers/forget", FAREWELL)
    assert (answer.status, answer.body["durability"]) == (202, "kafka")
    assert sorted(one["partition"] for one in answer.body["positions"]) == list(range(PARTITIONS))
    events = await aggregator.events()
    assert [event["type"] for event in events] == ["spendgate.enforcer.forgotten.v1"] * PARTITIONS
    assert len({event["id"] for event in events}) == 1
    assert {event["data"]["key_id"] for event in events} != {None}
    assert all(FAREWELL.items() <= event["data"].items() for event in events)


async def test_only_who_may_touch_everybody_may_forget(door: tuple[Client, str]) -> None:
    admin, token = door
    stranger = Client(admin.session, admin.url, token)
    answer = await stranger.post("/v1/enforcers/forget", FAREWELL)
    assert (answer.status, answer.body["error"]["code"]) == (403, "other_organization")
    assert (await admin.post("/v1/enforcers/forget", {**FAREWELL, "enforcer": "No Such Name"})).status == 422
