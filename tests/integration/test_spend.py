"""Reports by any dimension over any period say what the charges say, and leave nobody's spending out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import partial
from random import Random

import msgspec
import pytest

from services.adapters.clickhouse import open_async_client
from services.adapters.migrations import migrate, read_migrations
from services.cli.spend import Dimension, ReportRow, spend_by
from services.core.events import Charge, ChargePosted, from_ms
from services.sink.__main__ import MIGRATIONS
from services.sink.charges import CHARGES
from services.sink.ranges import Range
from services.sink.store import Store
from tests.integration.sinking import DAY_MS, NOON_MS, Charges

HOUR_MS = 3_600_000
DAY = NOON_MS - NOON_MS % DAY_MS
NAMES: dict[Dimension, Callable[[Charge], str]] = {
    "project": lambda charge: charge.project or "",
    "team": lambda charge: f"{charge.project or ''}/{charge.team}" if charge.team else "",
    "user": lambda charge: charge.user or "",
    "feature": lambda charge: charge.tags.get("feature", ""),
    "model": lambda charge: charge.model,
    "provider": lambda charge: charge.provider or "",
    "day": lambda charge: f"{from_ms(charge.charged_at_ms):%Y-%m-%d}",
}
PERIODS = {
    "whole days": (DAY - 3 * DAY_MS, DAY + 2 * DAY_MS),
    "whole hours": (DAY - 30 * HOUR_MS, DAY + 31 * HOUR_MS),
    "to the millisecond": (DAY - 2 * DAY_MS - 1, DAY + 2 * DAY_MS + 1),
    "in one hour": (DAY + 7 * 60_000, DAY + 53 * 60_000),
    "across one midnight": (DAY - 40 * 60_000, DAY + 20 * 60_000),
    "everything": (0, DAY + 10_000 * DAY_MS),
    "before anything": (0, DAY_MS),
}


def expected(
    charges: Sequence[Charge], dimension: Dimension, organization: str, start_ms: int, end_ms: int
) -> list[ReportRow]:
    """The same sums, added up here."""
    groups = defaultdict[str, list[Charge]](list)
    for charge in charges:
        if charge.organization == organization and start_ms <= charge.charged_at_ms < end_ms:
            groups[NAMES[dimension](charge)].append(charge)
    rows = [
        ReportRow(
            name,
            sum(charge.cost_nanousd or 0 for charge in group),
            sum(charge.requests for charge in group),
            sum(charge.unpriced for charge in group),
            sum(charge.input_tokens for charge in group),
            sum(charge.output_tokens for charge in group),
        )
        for name, group in groups.items()
    ]
    return sorted(rows, key=lambda row: (-row.cost_nanousd, row.name))


async def test_reports_agree_with_the_charges_in_every_dimension_and_period(clickhouse: str) -> None:
    made, edges = Charges(Random(1)), Random(2)
    charges = [made.charge(number % 2, number // 2 + 1) for number in range(3_000)]
    for start_ms, end_ms in PERIODS.values():
        for at_ms in (start_ms, start_ms - 1, end_ms, end_ms - 1):
            if DAY - 300 * DAY_MS < at_ms < DAY + 300 * DAY_MS:
                charge = made.charge(0, 10_000 + edges.randrange(10**6))
                charges.append(msgspec.structs.replace(charge, charged_at_ms=at_ms))
    migrate(clickhouse, read_migrations(MIGRATIONS))
    posted = [ChargePosted(id=c.charge, source="s", time=from_ms(c.charged_at_ms), data=c) for c in charges]
    store = Store(partial(open_async_client, clickhouse))
    await store.insert("charges", CHARGES.block(0, [(0, msgspec.json.encode(posted))]).rows, Range("charges", 0, 0, 0))
    await store.close()
    client = await open_async_client(clickhouse)
    try:
        for period, (start_ms, end_ms) in PERIODS.items():
            for dimension in NAMES:
                found = await spend_by(client, dimension, "org-0", start_ms, end_ms)
                assert found == expected(charges, dimension, "org-0", start_ms, end_ms), (period, dimension)
        assert await spend_by(client, "model", "org-0' OR '1'='1", *PERIODS["everything"]) == []
    finally:
        await client.close()


@pytest.mark.parametrize("dimension", NAMES)
async def test_an_organization_without_spending_has_an_empty_report(clickhouse: str, dimension: Dimension) -> None:
    migrate(clickhouse, read_migrations(MIGRATIONS))
    client = await open_async_client(clickhouse)
    try:
        assert await spend_by(client, dimension, "nobody", 0, DAY) == []
    finally:
        await client.close()
