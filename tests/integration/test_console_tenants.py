"""Nobody sees another organization: every route there is, asked with the other's names, by key and by session."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from datetime import date
from itertools import product
from pathlib import Path
from urllib.parse import quote, urlencode

import msgspec
from aiokafka import AIOKafkaProducer

from services.adapters.clickhouse import open_client
from services.adapters.clock import now_ms
from services.adapters.kafka import partition_for
from services.adapters.migrations import migrate, read_migrations
from services.adapters.topics import TopicName, topic
from services.core.events import Event, from_ms
from services.core.foresight_events import Anomaly, AnomalyFound, Forecast, ForecastMade
from services.core.outcomes import Alert, AlertRaised
from services.sink.__main__ import MIGRATIONS
from tests.integration.consoling import Console, bearer, console_settings, events_of, running_console, spend
from tests.integration.enforcing import PARTITIONS, SlowAggregator, slow_aggregator

CANARY = "canary7f3a"
"""In every name that the other organization has chosen, and nowhere else."""
PROJECT, TEAM, USER, MODEL = (f"{CANARY}-{kind}" for kind in ("project", "team", "user", "model"))
DECISION = f"dec-{CANARY}"
SCOPES = ("org:other", f"org:other/project:{PROJECT}", f"org:other/project:{PROJECT}/team:{TEAM}")
NAMES = {
    "organization": "other",
    "org": "other",
    "project": PROJECT,
    "team": TEAM,
    "user": USER,
    "decision": DECISION,
    "budget": f"{CANARY}-budget",
    "scope": SCOPES[1],
    "name": "console.css",
    "build": "any",
}
"""What stands for the variables of a path; a variable of another name is given the other organization's."""
QUERIES: tuple[dict[str, str | list[str]], ...] = (
    {},
    {"organization": "other"},
    {"organization": "other", "scope": SCOPES[1], "project": PROJECT, "by": "user", "dimension": "user"},
    {"organization": ["acme", "other"]},
    {"scope": "org:other"},
    {"page": "/o/other"},
    {"page": f"/o/other/p/{PROJECT}/t/{TEAM}"},
    {"page": "/"},
    {"page": "/decisions"},
    {"organization": "other", "name": f"{CANARY}-alert"},
    {"q": "' OR 1=1 --", "organization": "acme' OR '1'='1"},
)


async def test_every_route_hides_the_other_organization(
    broker: str, prefix: str, clickhouse: str, tmp_path: Path
) -> None:
    settings, tokens = console_settings(broker, prefix, tmp_path, clickhouse=clickhouse)
    await asyncio.to_thread(migrate, clickhouse, read_migrations(MIGRATIONS))
    await asyncio.to_thread(store, clickhouse)
    async with slow_aggregator(settings) as aggregator:
        await fill(aggregator)
        async with running_console(settings) as console:
            viewer, other = await console.sign_in(tokens.acme), await console.sign_in(tokens.other)
            seen = set()
            for address in addresses(console):
                for ways in ({"headers": bearer(tokens.acme)}, {"cookies": viewer}):
                    status, text = await ask(console, address, ways)
                    assert status < 500, (address, status, text[:500])
                    assert CANARY not in text or is_echo(address, status), (address, text[:500])
                status, text = await ask(console, address, {"cookies": other})
                if status == 200 and CANARY in text:
                    seen.add(address.partition("?")[0])
    # The walk can fail: asked by its owner, what must be hidden is there.
    assert {
        "/",
        "/o/other",
        f"/o/other/p/{PROJECT}",
        f"/o/other/p/{PROJECT}/t/{TEAM}",
        f"/o/other/u/{USER}",
        "/alert",
        "/alerts",
        "/anomalies",
        "/forecasts",
        "/decisions",
        f"/decisions/{DECISION}",
        "/v1/live",
    } <= seen


def addresses(console: Console) -> Iterator[str]:
    """Every GET route that is registered, with the other organization's names in its path and in its query."""
    patterns = {route.resource.canonical for route in console.app.router.routes() if route.resource is not None}
    for pattern, query in product(sorted(patterns), QUERIES):
        path = re.sub(r"\{([^}:]+)[^}]*\}", lambda found: quote(NAMES.get(found[1], "other"), safe=""), pattern)
        yield f"{path}?{urlencode(query, doseq=True)}" if query else path


def is_echo(address: str, status: int) -> bool:
    """Whether the answer may repeat a name that the question itself had: a refusal, or the address to come back to."""
    return CANARY in address and status != 200


