"""The forecaster, whole: from charges in ClickHouse to what is told in Kafka, for an organization of 1,000 scopes."""

from __future__ import annotations

import asyncio
import resource
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import perf_counter
from typing import Any, Final

from services.adapters.clickhouse import open_client
from services.core.events import to_ms
from tests.integration.aggregating import read_all
from tests.integration.backends import running_clickhouse, running_kafka
from tests.integration.forecasting import forecasts, migrated, put_policy, settings_of, wired

DAYS: Final = 180
CHARGES: Final = 500_000
PROJECTS: Final = 20
TEAMS: Final = 5
USERS: Final = 880
"""User 0 is nobody."""
SCOPES: Final = 1 + PROJECTS * (1 + TEAMS) + USERS - 1
TODAY: Final = datetime(2026, 11, 18, tzinfo=UTC)
KIBIBYTES_A_MEBIBYTE: Final = 1024

# Weekdays cost twice as much as weekends, days four times as much as nights, users by their rank.
FILL: Final = f"""
INSERT INTO charges (charge, sequence, kind, organization, project, team, user, model, status, cost_nanousd, requests,
                     charged_at, recorded_at, tags)
WITH
    number % {PROJECTS} AS p,
    intDiv(number, {PROJECTS}) % {TEAMS} AS t,
    toUInt32(pow(rand(1) / 4294967296, 2) * {USERS}) AS u,
    toDateTime64('{TODAY:%Y-%m-%d} 00:00:00', 3, 'UTC') - INTERVAL {DAYS} DAY AS first,
    first + toIntervalMillisecond(intDiv(number * {DAYS} * 86400000, {CHARGES})) AS at,
    if(toDayOfWeek(at) < 6, 2, 1) * if(toHour(at) BETWEEN 8 AND 18, 4, 1) AS busy
SELECT toString(number), number, 'usage', 'acme', concat('p', toString(p)), concat('t', toString(t)),
       if(u = 0, '', concat('u', toString(u))), 'gpt-4o', 'ok', toInt64(busy * (1000000 + rand(2) % 9000000)), 1,
       at, at, map('feature', concat('f', toString(number % 7)))
FROM numbers({CHARGES})
"""


def measure() -> dict[str, dict[str, Any]]:
    """Seconds of a first look and of a later one, and what it takes of memory."""
    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(_measure(Path(folder)))


async def _measure(folder: Path) -> dict[str, dict[str, Any]]:
    async with running_kafka(folder) as bootstrap, running_clickhouse(folder) as clickhouse:
        address = await asyncio.to_thread(migrated, clickhouse.address("bench"))
        await asyncio.to_thread(_fill, address)
        settings = settings_of(bootstrap, address, "bench.", folder)
        budget = {"name": "each", "scope": {"user": "*"}, "limit_usd": "1000000", "window": "month"}
        await put_policy(settings, {"organization": "acme", "budgets": [budget]})
        at_ms = to_ms(TODAY + timedelta(hours=12))
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        async with wired(settings) as made:
            made.policies.take(record.value for record in await read_all(settings, "policies"))
            first_s = await _round(made, at_ms)
            later_s = await _round(made, at_ms + 86_400_000)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        assert len({each.scope for each in await forecasts(settings)}) == SCOPES
    return {
        "forecaster_first_round": {"value": first_s, "unit": "s"},
        "forecaster_next_day": {"value": later_s, "unit": "s"},
        "forecaster_memory": {"value": (peak - before) / KIBIBYTES_A_MEBIBYTE, "unit": "MiB more at the peak"},
    }


async def _round(made: Any, at_ms: int) -> float:
    """One round: the first learns from 35 days of hours as well, and forecasts everyone."""
    started = perf_counter()
    assert await made.rounds.once(at_ms)
    return perf_counter() - started


def _fill(address: str) -> None:
    with open_client(address) as client:
        client.command(FILL)
