"""Decisions on their topic: every denial and warning, a sample of the rest, and never at the cost of a check."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiokafka import AIOKafkaConsumer

from schemas.decision import Decision as Written
from services.adapters.lane import MAX_EVENTS
from services.adapters.metrics import Metrics
from services.adapters.publisher import MAX_RECORD_BYTES, Publisher
from services.adapters.topics import topic
from services.core.decide import decide
from services.core.decision import Decision, DecisionMade, LedgerPosition
from services.core.estimate import estimate
from services.core.explain import Known, explain
from services.core.pricing import PriceBook
from services.enforcer.publish import Decisions
from services.enforcer.sample import Sample
from services.enforcer.settings import EnforcerSettings
from tests.core.chains import NO_CAPS, NOW_MS, ask, budget, link
from tests.integration.enforcing import Keys, make_keys, running_enforcer, slow_aggregator
from tests.integration.ingesting import records_of, until


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    return make_keys(tmp_path)


@pytest.fixture
def settings(broker: str, prefix: str, tmp_path: Path, keys: Keys) -> EnforcerSettings:
    return EnforcerSettings(
        kafka=broker, topic_prefix=prefix, keys_file=keys.path, data_dir=tmp_path / "enforcer", sample_allows=0
    )


async def published(settings: EnforcerSettings) -> AsyncIterator[DecisionMade]:
    """Every decision on the topic, as it arrives."""
    consumer = AIOKafkaConsumer(
        topic(settings, "decisions"), bootstrap_servers=settings.kafka, auto_offset_reset="earliest"
    )
    decoder = msgspec.json.Decoder(list[DecisionMade])
    await consumer.start()
    try:
        async for record in consumer:
            for event in decoder.decode(record.value):
                yield event
    finally:
        await consumer.stop()


async def test_denials_and_warnings_are_published_as_they_were_answered(settings: EnforcerSettings, keys: Keys) -> None:
    async with slow_aggregator(settings) as aggregator, running_enforcer(settings, keys.edge) as enforcer:
        await enforcer.day(after=await aggregator.policy("acme", {"name": "d", "limit_usd": "0.025", "window": "day"}))
        answers = [await enforcer.check(max_output_tokens=n) for n in (100, 1500, 2000)]
        assert [answer.body["tier"] for answer in answers] == ["normal", "soft", "hard"]
        found: list[dict[str, Any]] = []
        async for event in published(settings):
            assert event.source.startswith("spendgate/enforcer/enforcer-")
            found.append(msgspec.to_builtins(event.data))
            if len(found) == 2:
                break
    for answer, decision in zip(answers[1:], found, strict=True):
        told = {name: value for name, value in answer.body.items() if name != "error"}
        assert decision == told
        assert Written.model_validate(told).decision == told["decision"]


async def test_a_plain_allow_is_answered_as_briefly_as_asked_and_a_denial_never(
    settings: EnforcerSettings, keys: Keys
) -> None:
    budgets = [{"name": name, "limit_usd": "0.025", "window": "day"} for name in ("one", "two")]
    async with slow_aggregator(settings) as aggregator, running_enforcer(settings, keys.edge) as enforcer:
        await enforcer.day(after=await aggregator.policy("acme", *budgets))
        full, brief = [await enforcer.check(max_output_tokens=100, detail=detail) for detail in ("full", "brief")]
        denied = await enforcer.check(max_output_tokens=2000, detail="brief")
        assert [answer.status for answer in (full, brief, denied)] == [200, 200, 429]
        assert [answer.body.get("detail") for answer in (full, brief, denied)] == [None, "brief", None]
        assert [len(answer.body["budgets"]) for answer in (full, brief, denied)] == [2, 1, 2]
        assert brief.body.keys() == full.body.keys() | {"detail"}
        explained = await enforcer.call("GET", f"/v1/explain/{brief.body['decision']}")
        assert explained.body == brief.body


def made(number: int, limit_nanousd: int = 10**12) -> Decision:
    prices = PriceBook.bundled()
    asked = ask(max_output_tokens=1)
    ruling = decide(asked, estimate(asked, NO_CAPS, prices, NOW_MS), [link(budget(limit_nanousd))], NO_CAPS, NOW_MS)
    return explain(ruling, f"dec-{number}", Known(1, LedgerPosition(partition=0, offset=0), prices))


def decisions(settings: EnforcerSettings, metrics: Metrics, *, sample: float, buffer_max: int = 10**6) -> Decisions:
    """The publisher, not running."""
    return Decisions(
        Publisher(settings), topic(settings, "decisions"), "test", metrics, sample=Sample(sample), buffer_max=buffer_max
    )


def test_what_does_not_fit_is_dropped_and_counted_and_nobody_waits(settings: EnforcerSettings) -> None:
    metrics = Metrics(process=False)
    full = decisions(settings, metrics, sample=0, buffer_max=3)
    for number in range(10):
        full.offer(made(number), b"{}")
    assert b"spendgate_decisions_dropped_total 0.0" in metrics.render()
    for number in range(10):
        full.offer(made(number, limit_nanousd=0), b"{}")
    assert b"spendgate_decisions_dropped_total 7.0" in metrics.render()


async def test_what_was_delivered_is_not_sent_again_when_delivering_is_cut_short(settings: EnforcerSettings) -> None:
    metrics = Metrics(process=False)
    publishing = decisions(settings, metrics, sample=0)
    total = 20 * MAX_EVENTS
    denied = made(0, limit_nanousd=0)
    for number in range(total):
        publishing.offer(msgspec.structs.replace(denied, decision=f"dec-{number}"), b"{}")
    cut_short = asyncio.create_task(publishing._deliver())
    await until(lambda: publishing._published._value.get() >= 2 * MAX_EVENTS)
    cut_short.cancel()
    await asyncio.wait([cut_short])
    publishing.finish()
    await publishing.run()
    await publishing._publisher.stop()
    (values,) = filter(None, (await records_of(settings, "decisions")).values())
    names = [event["id"] for value in values for event in msgspec.json.decode(value)]
    assert list(dict.fromkeys(names)) == [f"dec-{number}" for number in range(total)]
    assert len(names) - total <= MAX_EVENTS  # only the parcel that was on its way is sent again


async def test_what_kafka_never_takes_is_dropped_and_counted(settings: EnforcerSettings) -> None:
    metrics = Metrics(process=False)
    publishing = decisions(settings, metrics, sample=0)
    for number, size in enumerate([1, MAX_RECORD_BYTES, 1]):
        publishing.offer(made(number, limit_nanousd=0), b'"' + b"x" * size + b'"')
    publishing.finish()
    await publishing.run()
    await publishing._publisher.stop()
    assert b"decisions_published_total 2.0" in metrics.render()
    assert b"decisions_dropped_total 1.0" in metrics.render()
