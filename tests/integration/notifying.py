"""Notifiers to run and to kill, on a real broker."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
from aiokafka import AIOKafkaProducer

from deploy.local.health import answers
from deploy.local.ports import free_port
from deploy.local.process import Process, Program
from services.adapters.clock import now_ms
from services.adapters.kafka import partition_for
from services.adapters.keys import Role, new_key, write_keys
from services.adapters.settings import Settings
from services.adapters.topics import TopicName, ensure_topics, topic
from services.core.effects import PolicyEntry
from services.core.events import from_ms
from services.core.notification_events import Notification, NotificationSent
from services.core.outcomes import Alert, AlertRaised
from services.notifier.settings import NotifierSettings
from tests.integration.aggregating import PARTITIONS, read_all

_decode_sent = msgspec.json.Decoder(list[NotificationSent]).decode
_encode = msgspec.json.encode


def settings_of(broker: str, prefix: str, folder: Path, **more: Any) -> NotifierSettings:
    """Settings of a notifier that may call this machine."""
    token, key = new_key(Role.ADMIN, "*")
    write_keys(folder / "notifier-keys.json", [key])
    (folder / "notifier.token").write_text(token)
    return NotifierSettings(
        kafka=broker,
        topic_prefix=prefix,
        keys_file=folder / "notifier-keys.json",
        data_dir=folder / "notifier",
        notify_private=True,
        **more,
    )


def program_of(settings: NotifierSettings) -> Process:
    """Not started yet; its log is beside its data directory, its address in `program.env["URL"]`."""
    url = f"http://127.0.0.1:{(port := free_port())}"
    told = {f"SPENDGATE_{key.upper()}": str(getattr(settings, key)) for key in settings.model_fields_set}
    return Process(
        Program(
            name="notifier",
            command=(sys.executable, "-m", "services.notifier"),
            log=settings.data_dir.with_suffix(".log"),
            ready=partial(answers, f"{url}/healthz"),
            env={**told, "SPENDGATE_PORT": str(port), "SPENDGATE_NOTIFIER_URL": url, "URL": url},
        )
    )


@asynccontextmanager
async def running(settings: NotifierSettings) -> AsyncIterator[Process]:
    """One `python -m services.notifier` that answers; ended afterwards."""
    process = program_of(settings)
    await process.start()
    try:
        yield process
    finally:
        await process.stop()


def policy(organization: str, *contacts: Mapping[str, Any], limit_usd: str = "5") -> dict[str, Any]:
    """A policy with a budget `all`, and one for each user."""
    return {
        "organization": organization,
        "timezone": "Europe/Berlin",
        "budgets": [
            {"name": "all", "limit_usd": "900", "window": "total"},
            {"name": "each", "scope": {"user": "*"}, "limit_usd": limit_usd, "window": "total"},
        ],
        "allocation": {"overcommit": True},
        "contacts": [dict(contact) for contact in contacts],
    }


async def put_policy(settings: Settings, written: Mapping[str, Any], *, offset: int = 0) -> None:
    """A policy in force, as the aggregator publishes it."""
    entry = PolicyEntry(
        organization=written["organization"],
        version=offset + 1,
        policy=dict(written),
        by="t",
        reason="t",
        offset=offset,
    )
    await publish(settings, "policies", entry.organization, _encode(entry))


def alert(
    name: str, *, organization: str = "acme", severity: Any = "warning", raised_at_ms: int | None = None
) -> Alert:
    """A budget that has reached nine tenths."""
    return Alert(
        alert=name,
        organization=organization,
        budget="all",
        scope=f"org:{organization}",
        window="total",
        threshold="0.9",
        severity=severity,
        settled_usd="810",
        limit_usd="900",
        raised_at_ms=now_ms() if raised_at_ms is None else raised_at_ms,
        ledger_partition=0,
        ledger_offset=0,
    )


async def raise_alerts(settings: Settings, alerts: Iterable[Alert]) -> None:
    """Alerts on their topic, as the aggregator publishes them."""
    for each in alerts:
        event = AlertRaised(id=each.alert, source="t", time=from_ms(each.raised_at_ms), data=each)
        await publish(settings, "alerts", each.organization, b"[" + _encode(event) + b"]")


async def acknowledge(settings: Settings, name: str, *, organization: str = "acme") -> None:
    """Somebody answers, as the ledger has it."""
    event = {
        "specversion": "1.0",
        "id": f"ack-{name}",
        "source": "t",
        "type": "spendgate.alert.acknowledged.v1",
        "time": from_ms(now_ms()).isoformat(),
        "data": {"organization": organization, "alert": name, "by": "Ada"},
    }
    await publish(settings, "ledger", organization, _encode([event]))


async def publish(settings: Settings, name: TopicName, organization: str, value: bytes) -> None:
    """One record in an organization's partition, keyed by it."""
    await ensure_topics(settings, partitions=PARTITIONS)
    producer = AIOKafkaProducer(bootstrap_servers=settings.kafka)
    await producer.start()
    try:
        partition = partition_for(organization, PARTITIONS)
        await producer.send_and_wait(topic(settings, name), value, key=organization.encode(), partition=partition)
    finally:
        await producer.stop()


async def told(settings: Settings) -> dict[str, Notification]:
    """The last word on each notification."""
    return {
        event.data.notification: event.data
        for record in await read_all(settings, "notifications")
        for event in _decode_sent(record.value)
    }
