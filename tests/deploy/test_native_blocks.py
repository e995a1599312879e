"""Blocks of every column type, framed for newer clients: taking the framing out again gives what the engine wrote."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from deploy.local.clickhouse.engine import Context, Engine
from deploy.local.clickhouse.errors import QueryError
from deploy.local.clickhouse.native_blocks import BLOCK_INFO, reframe

COLUMNS = {
    "UInt8": "number % 200",
    "Int64": "number",
    "Bool": "number % 2 = 0",
    "String": "repeat('é', number % 300)",
    "FixedString(5)": "'abcde'",
    "Float64": "number / 7",
    "Date": "number",
    "DateTime64(3, 'UTC')": "number",
    "UUID": "generateUUIDv4()",
    "IPv6": "'::1'",
    "Decimal(9, 2)": "number",
    "Decimal(38, 9)": "number",
    "Enum8('a, (b' = 0, 'c' = 1)": "number % 2",
    "Nullable(Int64)": "if(number % 3 = 0, NULL, number)",
    "Array(Nullable(String))": "arrayMap(x -> toString(x), range(number % 5))",
    "Map(LowCardinality(String), Int64)": "map('a', number)",
    "Tuple(n Int64, s String)": "(number, 'x')",
    "Tuple(Int64, Array(UInt8))": "(number, [1, 2])",
    "LowCardinality(String)": "toString(number % 7)",
    "LowCardinality(Nullable(String))": "if(number % 3 = 0, NULL, toString(number % 7))",
    "Array(LowCardinality(String))": "[toString(number % 7), 'b']",
    "SimpleAggregateFunction(sum, Int64)": "number",
}


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    engine = Engine(tmp_path_factory.mktemp("engine"))
    yield engine
    engine.close()


def select(engine: Engine, *kinds: str, rows: int) -> bytes:
    columns = ", ".join(f"CAST({COLUMNS[kind]} AS {kind}) AS c{n}" for n, kind in enumerate(kinds))
    context = Context(settings={"allow_suspicious_low_cardinality_types": "1", "max_block_size": "100"})
    return engine.query(f"SELECT {columns} FROM numbers({rows})", "Native", context).body


@pytest.mark.parametrize("kind", COLUMNS)
@pytest.mark.parametrize("rows", [1, 250])
def test_each_type_is_stepped_over_exactly(engine: Engine, kind: str, rows: int) -> None:
    plain = select(engine, kind, rows=rows)
    framed = reframe(plain, 54453)
    assert framed.startswith(BLOCK_INFO)
    assert framed.replace(BLOCK_INFO, b"") == plain


def test_newer_clients_get_a_byte_before_each_column(engine: Engine) -> None:
    plain = select(engine, *COLUMNS, rows=250)
    blocks = reframe(plain, 54453).count(BLOCK_INFO)
    assert blocks == 3
    assert len(reframe(plain, 54460)) == len(plain) + blocks * (len(BLOCK_INFO) + len(COLUMNS))


def test_a_type_that_is_not_known_is_refused(engine: Engine) -> None:
    block = engine.query("SELECT uniqState(number) FROM numbers(3)", "Native", Context()).body
    with pytest.raises(QueryError, match="NOT_IMPLEMENTED"):
        reframe(block, 54460)
