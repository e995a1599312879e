"""Status, forecasts, alerts and anomalies over HTTP: exact, paged, and each organization's own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
import msgspec
import pytest
from aiokafka import AIOKafkaProducer
from yarl import URL

from services.adapters.clickhouse import open_async_client
from services.adapters.clock import now_ms
from services.adapters.kafka import partition_for
from services.adapters.keys import Role, new_key, write_keys
from services.adapters.topics import ensure_topics, topic
from services.adapters.warehouse.named import query
from services.adapters.web import listening
from services.console.app import build
from services.console.settings import ConsoleSettings
from services.core.balance import Balance
from services.core.effects import PolicyEntry, Position
from services.core.escrow import Share
from services.core.events import from_ms, to_ms
from services.core.foresight_events import (
    Anomaly,
    AnomalyFound,
    BudgetRisk,
    Contributor,
    FanPoint,
    Forecast,
    ForecastMade,
)
from services.core.notification_events import Notification, NotificationSent
from services.core.outcomes import Alert, AlertRaised, AuditEntry, AuditRecorded
from services.sink.alerts import ALERTS
from services.sink.anomalies import ANOMALIES
from services.sink.audit_log import AUDIT
from services.sink.feed import Feed
from services.sink.forecasts import FORECASTS
from services.sink.notifications import NOTIFICATIONS
from services.sink.ranges import Range
from services.sink.store import Store
from tests.integration.forecasting import USD, migrated
from tests.integration.sinking import PARTITIONS


def middle_of_last_month(at_ms: int) -> datetime:
    """An instant that tables still keep, and that is far from the ends of its day and month."""
    last = from_ms(at_ms).astimezone(UTC).replace(day=1) - timedelta(1)
    return last.replace(day=15, hour=12, minute=0, second=0, microsecond=0)


NOW = middle_of_last_month(now_ms())
NOW_MS = to_ms(NOW)
TODAY = NOW.date()
MONTH = f"month:{TODAY:%Y-%m}"
BEGIN = TODAY.replace(day=1)
END = (BEGIN + timedelta(32)).replace(day=1)
ODD = "org:acme/user:%C3%BCn%C3%AF%2Fc%3Ad%40"
ENVELOPE: dict[str, Any] = {"source": "t", "time": NOW}
TOKENS = {role: new_key(role, whose) for role, whose in ((Role.ADMIN, "*"), (Role.EDGE, "acme"))}
VIEWERS = {whose: new_key(Role.VIEWER, whose) for whose in ("acme", "globex")}


def notification(state: Any, organization: str = "acme", *, step: int = 0, at_ms: int = NOW_MS) -> NotificationSent:
    """The last word on one and the same."""
    made = Notification(
        notification=f"a1/to/1/{step}",
        organization=organization,
        alert="a1",
        channel="https://x#1",
        step=step,
        state=state,
        at_ms=at_ms,
    )
    return NotificationSent(id=made.notification, data=made, **ENVELOPE)


def acknowledgement(number: int, by: str, *, alert: str = "a1", organization: str = "acme") -> AuditRecorded:
    """Somebody takes an alert, so many seconds from now on."""
    facts: dict[str, Any] = {"before": "", "after": "", "budgets": [], "at_ms": NOW_MS + number * 1000}
    told = {"action": "alert.acknowledged", "subject": alert, "by": by, "reason": f"says {by}"}
    return audit_entry(number, organization, **facts, **told)


def forecast(scope: str, total: int, *risks: BudgetRisk, organization: str = "acme") -> ForecastMade:
    made = Forecast(
        forecast=f"{scope}@{MONTH}/{TODAY}",
        organization=organization,
        scope=scope,
        window=MONTH,
        as_of=TODAY,
        begins=BEGIN,
        ends=END,
        spent_nanousd=USD,
        total_nanousd=total,
        low_nanousd=total - USD,
        high_nanousd=total + USD,
        fan=[FanPoint(day=END - timedelta(1), low_nanousd=total - USD, mid_nanousd=total, high_nanousd=total + USD)],
        risks=list(risks),
        models=["run-rate"],
        made_at_ms=NOW_MS,
    )
    return ForecastMade(id=made.forecast, data=made, **ENVELOPE)


def alert(number: int, organization: str = "acme") -> AlertRaised:
    raised = Alert(
        alert=f"a{number}",
        organization=organization,
        budget="company",
        scope=f"org:{organization}",
        window=MONTH,
        threshold="1.0",
        severity="warning",
        settled_usd="12.00",
        limit_usd="20.00",
        raised_at_ms=NOW_MS - number * 60_000,
        ledger_partition=0,
        ledger_offset=number,
        kind="projection" if number % 2 else "threshold",
        probability=0.9 if number % 2 else None,
        projected_usd="25.00" if number % 2 else None,
        expected_on=TODAY if number % 2 else None,
    )
    return AlertRaised(id=raised.alert, data=raised, **ENVELOPE)


def anomaly(organization: str = "acme") -> AnomalyFound:
    hour_ms = NOW_MS // 3_600_000 * 3_600_000
    found = Anomaly(
        anomaly=f"org:{organization}@{hour_ms}",
        organization=organization,
        scope=f"org:{organization}",
        kind="spike",
        severity="critical",
        begins_ms=hour_ms,
        hour_ms=hour_ms,
        observed_nanousd=90 * USD,
        expected_nanousd=USD,
        score=4.5,
        contributors=[Contributor(dimension="user", value="batch-7", observed_nanousd=80 * USD, expected_nanousd=0)],
        found_at_ms=NOW_MS,
        ledger_partition=0,
    )
    return AnomalyFound(id=found.anomaly, data=found, **ENVELOPE)


def audit_entry(number: int, organization: str = "acme", **changed: Any) -> AuditRecorded:
    facts: dict[str, Any] = {
        "entry": f"0-{number}-0-0",
        "organization": organization,
        "action": "policy.applied",
        "subject": organization,
        "by": "ada" if number % 2 else "bob",
        "reason": "plan",
        "before": '{"version":1,"limits":{"company":"10.00"}}',
        "after": '{"version":2,"raised":{"company":"2.50"}}',
        "budgets": ["company"],
        "at_ms": to_ms(NOW) - 86_400_000 * 400 - number,
        "ledger_partition": 0,
        "ledger_offset": number,
        "ledger_index": 0,
    }
    entry = AuditEntry(**facts | changed)
    return AuditRecorded(id=entry.entry, data=entry, **ENVELOPE)


async def store(address: str, feed: Feed[Any], *events: msgspec.Struct) -> None:
    """Rows as the sink brings them there."""
    block = feed.block(0, [(0, msgspec.json.encode(events))])
    assert not block.malformed
    there = Store(partial(open_async_client, address))
    try:
        await there.insert(feed.table, block.rows, Range(f"t-{feed.topic}", 0, 0, 0))
    finally:
        await there.close()


async def tell(settings: ConsoleSettings, forecasts: list[ForecastMade]) -> None:
    """What the aggregator and the forecaster have told: a policy, two balances, forecasts."""
    await ensure_topics(settings, partitions=PARTITIONS)
    budgets = [
        {"name": "company", "limit_usd": "20", "window": "month"},
        {"name": "each", "scope": {"user": "*"}, "limit_usd": "2", "window": "day"},
    ]
    policy = PolicyEntry(
        organization="acme",
        version=3,
        policy={"organization": "acme", "budgets": budgets},
        by="t",
        reason="t",
        offset=1,
    )
    spent = Balance(
        settled_nanousd=12 * USD + 1,
        unconfirmed_nanousd=5,
        requests=7,
        unpriced=2,
        offset=4,
        shares={"e1": Share(granted_nanousd=3 * USD, used_nanousd=USD)},
    )
    records = [
        ("policies", b"acme", msgspec.json.encode(policy)),
        ("balances", f"org:acme@{MONTH}".encode(), msgspec.json.encode(spent)),
        ("balances", f"{ODD}@day:{TODAY}".encode(), msgspec.json.encode(Balance(settled_nanousd=3 * USD, offset=4))),
        ("balances", b"#position", msgspec.json.encode(Position(offset=4, clock_ms=NOW_MS))),
        ("forecasts", None, msgspec.json.encode(forecasts)),
    ]
    producer = AIOKafkaProducer(bootstrap_servers=settings.kafka)
    await producer.start()
    try:
        for name, key, value in records:
            place = partition_for("acme", PARTITIONS)
            await producer.send_and_wait(topic(settings, name), value, key=key, partition=place)  # type: ignore[arg-type]
    finally:
        await producer.stop()


class Console:
    """Asks a console that runs in this process, with one of the keys."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session, self._url = session, url

    async def get(self, path: str, token: str = VIEWERS["acme"][0]) -> tuple[int, dict[str, Any]]:
        """Status and body."""
        headers = {"Authorization": f"Bearer {token}"}
        async with self._session.get(URL(self._url + path, encoded=True), headers=headers) as response:
            return response.status, await response.json()

    async def ready(self) -> None:
        """Wait until the topics have been read."""
        while (await self.get("/readyz"))[0] != 200:
            await asyncio.sleep(0.05)


