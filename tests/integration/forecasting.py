"""A past to forecast from, forecasters to kill, and what they tell."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

import msgspec
from aiokafka import AIOKafkaProducer

from deploy.local.health import answers
from deploy.local.ports import free_port
from deploy.local.process import Process, Program
from services.adapters.clickhouse import open_async_client
from services.adapters.kafka import partition_for
from services.adapters.keys import Role, new_key, write_keys
from services.adapters.metrics import Metrics
from services.adapters.migrations import migrate, read_migrations
from services.adapters.topics import TopicName, ensure_topics, topic
from services.core.effects import PolicyEntry
from services.core.events import from_ms, to_ms
from services.core.foresight_events import Anomaly, AnomalyFound, Forecast, ForecastMade
from services.core.outcomes import Alert, AlertRaised, Charge, ChargePosted
from services.forecaster.health import Health
from services.forecaster.settings import ForecasterSettings
from services.forecaster.wiring import Wired
from services.sink.__main__ import MIGRATIONS
from services.sink.charges import CHARGES
from services.sink.ranges import Range
from services.sink.store import Store
from tests.integration.aggregating import read_all
from tests.integration.sinking import PARTITIONS, eventually

USD = 1_000_000_000
EventT = TypeVar("EventT", ForecastMade, AlertRaised, AnomalyFound)


def settings_of(broker: str, address: str, prefix: str, folder: Path, **more: Any) -> ForecasterSettings:
    """Settings of a forecaster in a hurry."""
    _, key = new_key(Role.ADMIN, "*")
    write_keys(folder / "keys.json", [key])
    return ForecasterSettings(
        kafka=broker,
        clickhouse=address,
        topic_prefix=prefix,
        keys_file=folder / "keys.json",
        data_dir=folder,
        **{"look_s": 0.2, "forecast_s": 0, "prophet_processes": 0, "settle_s": 0, **more},
    )


@dataclass(slots=True)
class Past:
    """Charges of one organization, put into ClickHouse as the sink puts them there."""

    address: str
    organization: str = "acme"
    charges: list[Charge] = field(default_factory=list)
    batches: int = 0
    posted: int = 0

    def spend(self, at_ms: int, nanousd: int, **dimensions: Any) -> None:
        """One charge; `insert` brings it there."""
        self.posted += 1
        self.charges.append(
            Charge(
                charge=f"{self.organization}-{self.posted}",
                sequence=self.posted,
                kind="usage",
                organization=self.organization,
                model=dimensions.pop("model", "gpt-4o"),
                tags=dimensions.pop("tags", {}),
                cost_nanousd=nanousd,
                charged_at_ms=at_ms,
                recorded_at_ms=at_ms,
                source="gateway",
                event_id=f"e-{self.posted}",
                ledger_partition=0,
                ledger_offset=self.posted,
                ledger_index=0,
                price_version="test",
                **dimensions,
            )
        )

    async def insert(self) -> None:
        """Bring what was spent since the last time into the table."""
        events = [
            ChargePosted(id=charge.charge, source="t", time=from_ms(charge.recorded_at_ms), data=charge)
            for charge in self.charges
        ]
        self.charges, offset = [], self.batches
        self.batches += 1
        block = CHARGES.block(0, [(offset, msgspec.json.encode(events))])
        assert not block.malformed
        store = Store(partial(open_async_client, self.address))
        try:
            await store.insert("charges", block.rows, Range(f"t-{self.organization}", 0, offset, offset))
        finally:
            await store.close()


def noon(day: date, zone: str) -> int:
    """UTC milliseconds."""
    return to_ms(datetime(day.year, day.month, day.day, 12, tzinfo=ZoneInfo(zone)))


def days(first: date, end: date) -> Iterable[date]:
    """Each day from the first up to the end, which is left out."""
    return (first + timedelta(n) for n in range((end - first).days))


def migrated(address: str) -> str:
    """The address of a database that has all tables."""
    migrate(address, read_migrations(MIGRATIONS))
    return address


async def put_policy(settings: ForecasterSettings, policy: Mapping[str, Any], *, offset: int = 0) -> None:
    """A policy in force, as the aggregator publishes it."""
    entry = PolicyEntry(
        organization=policy["organization"], version=offset + 1, policy=dict(policy), by="t", reason="t", offset=offset
    )
    await publish(settings, "policies", entry.organization, msgspec.json.encode(entry))


async def publish(settings: ForecasterSettings, name: TopicName, organization: str, value: bytes) -> None:
    """One record in an organization's partition, keyed by it."""
    await ensure_topics(settings, partitions=PARTITIONS)
    producer = AIOKafkaProducer(bootstrap_servers=settings.kafka)
    await producer.start()
    try:
        await producer.send_and_wait(
            topic(settings, name), value, key=organization.encode(), partition=partition_for(organization, PARTITIONS)
        )
    finally:
        await producer.stop()


async def forecasts(settings: ForecasterSettings) -> list[Forecast]:
    """Every forecast told, in order."""
    return [event.data for event in await _events(settings, "forecasts", ForecastMade)]


async def alerts(settings: ForecasterSettings) -> list[Alert]:
    """Every alert told, in order."""
    return [event.data for event in await _events(settings, "alerts", AlertRaised)]


async def anomalies(settings: ForecasterSettings) -> list[AnomalyFound]:
    """Every anomaly told, in order."""
    return await _events(settings, "anomalies", AnomalyFound)


def by_scope(told: Iterable[Forecast], window: str) -> dict[str, Forecast]:
    """The last forecast of each scope in a window."""
    return {each.scope: each for each in told if each.window == window}


def named(told: Iterable[AnomalyFound]) -> dict[str, Anomaly]:
    """The last word on each anomaly."""
    return {event.data.anomaly: event.data for event in told}


async def _events(settings: ForecasterSettings, name: TopicName, kind: type[EventT]) -> list[EventT]:
    decode = msgspec.json.Decoder(list[kind]).decode  # type: ignore[valid-type]
    return [event for record in await read_all(settings, name) for event in decode(record.value)]


@asynccontextmanager
async def wired(settings: ForecasterSettings) -> AsyncIterator[Wired]:
    """A forecaster whose rounds are run by hand, at whatever time."""
    made = Wired.of(settings, Health(Metrics(process=False)))
    try:
        await made.publisher.connect()
        yield made
    finally:
        await made.close()


@asynccontextmanager
async def running(settings: ForecasterSettings, name: str = "forecaster") -> AsyncIterator[Process]:
    """One `python -m services.forecaster` that answers; killed at the end if it still runs."""
    process = program_of(settings, name)
    await process.start()
    try:
        yield process
    finally:
        await process.stop()


def program_of(settings: ForecasterSettings, name: str = "forecaster") -> Process:
    """Not started yet; its log is in the data directory."""
    url = f"http://127.0.0.1:{(port := free_port())}"
    told = {f"SPENDGATE_{key.upper()}": str(getattr(settings, key)) for key in settings.model_fields_set}
    return Process(
        Program(
            name=name,
            command=(sys.executable, "-m", "services.forecaster"),
            log=settings.data_dir / f"{name}.log",
            ready=partial(answers, f"{url}/healthz"),
            env={**told, "SPENDGATE_PORT": str(port), "URL": url},
        )
    )


async def until(condition: Any, process: Process) -> None:
    """Wait for a condition; the end of the log tells why it never came."""

    async def describe() -> str:
        return process.program.log.read_text(errors="replace")[-4000:]

    await eventually(condition, describe, within_s=90)