async def ask(console: Console, address: str, ways: dict[str, dict[str, str]]) -> tuple[int, str]:
    """Status and text; of a stream, the first event."""
    async with console.session.get(console.url + address, allow_redirects=False, **ways) as response:  # type: ignore[arg-type]
        if response.content_type != "text/event-stream":
            return response.status, await response.text()
        return response.status, str((await anext(events_of(response))).data)


async def fill(aggregator: SlowAggregator) -> None:
    """Something of both organizations on every topic."""
    named = {"project": PROJECT, "team": TEAM, "user": USER, "gen_ai.request.model": MODEL}
    await aggregator.policy("other", {"name": f"{CANARY}-budget", "limit_usd": "1", "window": "month"})
    await spend(aggregator, "theirs", "2.00", organization="other", tags={CANARY: CANARY}, **named)
    await spend(aggregator, "ours", "2.00", project="search", team="ranking", user="ada")
    at_ms, scope = now_ms(), SCOPES[2]
    month = f"month:{from_ms(at_ms):%Y-%m}"
    begins = date.fromisoformat(f"{month.removeprefix('month:')}-01")
    alert = Alert(
        alert=f"{CANARY}-alert",
        organization="other",
        budget=f"{CANARY}-budget",
        scope=scope,
        window=month,
        threshold="1.0",
        severity="critical",
        settled_usd="2.00",
        limit_usd="1.00",
        raised_at_ms=at_ms,
        ledger_partition=0,
        ledger_offset=0,
    )
    anomaly = Anomaly(
        anomaly=f"{CANARY}-anomaly",
        organization="other",
        scope=scope,
        kind="spike",
        severity="critical",
        begins_ms=at_ms,
        hour_ms=at_ms,
        observed_nanousd=2,
        expected_nanousd=1,
        score=9.0,
        found_at_ms=at_ms,
        ledger_partition=0,
    )
    forecast = Forecast(
        forecast=f"{CANARY}-forecast",
        organization="other",
        scope=scope,
        window=month,
        as_of=begins,
        begins=begins,
        ends=begins.replace(year=begins.year + 1),
        spent_nanousd=1,
        total_nanousd=3,
        low_nanousd=2,
        high_nanousd=4,
        made_at_ms=at_ms,
    )
    told: dict[TopicName, Event] = {
        "alerts": AlertRaised(id="a", source="test", time=from_ms(at_ms), data=alert),
        "anomalies": AnomalyFound(id="n", source="test", time=from_ms(at_ms), data=anomaly),
        "forecasts": ForecastMade(id="f", source="test", time=from_ms(at_ms), data=forecast),
    }
    async with AIOKafkaProducer(bootstrap_servers=aggregator.settings.kafka) as producer:
        for name, event in told.items():
            value, partition = msgspec.json.encode([event]), partition_for("other", PARTITIONS)
            await producer.send_and_wait(topic(aggregator.settings, name), value, partition=partition)


def store(address: str) -> None:
    """Rows of both organizations, in every table that pages read."""
    at = from_ms(now_ms())
    explanation = {
        "decision": DECISION,
        "action": "deny",
        "tier": "hard",
        "reason": "budget_exceeded",
        "message": f"{CANARY} is spent",
        "warnings": [],
        "organization": "other",
        "project": PROJECT,
        "model": MODEL,
        "priority": "normal",
        "input_tokens": 1,
        "max_output_tokens": 1,
        "estimate_usd": None,
        "budgets": [],
        "remedies": [],
        "policy_version": 1,
        "price_version": "",
        "ledger": {"partition": 0, "offset": 0},
        "decided_at": at.isoformat(),
    }
    decisions = ["decision", "decided_at", "organization", "project", "team", "user", "model", "action", "reason"]
    spending = ["day", "organization", "user", "project", "team", "model", "requests", "cost_nanousd"]
    with open_client(address) as client:
        client.insert(
            "decisions",
            [
                [
                    DECISION,
                    at,
                    "other",
                    PROJECT,
                    TEAM,
                    USER,
                    MODEL,
                    "deny",
                    "budget_exceeded",
                    msgspec.json.encode(explanation).decode(),
                ]
            ],
            column_names=[*decisions, "explanation"],
        )
        client.insert(
            "spend_by_day_user",
            [
                [at.date(), "other", USER, PROJECT, TEAM, MODEL, 1, 2 * 10**9],
                [at.date(), "acme", "ada", "search", "ranking", "gpt-4o", 1, 2 * 10**9],
            ],
            column_names=spending,
        )