@pytest.fixture(autouse=True)
def still_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """The console's clock stands still: no test is of another day than what it tells, at whichever hour it runs."""
    for module in ("status_routes", "live"):
        monkeypatch.setattr(f"services.console.{module}.now_ms", lambda: NOW_MS)


@pytest.fixture
def settings(broker: str, clickhouse: str, prefix: str, tmp_path: Path) -> ConsoleSettings:
    keys = [record for _, record in (*TOKENS.values(), *VIEWERS.values())]
    write_keys(tmp_path / "keys.json", keys)
    return ConsoleSettings(
        kafka=broker,
        clickhouse=clickhouse,
        topic_prefix=prefix,
        keys_file=tmp_path / "keys.json",
        data_dir=tmp_path,
        drain_s=0,
    )


@asynccontextmanager
async def console(settings: ConsoleSettings) -> AsyncIterator[Console]:
    async with listening(build(settings), settings) as port, aiohttp.ClientSession() as session:
        yield Console(session, f"http://127.0.0.1:{port}")


async def test_the_status_of_a_budget_says_all_that_is_asked_of_it(settings: ConsoleSettings) -> None:
    risk = BudgetRisk(budget="company", limit_nanousd=20 * USD, probability=0.8125, exhausted_on=END - timedelta(1))
    await tell(settings, [forecast("org:acme", 25 * USD, risk)])
    async with console(settings) as asked:
        await asked.ready()
        status, body = await asked.get("/v1/status/org:acme")
    assert status == 200
    assert (body["scope"], body["level"], body["policy_version"], body["timezone"]) == (
        "org:acme",
        "organization",
        3,
        "UTC",
    )
    (window,) = [each for each in body["windows"] if each["window"] == MONTH]
    assert window["settled_usd"] == "12.000000001"
    assert window["reserved_usd"] == "2.00"
    assert (window["unconfirmed_usd"], window["unpriced"], window["requests"]) == ("0.000000005", 2, 7)
    assert window["expected"] == {
        "basis": "forecast",
        "total_usd": "25.00",
        "low_usd": "24.00",
        "high_usd": "26.00",
        "as_of": TODAY.isoformat(),
    }
    assert window["daily_average_usd"] is not None
    (budget,) = window["budgets"]
    assert (budget["budget"], budget["limit_usd"], budget["remaining_usd"]) == ("company", "20.00", "5.999999999")
    assert (budget["utilization"], budget["probability"]) == (0.7, 0.8125)
    assert budget["exhausted_on"] == (END - timedelta(1)).isoformat()
    assert budget["recommended_daily_usd"] is not None


