"""An enforcer without Kafka goes on, and beside a real aggregator that is killed it ends up with the same sums."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from random import Random

import pytest

from deploy.local.kafka.broker import Broker
from deploy.local.ports import free_port
from deploy.local.process import Process
from services.adapters.clock import now_ms
from services.adapters.kafka import partition_for
from services.adapters.ledger import LedgerWriter
from services.adapters.metrics import Metrics
from services.adapters.spool import Spool
from services.adapters.topics import ensure_topics
from services.adapters.vital import VitalTasks
from services.aggregator.settings import AggregatorSettings
from services.core.ask import Ask
from services.core.decision import Decision
from services.core.money import parse_usd
from services.enforcer.journal import Journal
from services.enforcer.report import Report
from services.enforcer.sample import Sample
from services.enforcer.settings import EnforcerSettings
from services.enforcer.wiring import new_engine
from tests.integration.aggregating import Worker, ledger_ends, settled_image
from tests.integration.enforcing import (
    PARTITIONS,
    Client,
    Keys,
    SlowAggregator,
    make_keys,
    running_enforcer,
    slow_aggregator,
)

ORGANIZATIONS = [f"org-{number}" for number in range(6)]
REQUESTS = 120
CLIENTS = 8
KILLS = 2


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    return make_keys(tmp_path)


@pytest.fixture
async def mortal(tmp_path: Path) -> AsyncIterator[tuple[str, Process]]:
    """A broker of the test's own, to be paused."""
    broker = Broker(tmp_path / "kafka", free_port(), tmp_path / "kafka.log")
    process = Process(await asyncio.to_thread(broker.program))
    await process.start()
    yield broker.bootstrap, process
    await process.stop()


async def test_without_kafka_checks_are_answered_and_settlements_kept(
    mortal: tuple[str, Process], keys: Keys, tmp_path: Path
) -> None:
    kafka, broker = mortal
    settings = EnforcerSettings(
        kafka=kafka, keys_file=keys.path, data_dir=tmp_path / "enforcer", claim_timeout_ms=1_000
    )
    async with slow_aggregator(settings) as aggregator, running_enforcer(settings, keys.edge) as enforcer:
        await enforcer.day(after=await aggregator.policy("acme", {"name": "d", "limit_usd": "5", "window": "day"}))
        reservation = await enforcer.reserve()
        broker.pause()
        settled = await enforcer.settle(reservation)
        assert (settled.status, settled.body["durability"], settled.body["positions"]) == (200, "spool", [])
        day = await enforcer.day()
        assert (day["settled_usd"], day["pending_usd"]) == ("0.0035", "0.0035")
        answers = [await enforcer.check() for _ in range(3)]
        assert [answer.status for answer in answers] == [200] * 3
        stale_ms = [answer.body["stale_ms"] for answer in answers]
        assert stale_ms == sorted(stale_ms)
        unknown = await enforcer.check()
        assert (unknown.status, unknown.body["reason"]) == (503, "state_unknown"), "its share is spent"
        assert "reservation" not in unknown.body
        broker.resume()
        await spool_empty(enforcer)
        await until_applied(enforcer, aggregator)
        day = await enforcer.day()
        assert (day["settled_usd"], day["requests"], day["reserved_usd"]) == ("0.0035", 1, "0.0675")


async def test_while_a_settlement_is_on_its_way_its_reservation_is_still_known(
    mortal: tuple[str, Process], keys: Keys, tmp_path: Path
) -> None:
    kafka, broker = mortal
    settings = EnforcerSettings(kafka=kafka, keys_file=keys.path, data_dir=tmp_path / "enforcer")
    async with slow_aggregator(settings), running_enforcer(settings, keys.edge) as enforcer:
        stranger = Client(enforcer.session, enforcer.url, keys.other)
        reservation = await enforcer.reserve()
        broker.pause()
        settling = asyncio.create_task(enforcer.settle(reservation))
        while (await enforcer.day())["pending_usd"] == "0.00":
            pass
        usage = {"reservation": reservation, "organization": "other", "gen_ai.request.model": "gpt-4o"}
        theirs = await stranger.post("/v1/settle", usage)
        assert (theirs.status, theirs.body["error"]["code"]) == (403, "other_organization")
        assert (await stranger.post("/v1/release", {"reservation": reservation})).status == 403
        released = await enforcer.post("/v1/release", {"reservation": reservation})
        assert (released.status, released.body["error"]["code"]) == (409, "reservation_settling")
        assert not settling.done()
        assert (await settling).body["durability"] == "spool"
        broker.resume()


