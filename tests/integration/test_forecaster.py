"""The forecaster on a real broker and a real engine: forecasts that add up, alerts told once, anomalies explained."""

from __future__ import annotations

import asyncio
import secrets
from datetime import date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from services.adapters.clock import now_ms
from services.core.events import to_ms
from services.forecaster.settings import ForecasterSettings
from tests.integration.aggregating import read_all
from tests.integration.forecasting import (
    USD,
    Past,
    alerts,
    anomalies,
    by_scope,
    days,
    forecasts,
    migrated,
    named,
    noon,
    program_of,
    publish,
    put_policy,
    running,
    settings_of,
    until,
    wired,
)
from tests.integration.sinking import running_engine

ZONE = "America/New_York"
HOUR_MS = 3_600_000


@pytest.fixture
def settings(broker: str, clickhouse: str, prefix: str, tmp_path: Path) -> ForecasterSettings:
    return settings_of(broker, migrated(clickhouse), prefix, tmp_path)


def at(text: str, zone: str = ZONE) -> int:
    return to_ms(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)))


def policy(*budgets: dict[str, object], zone: str = ZONE) -> dict[str, object]:
    return {"organization": "acme", "timezone": zone, "budgets": list(budgets)}


async def entry_of(settings: ForecasterSettings) -> bytes:
    """The policy put last."""
    return bytes((await read_all(settings, "policies"))[-1].value)


async def spend_steadily(past: Past, first: date, end: date, zone: str = ZONE) -> None:
    """Ten dollars a day: six by search (two teams), four by chat; every cent by some user, unevenly."""
    for number, day in enumerate(days(first, end)):
        wobble = number * 7 % 5 * 100_000_001
        at_ms = noon(day, zone)
        past.spend(at_ms, 4 * USD + wobble, project="search", team="ranking", user="alice")
        past.spend(at_ms, 2 * USD - wobble, project="search", team="index", user="bob", model="gpt-4o-mini")
        past.spend(at_ms, 4 * USD + 1, project="chat", team="chat/support", user="ünï/cödé")
    await past.insert()


async def test_children_add_up_to_their_parents_to_the_nano_dollar(settings: ForecasterSettings) -> None:
    past = Past(settings.clickhouse)
    await spend_steadily(past, date(2026, 9, 20), date(2026, 11, 18))
    await put_policy(settings, policy({"name": "m", "limit_usd": "1000", "window": "month"}))
    async with wired(settings) as made:
        made.policies.take([await entry_of(settings)])
        await made.rounds.once(at("2026-11-18T15:00"))
    told = by_scope(await forecasts(settings), "month:2026-11")
    org, search = told["org:acme"], "org:acme/project:search"
    assert len(told) == 1 + 2 + 3 + 3
    for field in ("spent_nanousd", "total_nanousd"):
        of = {scope: getattr(made, field) for scope, made in told.items()}
        assert of["org:acme"] == of[search] + of["org:acme/project:chat"]
        assert of[search] == of[f"{search}/team:ranking"] + of[f"{search}/team:index"]
        assert of["org:acme/project:chat"] == of["org:acme/project:chat/team:chat%2Fsupport"]
        users = [nanos for scope, nanos in of.items() if scope.startswith("org:acme/user:")]
        assert of["org:acme"] == sum(users)
    assert org.spent_nanousd == 17 * 10 * USD + 17
    assert abs(org.total_nanousd - 300 * USD) < 15 * USD
    assert org.low_nanousd <= org.total_nanousd <= org.high_nanousd
    assert (org.as_of, org.begins, org.ends, len(org.fan)) == (
        date(2026, 11, 18),
        date(2026, 11, 1),
        date(2026, 12, 1),
        30,
    )