async def test_scopes_are_found_however_they_are_written(settings: ConsoleSettings) -> None:
    await tell(settings, [])
    async with console(settings) as asked:
        await asked.ready()
        for path in (ODD, quote(ODD, safe="")):
            status, body = await asked.get(f"/v1/status/{path}")
            assert (status, body["scope"]) == (200, ODD)
            assert [each["window"] for each in body["windows"]] == [f"day:{TODAY}"]
            (budget,) = body["windows"][0]["budgets"]
            assert (budget["budget"], budget["remaining_usd"], budget["probability"]) == ("each", "-1.00", 1.0)
            assert budget["exhausted_on"] == TODAY.isoformat()
        nothing = await asked.get("/v1/status/org:acme/project:none")
        assert (nothing[0], nothing[1]["windows"]) == (200, [])
        for wrong in ("nonsense", "project:search", "org:acme/planet:mars"):
            status, body = await asked.get(f"/v1/status/{wrong}")
            assert (status, body["error"]["code"]) == (422, "invalid_scope")


async def test_lists_are_paged_filtered_and_each_organizations_own(settings: ConsoleSettings) -> None:
    address = migrated(settings.clickhouse)
    scopes = [f"org:acme/project:p{n}" for n in range(3)]
    await store(
        address,
        FORECASTS,
        *[forecast(scope, (10 + n) * USD) for n, scope in enumerate(scopes)],
        forecast("org:globex", USD, organization="globex"),
    )
    await store(address, ALERTS, *[alert(n) for n in range(5)], alert(9, "globex"))
    await store(address, ANOMALIES, anomaly(), anomaly("globex"))
    boosted = audit_entry(4, action="boost.granted", subject="other", budgets=["other"], before="", after="")
    await store(address, AUDIT, *[audit_entry(n) for n in range(4)], boosted, boosted, audit_entry(9, "globex"))
    await store(address, NOTIFICATIONS, notification("dead"), notification("sent"), notification("sent", "globex"))
    await ensure_topics(settings, partitions=PARTITIONS)
    async with console(settings) as asked:
        await asked.ready()
        _, first = await asked.get("/v1/forecasts?window=month&limit=2")
        assert [each["scope"] for each in first["forecasts"]] == [scopes[2], scopes[1]]
        assert first["next_offset"] == 2
        _, rest = await asked.get("/v1/forecasts?window=month&limit=2&offset=2")
        assert ([each["scope"] for each in rest["forecasts"]], rest["next_offset"]) == ([scopes[0]], None)
        _, one = await asked.get(f"/v1/forecasts?scope={scopes[1]}&window={MONTH}")
        (made,) = one["forecasts"]
        assert (made["total_usd"], made["low_usd"], made["fan"][0]["mid_usd"]) == ("11.00", "10.00", "11.00")
        assert made["begins"] == BEGIN.isoformat()

        _, alerts = await asked.get("/v1/alerts")
        assert [each["alert"] for each in alerts["alerts"]] == [f"a{n}" for n in range(5)]
        _, projections = await asked.get("/v1/alerts?kind=projection")
        assert [each["projected_usd"] for each in projections["alerts"]] == ["25.00", "25.00"]
        _, anomalies = await asked.get("/v1/anomalies?scope=org:acme")
        _, told = await asked.get("/v1/notifications?alert=a1")
        assert [(each["channel"], each["state"]) for each in told["notifications"]] == [("https://x#1", "sent")]
        assert (await asked.get("/v1/notifications?alert=a2"))[1]["notifications"] == []
        (found,) = anomalies["anomalies"]
        assert (found["observed_usd"], found["contributors"][0]["value"]) == ("90.00", "batch-7")

        _, audited = await asked.get("/v1/audit")
        assert [each["entry"] for each in audited["audit"]] == [f"0-{n}-0-0" for n in range(5)]
        first = audited["audit"][0]
        assert (first["by"], first["before"]["version"], first["after"]["raised"]) == ("bob", 1, {"company": "2.50"})
        for query, count in (("budget=company", 4), ("by=ada", 2), ("action=boost.granted", 1), ("budget=none", 0)):
            _, some = await asked.get(f"/v1/audit?{query}")
            assert len(some["audit"]) == count, query
        _, recent = await asked.get(f"/v1/audit?since={quote((NOW - timedelta(1)).isoformat())}")
        assert recent["audit"] == []

        admin, edge, globex = TOKENS[Role.ADMIN][0], TOKENS[Role.EDGE][0], VIEWERS["globex"][0]
        for name in ("forecasts", "alerts", "anomalies", "notifications", "audit"):
            _, theirs = await asked.get(f"/v1/{name}", globex)
            assert (theirs["organization"], len(theirs[name])) == ("globex", 1)
            assert (await asked.get(f"/v1/{name}?organization=acme", globex))[0] == 403
            assert (await asked.get(f"/v1/{name}", admin))[0] == 422
            assert (await asked.get(f"/v1/{name}?organization=globex", admin))[0] == 200
            assert (await asked.get(f"/v1/{name}", edge))[0] == 403
        assert (await asked.get("/v1/status/org:acme", globex))[0] == 403
        assert (await asked.get("/v1/forecasts?scope=org:globex"))[0] == 422


