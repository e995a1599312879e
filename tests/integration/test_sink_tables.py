"""The tables as migrations make them, the rows as the feeds make them, and the audit that finds what is wrong."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from random import Random
from types import MappingProxyType
from typing import Any

import msgspec
import pytest
from clickhouse_connect.driver import AsyncClient

from services.adapters.clickhouse import AddressError, database_of, open_async_client, open_client
from services.adapters.migrations import Migration, MigrationError, migrate, read_migrations
from services.core.events import from_ms
from services.core.outcomes import Charge, ChargePosted
from services.sink.__main__ import MIGRATIONS
from services.sink.alerts import ALERTS, AlertRow
from services.sink.anomalies import ANOMALIES, AnomalyRow
from services.sink.audit import audit
from services.sink.charges import CHARGES
from services.sink.columns import INSTANT
from services.sink.decisions import DECISIONS, DecisionRow
from services.sink.feed import Feed
from services.sink.forecasts import FORECASTS, ForecastRow
from services.sink.notifications import NOTIFICATIONS, NotificationRow
from services.sink.ranges import Range
from services.sink.store import Store
from tests.integration.sinking import NOON_MS, Charges, assert_exact, one_row

SMALL_BLOCKS = {"max_block_size": 5_000, "min_insert_block_size_rows": 5_000, "min_insert_block_size_bytes": 100_000}
"""As a server's profile may set them."""


@pytest.fixture
def migrated(clickhouse: str) -> str:
    """A database of this test's own, with all tables."""
    migrate(clickhouse, read_migrations(MIGRATIONS))
    return clickhouse


async def insert(
    address: str, values: list[bytes], *, times: int = 1, profile: Mapping[str, int] = MappingProxyType({})
) -> None:
    """Insert records as one range, as often as told, into a server with settings of its own."""

    async def connect() -> AsyncClient:
        client = await open_async_client(address)
        for name, value in profile.items():
            client.set_client_setting(name, value)
        return client

    block = CHARGES.block(0, list(enumerate(values)))
    assert not block.malformed
    store = Store(connect)
    try:
        for _ in range(times):
            await store.insert("charges", block.rows, Range("charges", 0, 0, len(values) - 1))
    finally:
        await store.close()


def test_migrations_apply_once(clickhouse: str) -> None:
    migrations = read_migrations(MIGRATIONS)
    assert migrate(clickhouse, migrations) == tuple(migration.number for migration in migrations)
    assert migrate(clickhouse, migrations) == ()


async def test_migrations_may_be_applied_by_two_at_once(clickhouse: str) -> None:
    migrations = read_migrations(MIGRATIONS)
    await asyncio.gather(*[asyncio.to_thread(migrate, clickhouse, migrations) for _ in range(2)])
    assert migrate(clickhouse, migrations) == ()


OLD_CHARGES = """
INSERT INTO charges
(
    charge, sequence, kind, organization, project, user, model, tags, cost_nanousd, requests, input_tokens,
    input_cost_nanousd, price_version, charged_at, recorded_at, reservation, ledger_partition
)
SELECT
    toString(number), number + 1, ['usage', 'unconfirmed', 'adjustment'][1 + number % 3],
    concat('org-', toString(intDiv(number, 3) % 2)), 'search', concat('user-', toString(number % 7)), 'gpt-4o',
    map('feature', toString(number % 5)), if(number % 3 = 2, -3, 10 + number % 90), number % 3 != 2, 100,
    if(number % 3 = 0, 4, 0), if(number % 30 = 2, '', 'v'),
    toDateTime64('2026-11-20 00:00:00', 3, 'UTC') + toIntervalMinute(number), now64(3),
    if(number % 3 = 0, '', concat('r', toString(intDiv(number, 6)))), 0
FROM numbers(3000)
"""
UNCONFIRMED_IN = ("charges", "spend_by_hour", "spend_by_day", "spend_by_day_user", "spend_of_users", "spend_by_day_tag")
STILL_UNCONFIRMED = """
WITH settled AS (SELECT organization, reservation FROM charges WHERE kind = 'adjustment' AND price_version != '')
SELECT sum(cost_nanousd) FROM charges
WHERE kind = 'unconfirmed' AND (organization, reservation) NOT IN settled
"""


