"""The enforcer as a library: the same engine in the gateway's own process, on a real broker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.adapters.web_errors import ApiError
from services.core.ask import Ask
from services.core.decide import Action, Reason
from services.enforcer.embedded import Enforcer, NotReady
from services.enforcer.report import Report
from services.enforcer.settings import EnforcerSettings
from tests.integration.enforcing import SlowAggregator, slow_aggregator

UNPACED = {"soft": "0.8", "throttle": "1.0", "hard": "1.0"}
DAY = {"name": "company-day", "limit_usd": "0.10", "window": "day", "tiers": UNPACED}
ASK = Ask(organization="acme", user="alice", model="gpt-4o", input_tokens=1_000, max_output_tokens=2_000)


@pytest.fixture
def settings(broker: str, prefix: str, tmp_path: Path) -> EnforcerSettings:
    return EnforcerSettings(kafka=broker, topic_prefix=prefix, data_dir=tmp_path, claim_timeout_ms=5_000)


@pytest.fixture
async def aggregator(settings: EnforcerSettings) -> AsyncIterator[SlowAggregator]:
    async with slow_aggregator(settings) as found:
        await found.policy("acme", DAY)
        yield found


@pytest.mark.usefixtures("aggregator")
async def test_a_gateway_asks_settles_and_releases_in_its_own_process(settings: EnforcerSettings) -> None:
    async with Enforcer(settings) as enforcer:
        decisions = [await enforcer.check(ASK) for _ in range(5)]
        assert [decision.action for decision in decisions] == [Action.ALLOW] * 4 + [Action.DENY]
        assert decisions[-1].reason is Reason.BUDGET_EXCEEDED
        first, second = (decision.reservation for decision in decisions[:2])
        assert first is not None
        assert second is not None
        settled = await enforcer.settle(Report(reservation=first.id, input_tokens=10, output_tokens=10))
        assert (settled.durability, settled.cost_usd) == ("kafka", "0.000125")
        enforcer.release(second.id)
        assert (await enforcer.check(ASK)).action is Action.ALLOW
        with pytest.raises(ApiError, match="does not hold the reservation"):
            enforcer.release("rsv-other-1-1")


@pytest.mark.usefixtures("aggregator")
async def test_what_it_does_not_hold_goes_back_when_it_stops(settings: EnforcerSettings, tmp_path: Path) -> None:
    async with Enforcer(settings) as enforcer:
        decision = await enforcer.check(ASK)
        assert decision.reservation is not None
        enforcer.release(decision.reservation.id)
    other = settings.model_copy(update={"data_dir": tmp_path / "other"})
    async with Enforcer(other) as enforcer:
        asked = await asyncio.gather(*[enforcer.check(ASK) for _ in range(4)])
        assert [decision.action for decision in asked] == [Action.ALLOW] * 4


async def test_without_kafka_it_says_so(tmp_path: Path) -> None:
    settings = EnforcerSettings(kafka="127.0.0.1:1", data_dir=tmp_path)
    with pytest.raises(NotReady, match="is Kafka there"):
        async with Enforcer(settings, ready_within_s=0.2):
            raise AssertionError("it cannot be ready")
