"""Reading the past from a real ledger: of one organization's partition, to the mark and no further, or not at all."""

from __future__ import annotations

import json

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.records_to_delete import RecordsToDelete

from services.adapters.clock import now_ms
from services.adapters.kafka import partition_for
from services.adapters.settings import Settings
from services.adapters.topics import ensure_topics, topic
from services.cli.connection import Connection
from services.cli.errors import CliError
from services.cli.past import mark_of, read_past, told_mark
from services.cli.past_views import status_then
from services.core.as_of import Instant, Mark, Place
from services.core.events import from_ms
from tests.core.ledger import costing
from tests.integration.aggregating import PARTITIONS, ledger_producer

PARTITION = partition_for("acme", PARTITIONS)
RECORDS = 1_200
"""More than are read at once."""


@pytest.fixture
async def connection(broker: str, prefix: str) -> Connection:
    """An installation whose ledger holds as many requests of acme, a cent each."""
    settings = Settings(kafka=broker, topic_prefix=prefix)
    await ensure_topics(settings, partitions=PARTITIONS)
    async with ledger_producer(settings) as producer:
        for number in range(RECORDS):
            value = json.dumps([costing("0.01", f"e{number}", at_ms=now_ms())]).encode()
            await producer.send(topic(settings, "ledger"), value, partition=PARTITION)
        await producer.flush()
    return Connection(settings, None, None, None, "this test")


async def requests(connection: Connection, mark: Mark) -> int:
    status = status_then(await read_past(connection, "acme", mark), "org:acme").status
    return max((window.requests for window in status.windows), default=0)


async def test_a_ledger_is_read_to_the_mark_and_no_further(connection: Connection) -> None:
    for offset in (0, 499, 500, 700, RECORDS - 1):
        assert await requests(connection, Place(PARTITION, offset)) == offset + 1
    assert await requests(connection, Instant(now_ms())) == RECORDS
    assert await requests(connection, Instant(now_ms() - 3_600_000)) == 0


async def test_what_was_read_is_told_on_stderr(connection: Connection, capsys: pytest.CaptureFixture[str]) -> None:
    past = await read_past(connection, "acme", Place(PARTITION, 700), verbose=True)
    said = capsys.readouterr().err
    assert f"read 701 records with 701 events (0.2 MB) of ledger partition {PARTITION} in " in said
    assert told_mark(past).endswith(f" UTC, ledger {PARTITION}:700")


async def test_a_place_that_the_ledger_does_not_have_is_refused(connection: Connection) -> None:
    with pytest.raises(CliError, match=f"ends at {RECORDS - 1}, {RECORDS} is still to come"):
        await read_past(connection, "acme", Place(PARTITION, RECORDS))
    with pytest.raises(CliError, match="not that of acme"):
        await read_past(connection, "acme", Place((PARTITION + 1) % PARTITIONS, 0))


async def test_an_empty_ledger_is_a_past_too(broker: str, prefix: str) -> None:
    settings = Settings(kafka=broker, topic_prefix=prefix)
    await ensure_topics(settings, partitions=PARTITIONS)
    past = await read_past(Connection(settings, None, None, None, "this test"), "acme", Instant(now_ms()))
    assert (past.records, told_mark(past).partition(" UTC, ")[2]) == (0, "an empty ledger")


async def test_a_past_whose_beginning_is_gone_says_what_to_do(connection: Connection) -> None:
    source = TopicPartition(topic(connection.settings, "ledger"), PARTITION)
    admin = AIOKafkaAdminClient(bootstrap_servers=connection.settings.kafka)
    await admin.start()
    await admin.delete_records({source: RecordsToDelete(before_offset=5)})
    await admin.close()
    with pytest.raises(CliError, match=r"the past cannot be read: .* restore it from a backup") as caught:
        await read_past(connection, "acme", Instant(now_ms()))
    assert "status without --at" in (caught.value.advice or "")


def test_an_instant_that_lies_ahead_is_refused() -> None:
    with pytest.raises(CliError, match="is still to come"):
        mark_of(from_ms(now_ms() + 60_000).isoformat())