def test_rows_from_before_a_migration_get_what_it_adds_once(clickhouse: str) -> None:
    migrations = read_migrations(MIGRATIONS)
    migrate(clickhouse, migrations[:4])
    with open_client(clickhouse) as client:
        client.command(OLD_CHARGES)
        migrate(clickhouse, migrations[:5])
        (expected,) = one_row(client, STILL_UNCONFIRMED)
        assert expected > 0
        for _ in range(2):
            for table in UNCONFIRMED_IN:
                assert one_row(client, f"SELECT sum(unconfirmed_nanousd) FROM {table}") == (expected,), table
            assert one_row(client, "SELECT sum(input_cost_nanousd) FROM spend_by_hour") == (4_000,)
            result = audit(client)
            assert result.exact, str(result)
            client.command("TRUNCATE TABLE schema_migrations")  # as if it had been interrupted right before its end
            migrate(clickhouse, migrations[:5])


@pytest.mark.parametrize("migration", read_migrations(MIGRATIONS), ids=lambda migration: migration.name)
def test_no_view_is_modified_in_place(migration: Migration) -> None:
    modified = [statement for statement in migration.statements if "MODIFY QUERY" in statement.upper()]
    assert not modified, "its insert tokens change at the next restart, and a repeated range counts twice: replace it"


def test_an_interrupted_migration_is_finished(clickhouse: str) -> None:
    migrations = read_migrations(MIGRATIONS)
    migrate(clickhouse, migrations[:-1])
    with open_client(clickhouse) as client:
        client.command(migrations[-1].statements[0])
    assert migrate(clickhouse, migrations) == (migrations[-1].number,)


def test_a_migration_edited_afterwards_is_refused_by_name(migrated: str, tmp_path: Path) -> None:
    for path in MIGRATIONS.glob("*.sql"):
        (tmp_path / path.name).write_text(path.read_text() + "-- later\n" * (path.name == "0002_decisions.sql"))
    with pytest.raises(MigrationError, match=r"0002_decisions was edited .* put the change into a new migration"):
        migrate(migrated, read_migrations(tmp_path))


@pytest.mark.parametrize("names", [[], ["0001_a.sql", "0003_c.sql"], ["0001_a.sql", "0001_b.sql"], ["0002_b.sql"]])
def test_numbers_must_follow_one_another(names: list[str], tmp_path: Path) -> None:
    for name in names:
        (tmp_path / name).write_text("SELECT 1;\n")
    with pytest.raises(MigrationError, match="without a gap"):
        read_migrations(tmp_path)


@pytest.mark.parametrize("wrong", ["clickhouse://h/d", "http://h:1", "http://h:1/", "http:///d", "http://h/a/b"])
def test_an_address_must_name_a_host_and_a_database(wrong: str) -> None:
    with pytest.raises(AddressError, match="http://user:password@host:8123/database"):
        database_of(wrong)


@pytest.mark.parametrize(
    ("feed", "row"),
    [
        (CHARGES, Charge),
        (DECISIONS, DecisionRow),
        (FORECASTS, ForecastRow),
        (ANOMALIES, AnomalyRow),
        (ALERTS, AlertRow),
        (NOTIFICATIONS, NotificationRow),
    ],
)
def test_every_field_has_a_column_and_every_column_a_field(feed: Feed[Any], row: type[msgspec.Struct]) -> None:
    fields = [f"{name}_ms" if kind == INSTANT else name for name, kind in feed.columns.items()]
    assert sorted(fields) == sorted(row.__struct_fields__)


