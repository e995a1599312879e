"""The aggregator refuses to run where going on would be wrong, and says what to do."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.records_to_delete import RecordsToDelete

from services.adapters.topics import ensure_topics, topic
from services.aggregator.replay import replay
from services.aggregator.settings import AggregatorSettings
from services.core.pricing import PriceBook
from tests.integration.aggregating import (
    PARTITIONS,
    Load,
    Workers,
    append,
    commit_offsets,
    ledger_ends,
    ledger_producer,
    settled_image,
    with_keys,
)

REFUSED = 2


@pytest.fixture
async def settings(broker: str, prefix: str, tmp_path: Path) -> AggregatorSettings:
    keys_file, _ = with_keys(tmp_path)
    chosen = AggregatorSettings(kafka=broker, topic_prefix=prefix, keys_file=keys_file, session_timeout_s=3.0)
    await ensure_topics(chosen)
    return chosen


async def refusal(settings: AggregatorSettings, workers: Workers) -> tuple[str, str]:
    """The reason and the advice of a worker that refuses to run."""
    worker = await workers.start(settings, "refusing")
    assert await worker.process.wait() == REFUSED, worker.log.read_text()
    (line,) = worker.lines("the aggregator refuses to run")
    return line["reason"], line["advice"]


async def test_no_keys_file(settings: AggregatorSettings, workers: Workers, tmp_path: Path) -> None:
    reason, advice = await refusal(settings.model_copy(update={"keys_file": tmp_path / "none.json"}), workers)
    assert reason == "KeysError"
    assert "spendgate up" in advice


async def test_offsets_committed_ahead_of_the_state(settings: AggregatorSettings, workers: Workers) -> None:
    async with ledger_producer(settings) as producer:
        await append(producer, settings, Load(Random(21)), records=200, size=1)
        ahead = await ledger_ends(settings)
        await commit_offsets(settings, ahead)
        await append(producer, settings, Load(Random(22)), records=200, size=1)
    reason, advice = await refusal(settings, workers)
    assert reason == "LedgerGap"
    assert "reset the group to 0" in advice


async def test_a_ledger_whose_beginning_is_gone(settings: AggregatorSettings, workers: Workers) -> None:
    async with ledger_producer(settings) as producer:
        await append(producer, settings, Load(Random(23)), records=200, size=1)
    await cut_ledgers(settings, before=5)
    reason, advice = await refusal(settings, workers)
    assert reason == "LedgerMissing"
    assert "restore it from a backup" in advice


async def test_a_ledger_cut_behind_the_state_is_no_hindrance(settings: AggregatorSettings, workers: Workers) -> None:
    async with ledger_producer(settings) as producer:
        load = Load(Random(24))
        await append(producer, settings, load, records=200, size=1)
        await workers.apply_all(settings, "once")
        await cut_ledgers(settings, before=5)
        await append(producer, settings, load, records=200, size=1)
    await workers.apply_all(settings, "again")


async def test_a_ledger_that_was_recreated(settings: AggregatorSettings, workers: Workers) -> None:
    async with ledger_producer(settings) as producer:
        await append(producer, settings, Load(Random(25)), records=200, size=1)
    await workers.apply_all(settings, "once")
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka)
    await admin.start()
    await admin.delete_topics([topic(settings, "ledger")])
    await admin.close()
    await ensure_topics(settings)
    reason, advice = await refusal(settings, workers)
    assert reason == "LedgerMissing"
    assert "recreated" in advice


async def test_a_changelog_that_somebody_else_writes(settings: AggregatorSettings, workers: Workers) -> None:
    load = Load(Random(26))
    worker = await workers.start(settings, "robbed")
    async with ledger_producer(settings) as producer:
        await append(producer, settings, load, records=200, size=1)
        await settled_image(settings, await ledger_ends(settings))
        for number in range(PARTITIONS):
            forged = b'{"settled_nanousd":1}'
            await producer.send_and_wait(topic(settings, "balances"), forged, b"org:forged@total", partition=number)
        await append(producer, settings, load, records=200, size=1)
    assert await worker.process.wait() == REFUSED
    assert worker.lines("the aggregator refuses to run")[-1]["reason"] == "ForeignWriter"
    audit = await replay(settings, PriceBook.bundled())
    assert {str(difference) for difference in audit.differences} == {
        f'partition {number}, balances org:forged@total: recorded {{"settled_nanousd":1}}, replayed nothing'
        for number in range(PARTITIONS)
    }


async def cut_ledgers(settings: AggregatorSettings, *, before: int) -> None:
    """Delete the first records of every ledger partition, as retention would."""
    partitions = [TopicPartition(topic(settings, "ledger"), number) for number in range(PARTITIONS)]
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka)
    await admin.start()
    await admin.delete_records(dict.fromkeys(partitions, RecordsToDelete(before_offset=before)))
    await admin.close()
