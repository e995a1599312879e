"""The sink on a real broker and a real engine: every charge once, whatever is killed, frozen, malformed or away."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from random import Random

import aiohttp
import pytest

from deploy.local.clickhouse.program import ClickHouse
from deploy.local.kafka.broker import Broker
from deploy.local.keeper import keep_alive
from deploy.local.ports import free_port
from deploy.local.process import Process
from services.adapters.clickhouse import open_client
from services.adapters.ending import end_tasks
from services.sink.settings import SinkSettings
from services.sink.worker import FEEDS
from tests.contracts.samples import EXAMPLES, read_json
from tests.integration.sinking import (
    PARTITIONS,
    Charges,
    Sink,
    assert_exact,
    charge_producer,
    eventually,
    one_row,
    post,
    rejected,
    rows_in,
    running_engine,
    running_sink,
    send,
    sink_settings,
)

KILLS = 10
BROKER_KILLS = 3


@pytest.fixture(scope="module")
async def engine(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[ClickHouse, Process]]:
    """An engine that tests may kill, as long as they start it again."""
    async with running_engine(tmp_path_factory.mktemp("sink-engine")) as running:
        yield running


@pytest.fixture
def settings(broker: str, engine: tuple[ClickHouse, Process], prefix: str, tmp_path: Path) -> SinkSettings:
    """A sink of this test's own topics and database."""
    return sink_settings(broker, engine[0].address(f"t{secrets.token_hex(4)}"), prefix, tmp_path)


@asynccontextmanager
async def kept_alive(process: Process) -> AsyncIterator[None]:
    """As a supervisor does: a Kafka client that a dying broker breaks for good ends the sink."""
    keeping = asyncio.create_task(keep_alive(process, lambda _line: None))
    try:
        yield
    finally:
        await end_tasks(keeping)


async def ready_again(sink: Sink) -> None:
    """Wait until rows arrive, also while there is no process."""

    async def ready() -> bool:
        with suppress(aiohttp.ClientError, TimeoutError):
            return (await sink.readiness())[0] == 200
        return False

    await eventually(ready, sink.describe)


@pytest.mark.timeout(600)
async def test_kills_of_sink_and_clickhouse_leave_every_sum_exact(
    settings: SinkSettings, engine: tuple[ClickHouse, Process]
) -> None:
    charges, moments = Charges(Random(1)), Random(2)
    async with charge_producer(settings) as producer:
        load = asyncio.create_task(post(producer, settings, charges, transactions=900, pause_s=0.03))
        sink = Sink.of(settings)
        for kill in range(KILLS):
            await sink.process.start()
            await sink.ready()
            await asyncio.sleep(moments.uniform(0.05, 1.0))
            if kill % 3 == 1:
                await engine[1].kill()
                await asyncio.sleep(moments.uniform(0.0, 0.5))
                await sink.process.kill()
                await engine[1].start()
            else:
                await sink.process.kill()
        await sink.process.start()
        await load
        await rows_in(settings.clickhouse, "charges", charges.totals["rows"], sink)
        await sink.process.stop()
    assert sink.lines("repeating a range"), "no kill hit an insert: the test has proved nothing"
    await asyncio.to_thread(assert_exact, settings.clickhouse, charges)


