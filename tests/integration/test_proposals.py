"""Proposals through ingest: who may ask, who may decide, and what each is told when the fold has decided."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from services.adapters.keys import Role, new_key, write_keys
from services.adapters.web import listening
from services.ingest.app import build
from services.ingest.settings import IngestSettings
from tests.integration.enforcing import Answer, Client, SlowAggregator, slow_aggregator

POLICY: dict[str, Any] = {
    "organization": "acme",
    "budgets": [{"name": "month", "limit_usd": "50", "window": "month"}],
    "governance": {"review": "required", "boosts_above_usd": "5"},
}
WIDER = {**POLICY, "budgets": [{"name": "month", "limit_usd": "90", "window": "month"}]}
PROPOSAL = {"policy": WIDER, "by": "ada", "reason": "growth", "expected_version": 1}
BOOST = {"organization": "acme", "budget": "month", "amount_usd": "6", "until": "2099-01-01T00:00:00Z"}


@dataclass(frozen=True, slots=True)
class Door:
    """Ingest, as each of its keys may use it; the aggregator applies the ledger while somebody waits for it."""

    aggregator: SlowAggregator
    ada: Client
    bob: Client
    viewer: Client
    globex: Client

    async def post(self, who: Client, path: str, body: dict[str, Any]) -> Answer:
        """An answer that may depend on what the aggregator makes of it."""
        posting = asyncio.create_task(who.post(path, body))
        while not posting.done():
            await self.aggregator.advance()
        return posting.result()

    async def proposed(self) -> str:
        """What ada has proposed."""
        answer = await self.post(self.ada, "/v1/proposals", PROPOSAL)
        assert (answer.status, answer.body["applied"], answer.body["version"]) == (200, True, 2), answer
        return str(answer.body["proposal"])

    async def review(self, who: Client, proposal: str, verdict: str, by: str) -> Answer:
        """What somebody says to a proposal."""
        said = {"organization": "acme", "verdict": verdict, "by": by}
        return await self.post(who, f"/v1/proposals/{proposal}/review", said)

    async def open(self) -> list[dict[str, Any]]:
        """What is open, as a viewer sees it."""
        answer = await self.viewer.call("GET", "/v1/proposals/acme")
        assert answer.status == 200
        found: list[dict[str, Any]] = answer.body["proposals"]
        return found


@asynccontextmanager
async def opened(settings: IngestSettings) -> AsyncIterator[Door]:
    made = [new_key(Role.ADMIN, "*"), new_key(Role.ADMIN, "acme"), new_key(Role.VIEWER, "acme")]
    made.append(new_key(Role.ADMIN, "globex"))
    assert settings.keys_file is not None
    write_keys(settings.keys_file, [record for _, record in made])
    async with (
        slow_aggregator(settings) as aggregator,
        listening(build(settings), settings) as port,
        aiohttp.ClientSession() as session,
    ):
        people = [Client(session, f"http://127.0.0.1:{port}", token) for token, _ in made]
        door = Door(aggregator, *people)
        while (await door.viewer.call("GET", "/v1/policies/acme")).status == 503:
            pass
        yield door


@pytest.fixture
async def door(broker: str, prefix: str, tmp_path: Path) -> AsyncIterator[Door]:
    """With a policy in force that asks for a second person."""
    settings = IngestSettings(
        kafka=broker,
        topic_prefix=prefix,
        keys_file=tmp_path / "keys.json",
        data_dir=tmp_path,
        append_timeout_s=30.0,
        apply_wait_s=20.0,
    )
    async with opened(settings) as door:
        first = await door.post(door.ada, "/v1/policies", {"policy": POLICY, "by": "ada"})
        assert (first.status, first.body["version"]) == (200, 1), first
        yield door


def refusal(answer: Answer) -> tuple[int, str]:
    return answer.status, answer.body["error"]["code"]


async def test_what_two_agree_on_is_in_force_when_the_second_is_answered(door: Door) -> None:
    proposal = await door.proposed()
    (found,) = await door.open()
    assert (found["proposal"], found["by"], found["base"], found["reason"]) == (proposal, "ada", 1, "growth")
    assert refusal(await door.review(door.ada, proposal, "approve", "bob")) == (409, "same_person")
    assert refusal(await door.review(door.bob, proposal, "approve", "ada")) == (409, "same_person")
    answer = await door.review(door.bob, proposal, "approve", "bob")
    assert (answer.status, answer.body["applied"], answer.body["version"]) == (200, True, 2)
    shown = (await door.viewer.call("GET", "/v1/policies/acme")).body
    assert (shown["version"], shown["by"], shown["approved_by"]) == (2, "ada", "bob")
    assert shown["policy"]["budgets"][0]["limit_usd"] == "90"
    assert await door.open() == []
    assert refusal(await door.review(door.bob, proposal, "approve", "bob")) == (404, "no_proposal")


async def test_what_needs_a_second_person_is_refused_from_one_with_the_way_to_go(door: Door) -> None:
    direct = await door.ada.post("/v1/policies", {"policy": WIDER, "by": "ada"})
    assert refusal(direct) == (409, "review_required")
    assert "/v1/proposals" in direct.body["error"]["message"]
    assert refusal(await door.ada.post("/v1/boosts", {**BOOST, "by": "ada"})) == (409, "review_required")
    small = await door.post(door.ada, "/v1/boosts", {**BOOST, "amount_usd": "5", "by": "ada"})
    assert (small.status, small.body["applied"]) == (200, True)
    asked = await door.post(door.ada, "/v1/proposals", {"boost": BOOST, "by": "ada"})
    assert (asked.status, asked.body["budget"]) == (200, "month")
    assert (await door.review(door.bob, asked.body["proposal"], "approve", "bob")).status == 200
    boosts = (await door.viewer.call("GET", "/v1/policies/acme")).body["boosts"]
    assert [(boost["amount_usd"], boost["approved_by"]) for boost in boosts] == [("5", None), ("6", "bob")]


async def test_a_proposal_is_withdrawn_by_its_author(door: Door) -> None:
    proposal = await door.proposed()
    answer = await door.review(door.ada, proposal, "reject", "ada")
    assert (answer.status, answer.body["version"]) == (200, 1)
    assert await door.open() == []


async def test_who_may_not_is_told_so(door: Door) -> None:
    proposal = await door.proposed()
    assert refusal(await door.viewer.post("/v1/proposals", PROPOSAL))[0] == 403
    assert refusal(await door.globex.post("/v1/proposals", PROPOSAL)) == (403, "other_organization")
    assert refusal(await door.globex.post("/v1/proposals", {"boost": BOOST, "by": "eve"})) == (
        403,
        "other_organization",
    )
    assert refusal(await door.review(door.globex, proposal, "approve", "eve")) == (403, "other_organization")
    assert refusal(await door.globex.call("GET", "/v1/proposals/acme")) == (403, "other_organization")
    elsewhere = {"organization": "globex", "verdict": "approve", "by": "eve"}
    hidden = await door.globex.post(f"/v1/proposals/{proposal}/review", elsewhere)
    assert refusal(hidden) == (404, "no_proposal"), "a name of another organization's is no name"


async def test_what_cannot_be_proposed_is_refused_with_the_field(door: Door) -> None:
    for body, field in (
        ({"by": "ada"}, None),
        ({**PROPOSAL, "boost": BOOST}, None),
        ({"policy": {**WIDER, "budgets": [{"name": "a b"}]}, "by": "ada"}, "policy.budgets[0].name"),
        ({"boost": {**BOOST, "budget": "none"}, "by": "ada"}, "boost.budget"),
        ({"boost": {**BOOST, "until": "2020-01-01T00:00:00Z"}, "by": "ada"}, "boost.until"),
        ({"policy": {**POLICY, "governance": {"owners": "required"}}, "by": "ada"}, "policy.budgets[0].owner"),
    ):
        answer = await door.ada.post("/v1/proposals", body)
        assert (answer.status, answer.body["error"].get("field")) == (422, field), answer
    assert refusal(await door.ada.post("/v1/proposals", {**PROPOSAL, "expected_version": 7})) == (
        409,
        "version_conflict",
    )
