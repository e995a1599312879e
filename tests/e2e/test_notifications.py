"""Exactly one notification per alert: through `kill -9` of aggregator and notifier, and through the ledger replayed."""

from __future__ import annotations

import asyncio
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from deploy.local.process import Process
from services.adapters.clock import now_ms
from services.adapters.kafka import partition_for
from services.adapters.topics import TopicName, ensure_topics, topic
from services.aggregator.settings import AggregatorSettings
from services.core.events import from_ms
from services.core.outcomes import Alert, AlertRaised
from services.notifier.app import OUTBOX_FILE
from services.notifier.settings import NotifierSettings
from tests.integration.aggregating import (
    PARTITIONS,
    Workers,
    commit_offsets,
    ledger_ends,
    ledger_producer,
    read_all,
    settled_image,
    with_keys,
)
from tests.integration.notifying import policy, program_of, settings_of, told
from tests.integration.sinking import eventually
from tests.notifier.receiving import Receiver, receiving

KILLS = 20
AT_ONCE = NotifierSettings.model_fields["notify_at_once"].default
ORGANIZATIONS = [f"org-{number}" for number in range(6)]
USERS = 12
ROUNDS = 25
CHANGELOGS: tuple[TopicName, ...] = ("balances", "policies", "seen")
_decode = msgspec.json.Decoder(list[AlertRaised]).decode


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as found:
        yield found


def event(kind: str, name: str, data: dict[str, Any]) -> dict[str, Any]:
    """As the ledger has it."""
    return {
        "specversion": "1.0",
        "id": name,
        "source": "test",
        "type": f"spendgate.{kind}.v1",
        "time": from_ms(now_ms()).isoformat(),
        "data": data,
    }


def usage(organization: str, user: str, number: int) -> dict[str, Any]:
    """A fifth of a user's budget."""
    data = {
        "organization": organization,
        "user": user,
        "gen_ai.request.model": "gpt-4o",
        "gen_ai.usage.input_tokens": 1,
        "gen_ai.usage.output_tokens": 1,
        "cost_usd": "1",
    }
    return event("usage.recorded", f"{organization}-{user}-{number}", data)


async def append(producer: AIOKafkaProducer, settings: AggregatorSettings, organization: str, *events: Any) -> None:
    """One record of the ledger."""
    value, partition = msgspec.json.encode(events), partition_for(organization, PARTITIONS)
    await producer.send_and_wait(topic(settings, "ledger"), value, partition=partition)


async def spend(producer: AIOKafkaProducer, settings: AggregatorSettings, random: Random) -> None:
    """Every user of every organization reaches every threshold, a fifth of the limit at a time."""
    turns = [(organization, f"user-{user}") for organization in ORGANIZATIONS for user in range(USERS)] * 5
    random.shuffle(turns)
    counts: Counter[tuple[str, str]] = Counter()
    for start in range(0, len(turns), ROUNDS):
        for organization, user in turns[start : start + ROUNDS]:
            counts[organization, user] += 1
            await append(producer, settings, organization, usage(organization, user, counts[organization, user]))
        await asyncio.sleep(2.5)


async def alerts(settings: AggregatorSettings) -> list[Alert]:
    """Every alert on the topic, in order."""
    return [found.data for record in await read_all(settings, "alerts") for found in _decode(record.value)]


async def start_over(settings: AggregatorSettings) -> None:
    """Forget all but the ledger and what was told: the next aggregator folds it from its beginning."""
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka)
    await admin.start()
    try:
        names = {topic(settings, name) for name in CHANGELOGS}
        await admin.delete_topics(list(names))
        while names & set(await admin.list_topics()):
            await asyncio.sleep(0.1)
    finally:
        await admin.close()
    await eventually(lambda: group_is_at_the_beginning(settings), lambda: said("its members do not leave"), within_s=60)


async def said(text: str) -> str:
    """What to say when a wait was in vain."""
    return text


async def group_is_at_the_beginning(settings: AggregatorSettings) -> bool:
    """Move the group there; refused while the broker still counts a worker that has stopped as a member."""
    try:
        await commit_offsets(settings, dict.fromkeys(range(PARTITIONS), 0))
    except KafkaError:
        return False
    return True