async def test_days_are_those_of_the_organization_through_the_change_of_its_clocks(
    settings: ForecasterSettings,
) -> None:
    """In New York the first of November 2026 has 25 hours and begins at four in the morning, UTC."""
    past = Past(settings.clickhouse)
    for day in days(date(2026, 10, 1), date(2026, 11, 1)):
        past.spend(noon(day, ZONE), USD)
    past.spend(at("2026-10-31T23:59:59"), 100 * USD)
    past.spend(at("2026-11-01T00:00:00"), 1 * USD)
    past.spend(at("2026-11-01T23:59:59"), 2 * USD)
    past.spend(at("2026-11-02T00:00:00"), 4 * USD)
    await past.insert()
    async with wired(settings) as made:
        await put_policy(settings, policy())
        made.policies.take([await entry_of(settings)])
        await made.rounds.once(at("2026-11-03T00:00:01"))
    told = by_scope(await forecasts(settings), "month:2026-11")["org:acme"]
    assert told.spent_nanousd == 7 * USD
    assert [point.mid_nanousd for point in told.fan[:2]] == [3 * USD, 7 * USD]


async def test_every_window_that_a_budget_has_is_forecast_for_the_scopes_that_it_names(
    settings: ForecasterSettings,
) -> None:
    past = Past(settings.clickhouse)
    await spend_steadily(past, date(2026, 7, 1), date(2026, 11, 18))
    await put_policy(
        settings,
        policy(
            {"name": "q", "scope": {"project": "*"}, "limit_usd": "900", "window": "quarter"},
            {"name": "mini", "scope": {"model": "gpt-4o-mini"}, "limit_usd": "45", "window": "month"},
            {"name": "w", "scope": {"user": "alice"}, "limit_usd": "10", "window": "week"},
            {"name": "each-day", "scope": {"user": "*"}, "limit_usd": "1", "window": "day"},
        ),
    )
    async with wired(settings) as made:
        made.policies.take([await entry_of(settings)])
        await made.rounds.once(at("2026-11-18T15:00"))
    told = await forecasts(settings)
    assert set(by_scope(told, "quarter:2026-Q4")) == {"org:acme/project:search", "org:acme/project:chat"}
    assert set(by_scope(told, "week:2026-W47")) == {"org:acme/user:alice"}
    mini = by_scope(told, "month:2026-11")["org:acme/model:gpt-4o-mini"]
    (risk,) = mini.risks
    assert (risk.budget, risk.limit_nanousd) == ("mini", 45 * USD)
    assert mini.spent_nanousd == sum(2 * USD - (n * 7 % 5) * 100_000_001 for n in range(123, 140))
    assert not any(each.window.startswith("day") for each in told)
    raised = {(each.budget, each.scope) for each in await alerts(settings)}
    assert raised == {("mini", "org:acme/model:gpt-4o-mini"), ("w", "org:acme/user:alice")}


async def test_nothing_is_told_again_that_has_not_changed(settings: ForecasterSettings) -> None:
    past = Past(settings.clickhouse)
    await spend_steadily(past, date(2026, 10, 1), date(2026, 11, 18))
    noon_ms = at("2026-11-18T12:00")
    async with wired(settings) as made:
        await made.rounds.once(noon_ms)
        first = await forecasts(settings)
        await made.rounds.once(noon_ms + HOUR_MS)
        assert len(await forecasts(settings)) == len(first)
        past.spend(noon_ms, 0, project="chat", team="chat/support", user="alice")
        await past.insert()
        await made.rounds.once(noon_ms + 2 * HOUR_MS)
        assert len(await forecasts(settings)) == len(first)
        past.spend(noon_ms, 50 * USD, project="chat", team="chat/support", user="alice")
        await past.insert()
        await made.rounds.once(noon_ms + 3 * HOUR_MS)
    later = (await forecasts(settings))[len(first) :]
    raised = {each.scope: each for each in later}
    before = by_scope(first, "month:2026-11")
    assert raised["org:acme"].total_nanousd > before["org:acme"].total_nanousd + 30 * USD
    assert raised["org:acme"].forecast == before["org:acme"].forecast
    assert raised["org:acme"].spent_nanousd == before["org:acme"].spent_nanousd


