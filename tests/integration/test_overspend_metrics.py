"""The exceptions of the bound on overspending, each provoked once: its metric moves by exactly as much, and no other.

A budget of exactly what one request may cost leaves no room for headroom: every figure follows from the prices.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from deploy.local.stack import KAFKA, Stack
from services.adapters.clock import now_ms
from services.adapters.keys import Role
from services.core.events import from_ms
from services.core.money import parse_usd
from tests.integration.enforcing import Answer, Client, position_of

pytestmark = pytest.mark.timeout(120)

JSON = "application/cloudevents+json"
NOWHERE = "http://default:@127.0.0.1:1/none"
LEASE_MS = 3_000
LASTING, MORTAL = "enforcer-0", "enforcer-1"
TERMS: Mapping[str, Mapping[str, str]] = {
    "enforcer": {"SPENDGATE_HEARTBEAT_S": "0.2", "SPENDGATE_LEASE_TTL_S": "3", "SPENDGATE_CLAIM_TIMEOUT_MS": "10000"},
    MORTAL: {"SPENDGATE_RESERVATION_TTL_S": "4", "SPENDGATE_RECLAIM_AFTER_S": "7"},
}
MODEL_USED: dict[str, Any] = {"gen_ai.request.model": "gpt-4o"}
ESTIMATE = "0.0225"
"""What a request of `Client.check` may cost in dollars; settled by default, it costs 0.0035."""
OVERRUN = 3_000
"""Output tokens of a settlement that costs 0.0325: 0.01 more than was reserved."""
PREFIX = "spendgate_overspend_"


@dataclass(frozen=True, slots=True)
class House:
    """The services, and what they have counted of overspending."""

    stack: Stack
    session: aiohttp.ClientSession

    def client(self, name: str) -> Client:
        """One enforcer."""
        return Client(self.session, self.stack.url(name), self.stack.token(Role.EDGE))

    async def policy(self, organization: str, *budgets: Mapping[str, Any]) -> None:
        """Put budgets in force, and wait until both enforcers know them."""
        policy = {"organization": organization, "budgets": [{"window": "total", **budget} for budget in budgets]}
        body = {"policy": policy, "by": "test", "reason": "limits"}
        admin = Client(self.session, self.stack.url("ingest"), self.stack.token(Role.ADMIN))
        version = (await _ok(admin.post("/v1/policies", body))).body["version"]
        for name in (LASTING, MORTAL):
            if self.stack.process(name).running:
                while await self._version(name, organization) < version:
                    await asyncio.sleep(0.02)

    async def report(self, organization: str, cost_usd: str) -> Answer:
        """Report usage that nothing was reserved for."""
        event = {
            "specversion": "1.0",
            "id": f"{organization}-unreserved",
            "source": "test",
            "type": "spendgate.usage.recorded.v1",
            "time": from_ms(now_ms()).isoformat(),
            "data": {
                "organization": organization,
                **MODEL_USED,
                "gen_ai.usage.input_tokens": 1,
                "gen_ai.usage.output_tokens": 1,
                "cost_usd": cost_usd,
            },
        }
        ingest = Client(self.session, self.stack.url("ingest"), self.stack.token(Role.EDGE))
        answer = await ingest.call("POST", "/v1/events", json.dumps(event).encode(), **{"Content-Type": JSON})
        assert answer.status == 202, answer
        return answer

    async def counted(self) -> dict[str, int]:
        """All that overspending is counted as, in nano-dollars: at the aggregator, and at the lasting enforcer."""
        found: dict[str, int] = {}
        for name in ("aggregator", LASTING):
            async with self.session.get(f"{self.stack.url(name)}/metrics") as response:
                families = text_string_to_metric_families(await response.text())
                samples = [sample for family in families for sample in family.samples]
            found |= {
                sample.name.removeprefix(PREFIX).removesuffix("_nanousd_total"): int(sample.value)
                for sample in samples
                if sample.name.startswith(PREFIX) and sample.name.endswith("_total")
            }
        return found

    @asynccontextmanager
    async def moving(self, **expected: int) -> AsyncIterator[None]:
        """Wait until what happens in the block has moved some metrics, by so many nano-dollars each, and no others."""
        before = await self.counted()
        yield
        while True:
            after = await self.counted()
            moved = {why: value - before.get(why, 0) for why, value in after.items() if value != before.get(why, 0)}
            if all(moved.get(why, 0) >= amount for why, amount in expected.items()):
                break
            await asyncio.sleep(0.05)
        assert moved == expected

    async def settled_nanousd(self, organization: str, after: Answer) -> int:
        """What an organization has spent, once a settlement has been applied."""
        partition, offset = position_of(after)
        path = f"/v1/status/org:{organization}?after={partition}:{offset}&wait_ms=30000"
        status = (await _ok(self.client(LASTING).call("GET", path))).body
        assert status["reached"]
        (total,) = [window for window in status["windows"] if window["window"] == "total"]
        return parse_usd(total["settled_usd"])

    async def _version(self, name: str, organization: str) -> int:
        status = await _ok(self.client(name).call("GET", f"/v1/status/org:{organization}"))
        version: int = status.body["policy_version"]
        return version


async def _ok(asking: Any) -> Answer:
    answer: Answer = await asking
    assert answer.status == 200, answer
    return answer


@pytest.fixture(scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    """Two enforcers, one of whom is soon given up when it is silent; with a broker of their own, to be paused."""
    names = ("ingest", "aggregator", LASTING, MORTAL)
    stack = Stack(tmp_path_factory.mktemp("house"), names, clickhouse=NOWHERE, environment=TERMS)
    async with stack, aiohttp.ClientSession() as session:
        for name in (LASTING, MORTAL):
            await Client(session, stack.url(name), stack.token(Role.EDGE)).leased()
        yield House(stack, session)


async def test_a_gateway_that_breaks_its_own_cap_overruns_and_beyond_its_share_overdraws(house: House) -> None:
    enforcer = house.client(LASTING)
    await house.policy("roomy", {"name": "all", "limit_usd": "1000"})
    await house.policy("tight", {"name": "all", "limit_usd": ESTIMATE})
    async with house.moving(overrun=20_000_000, overdrawn=10_000_000):
        settled = await _ok(enforcer.settle(await enforcer.reserve(organization="roomy"), output_tokens=OVERRUN))
        assert await house.settled_nanousd("roomy", settled) == parse_usd("0.0325")
        settled = await _ok(enforcer.settle(await enforcer.reserve(organization="tight"), output_tokens=OVERRUN))
        assert await house.settled_nanousd("tight", settled) - parse_usd(ESTIMATE) == 10_000_000


async def test_usage_reported_without_a_reservation_is_counted_where_a_budget_blocks(house: House) -> None:
    await house.policy("lenient", {"name": "all", "limit_usd": "0.10", "on_hard": "monitor"})
    await house.policy("strict", {"name": "all", "limit_usd": "0.10"})
    async with house.moving(unreserved=300_000_001):
        assert await house.settled_nanousd("lenient", await house.report("lenient", "0.70")) == parse_usd("0.70")
        await house.report("strict", "0.300000001")


async def test_what_a_dead_enforcer_held_is_counted_when_others_may_have_it(house: House) -> None:
    mortal, lasting = house.client(MORTAL), house.client(LASTING)
    await house.policy(
        "bereft",
        {"name": "all", "limit_usd": "0.026"},
        {"name": "each", "scope": {"user": "*"}, "limit_usd": "0.026"},
    )
    whose: dict[str, Any] = {"organization": "bereft", "user": "ann"}
    async with house.moving(reclaimed=2 * parse_usd(ESTIMATE)):
        settled = await _ok(mortal.settle(await mortal.reserve(**whose)))
        assert await house.settled_nanousd("bereft", settled) == parse_usd("0.0035")
        lost = await mortal.reserve(**whose)
        assert (await lasting.check(**whose)).status == 429
        await house.stack.kill(MORTAL)
    async with house.moving(unreserved=1):
        while (await lasting.check(**whose)).status == 429:  # it asks again for what it was refused
            await asyncio.sleep(0.05)
        late = await _ok(lasting.settle(lost, **whose, **MODEL_USED))
        assert await house.settled_nanousd("bereft", late) == parse_usd("0.0070")
        await house.report("bereft", "0.000000001")  # what came late is counted by now, if it is counted twice


async def test_a_limit_lowered_below_what_is_granted_exposes_the_difference(house: House) -> None:
    await house.policy("shrinking", {"name": "all", "limit_usd": ESTIMATE})
    reservation = await house.client(LASTING).reserve(organization="shrinking")
    async with house.moving(shrunk=12_500_000):
        await house.policy("shrinking", {"name": "all", "limit_usd": "0.01"})
    settled = await _ok(house.client(LASTING).settle(reservation, output_tokens=2000))
    assert await house.settled_nanousd("shrinking", settled) - parse_usd("0.01") == 12_500_000


async def test_without_kafka_shares_are_spent_until_the_lease_is_over(house: House) -> None:
    enforcer, whose = house.client(LASTING), {"organization": "cut-off"}
    await house.policy("cut-off", {"name": "all", "limit_usd": "1000"})
    reservation = await enforcer.reserve(**whose)
    house.stack.pause(KAFKA)
    try:
        answers = [await enforcer.check(**whose)]
        settling = asyncio.create_task(enforcer.settle(reservation))
        while answers[-1].status == 200:
            await asyncio.sleep(0.05)
            answers.append(await enforcer.check(**whose))
        *allowed, refused = answers
        assert (await settling).body["durability"] == "spool"
    finally:
        house.stack.resume(KAFKA)
    assert len(allowed) > 1
    stale_ms = [answer.body["stale_ms"] for answer in allowed]
    assert stale_ms == sorted(stale_ms)
    assert stale_ms[-1] <= LEASE_MS < refused.body["stale_ms"]
    assert (refused.status, refused.body["error"]["code"]) == (503, "state_unknown")
    while (again := await enforcer.check(**whose)).status == 503:
        await asyncio.sleep(0.05)
    assert again.status == 200
    assert again.body["stale_ms"] < LEASE_MS