def unheard(settings: NotifierSettings, receiver: Receiver) -> set[str]:
    """What was taken although a notifier that has just been killed does not remember it: that may come again."""
    with closing(sqlite3.connect(settings.data_dir / OUTBOX_FILE)) as outbox:
        remembered = {name for (name,) in outbox.execute("SELECT id FROM message WHERE state = 'sent'")}
    assert remembered <= set(receiver.taken), "nothing is remembered as sent that nobody has taken"
    return set(receiver.taken) - remembered


async def until_all_is_told(settings: NotifierSettings, expected: int, notifier: Process) -> None:
    """Wait until as many notifications were published as there are alerts."""

    async def enough() -> bool:
        return len(await told(settings)) >= expected

    async def describe() -> str:
        found = len(await told(settings))
        return f"{found} of {expected}\n{notifier.program.log.read_text(errors='replace')[-4000:]}"

    await eventually(enough, describe, within_s=150)


@pytest.mark.timeout(600)
async def test_each_alert_is_told_once_through_kills_and_a_replay(
    broker: str, prefix: str, tmp_path: Path, workers: Workers, receiver: Receiver
) -> None:
    random = Random(7)
    keys_file, _ = with_keys(tmp_path)
    settings = AggregatorSettings(kafka=broker, topic_prefix=prefix, keys_file=keys_file, session_timeout_s=3.0)
    to_notify = settings_of(broker, prefix, tmp_path)
    await ensure_topics(settings)
    notifier = program_of(to_notify)
    may_double: set[str] = set()
    async with ledger_producer(settings) as producer:
        for organization in ORGANIZATIONS:
            written = policy(organization, {"budget": "each", "notify": [f"{receiver.url}/{organization}"]})
            data = {"organization": organization, "version": 1, "policy": written, "by": "t"}
            await append(producer, settings, organization, event("policy.changed", f"p-{organization}", data))
        loading = asyncio.create_task(spend(producer, settings, random))
        worker = await workers.start(settings, "killed")
        await notifier.start()
        for number in range(KILLS):
            await asyncio.sleep(random.uniform(0.5, 2.5))
            if number % 2:
                await worker.kill()
                worker = await workers.start(settings, "killed")
            else:
                await notifier.kill()
                receiver.lives += 1
                lost = unheard(to_notify, receiver)
                assert len(lost) <= AT_ONCE, "no more than was on its way"
                may_double |= lost
                await notifier.start()
        await loading
    await settled_image(settings, await ledger_ends(settings))
    raised = {found.alert for found in await alerts(settings)}
    assert len(raised) == len(ORGANIZATIONS) * USERS * 4, "each user reached each of the four thresholds"
    await until_all_is_told(to_notify, len(raised), notifier)
    assert {found.alert for found in (await told(to_notify)).values()} == raised
    assert len(set(receiver.taken)) == len(raised), "one key for each alert"
    assert receiver.doubled() == [], "never twice by one life of the notifier"
    doubled = {key for key, count in Counter(receiver.taken).items() if count > 1}
    assert doubled <= may_double, "twice only what a killed notifier had not heard the answer to"

    await worker.stop()
    before = len(receiver.taken)
    await start_over(settings)
    await ensure_topics(settings)
    await commit_offsets(settings, dict.fromkeys(range(PARTITIONS), 0))
    worker = await workers.start(settings, "again")
    async with ledger_producer(settings) as producer:
        for organization in ORGANIZATIONS:
            last = [usage(organization, "last", number) for number in range(3)]
            await append(producer, settings, organization, *last)
    await settled_image(settings, await ledger_ends(settings))
    every = [found.alert for found in await alerts(settings)]
    assert Counter(Counter(every)[name] for name in raised) == {2: len(raised)}, "the replay raised each of them again"
    await until_all_is_told(to_notify, len(raised) + len(ORGANIZATIONS), notifier)
    assert len(receiver.taken) == before + len(ORGANIZATIONS), "and only what was new was told"
    assert await worker.stop() == 0
    assert await notifier.stop() == 0