async def test_a_new_day_is_forecast_at_the_midnight_of_the_organization(settings: ForecasterSettings) -> None:
    past = Past(settings.clickhouse)
    await spend_steadily(past, date(2026, 10, 1), date(2026, 11, 18))
    await put_policy(settings, policy())
    async with wired(settings) as made:
        made.policies.take([await entry_of(settings)])
        await made.rounds.once(at("2026-11-18T23:59:59"))
        await made.rounds.once(at("2026-11-19T00:00:00"))
    days_told = {each.as_of for each in await forecasts(settings)}
    assert days_told == {date(2026, 11, 18), date(2026, 11, 19)}


async def test_a_planted_spike_is_found_while_its_hour_runs_with_who_made_it(settings: ForecasterSettings) -> None:
    past = Past(settings.clickhouse)
    start_ms, spike_ms = at("2026-10-10T00:00", "UTC"), at("2026-11-18T13:00", "UTC")
    for hour_ms in range(start_ms, spike_ms, HOUR_MS):
        busy = 2 if 8 <= hour_ms // HOUR_MS % 24 < 18 else 1
        for user in ("alice", "bob"):
            past.spend(hour_ms, busy * USD, project="search", team="ranking", user=user, tags={"feature": "answer"})
    await past.insert()
    async with wired(settings) as made:
        await made.rounds.once(spike_ms)
        assert await anomalies(settings) == []
        for minute in range(10):
            past.spend(
                spike_ms + minute * 60_000, 9 * USD, project="search", user="batch-7", tags={"feature": "reindex"}
            )
        await past.insert()
        await made.rounds.once(spike_ms + 11 * 60_000)
        first = await anomalies(settings)
        await made.rounds.once(spike_ms + 12 * 60_000)
        assert len(await anomalies(settings)) == len(first)
    found = named(first)[f"org:acme/project:search@{spike_ms}"]
    assert (found.kind, found.severity, found.hour_ms) == ("spike", "critical", spike_ms)
    assert found.observed_nanousd == 90 * USD
    top = {each.dimension: each for each in reversed(found.contributors)}
    assert (top["user"].value, top["user"].observed_nanousd, top["user"].expected_nanousd) == ("batch-7", 90 * USD, 0)
    assert top["tag.feature"].value == "reindex"
    assert top["model"].value == "gpt-4o"
    assert f"org:acme@{spike_ms}" in named(first)


async def test_a_forecaster_that_has_lost_its_memory_learns_again_and_tells_nothing_twice(
    settings: ForecasterSettings, broker: str, prefix: str, tmp_path: Path
) -> None:
    past = Past(settings.clickhouse)
    start_ms, spike_ms = at("2026-10-10T00:00", "UTC"), at("2026-11-18T13:00", "UTC")
    for hour_ms in range(start_ms, spike_ms, HOUR_MS):
        past.spend(hour_ms, USD, project="search", user="alice")
    past.spend(spike_ms, 80 * USD, project="search", user="batch-7")
    past.spend(spike_ms + HOUR_MS, USD, project="search", user="alice")
    await past.insert()
    at_ms = spike_ms + 2 * HOUR_MS
    async with wired(settings) as made:
        await made.rounds.once(at_ms)
    first = await anomalies(settings)
    assert {event.data.hour_ms for event in first} == {spike_ms}

    async with wired(settings) as same:
        await same.rounds.once(at_ms)
    assert await anomalies(settings) == first

    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    async with wired(settings_of(broker, settings.clickhouse, prefix, elsewhere)) as other:
        await other.rounds.once(at_ms)
    again = (await anomalies(settings))[len(first) :]
    assert {event.id for event in again} <= {event.id for event in first}
    assert named(again).keys() <= named(first).keys()


