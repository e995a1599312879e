"""The ledger folded anew: changelogs and what was published must be its word, event by event, as far as it is kept."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.records_to_delete import RecordsToDelete

from services.adapters.clock import now_ms
from services.adapters.kafka import partition_for
from services.adapters.settings import Settings
from services.adapters.topics import TopicName, topic
from services.aggregator.changelog import Message, Messages
from services.aggregator.replay import Audit, replay
from services.aggregator.settings import AggregatorSettings
from services.core.events import from_ms
from services.core.outcomes import Alert, AlertRaised
from services.core.pricing import PriceBook
from tests.integration.aggregating import read_all, with_keys
from tests.integration.enforcing import PARTITIONS, SlowAggregator, slow_aggregator

PARTITION = partition_for("acme", PARTITIONS)
REQUESTS = 12
OUTCOMES = 2 + REQUESTS + 1 + 1
"""Alerts at 50% and 75%, a charge for each request, one rejection, and the policy in the audit log."""


@pytest.fixture
async def aggregator(broker: str, prefix: str, tmp_path: Path) -> AsyncIterator[SlowAggregator]:
    """One that has applied requests of acme, a transaction for each: with alerts, a duplicate and a rejection."""
    keys_file, _ = with_keys(tmp_path)
    async with slow_aggregator(AggregatorSettings(kafka=broker, topic_prefix=prefix, keys_file=keys_file)) as found:
        await found.policy("acme", {"name": "month", "limit_usd": "15", "window": "month"})
        for number in range(REQUESTS):
            await request(found, f"e{number}", "1")
        await request(found, "e0", "1")
        await request(found, "bad", "-1")
        yield found


async def append(aggregator: SlowAggregator, name: str, cost_usd: str) -> None:
    """One request of acme, in the ledger and not applied yet."""
    data = {"organization": "acme", "gen_ai.request.model": "gpt-4o", "cost_usd": cost_usd}
    await aggregator.append("acme", "spendgate.usage.recorded.v1", name, data)


async def request(aggregator: SlowAggregator, name: str, cost_usd: str) -> None:
    """One request of acme, applied in a transaction of its own."""
    await append(aggregator, name, cost_usd)
    await aggregator.advance()


def forged(messages: Messages, name: TopicName, before: bytes, after: bytes) -> Messages:
    """What a transaction would write, with something else in one topic."""
    found: list[Message] = [(key, (value or b"").replace(before, after)) for key, value in messages[name]]
    assert found != messages[name], "nothing was forged"
    return {**messages, name: found}


async def publish_all(aggregator: SlowAggregator, messages: Messages) -> None:
    """Write all messages of a transaction, topic by topic."""
    for name in messages:
        await aggregator.write(name, PARTITION, messages)


async def publish(aggregator: SlowAggregator, name: TopicName, *values: bytes) -> None:
    """Somebody writes records to a topic."""
    await aggregator.write(name, PARTITION, {name: [(None, value) for value in values]})


async def values_of(aggregator: SlowAggregator, name: TopicName) -> list[bytes]:
    return [record.value for record in await read_all(aggregator.settings, name)]


async def audit(settings: Settings) -> Audit:
    return await replay(settings, PriceBook.bundled())


async def test_what_was_published_is_what_the_ledger_gives_byte_for_byte(aggregator: SlowAggregator) -> None:
    found = await audit(aggregator.settings)
    assert (list(found.differences), found.events) == ([], OUTCOMES)
    assert found.records == REQUESTS + 3


async def test_what_others_publish_on_the_same_topics_is_theirs(aggregator: SlowAggregator) -> None:
    alert = Alert(
        alert="expected", organization="acme", budget="month", scope="org:acme", window="month:2026-12", threshold="1",
        severity="warning", settled_usd="1", limit_usd="15", raised_at_ms=1, ledger_partition=PARTITION,
        ledger_offset=3, kind="projection",
    )  # fmt: skip
    foreseen = AlertRaised(id="expected", source="spendgate/forecaster", time=from_ms(now_ms()), data=alert)
    await publish(aggregator, "alerts", msgspec.json.encode([foreseen]))
    await request(aggregator, "e-last", "3")
    found = await audit(aggregator.settings)
    assert (list(found.differences), found.events) == ([], OUTCOMES + 3), "a charge, and the alerts at 90% and 100%"


async def test_a_charge_that_was_published_twice_is_found(aggregator: SlowAggregator) -> None:
    await publish(aggregator, "charges", (await values_of(aggregator, "charges"))[-1])
    (difference,) = (await audit(aggregator.settings)).differences
    assert (difference.table, difference.replayed) == ("charges", None)


async def test_a_charge_that_says_something_else_is_found_and_the_rest_is_compared(aggregator: SlowAggregator) -> None:
    await append(aggregator, "forged", "0.5")
    (messages,) = (await aggregator.fold_only()).values()
    await publish_all(aggregator, forged(messages, "charges", b"500000000", b"1"))
    await request(aggregator, "e-last", "0.5")
    found = await audit(aggregator.settings)
    (difference,) = found.differences
    sides = [json.loads(side or b"")["data"]["cost_nanousd"] for side in (difference.recorded, difference.replayed)]
    assert (difference.table, sides, found.events) == ("charges", [1, 500_000_000], OUTCOMES + 2)


async def test_an_audit_entry_that_names_somebody_else_is_found(aggregator: SlowAggregator) -> None:
    data = {"organization": "acme", "version": 2, "policy": {"organization": "acme", "budgets": []}, "by": "ada"}
    await aggregator.append("acme", "spendgate.policy.changed.v1", "acme-2", data)
    (messages,) = (await aggregator.fold_only()).values()
    await publish_all(aggregator, forged(messages, "audit", b'"ada"', b'"eve"'))
    (difference,) = (await audit(aggregator.settings)).differences
    sides = [json.loads(side or b"")["data"]["by"] for side in (difference.recorded, difference.replayed)]
    assert (difference.table, sides) == ("audit", ["eve", "ada"])


async def test_an_alert_that_was_never_published_is_found(aggregator: SlowAggregator) -> None:
    await append(aggregator, "over", "3")
    (messages,) = (await aggregator.fold_only()).values()
    assert messages.pop("alerts")
    await publish_all(aggregator, messages)
    (difference,) = (await audit(aggregator.settings)).differences
    assert (difference.table, difference.recorded) == ("alerts", None)


async def test_what_is_no_record_of_events_is_found(aggregator: SlowAggregator) -> None:
    await publish(aggregator, "rejected", b"{")
    (difference,) = (await audit(aggregator.settings)).differences
    assert (difference.table, difference.recorded, difference.replayed) == ("rejected", b"{", None)


async def test_what_retention_has_removed_is_not_missed(aggregator: SlowAggregator) -> None:
    charges = await read_all(aggregator.settings, "charges")
    cut = {TopicPartition(topic(aggregator.settings, "charges"), PARTITION): charges[5].offset}
    admin = AIOKafkaAdminClient(bootstrap_servers=aggregator.settings.kafka)
    await admin.start()
    await admin.delete_records({source: RecordsToDelete(before_offset=offset) for source, offset in cut.items()})
    await admin.close()
    found = await audit(aggregator.settings)
    assert (list(found.differences), found.events) == ([], OUTCOMES - 5)


async def test_what_is_published_beyond_the_recorded_position_is_left_for_the_next_audit(
    aggregator: SlowAggregator,
) -> None:
    template = json.loads((await values_of(aggregator, "charges"))[-1])[0]
    template["id"], template["data"]["ledger_offset"] = "later", 1_000
    await publish(aggregator, "charges", json.dumps([template]).encode())
    assert list((await audit(aggregator.settings)).differences) == []
