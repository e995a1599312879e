"""A small company in the real engine: months of spending, denials, an anomaly, a forecast; its sums are known."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import Any

from clickhouse_connect.driver import AsyncClient

from schemas.policy import Policy, load_policy
from services.core.events import to_ms
from services.core.money import NANOS_PER_USD
from services.core.outcomes import Charge
from tests.integration.charging import insert, numbered

HOSTILE = "<script>alert(1)</script>|\"'`"
POLICY = """
organization: acme
timezone: America/New_York
budgets:
  - {name: company-month, limit_usd: "2000", window: month}
  - {name: search-month, scope: {project: search}, limit_usd: "1500", window: month}
  - {name: ranking-month, scope: {project: search, team: ranking}, limit_usd: "500", window: month}
  - {name: each-user-day, scope: {user: "*"}, limit_usd: "40", window: day}
  - {name: alice-day, scope: {user: alice}, limit_usd: "60", window: day}
  - {name: gpt-4o-week, scope: {model: gpt-4o}, limit_usd: "600", window: week}
  - {name: answers-month, scope: {tag.feature: answers}, limit_usd: "900", window: month}
contacts:
  - {budget: company-month, notify: ["mailto:cfo@acme.example"], escalate_after: 30m, to: ["mailto:ceo@acme.example"]}
  - {budget: search-month, notify: ["mailto:sam@acme.example", "https://hooks.example/services/T0/secret-path"]}
  - {budget: ranking-month, notify: ["mailto:rita@acme.example"]}
"""
TEAMS = (("search", "ranking"), ("search", "index"), ("chat", "support"), ("chat", ""), ("", ""))
USERS = ("alice", "bob", "carol", "dan", HOSTILE, "")


def policy() -> Policy:
    """The company's policy."""
    return load_policy(POLICY)