def alarming(days_left: int, spent: int) -> str:
    """A limit that is not reached yet and will be: ten dollars a day would reach it long before the month ends."""
    return str(spent // USD + 3 * days_left)


async def test_a_projection_is_told_once_through_restarts_and_kills(settings: ForecasterSettings) -> None:
    zone = "UTC"
    today = datetime.fromtimestamp(now_ms() / 1000, ZoneInfo(zone)).date()
    past = Past(settings.clickhouse)
    await spend_steadily(past, today - timedelta(60), today, zone)
    month_end = (today.replace(day=28) + timedelta(4)).replace(day=1)
    limit = alarming((month_end - today).days, (today.day - 1) * 10 * USD)
    await put_policy(settings, policy({"name": "company", "limit_usd": limit, "window": "month"}, zone=zone))
    process = program_of(settings)
    await process.start()

    async def raised() -> bool:
        return bool(await alerts(settings))

    await until(raised, process)
    for number in range(3):
        await process.kill()
        past.spend(now_ms(), 1_000_000 + number, project="chat", user="alice")
        await past.insert()
        before = len(await forecasts(settings))
        await process.start()

        async def forecast_again(before: int = before) -> bool:
            return len(await forecasts(settings)) > before

        await until(forecast_again, process)
    assert await process.stop() == 0
    (alert,) = await alerts(settings)
    window = f"month:{today.isoformat()[:7]}"
    assert alert.alert == f"company/org:acme@{window}/projection"
    assert (alert.kind, alert.budget, alert.window) == ("projection", "company", window)
    assert alert.probability is not None
    assert alert.probability >= 0.8
    assert alert.expected_on is not None
    assert alert.expected_on >= today


async def test_clickhouse_and_unreadable_records_may_come_and_go(broker: str, prefix: str, tmp_path: Path) -> None:
    async with running_engine(tmp_path) as (clickhouse, engine):
        settings = settings_of(broker, clickhouse.address(f"t{secrets.token_hex(4)}"), prefix, tmp_path)
        async with running(settings) as process:
            log = process.program.log

            async def waits() -> bool:
                return "waiting" in log.read_text() and "clickhouse" in log.read_text()

            await until(waits, process)
            await asyncio.to_thread(migrated, settings.clickhouse)
            today = datetime.fromtimestamp(now_ms() / 1000, ZoneInfo("UTC")).date()
            past = Past(settings.clickhouse)
            await spend_steadily(past, today - timedelta(40), today, "UTC")

            async def told() -> bool:
                return bool(await forecasts(settings))

            await until(told, process)
            await engine.kill()
            await publish(settings, "policies", "acme", b'{"organization": "acme", "policy": {"budgets": 7}}')
            await publish(settings, "policies", "acme", b"no policy")

            async def refused() -> bool:
                return log.read_text().count("a policy cannot be read") == 2

            await until(refused, process)
            await put_policy(
                settings, policy({"name": "late", "limit_usd": "1", "window": "month"}, zone="UTC"), offset=9
            )
            await engine.start()

            async def knows() -> bool:
                return any(risk.budget == "late" for each in await forecasts(settings) for risk in each.risks)

            await until(knows, process)
            assert await process.stop() == 0


async def test_prophet_is_heard_in_a_process_of_its_own_while_the_service_answers(settings: ForecasterSettings) -> None:
    today = datetime.fromtimestamp(now_ms() / 1000, ZoneInfo("UTC")).date()
    past = Past(settings.clickhouse)
    await spend_steadily(past, today - timedelta(60), today, "UTC")
    loud = settings.model_copy(update={"prophet_processes": 1})
    async with running(ForecasterSettings(**loud.model_dump(include=loud.model_fields_set))) as process:

        async def told() -> bool:
            return bool(await forecasts(settings))

        await until(told, process)
        assert await process.program.ready()
    heard = {each.scope: each.models for each in await forecasts(settings)}
    assert {scope for scope, models in heard.items() if "prophet" in models} <= {
        "org:acme",
        "org:acme/project:search",
        "org:acme/project:chat",
    }
    assert "prophet" in heard["org:acme"]
