"""Shares on a real broker: several enforcers spend one budget to its end, and an enforcer lives by its lease."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from services.enforcer.settings import EnforcerSettings
from tests.integration.enforcing import (
    Client,
    Keys,
    SlowAggregator,
    make_keys,
    running_enforcer,
    slow_aggregator,
)

UNPACED = {"soft": "0.8", "throttle": "1.0", "hard": "1.0"}
DAY = {"name": "company-day", "limit_usd": "1", "window": "day", "tiers": UNPACED}
COST = 0.0225
FAREWELL = "spendgate.enforcer.forgotten.v1"


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    return make_keys(tmp_path)


@pytest.fixture
def settings(broker: str, prefix: str, tmp_path: Path, keys: Keys) -> EnforcerSettings:
    return EnforcerSettings(kafka=broker, topic_prefix=prefix, keys_file=keys.path, data_dir=tmp_path / "enforcer")


@pytest.fixture
async def aggregator(settings: EnforcerSettings) -> AsyncIterator[SlowAggregator]:
    async with slow_aggregator(settings) as found:
        await found.policy("acme", DAY)
        yield found


def other(settings: EnforcerSettings, **changed: Any) -> EnforcerSettings:
    """Another enforcer of the same installation."""
    return settings.model_copy(update={"enforcer": "other", "data_dir": settings.data_dir / "other", **changed})


async def spend(enforcer: Client) -> int:
    """Ask for one request after the other until it is denied; how many were allowed."""
    allowed = 0
    while (answer := await enforcer.check()).status == 200:
        allowed += 1
    assert (answer.status, answer.body["reason"]) == (429, "budget_exceeded")
    return allowed


async def identity(enforcer: Client) -> str:
    return str((await enforcer.call("GET", "/v1/position")).body["enforcer"])


@pytest.mark.usefixtures("aggregator")
async def test_two_enforcers_spend_one_budget_to_its_end_and_no_further(settings: EnforcerSettings, keys: Keys) -> None:
    async with running_enforcer(settings, keys.edge) as one, running_enforcer(other(settings), keys.edge) as two:
        allowed = sum(await asyncio.gather(*[spend(enforcer) for enforcer in (one, two) for _ in range(4)]))
        assert COST * (allowed + 2) > 1 >= COST * allowed


@pytest.mark.usefixtures("aggregator")
async def test_who_stops_gives_back_what_it_does_not_hold(settings: EnforcerSettings, keys: Keys) -> None:
    async with running_enforcer(settings, keys.edge) as one:
        for reservation in [await one.reserve() for _ in range(20)]:
            await one.post("/v1/release", {"reservation": reservation})
        await one.reserve()
    async with running_enforcer(other(settings), keys.edge) as two:
        assert await spend(two) == 43


@pytest.mark.usefixtures("aggregator")
async def test_a_check_that_waits_for_a_share_holds_up_nobody(settings: EnforcerSettings, keys: Keys) -> None:
    async with running_enforcer(settings, keys.admin) as enforcer:
        await enforcer.leased()
        waiting = asyncio.create_task(enforcer.check())
        assert (await enforcer.check(organization="nobody")).status == 200
        assert (await waiting).status == 200


async def test_one_that_was_forgotten_goes_on_as_another(
    settings: EnforcerSettings, keys: Keys, aggregator: SlowAggregator
) -> None:
    async with running_enforcer(settings, keys.edge) as enforcer:
        await enforcer.reserve()
        before = await identity(enforcer)
        for organization in ("acme", "b", "c", "d", "e", "f"):
            await aggregator.append(organization, FAREWELL, organization, {"enforcer": before, "by": "ada"})
        await aggregator.advance()
        while (after := await identity(enforcer)) == before:
            await asyncio.sleep(0.01)
        assert (await enforcer.check()).status == 200
        day = await enforcer.day()
        assert day["reserved_usd"] == "0.045"
        lines = (await enforcer.call("GET", "/v1/enforcers")).body["enforcers"]
        assert {line["enforcer"]: (line["reclaimed"], line["own"]) for line in lines} == {
            before: (True, False),
            after: (False, True),
        }


async def test_without_a_sign_of_the_ledger_nothing_is_spent_after_the_lease(
    settings: EnforcerSettings, keys: Keys, aggregator: SlowAggregator
) -> None:
    brief = settings.model_copy(update={"lease_ttl_s": 1, "heartbeat_s": 0.1, "claim_timeout_ms": 500})
    async with running_enforcer(brief, keys.edge) as enforcer:
        reservation = await enforcer.reserve()
        await enforcer.post("/v1/release", {"reservation": reservation})
        await enforcer.settle(await enforcer.reserve())  # and from now on the ledger answers nobody
        while (answer := await enforcer.check(max_output_tokens=1, dry_run=True)).body["action"] == "allow":
            assert answer.body["stale_ms"] <= 1_000
        answer = await enforcer.check(max_output_tokens=1)
        assert (answer.status, answer.body["reason"], answer.headers["Retry-After"]) == (503, "state_unknown", "1")
        assert answer.body["lease_over"]
        await aggregator.advance()
        await enforcer.leased()
        assert (await enforcer.check(max_output_tokens=1)).status == 200