def charges(random: Random, first: datetime, days: int, *, a_day: int = 60, growth: float = 1.0) -> list[Charge]:
    """Seeded requests from a day on; with `growth`, the later ones cost more."""
    made = []
    for day in range(days):
        for _ in range(a_day if (first + timedelta(days=day)).weekday() < 5 else a_day // 4):
            project, team = random.choices(TEAMS, [40, 25, 20, 8, 7])[0]
            at_ms = to_ms(first + timedelta(days=day)) + random.randrange(86_400_000)
            cost = int(random.randrange(100_000_000, 2_500_000_000) * (1 + (growth - 1) * day / max(days - 1, 1)))
            made.append(
                charge(
                    at_ms,
                    cost,
                    project=project,
                    team=team,
                    user=random.choices(USERS, [40, 20, 15, 12, 8, 5])[0],
                    model=random.choice(["gpt-4o", "gpt-4o", "claude-sonnet-4-5", "gpt-4o-mini"]),
                    tags=random.choice([{"feature": "answers"}, {"feature": "autocomplete"}, {}]),
                )
            )
    return made


def charge(at_ms: int, cost_nanousd: int | None, **more: Any) -> Charge:
    """One request; names that are empty are none."""
    fields = {name: value for name, value in more.items() if value != ""}
    shared: dict[str, Any] = {
        "charge": "c",
        "sequence": 1,
        "kind": "usage",
        "organization": "acme",
        "provider": "openai",
        "model": "gpt-4o",
        "cost_nanousd": cost_nanousd,
        "unpriced": int(cost_nanousd is None),
        "input_tokens": 1_000,
        "output_tokens": 200,
        "charged_at_ms": at_ms,
        "recorded_at_ms": at_ms + 1_000,
        "source": "gateway",
        "event_id": "e",
        "ledger_partition": 0,
        "ledger_offset": 0,
        "ledger_index": 0,
    }
    return Charge(**{**shared, **fields})


async def settle_in(address: str, client: AsyncClient) -> list[Charge]:
    """Everything that the company did until 30 November 2026, New York time; its charges."""
    random = Random(7)
    earlier = charges(random, datetime(2026, 6, 3, 4, tzinfo=UTC), 166, a_day=24, growth=1.9)
    lately = charges(random, datetime(2026, 11, 16, 5, tzinfo=UTC), 14, growth=1.6)
    odd = [charge(to_ms(datetime(2026, 11, 26, 15, n, tzinfo=UTC)), 4_300_000_001, project="search", team="ranking",
                  user="bob", model="gpt-4o", tags={"feature": "answers"}) for n in range(40)]  # fmt: skip
    at_ms = to_ms(datetime(2026, 11, 25, 15, tzinfo=UTC))
    unpriced = [
        charge(at_ms + n, None, project="chat", team="support", user="dan", model="brand-new") for n in range(3)
    ]
    estimate = charge(at_ms, 777_000_003, kind="unconfirmed", project="chat", team="support", reservation="rsv-1")
    settled = charge(at_ms, 500_000_000, kind="unconfirmed", project="chat", team="support", reservation="rsv-2")
    difference = charge(
        at_ms, -100_000_001, kind="adjustment", requests=0, project="chat", team="support", reservation="rsv-2"
    )
    made = numbered("acme", [*earlier, *lately, *odd, *unpriced, estimate, settled, difference])
    others = numbered("globex", charges(random, datetime(2026, 11, 23, 5, tzinfo=UTC), 7, a_day=20))
    await insert(address, [*made, *others])
    await refuse(client, 41, "deny", "ranking-month", "org:acme/project:search/team:ranking", "search", "ranking")
    await refuse(client, 7, "throttle", "company-month", "org:acme", "chat", "support")
    await find_anomaly(client)
    await forecast(
        client,
        "org:acme",
        "month:2026-11",
        date(2026, 11, 1),
        date(2026, 12, 1),
        2_015,
        ["company-month"],
        [2_000],
        [0.62],
        [date(2026, 11, 30)],
    )
    return made


async def refuse(
    client: AsyncClient, count: int, action: str, budget: str, scope: str, project: str, team: str
) -> None:
    """Decisions of Thursday, 26 November."""
    at = datetime(2026, 11, 26, 16, tzinfo=UTC)
    names = ["decision", "decided_at", "organization", "project", "team", "user", "model", "action", "tier", "reason"]
    names += ["binding_budget", "binding_scope", "dry_run"]
    rows = [
        [
            f"{action}-{n}",
            at,
            "acme",
            project,
            team,
            "bob",
            "gpt-4o",
            action,
            "hard",
            "budget_exceeded",
            budget,
            scope,
            False,
        ]
        for n in range(count)
    ]
    await client.insert("decisions", rows, column_names=names)


async def find_anomaly(client: AsyncClient) -> None:
    """The spike of bob's."""
    at = datetime(2026, 11, 26, 15, tzinfo=UTC)
    row = {
        "anomaly": "a1", "organization": "acme", "scope": "org:acme/project:search/team:ranking", "kind": "spike",
        "severity": "critical", "begins": at, "hour": at, "observed_nanousd": 176_000_000_000,
        "expected_nanousd": 4_000_000_000, "score": 9.5, "dimensions": ["user", "model"], "values": ["bob", "gpt-4o"],
        "values_observed": [172_000_000_000, 173_000_000_000], "values_expected": [1_000_000_000, 2_000_000_000],
        "found_at": at,
    }  # fmt: skip
    await client.insert("anomalies", [list(row.values())], column_names=list(row))


async def forecast(
    client: AsyncClient, scope: str, window: str, begins: date, ends: date, total_usd: int,
    budgets: Sequence[str] = (), limits_usd: Sequence[int] = (), chances: Sequence[float] = (),
    days: Sequence[date] = (),
) -> None:  # fmt: skip
    """What the forecaster says on 29 November."""
    total = total_usd * NANOS_PER_USD
    row = {
        "forecast": f"{scope}@{window}", "organization": "acme", "scope": scope, "window": window,
        "as_of": date(2026, 11, 29), "begins": begins, "ends": ends, "spent_nanousd": total * 9 // 10,
        "total_nanousd": total, "low_nanousd": total * 96 // 100, "high_nanousd": total * 105 // 100,
        "risk_budgets": list(budgets), "risk_limits": [usd * NANOS_PER_USD for usd in limits_usd],
        "risk_chances": list(chances), "risk_days": list(days), "models": ["theta"],
        "made_at": datetime(2026, 11, 29, 6, tzinfo=UTC),
    }  # fmt: skip
    await client.insert("forecasts", [list(row.values())], column_names=list(row))
