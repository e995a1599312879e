"""Gateways and a real enforcer process: it is killed, frozen and stopped, and they get what they were promised."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest

from deploy.local.ports import free_port
from deploy.local.process import Process
from deploy.local.service import service_program
from services.adapters.settings import Settings
from services.client import Ask, AsyncClient, Backoff, Client, OnUnavailable, Refused, Usage
from tests.integration.enforcing import Keys, SlowAggregator, make_keys, slow_aggregator

QUICK = Backoff(first_s=0.02, max_s=0.1)
ASK = Ask(organization="acme", project="search", model="gpt-4o", input_tokens=1000, max_output_tokens=2000)
USED = Usage(input_tokens=1000, output_tokens=100)
DAY = {"name": "company-day", "limit_usd": "100", "window": "day"}


@dataclass(frozen=True, slots=True)
class Enforcer:
    """A process, where its RPC listens, and who may ask."""

    process: Process
    socket: Path
    keys: Keys
    aggregator: SlowAggregator

    @property
    def address(self) -> str:
        return f"unix://{self.socket}"

    def client(self, on_unavailable: OnUnavailable = "closed", *, timeout_s: float = 30.0) -> AsyncClient:
        return AsyncClient(
            self.address, self.keys.edge, on_unavailable=on_unavailable, timeout_s=timeout_s, backoff=QUICK
        )


@pytest.fixture
async def enforcer(broker: str, prefix: str, tmp_path: Path) -> AsyncIterator[Enforcer]:
    keys, path = make_keys(tmp_path), tmp_path / "rpc.sock"
    environment = {
        "SPENDGATE_KAFKA": broker,
        "SPENDGATE_TOPIC_PREFIX": prefix,
        "SPENDGATE_KEYS_FILE": str(keys.path),
        "SPENDGATE_RPC_SOCKET": str(path),
        "SPENDGATE_CLAIM_TIMEOUT_MS": "5000",
        "SPENDGATE_APPEND_TIMEOUT_S": "30",
    }
    program = service_program("enforcer", free_port(), tmp_path / "data", tmp_path / "log", environment)
    process = Process(program)
    async with slow_aggregator(Settings(kafka=broker, topic_prefix=prefix)) as aggregator:
        await aggregator.policy("acme", DAY)
        await process.start()
        try:
            yield Enforcer(process, path, keys, aggregator)
        finally:
            await process.stop()


async def reserved(asking: AsyncClient) -> str:
    windows = (await asking.status("org:acme"))["windows"]
    return next((str(one["reserved_usd"]) for one in windows if one["window"].startswith("day:")), "0.00")


async def metrics(enforcer: Enforcer) -> str:
    url = f"http://127.0.0.1:{enforcer.process.program.env['SPENDGATE_PORT']}/metrics"
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        return await response.text()


async def test_a_gateway_asks_settles_and_releases(enforcer: Enforcer) -> None:
    async with enforcer.client() as asking:
        first, second = await asyncio.gather(asking.check(ASK), asking.check(ASK))
        assert (first.action, first.project, first.max_output_tokens, first.unavailable) == (
            "allow",
            "search",
            2000,
            False,
        )
        assert (first.detail, [line.budget for line in first.budgets]) == ("brief", ["company-day"])
        assert await reserved(asking) == "0.045"
        settled = await asking.settle(first, USED)
        assert (settled.cost_usd, settled.durability, settled.repeated) == ("0.0035", "kafka", False)
        assert (await asking.settle(first, USED)).repeated
        await asking.release(second)
        assert await reserved(asking) == "0.00"
        await enforcer.aggregator.advance()
        (position,) = settled.positions
        status = await asking.status("org:acme", after=(position["partition"], position["offset"]), wait_ms=20_000)
        assert status["reached"]
        assert (await asking.ping())["restored"]
        with pytest.raises(Refused, match="another organization"):
            await asking.check(Ask(organization="other", model="gpt-4o", input_tokens=1))


async def test_thousands_of_checks_share_one_connection(enforcer: Enforcer) -> None:
    small = Ask(organization="acme", model="gpt-4o", input_tokens=1, max_output_tokens=1)
    async with enforcer.client() as asking:
        decisions = await asyncio.gather(*[asking.check(small) for _ in range(3000)])
        assert len({decision.reservation.id for decision in decisions if decision.reservation}) == 3000
        await asyncio.gather(*[asking.settle(decision, USED) for decision in decisions])
        assert await reserved(asking) == "0.00"


async def test_a_killed_enforcer_is_absent_and_then_back_with_no_usage_lost(enforcer: Enforcer) -> None:
    async with enforcer.client("open") as opening, enforcer.client("closed") as closing:
        before = await opening.check(ASK)
        await closing.ping()
        await enforcer.process.kill()
        allowed, denied = await opening.check(ASK), await closing.check(ASK)
        assert (allowed.allowed, allowed.unavailable) == (True, True)
        assert (denied.allowed, denied.unavailable) == (False, True)
        # Asked while nobody is there; the next life does not know the reservation, and counts it all the same.
        settling = asyncio.create_task(opening.settle(before, USED, timeout_s=60.0))
        await enforcer.process.start()
        settled = await settling
        assert (settled.cost_usd, settled.estimate_usd, settled.durability) == ("0.0035", None, "kafka")
        (event,) = await enforcer.aggregator.events()
        after = [await asking.check(ASK) for asking in (opening, closing)]
        assert [(decision.allowed, decision.unavailable) for decision in after] == [(True, False)] * 2
        assert before.reservation is not None
        assert (event["id"], event["data"]["project"]) == (before.reservation.id, "search")


async def test_a_frozen_enforcer_costs_a_timeout_and_what_it_reserved_late_is_given_back(enforcer: Enforcer) -> None:
    async with enforcer.client("open") as asking:
        await asking.ping()
        enforcer.process.pause()
        late = await asking.check(ASK, timeout_s=0.3)
        assert (late.allowed, late.unavailable, late.message.split(":")[0]) == (True, True, "timeout")
        enforcer.process.resume()
        while 'spendgate_rpc_requests_total{method="release",status="200"} 1.0' not in await metrics(enforcer):
            await asyncio.sleep(0.01)
        assert await reserved(asking) == "0.00"


async def test_sigterm_answers_what_is_in_flight_says_goodbye_and_leaves_nothing(enforcer: Enforcer) -> None:
    async with enforcer.client() as asking:
        decision = await asking.check(ASK)
        settling = [asyncio.create_task(asking.settle(decision, USED)) for _ in range(20)]
        await asking.ping()  # the calls before it have been read
        assert await enforcer.process.stop() == 0
        assert {settled.cost_usd for settled in await asyncio.gather(*settling)} == {"0.0035"}
        assert not enforcer.socket.exists()
        assert (await asking.check(ASK)).unavailable
        await enforcer.process.start()
        while (await asking.check(ASK)).unavailable:
            await asyncio.sleep(0.01)
    assert "Traceback" not in enforcer.process.program.log.read_text()


@pytest.mark.parametrize("mode", ["open", "closed"])
async def test_a_wrong_key_opens_nothing(enforcer: Enforcer, mode: OnUnavailable) -> None:
    async with AsyncClient(enforcer.address, "sg_edge_" + "A" * 43, on_unavailable=mode) as asking:
        with pytest.raises(Refused) as caught:
            await asking.check(ASK)
        assert (caught.value.status, caught.value.code) == (401, "invalid_api_key")


async def test_threads_share_a_client(enforcer: Enforcer) -> None:
    def work() -> tuple[set[str], str]:
        with Client(enforcer.address, enforcer.keys.edge, on_unavailable="closed") as asking:
            with ThreadPoolExecutor(8) as threads:
                decisions = list(threads.map(lambda _number: asking.check(ASK), range(200)))
                held = {decision.reservation.id for decision in decisions if decision.reservation}
                list(threads.map(asking.release, decisions[1:]))
            cost = asking.settle(decisions[0], USED).cost_usd
            assert asking.ping()["restored"]
            assert asking.status("org:acme")["organization"] == "acme"
            return held, str(cost)

    held, cost = await asyncio.to_thread(work)
    assert (len(held), cost) == (200, "0.0035")