async def test_a_charge_reads_back_as_it_was_posted(migrated: str) -> None:
    charge = Charge(
        charge="3-17-2",
        sequence=1,
        kind="adjustment",
        organization="acme / ünïcode \U0001f4b8",
        tags={"feature": "a=b", "": "empty", "quote'": '"\\\n'},
        model="gpt-4o",
        cost_nanousd=-(1 << 63),
        unpriced=-1,
        input_tokens=(1 << 64) - 1,
        charged_at_ms=NOON_MS + 1,
        recorded_at_ms=NOON_MS + 2,
        streaming=True,
        source="s",
        event_id="e",
        ledger_partition=3,
        ledger_offset=17,
        ledger_index=2,
    )
    event = ChargePosted(id="x", source="s", time=from_ms(NOON_MS), data=charge)
    await insert(migrated, [msgspec.json.encode([event])])
    with open_client(migrated) as client:
        row = next(iter(client.query("SELECT * FROM charges").named_results()))
    wanted = msgspec.structs.asdict(charge) | {
        "charged_at": from_ms(NOON_MS + 1),
        "recorded_at": from_ms(NOON_MS + 2),
        "topic_partition": 0,
        "topic_offset": 0,
    }
    del wanted["charged_at_ms"], wanted["recorded_at_ms"]
    empty = ("project", "team", "user", "provider", "request_id", "reservation")
    assert dict(row) == wanted | dict.fromkeys(empty, "")


@pytest.mark.parametrize("profile", [{}, SMALL_BLOCKS])
async def test_a_range_wider_than_the_blocks_of_the_server_is_still_one_insert(
    migrated: str, profile: dict[str, int]
) -> None:
    """More groups than the engine puts into a block by itself (65,409), in each view and over two months."""
    charges = Charges(Random(1))
    posted = []
    for number in range(70_000):
        charge = charges.charge(0, number + 1)
        at_ms = NOON_MS + number % 480 * 3_600_000
        named = msgspec.structs.replace(
            charge, tags={"run": str(number)}, user=f"u{number}", team=f"t{number}", charged_at_ms=at_ms
        )
        posted.append(ChargePosted(id=charge.charge, source="s", time=from_ms(at_ms), data=named))
    with open_client(migrated) as client:
        client.command("SYSTEM STOP MERGES")
        try:
            await insert(migrated, [msgspec.json.encode(posted)], times=3, profile=profile)
        finally:
            client.command("SYSTEM START MERGES")
        parts = client.query(
            "SELECT table, partition, count() FROM system.parts WHERE database = currentDatabase() AND active "
            "AND (table = 'charges' OR table LIKE 'spend%') GROUP BY table, partition"
        ).result_rows
        assert len(parts) == 6 * 2
        assert {count for _, _, count in parts} == {1}, parts
        result = audit(client)
        assert result.exact, str(result)
        assert one_row(client, "SELECT count() FROM charges") == (70_000,)


async def test_the_audit_finds_what_is_missing_doubled_or_wrong(migrated: str) -> None:
    charges = Charges(Random(2))
    await insert(migrated, [charges.record(0, 30), charges.record(1, 30)], times=2)
    await asyncio.to_thread(assert_exact, migrated, charges)
    with open_client(migrated) as client:

        def found() -> str:
            result = audit(client)
            assert not result.exact
            return "\n".join(f"{check.name}: {check.found}" for check in result.checks if not check.exact)

        client.command("INSERT INTO spend_by_hour SELECT * FROM spend_by_hour WHERE organization = 'org-1'")
        assert found().startswith("spend_by_hour equals charges: ")
        client.command("TRUNCATE TABLE spend_by_day_tag")
        assert "spend_by_day_tag equals charges: 0 requests" in found()
        settings = {"mutations_sync": 2}
        client.command("DELETE FROM charges WHERE ledger_partition = 0 AND sequence = 7", settings=settings)
        assert "charges of partition 0: 29 rows, sequence 1 to 30; 1 rows missing" in found()
        client.command("DELETE FROM charges WHERE ledger_partition = 1 AND sequence < 3", settings=settings)
        assert "charges of partition 1: 28 rows, sequence 3 to 30; 2 rows missing at the start" in found()
        client.command("INSERT INTO charges SELECT * FROM charges WHERE ledger_partition = 1 AND sequence = 9")
        assert "1 rows too many" in found()
        client.command("INSERT INTO decisions (decision, decided_at) VALUES ('d', now()), ('d', now())")
        assert "decisions: 2 rows; 1 rows too many" in found()
