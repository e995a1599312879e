"""Moves of money on real Kafka: asked for by people and by rules, made by the aggregator, once, through kills."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest

from services.adapters.clock import now_ms
from services.adapters.topics import ensure_topics
from services.adapters.web import listening
from services.aggregator.settings import AggregatorSettings
from services.core.effects import PolicyEntry
from services.core.events import from_ms
from services.ingest.app import build as build_ingest
from services.ingest.settings import IngestSettings
from services.steward.app import build as build_steward
from services.steward.settings import StewardSettings
from tests.integration.aggregating import Workers, with_keys

WAIT_S = 60.0
POLICY: dict[str, Any] = {
    "organization": "acme",
    "budgets": [
        {"name": "pool", "scope": {"project": "pool"}, "limit_usd": "10", "window": "year"},
        {"name": "search", "scope": {"project": "search"}, "limit_usd": "10", "window": "year"},
    ],
    "rules": [
        {
            "name": "top-up",
            "take_from": "pool",
            "give_to": ["search"],
            "when": "utilization >= 0.9",
            "step_usd": "2",
            "most_usd": "5",
            "cooldown": "1s",
        }
    ],
}


class Desk:
    """An admin at ingest."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self.session, self.url = session, url

    async def post(self, path: str, body: Any) -> tuple[int, dict[str, Any]]:
        async with self.session.post(self.url + path, json=body) as response:
            return response.status, await response.json()

    async def apply(self, policy: dict[str, Any]) -> None:
        async with asyncio.timeout(WAIT_S):  # an ingest that has just started does not know the policies yet
            while (told := await self.post("/v1/policies", {"policy": policy, "by": "ada"}))[0] == 503:
                await asyncio.sleep(0.1)
        status, answer = told
        assert (status, answer["applied"]) == (200, True), answer

    async def spend(self, usd: str, number: int, project: str = "search") -> None:
        data = {
            "organization": "acme", "project": project, "gen_ai.request.model": "gpt-4o", "cost_usd": usd,
            "gen_ai.usage.input_tokens": 1, "gen_ai.usage.output_tokens": 1,
        }  # fmt: skip
        event = {
            "specversion": "1.0", "id": f"u{number}", "source": "gateway", "type": "spendgate.usage.recorded.v1",
            "time": from_ms(now_ms()).isoformat().replace("+00:00", "Z"), "data": data,
        }  # fmt: skip
        status, answer = await self.post("/v1/events", event)
        assert status == 202, answer

    async def entry(self) -> PolicyEntry:
        async with self.session.get(f"{self.url}/v1/policies/acme") as response:
            return msgspec.convert(await response.json(), PolicyEntry)

    async def until(self, holds: Callable[[PolicyEntry], bool]) -> PolicyEntry:
        """The entry once something holds of it."""
        async with asyncio.timeout(WAIT_S):
            while not holds(entry := await self.entry()):
                await asyncio.sleep(0.1)
        return entry


@pytest.fixture
def keys(tmp_path: Path) -> tuple[Path, str]:
    """A keys file, and the admin's token in it."""
    return with_keys(tmp_path)


@pytest.fixture
async def settings(broker: str, prefix: str, keys: tuple[Path, str]) -> AggregatorSettings:
    keys_file, _ = keys
    chosen = AggregatorSettings(kafka=broker, topic_prefix=prefix, keys_file=keys_file, session_timeout_s=3.0)
    await ensure_topics(chosen)
    return chosen


@pytest.fixture
async def desk(settings: AggregatorSettings, tmp_path: Path, keys: tuple[Path, str]) -> AsyncIterator[Desk]:
    keys_file, token = keys
    ingest = IngestSettings(
        kafka=settings.kafka,
        topic_prefix=settings.topic_prefix,
        keys_file=keys_file,
        data_dir=tmp_path,
        apply_wait_s=30.0,
    )
    async with (
        listening(build_ingest(ingest), ingest) as port,
        aiohttp.ClientSession(headers={"Authorization": f"Bearer {token}"}) as session,
    ):
        yield Desk(session, f"http://127.0.0.1:{port}")


async def test_a_move_is_made_or_refused_with_what_is_free(
    settings: AggregatorSettings, workers: Workers, desk: Desk
) -> None:
    await workers.start(settings, "w")
    await desk.apply({**POLICY, "rules": []})
    await desk.spend("7.5", 1, "pool")
    asked = {"organization": "acme", "from_budget": "pool", "to_budget": "search", "amount_usd": "2.51", "by": "ada"}
    status, answer = await desk.post("/v1/moves", asked)
    assert (status, answer["error"]["code"]) == (409, "insufficient_room"), answer
    assert "$2.50 that is neither spent nor held" in answer["error"]["message"]
    status, answer = await desk.post("/v1/moves", {**asked, "amount_usd": "2.5"})
    assert (status, answer["applied"]) == (200, True), answer
    (made,) = (await desk.entry()).moves
    assert (made.move, made.by, made.amount_usd) == (answer["move"], "ada", "2.50")
    assert made.key_id is not None


async def test_rules_move_money_once_whatever_is_killed_and_however_many_stewards_run(
    settings: AggregatorSettings, workers: Workers, desk: Desk
) -> None:
    worker = await workers.start(settings, "w")
    await desk.apply(POLICY)
    quick = StewardSettings(
        kafka=settings.kafka,
        topic_prefix=settings.topic_prefix,
        keys_file=settings.keys_file,
        steward_look_s=0.05,
        steward_retry_s=0.1,
    )
    async with AsyncExitStack() as stewards:
        for _ in range(2):
            await stewards.enter_async_context(listening(build_steward(quick), quick))
        await desk.spend("9", 1)
        await desk.until(lambda entry: len(entry.moves) == 1)
        await worker.kill()
        await desk.spend("1.8", 2)
        await workers.start(settings, "w")
        await desk.until(lambda entry: len(entry.moves) == 2)
        await desk.spend("1.8", 3)
        entry = await desk.until(lambda entry: len(entry.moves) == 3)
    assert [move.amount_usd for move in entry.moves] == ["2.00", "2.00", "1.00"]
    assert [move.move.rpartition("/")[2] for move in entry.moves] == ["1", "2", "3"]
    assert {move.rule for move in entry.moves} == {"top-up"}
    assert entry.moves[0].reason.startswith("search has spent $9.00 of $10.00: utilization 90.0%")
