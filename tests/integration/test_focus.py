"""The FOCUS export of charges in the real engine: every row conforms, every sum is exact to the nano-dollar."""

from __future__ import annotations

import csv
import itertools
from collections.abc import AsyncIterator, Sequence
from decimal import Decimal
from functools import partial
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from clickhouse_connect.driver import AsyncClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.adapters.focus.charges import TooMuch, focus_export
from services.adapters.focus.files import as_csv, as_parquet, read_parquet
from services.adapters.migrations import migrate, read_migrations
from services.adapters.warehouse.named import query
from services.core.focus import NAMES, Row
from services.core.focus_check import check_focus, parse_row
from services.core.outcomes import Charge
from services.core.report_period import end_of, parse_period
from services.core.window import WindowKind
from services.sink.__main__ import MIGRATIONS
from tests.integration.charging import charges, insert, numbered, opened

ZONES = [ZoneInfo("America/New_York"), ZoneInfo("UTC"), ZoneInfo("Asia/Kolkata")]
BEGIN_MS, END_MS = 1_792_800_000_000, 1_796_600_000_000  # 2026-10-24 to 2026-12-06: all of November in every zone
COUNTER = itertools.count()
NANO = Decimal("0.000000001")


@pytest.fixture
async def client(clickhouse: str) -> AsyncIterator[AsyncClient]:
    migrate(clickhouse, read_migrations(MIGRATIONS))
    found = await opened(clickhouse)
    yield found
    await found.close()


def total(rows: Sequence[Row], column: str = "BilledCost") -> int:
    return sum(int(Decimal(str(row[column])) / NANO) for row in rows)


def counted(rows: Sequence[Row], column: str) -> int:
    return sum(int(Decimal(str(row[column] or 0))) for row in rows)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(made=st.lists(charges(BEGIN_MS, END_MS), max_size=40), zone=st.sampled_from(ZONES))
async def test_any_charges_become_conforming_rows_with_their_exact_sums(
    clickhouse: str, client: AsyncClient, made: list[Charge], zone: ZoneInfo
) -> None:
    number = next(COUNTER)
    mine = numbered(f"org-{number}", made)
    await insert(clickhouse, [*mine, *numbered(f"other-{number}", made)], first=number)
    month = parse_period("2026-11", zone, WindowKind.MONTH)
    within = [c for c in mine if month.start_ms <= c.charged_at_ms < end_of(month)]

    rows = await focus_export(partial(query, client), f"org-{number}", month.start_ms, end_of(month), zone)

    assert list(check_focus(rows)) == []
    for column in ("BilledCost", "EffectiveCost", "ListCost", "ContractedCost"):
        assert total(rows, column) == sum(c.cost_nanousd or 0 for c in within)
    assert counted(rows, "x_Unpriced") == sum(c.unpriced for c in within)
    assert counted(rows, "x_Unconfirmed") == sum(c.kind == "unconfirmed" for c in within)
    tokens = [row for row in rows if row["ConsumedUnit"] == "Tokens"]
    unmetered = counted(rows, "x_InputTokens") + counted(rows, "x_OutputTokens")
    assert counted(tokens, "ConsumedQuantity") + unmetered == sum(c.input_tokens + c.output_tokens for c in within)
    assert {row["BillingAccountId"] for row in rows} <= {f"org-{number}"}
    by_user = {c.user: 0 for c in within}
    for c in within:
        by_user[c.user] += c.cost_nanousd or 0
    assert {user: total([row for row in rows if row["x_User"] == user]) for user in by_user} == by_user


@settings(max_examples=5, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(made=st.lists(charges(BEGIN_MS, END_MS), min_size=5, max_size=20))
async def test_files_hold_the_same_rows_as_the_export(
    clickhouse: str, client: AsyncClient, tmp_path: Path, made: list[Charge]
) -> None:
    number = next(COUNTER)
    await insert(clickhouse, numbered(f"org-{number}", made), first=number)
    rows = await focus_export(partial(query, client), f"org-{number}", BEGIN_MS, END_MS, ZONES[0])
    lines = list(csv.DictReader(as_csv(rows).splitlines()))
    assert [parse_row(line) for line in lines] == [dict(row) for row in rows]
    (tmp_path / "focus.parquet").write_bytes(as_parquet(rows))
    stored = read_parquet(tmp_path / "focus.parquet")
    assert stored == [{name: row[name] for name in NAMES} for row in rows]
    assert list(check_focus(stored)) == []


async def test_an_export_that_is_too_long_is_refused_with_advice_and_an_empty_one_is_empty(
    clickhouse: str, client: AsyncClient
) -> None:
    assert await focus_export(partial(query, client), "nobody", BEGIN_MS, END_MS, ZONES[0]) == []
    made = [c for n in range(3) for c in numbered("acme", [_charge(BEGIN_MS + n * 86_400_000)])]
    await insert(clickhouse, made)
    assert len(await focus_export(partial(query, client), "acme", BEGIN_MS, END_MS, ZONES[0], most=3)) == 3
    with pytest.raises(TooMuch, match="shorter period"):
        await focus_export(partial(query, client), "acme", BEGIN_MS, END_MS, ZONES[0], most=2)


def _charge(at_ms: int) -> Charge:
    return Charge(
        charge="c",
        sequence=1,
        kind="usage",
        organization="",
        model="gpt-4o",
        cost_nanousd=1,
        charged_at_ms=at_ms,
        recorded_at_ms=at_ms,
        source="gateway",
        event_id="e",
        ledger_partition=0,
        ledger_offset=0,
        ledger_index=0,
    )