async def test_an_alert_says_who_answered_first_and_its_history_tells_all(settings: ConsoleSettings) -> None:
    address = migrated(settings.clickhouse)
    await store(address, ALERTS, *[alert(n) for n in range(3)], alert(1, "globex"))
    told, escalated = notification("dead"), notification("sent", step=1, at_ms=NOW_MS + 500)
    await store(address, NOTIFICATIONS, told, escalated, notification("sent", "globex"))
    answers = [acknowledgement(2, "eve"), acknowledgement(1, "ada"), acknowledgement(3, "ada")]
    others = [acknowledgement(1, "mallory", organization="globex"), audit_entry(7, subject="a2", by="bob")]
    await store(address, AUDIT, *answers, *answers, *others)
    await ensure_topics(settings, partitions=PARTITIONS)
    async with console(settings) as asked:
        await asked.ready()
        _, body = await asked.get("/v1/alerts")
        _, page = await asked.get("/v1/alerts?limit=1&offset=1")
        _, theirs = await asked.get("/v1/alerts", VIEWERS["globex"][0])
    first = {"by": "ada", "note": "says ada", "at": (NOW + timedelta(seconds=1)).isoformat().replace("+00:00", "Z")}
    found = {each["alert"]: each["acknowledged"] for each in body["alerts"]}
    assert found == {"a0": None, "a1": first, "a2": None}
    assert [(each["alert"], each["acknowledged"]) for each in page["alerts"]] == [("a1", first)]
    assert [each["acknowledged"]["by"] for each in theirs["alerts"]] == ["mallory"]

    client = await open_async_client(address)
    try:
        history = await query(client, "alert_history", organization="acme", alert="a1", most=100, skip=0)
        latest = await query(client, "alert_history", organization="acme", alert="a1", most=1, skip=0)
    finally:
        await client.close()
    assert [(row["what"], row["who"], row["state"], row["detail"]) for row in reversed(history)] == [
        ("raised", "", "warning", ""),
        ("told", "https://x#1", "dead", ""),
        ("escalated", "https://x#1", "sent", ""),
        ("acknowledged", "ada", "", "says ada"),
        ("acknowledged", "eve", "", "says eve"),
        ("acknowledged", "ada", "", "says ada"),
    ]
    assert latest == history[:1]