@pytest.mark.timeout(600)
async def test_workers_that_come_go_and_freeze_neither_lose_nor_double_rows(settings: SinkSettings) -> None:
    charges = Charges(Random(3))
    async with charge_producer(settings) as producer, running_sink(settings, "first") as first:
        load = asyncio.create_task(post(producer, settings, charges, transactions=500, pause_s=0.03))
        await first.ready()
        async with running_sink(settings, "second") as second:
            await second.ready()
            first.process.pause()
            await second.owns(PARTITIONS * len(FEEDS))
            first.process.resume()
            await second.owns(PARTITIONS * len(FEEDS) // 2)
            async with running_sink(settings, "third") as third:
                await third.ready()
                assert await third.process.stop() == 0
            assert await second.process.stop() == 0
        await load
        await rows_in(settings.clickhouse, "charges", charges.totals["rows"], first)
    await asyncio.to_thread(assert_exact, settings.clickhouse, charges)


@pytest.mark.timeout(600)
async def test_a_broker_that_is_killed_under_load_leaves_every_sum_exact(
    engine: tuple[ClickHouse, Process], prefix: str, tmp_path: Path
) -> None:
    charges, moments = Charges(Random(10)), Random(11)
    broker = Broker(tmp_path / "kafka", free_port(), tmp_path / "kafka.log")
    kafka = Process(await asyncio.to_thread(broker.program))
    settings = sink_settings(broker.bootstrap, engine[0].address(f"t{secrets.token_hex(4)}"), prefix, tmp_path)
    await kafka.start()
    try:
        async with charge_producer(settings) as producer:
            await post(producer, settings, charges, transactions=600)
        async with running_sink(settings) as sink, kept_alive(sink.process):
            for _ in range(BROKER_KILLS):
                await ready_again(sink)
                await asyncio.sleep(moments.uniform(0.0, 0.5))
                await kafka.kill()
                await kafka.start()
            await rows_in(settings.clickhouse, "charges", charges.totals["rows"], sink)
            await ready_again(sink)
    finally:
        await kafka.kill()
    await asyncio.to_thread(assert_exact, settings.clickhouse, charges)


async def test_rows_wait_while_clickhouse_is_away_and_arrive_once(
    settings: SinkSettings, engine: tuple[ClickHouse, Process]
) -> None:
    charges = Charges(Random(4))
    async with charge_producer(settings) as producer, running_sink(settings) as sink:
        await sink.ready()
        await post(producer, settings, charges, transactions=20)
        await rows_in(settings.clickhouse, "charges", charges.totals["rows"], sink)
        await engine[1].kill()
        await post(producer, settings, charges, transactions=20)
        await sink.waiting_for("Cannot connect")
        await engine[1].start()
        await rows_in(settings.clickhouse, "charges", charges.totals["rows"], sink)
        await sink.ready()
    await asyncio.to_thread(assert_exact, settings.clickhouse, charges)


async def test_what_is_no_charge_is_kept_aside_and_does_not_block(settings: SinkSettings) -> None:
    charges = Charges(Random(5))
    whole, single, other = charges.record(0, 3), charges.record(0, 1), charges.record(0, 1)
    huge = single.replace(b'"cost_nanousd":', b'"cost_nanousd":9223372036854775808,"was":')
    ancient = single.replace(b'"charged_at_ms":1', b'"charged_at_ms":-1')
    nameless = whole.replace(b"charged_at_ms", b"charged_at")
    mixed = b'[{"type":"spendgate.charge.posted.v1"},' + other[1:]
    bad = [b"not json", b"\xff\xfe", b"", b"{}", huge, ancient, nameless]
    await send(settings, "charges", *[(0, value) for value in [*bad, mixed, whole]])
    async with running_sink(settings) as sink:
        await sink.ready()
        await rows_in(settings.clickhouse, "charges", 3 + 1, sink)
        found = await rejected(settings, 6 + 3 + 1)
        await sink.ready()
    places = {event.id.removeprefix(f"{settings.topic_prefix}charges-0-"): event.data for event in found}
    assert sorted(places) == ["0", "1", "2", "3", "4-0", "5-0", "6-0", "6-1", "6-2", "7-0"]
    assert {rejection.stage for rejection in places.values()} == {"sink"}
    assert places["0"].event == "not json"


async def test_decisions_arrive_with_their_whole_explanation(settings: SinkSettings) -> None:
    decision = {
        "decision": "d-1",
        "action": "deny",
        "tier": "hard",
        "reason": "budget_exceeded",
        "warnings": [],
        "organization": "acme",
        "user": "alice",
        "model": "gpt-4o",
        "priority": "normal",
        "estimate_usd": "0.012",
        "budgets": [
            {"budget": "wide", "scope": "org:acme", "window": "month:2026-11", "limit_usd": "50"},
            {"budget": "tight", "scope": "org:acme/user:alice", "window": "day:2026-11-24", "binding": True},
        ],
        "policy_version": 3,
        "price_version": "p",
        "ledger": {"partition": 2, "offset": -1},
        "decided_at": "2026-11-24T12:00:00.5Z",
    }
    event = {"specversion": "1.0", "id": "d-1", "source": "spendgate/enforcer/a", "time": "2026-11-24T12:00:00Z"}
    value = json.dumps([{**event, "type": "spendgate.decision.made.v1", "data": decision}]).encode()
    await send(settings, "decisions", (2, value), (1, b"[7]"))
    async with running_sink(settings) as sink:
        await sink.ready()
        await rows_in(settings.clickhouse, "decisions", 1, sink)
        assert [event.data.event for event in await rejected(settings, 1)] == ["7"]
    with open_client(settings.clickhouse) as client:
        columns = "toString(decided_at), action, user, estimate_nanousd, binding_budget, ledger_offset, explanation"
        found = one_row(client, f"SELECT {columns} FROM decisions")
    assert found[:-1] == ("2026-11-24 12:00:00.500", "deny", "alice", 12_000_000, "tight", -1)
    assert json.loads(found[-1]) == decision


async def test_what_is_foreseen_arrives_and_what_is_no_row_is_kept_with_the_reason(settings: SinkSettings) -> None:
    def example(name: str, **changed: object) -> bytes:
        event = read_json(EXAMPLES / name)
        return json.dumps(event | {"data": event["data"] | changed}).encode()

    forecast = "spendgate.forecast.made.v1/a_project_month.json"
    anomaly = "spendgate.anomaly.found.v1/a_runaway_key.json"
    alert = "spendgate.alert.raised.v1/projected_to_exceed.json"
    beyond_a_date = example(forecast, scope="org:acme", ends="2199-12-31")
    of_a_newer_service = example(anomaly, anomaly="later", kind="drought", unheard_of=1)
    await send(
        settings, "forecasts", (2, b"[%b,%b]" % (example(forecast), beyond_a_date)), (2, b"[%b]" % example(forecast))
    )
    await send(settings, "anomalies", (2, b"[%b,%b]" % (example(anomaly), of_a_newer_service)), (0, b"{}"))
    await send(settings, "alerts", (1, b"[%b,7]" % example(alert)), (1, b"[%b]" % example(alert)))
    audit = "spendgate.audit.recorded.v1/limit_raised.json"
    of_all = "spendgate.audit.recorded.v1/of_all_organizations.json"
    await send(settings, "audit", (3, b"[%b,%b]" % (example(audit), example(of_all))), (3, b"[%b]" % example(audit)))
    async with running_sink(settings) as sink:
        await sink.ready()
        for table, rows in (("forecasts", 1), ("anomalies", 2), ("alerts", 1), ("audit", 2)):
            await rows_in(settings.clickhouse, f"{table} FINAL", rows, sink)
        details = sorted(event.data.detail for event in await rejected(settings, 3))
    assert [detail.partition(": ")[0].removeprefix(settings.topic_prefix) for detail in details] == [
        "alerts-1-0-1",
        "anomalies-0-0",
        "forecasts-2-0-1",
    ]
    assert details[2].endswith("a day is not between 2015 and 2100")
    with open_client(settings.clickhouse) as client:
        assert one_row(
            client,
            "SELECT scope, toString(begins), high_nanousd, arrayMap(day -> toString(day), fan_days), fan_mid, "
            "risk_budgets, risk_chances, risk_days, models, toString(made_at) FROM forecasts FINAL",
        ) == (
            "org:acme/project:search",
            "2026-11-01",
            20_911_000_000_000,
            ["2026-11-24"],
            [15_876_000_000_000],
            ["search-month"],
            [0.44],
            [None],
            ["weekday", "theta", "prophet"],
            "2026-11-24 00:10:00.000",
        )
        assert one_row(
            client,
            "SELECT kind, score, values, values_observed, toUnixTimestamp64Milli(begins) FROM anomalies FINAL "
            "WHERE anomaly != 'later'",
        ) == ("spike", 6.8, ["batch-7"], [80_100_000_000], 1_795_521_600_000)
        assert one_row(
            client,
            "SELECT kind, settled_nanousd, projected_nanousd, probability, toString(expected_on), topic_offset "
            "FROM alerts FINAL",
        ) == ("projection", 450_120_000_000, 541_200_000_000, 0.83, "2026-11-28", 1)
        assert one_row(
            client,
            "SELECT action, `by`, key_id, before, budgets, toUnixTimestamp64Milli(at), ledger_offset FROM audit FINAL "
            "WHERE organization = 'acme'",
        ) == (
            "policy.applied",
            "alice@acme.example",
            "k-3f9a",
            '{"version":3,"limits":{"company-month":"50000.00"}}',
            ["company-month"],
            1_795_611_900_000,
            1841,
        )
