"""An insert with data is told from every other statement, whatever its text contains."""

from __future__ import annotations

import pytest

from deploy.local.clickhouse.statement import Insert, Query, understand


@pytest.mark.parametrize(
    ("text", "target", "data"),
    [
        (b"INSERT INTO t FORMAT Native\n\x01\x02", "INSERT INTO t", b"\x01\x02"),
        (b"insert into `d`.`t` (`a`, `b`) format Native \r\n\x00", "insert into `d`.`t` (`a`, `b`)", b"\x00"),
        (b"/* batch 7 */ -- a note\n INSERT INTO t FORMAT Native\nx", "INSERT INTO t", b"x"),
        (b"INSERT INTO t SETTINGS async_insert=0 FORMAT Native\nx", "INSERT INTO t SETTINGS async_insert=0", b"x"),
        (b"INSERT INTO `select` (`values`) FORMAT Native\nx", "INSERT INTO `select` (`values`)", b"x"),
        (b"INSERT INTO `a FORMAT b` FORMAT Native\nx", "INSERT INTO `a FORMAT b`", b"x"),
        (b"INSERT INTO t FORMAT Native", "INSERT INTO t", b""),
        (b"INSERT INTO t FORMAT Native\nSELECT 1 FORMAT CSV", "INSERT INTO t", b"SELECT 1 FORMAT CSV"),
    ],
)
def test_an_insert_with_data_is_split(text: bytes, target: str, data: bytes) -> None:
    insert = understand(text)
    assert isinstance(insert, Insert)
    assert (insert.target.strip(), insert.format, insert.data) == (target, "Native", data)


@pytest.mark.parametrize(
    ("text", "output_format"),
    [
        (b"SELECT 1", None),
        (b"SELECT 1 FORMAT JSON;", "JSON"),
        (b"SELECT 1\n FORMAT Native SETTINGS max_threads = 1", "Native"),
        (b"SELECT 'FORMAT CSV'", None),
        (b"INSERT INTO t VALUES (1, 'FORMAT Native')", None),
        (b"INSERT INTO t (a) SELECT b FROM u FORMAT Null", "Null"),
        (b"INSERT INTO t SELECT 'INSERT INTO x FORMAT Native\n'", None),
        (b"CREATE TABLE t (a Int64) ORDER BY a", None),
    ],
)
def test_other_statements_stay_whole(text: bytes, output_format: str | None) -> None:
    assert understand(text) == Query(text.decode(), output_format)
