"""The Kafka topics as `schemas/topics.yaml` describes them, and how they are created and checked."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, cast

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from schemas.topics import TopicName, TopicSpec, topics_file
from services.adapters import connections
from services.adapters.settings import Settings

__all__ = [
    "TopicName",
    "TopicSpec",
    "TopicsError",
    "ensure_topics",
    "partition_count",
    "topic",
    "topics",
    "topics_file",
]

ALREADY_EXISTS = 36
UNKNOWN_TOPIC = 3
METADATA_TRIES = 300
METADATA_WAIT_S = 0.1

connections.install()  # here, because whoever reads or writes topics asks for their names first


class TopicsError(Exception):
    """Topics are missing or differ from what Spendgate needs; the message says what to do."""


def topic(settings: Settings, name: TopicName) -> str:
    """The full name on the broker."""
    return settings.topic_prefix + name


def topics(settings: Settings) -> Mapping[str, TopicSpec]:
    """Every topic of this installation, by its full name."""
    return {topic(settings, name): spec for name, spec in topics_file().topics.items()}


async def ensure_topics(settings: Settings, *, partitions: int | None = None, replication: int | None = None) -> int:
    """Create what is missing, check what exists; gives the partition count that all topics share.

    Safe to call from several processes at once. Raises `TopicsError`, with advice, when an existing topic has another
    partition count or other settings, and aiokafka's `KafkaError` when the broker does not answer.
    """
    wanted = topics(settings)
    count, copies = partitions or topics_file().partitions, replication or topics_file().replication
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka, request_timeout_ms=15_000)
    try:
        await admin.start()
        await _create_missing(admin, wanted, count, copies)
        counts = await _settled_counts(admin, list(wanted))
        _check_counts(counts, expected=partitions)
        _check_configs(wanted, await _configs(admin, list(wanted)))
        return counts[topic(settings, "ledger")]
    finally:
        await admin.close()


async def partition_count(settings: Settings) -> int:
    """How many partitions the ledger has on the broker. Raises `TopicsError` when it does not exist."""
    name = topic(settings, "ledger")
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka, request_timeout_ms=15_000)
    try:
        await admin.start()
        return (await _partition_counts(admin, [name]))[name]
    finally:
        await admin.close()


async def _create_missing(
    admin: AIOKafkaAdminClient, wanted: Mapping[str, TopicSpec], partitions: int, replication: int
) -> None:
    existing = set(await admin.list_topics())
    missing = [
        NewTopic(name, partitions, replication, topic_configs=spec.config)
        for name, spec in wanted.items()
        if name not in existing
    ]
    if not missing:
        return
    answer = cast(Any, await admin.create_topics(missing))
    failed = {name: message for name, code, message in answer.topic_errors if code not in (0, ALREADY_EXISTS)}
    if failed:
        raise TopicsError(f"the broker refused to create topics: {failed}")


async def _settled_counts(admin: AIOKafkaAdminClient, names: list[str]) -> dict[str, int]:
    """The counts, once the broker's metadata has caught up with topics that were created a moment ago."""
    for _ in range(METADATA_TRIES):
        try:
            return await _partition_counts(admin, names)
        except TopicsError:
            await asyncio.sleep(METADATA_WAIT_S)
    return await _partition_counts(admin, names)


async def _partition_counts(admin: AIOKafkaAdminClient, names: list[str]) -> dict[str, int]:
    found = {t["topic"]: t for t in await admin.describe_topics(names)}
    missing = [name for name in names if name not in found or found[name]["error_code"] == UNKNOWN_TOPIC]
    if missing:
        raise TopicsError(f"topics do not exist yet: {missing}; start the aggregator or ingest once, they create them")
    return {name: len(found[name]["partitions"]) for name in names}


def _check_counts(counts: Mapping[str, int], *, expected: int | None) -> None:
    if len(set(counts.values()) | ({expected} if expected else set())) > 1:
        wanted = f" ({expected})" if expected else ""
        raise TopicsError(
            f"all topics must have the same partition count{wanted}, found {dict(counts)}; "
            "partitions of a used ledger cannot be changed: choose another SPENDGATE_TOPIC_PREFIX, or delete the topics"
        )


async def _configs(admin: AIOKafkaAdminClient, names: list[str]) -> dict[str, dict[str, str]]:
    resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
    answers = cast(Any, await admin.describe_configs(resources))
    return {
        resource[3]: {entry[0]: entry[1] for entry in resource[4]}
        for answer in answers
        for resource in answer.resources
    }


def _check_configs(wanted: Mapping[str, TopicSpec], found: Mapping[str, Mapping[str, str]]) -> None:
    """Settings that decide what is true; an operator may tune the others."""
    wrong = [
        f"{name}: {key} is {found[name].get(key)!r}, must be {spec.config[key]!r}"
        for name, spec in wanted.items()
        for key in ("cleanup.policy", "message.timestamp.type")
        if found[name].get(key) != spec.config[key]
    ]
    if wrong:
        raise TopicsError("topics are not set up as Spendgate needs them (kafka-configs --alter): " + "; ".join(wrong))