REFUSED = (
    "alerts?kind=rumour",
    "alerts?limit=0",
    "alerts?limit=1001",
    "alerts?offset=-1",
    "alerts?limit=%D9%A3",
    "alerts?since=yesterday",
    "alerts?since=2026-11-24T00:00:00",
    "alerts?since=9999-01-01T00:00:00%2B00:00",
    "alerts?scope=org:acme",
    "alerts?kind=threshold&kind=projection",
    "forecasts?since=2026-11-24T00:00:00Z",
    "forecasts?scope=project:search",
    "forecasts?window=" + "m" * 65,
    "anomalies?organization=",
    "audit?budget=" + "b" * 257,
    "audit?scope=org:acme",
)


async def test_what_cannot_be_asked_is_refused(settings: ConsoleSettings) -> None:
    await ensure_topics(settings, partitions=PARTITIONS)
    async with console(settings) as asked:
        await asked.ready()
        for query in REFUSED:
            status, body = await asked.get(f"/v1/{query}")
            assert (status, bool(body["error"].get("field"))) == (422, True), query


async def test_lists_say_so_when_clickhouse_is_away_and_status_goes_on(settings: ConsoleSettings) -> None:
    await tell(settings, [])
    away = settings.model_copy(update={"clickhouse": "http://default:@127.0.0.1:9/none"})
    async with console(away) as asked:
        await asked.ready()
        status, body = await asked.get("/v1/alerts")
        assert (status, body["error"]["code"]) == (503, "history_away")
        assert (await asked.get("/v1/status/org:acme"))[0] == 200