async def test_whoever_goes_away_in_mid_settlement_undoes_nothing_and_keeps_nobody_waiting(
    mortal: tuple[str, Process], keys: Keys, tmp_path: Path
) -> None:
    kafka, broker = mortal
    settings = EnforcerSettings(kafka=kafka, keys_file=keys.path, data_dir=tmp_path)
    await ensure_topics(settings)
    metrics, engine = Metrics(process=False), new_engine(settings, Sample(settings.sample_allows))
    engine.partitions, engine.standings.restored = 4, True
    writer = LedgerWriter(settings, Spool.open(tmp_path / "s", max_bytes=1 << 30), metrics, VitalTasks())
    await writer.start()
    journal = Journal(engine, writer, metrics)
    hold = engine.check(Ask(organization="acme", model="gpt-4o", input_tokens=1, max_output_tokens=1), now_ms(), 0)
    assert isinstance(hold, Decision)
    assert hold.reservation is not None
    report = Report(reservation=hold.reservation.id, input_tokens=1, output_tokens=1)
    broker.pause()
    first, second, third = (asyncio.create_task(journal.settle(report)) for _ in range(3))
    while not engine.reservations.settling(report.reservation):
        await asyncio.sleep(0)
    first.cancel()
    second.cancel()
    assert (await third).repeated
    assert first.cancelled()
    assert second.cancelled()
    closed = engine.reservations.closed(report.reservation)
    assert closed is not None
    assert (closed.fate, engine.pending.spooled()) == ("settled", [partition_for("acme", 4)])
    broker.resume()
    await writer.stop()


async def spool_empty(enforcer: Client) -> None:
    while (await enforcer.call("GET", "/readyz")).body["spooled_events"]:
        await asyncio.sleep(0.05)


async def until_applied(enforcer: Client, aggregator: SlowAggregator) -> None:
    while (await enforcer.day())["pending_usd"] != "0.00":
        await aggregator.advance()


async def play(enforcer: Client, random: Random, spent: Counter[str]) -> None:
    """Requests that are settled, released or forgotten, settlements sent twice among them."""
    for _ in range(REQUESTS):
        organization = random.choice(ORGANIZATIONS)
        answer = await enforcer.check(organization=organization, user=f"u{random.randrange(3)}", tags={"feature": "x"})
        if answer.status in (429, 503):  # spent, or nobody is there to grant a share
            continue
        reservation, fate = answer.body["reservation"]["id"], random.random()
        if fate < 0.1:
            await enforcer.post("/v1/release", {"reservation": reservation})
            continue
        for _ in range(1 + (fate > 0.9)):
            settled = await enforcer.settle(reservation, output_tokens=random.randrange(2000))
            assert settled.status == 200, settled
            if not settled.body["repeated"]:
                spent[organization] += parse_usd(settled.body["cost_usd"])


@pytest.mark.timeout(600)
async def test_beside_a_real_aggregator_every_sum_is_the_same_and_no_budget_is_overspent(
    broker: str, prefix: str, keys: Keys, tmp_path: Path
) -> None:
    aggregator = AggregatorSettings(kafka=broker, topic_prefix=prefix, keys_file=keys.path, session_timeout_s=3.0)
    settings = EnforcerSettings(
        kafka=broker, topic_prefix=prefix, keys_file=keys.path, data_dir=tmp_path / "enforcer", claim_timeout_ms=250
    )
    await ensure_topics(settings)
    await seed_policies(settings)
    worker = await Worker.start(aggregator, tmp_path, "worker")
    async with running_enforcer(settings, keys.admin) as enforcer:
        while (await enforcer.check(organization=ORGANIZATIONS[-1], dry_run=True)).body["policy_version"] == 0:
            await asyncio.sleep(0.05)
        spent: Counter[str] = Counter()
        players = [asyncio.create_task(play(enforcer, Random(seed), spent)) for seed in range(CLIENTS)]
        for _ in range(KILLS):
            await asyncio.sleep(1)
            await worker.kill()
            worker = await Worker.start(aggregator, tmp_path, "worker")
        await asyncio.gather(*players)
        image = (await settled_image(aggregator, ends := await ledger_ends(aggregator))).sums()
        for organization in ORGANIZATIONS:
            scope = f"org:{organization}"
            partition = partition_for(organization, PARTITIONS)
            day = await enforcer.day(scope, after=(partition, ends[partition] - 1))
            assert (day["pending_usd"], day["reserved_usd"]) == ("0.00", "0.00")
            assert parse_usd(day["settled_usd"]) == image[scope, "day"] == spent[organization] <= parse_usd("0.50")
        assert sum(spent.values()) > parse_usd("2.00")
    await worker.stop()


async def seed_policies(settings: EnforcerSettings) -> None:
    """Append the policies; the real aggregator applies them."""
    async with slow_aggregator(settings) as ledger:
        for organization in ORGANIZATIONS:
            tiers = {"soft": "0.8", "throttle": "1.0", "hard": "1.0"}
            budgets = [{"name": "d", "limit_usd": "0.50", "window": "day", "tiers": tiers}]
            policy = {"organization": organization, "budgets": budgets}
            data = {"organization": organization, "version": 1, "policy": policy, "by": "test"}
            await ledger.append(organization, "spendgate.policy.changed.v1", organization, data)
