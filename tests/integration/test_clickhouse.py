"""ClickHouse's own client, sync and async, cannot tell the local engine from a server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import clickhouse_connect
import pyarrow as pa
import pytest
from clickhouse_connect.driver import AsyncClient, Client
from clickhouse_connect.driver.exceptions import DatabaseError, StreamFailureError

from deploy.local.clickhouse.program import ClickHouse
from deploy.local.ports import free_port
from deploy.local.process import Process

DEDUPLICATED = {"insert_deduplicate": 1, "deduplicate_blocks_in_dependent_materialized_views": 1}
ROWS = [["acme", 12, None], ["globex", -3, "a 'quoted'\ttab"]]


@pytest.fixture
def client(clickhouse: str) -> Iterator[Client]:
    client = clickhouse_connect.get_client(dsn=clickhouse, autogenerate_session_id=False)
    client.command("CREATE TABLE spend (org LowCardinality(String), nanos Int64, note Nullable(String)) ORDER BY org")
    yield client
    client.close()


@pytest.fixture
async def async_client(clickhouse: str) -> AsyncIterator[AsyncClient]:
    client = await clickhouse_connect.get_async_client(dsn=clickhouse, autogenerate_session_id=False)
    yield client
    await client.close()


def rows(client: Client, table: str = "spend") -> list[list[Any]]:
    return [list(row) for row in client.query(f"SELECT * FROM {table} ORDER BY ALL").result_rows]


@pytest.mark.parametrize("compress", [False, "lz4", "zstd", "gzip"])
@pytest.mark.usefixtures("client")
def test_rows_come_back_as_they_went_in(clickhouse: str, compress: bool | str) -> None:
    other = clickhouse_connect.get_client(dsn=clickhouse, compress=compress, autogenerate_session_id=False)
    other.insert("spend", ROWS, column_names=["org", "nanos", "note"])
    assert rows(other) == ROWS
    other.close()


def test_an_arrow_table_comes_back_as_it_went_in(client: Client) -> None:
    table = pa.table({"org": ["acme"] * 1000, "nanos": list(range(1000)), "note": [None] * 1000})
    client.insert_arrow("spend", table)
    assert client.query_arrow("SELECT sum(nanos) AS total FROM spend").to_pydict() == {"total": [499_500]}


@pytest.mark.parametrize(
    ("input_format", "text"),
    [
        ("JSONEachRow", '{"org":"acme","nanos":12}\n{"org":"globex","nanos":-3,"note":"a \'quoted\'\\ttab"}\n'),
        ("CSV", "acme,12,\\N\nglobex,-3,\"a 'quoted'\ttab\"\n"),
        ("TabSeparated", "acme\t12\t\\N\nglobex\t-3\ta 'quoted'\\ttab\n"),
    ],
)
def test_text_formats_are_inserted(client: Client, input_format: str, text: str) -> None:
    client.raw_insert("spend", insert_block=text, fmt=input_format)
    assert rows(client) == ROWS


def test_values_and_inserts_from_queries_are_ordinary_statements(client: Client) -> None:
    client.command("INSERT INTO spend VALUES ('a', 1, 'FORMAT Native'), ('b', 2, NULL)")
    client.command("INSERT INTO spend SELECT org, nanos * 10, note FROM spend WHERE nanos = 2")
    assert rows(client) == [["a", 1, "FORMAT Native"], ["b", 2, None], ["b", 20, None]]


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("String", "it's a \\ and a\ttab\nand a new line; DROP TABLE spend"),
        ("Int64", -(2**62)),
        ("Nullable(String)", None),
        ("Array(String)", ["a'b", "c\\d"]),
        ("DateTime64(3, 'UTC')", datetime(2026, 11, 24, 13, 5, 7, 123_000, tzinfo=UTC)),
        ("Array(Int64)", [1, -2]),
    ],
)
def test_parameters_are_bound_by_the_engine(client: Client, kind: str, value: object) -> None:
    answer = client.query(f"SELECT {{value:{kind}}}", parameters={"value": value}, tz_mode="aware")
    assert answer.result_rows == [(value,)]


def test_a_long_query_comes_as_a_form(clickhouse: str) -> None:
    other = clickhouse_connect.get_client(dsn=clickhouse, form_encode_query_params=True, autogenerate_session_id=False)
    assert other.query("SELECT {n:Int64} + 1", parameters={"n": 41}).first_row == (42,)
    other.close()


def test_a_large_result_arrives_in_blocks(client: Client) -> None:
    with client.query_row_block_stream("SELECT number FROM numbers(500000)") as blocks:
        sizes = [len(block) for block in blocks]
    assert sum(sizes) == 500_000
    assert len(sizes) > 1


def test_every_column_type_we_store_survives_the_native_format(client: Client) -> None:
    [answer] = client.query(
        "SELECT toDateTime64('2026-11-24 13:05:07.123', 3, 'UTC'), map('feature', 'chat'), toUInt64(1), "
        "toDecimal128('12.50', 9), [1, 2]::Array(UInt8), (1, 'a')::Tuple(n UInt8, s LowCardinality(String))",
        tz_mode="aware",
    ).result_rows
    assert answer[0] == datetime(2026, 11, 24, 13, 5, 7, 123_000, tzinfo=UTC)
    assert answer[1] == {"feature": "chat"}
    assert str(answer[3]) == "12.500000000"
    assert list(answer[4]) == [1, 2]


@pytest.mark.parametrize(
    ("sql", "code", "name"),
    [
        ("SELECT nothing", 47, "UNKNOWN_IDENTIFIER"),
        ("SELECT * FROM missing", 60, "UNKNOWN_TABLE"),
        ("SELEC 1", 62, "SYNTAX_ERROR"),
        ('INSERT INTO spend FORMAT JSONEachRow {"nanos":"x"}', 27, "CANNOT_PARSE_INPUT_ASSERTION_FAILED"),
    ],
)
def test_errors_carry_their_code(client: Client, sql: str, code: int, name: str) -> None:
    with pytest.raises(DatabaseError) as caught:
        client.command(sql)
    assert caught.value.code == code
    assert caught.value.name == name


def test_an_unknown_setting_is_refused(client: Client) -> None:
    with pytest.raises(DatabaseError, match="UNKNOWN_SETTING"):
        client.raw_query("SELECT 1", settings={"max_wonders": 1})


def test_an_error_in_the_middle_of_a_result_is_noticed(client: Client) -> None:
    failing = "SELECT throwIf(number = 499999), repeat('x', 100) FROM numbers(500000)"
    one_by_one = {"max_threads": 1, "max_block_size": 1000}
    with (
        pytest.raises(StreamFailureError, match="FUNCTION_THROW_IF_VALUE_IS_NON_ZERO"),
        client.query_row_block_stream(failing, settings=one_by_one) as blocks,
    ):
        list(blocks)


@pytest.mark.parametrize(("user", "password"), [("default", "wrong"), ("root", None), ("default", "")])
def test_strangers_are_refused(clickhouse_server: ClickHouse, user: str, password: str | None) -> None:
    secret = clickhouse_server.password if password is None else password
    with pytest.raises(DatabaseError, match=r"AUTHENTICATION_FAILED|REQUIRED_PASSWORD"):
        clickhouse_connect.get_client(host="127.0.0.1", port=clickhouse_server.port, username=user, password=secret)


def test_a_session_keeps_what_was_set_in_it(clickhouse: str) -> None:
    client = clickhouse_connect.get_client(dsn=clickhouse, session_id="mine")
    client.command("CREATE TEMPORARY TABLE notes (n Int64)")
    client.command("INSERT INTO notes VALUES (7)")
    assert client.query("SELECT n FROM notes").first_row == (7,)
    stranger = clickhouse_connect.get_client(dsn=clickhouse, session_id="another")
    with pytest.raises(DatabaseError, match="UNKNOWN_TABLE"):
        stranger.query("SELECT n FROM notes")


def test_the_same_token_counts_once_in_the_table_and_its_views(client: Client) -> None:
    window = "SETTINGS non_replicated_deduplication_window = 100"
    client.command(f"CREATE TABLE raw (org String, nanos Int64) ORDER BY org {window}")
    client.command(f"CREATE TABLE totals (org String, nanos Int64) ENGINE = SummingMergeTree ORDER BY org {window}")
    client.command("CREATE MATERIALIZED VIEW feed TO totals AS SELECT org, sum(nanos) AS nanos FROM raw GROUP BY org")
    batch = [["acme", number] for number in range(1000)]
    for token in ("charges-0-0-99", "charges-0-0-99", "charges-0-100-199"):
        client.insert("raw", batch, settings={**DEDUPLICATED, "insert_deduplication_token": token})
    assert client.query("SELECT count() FROM raw").first_row == (2000,)
    assert client.query("SELECT sum(nanos) FROM totals").first_row == (2 * 499_500,)


async def test_many_queries_and_inserts_at_once(async_client: AsyncClient) -> None:
    await async_client.command("CREATE TABLE busy (n Int64) ORDER BY n")
    await asyncio.gather(*[async_client.insert("busy", [[n]], column_names=["n"]) for n in range(40)])
    answers = await asyncio.gather(*[async_client.query("SELECT sum(n) FROM busy") for _ in range(20)])
    assert {answer.first_row for answer in answers} == {(780,)}


async def test_every_acknowledged_insert_survives_kill_9(tmp_path: Path) -> None:
    local = ClickHouse(tmp_path / "engine", free_port(), tmp_path / "clickhouse.log", "secret")
    process = Process(local.program())
    await process.start()
    client = await clickhouse_connect.get_async_client(dsn=local.address("default"), autogenerate_session_id=False)
    await client.command("CREATE TABLE kept (n Int64) ORDER BY n")
    for round_number in range(3):
        for n in range(10):
            await client.insert("kept", [[round_number * 10 + n]], column_names=["n"])
        await process.kill()
        await process.start()
        found = await client.query("SELECT count(), uniqExact(n) FROM kept")
        assert found.first_row == ((round_number + 1) * 10, (round_number + 1) * 10)
    await client.close()
    await process.stop()
