"""What dashboards are tried on: seeded charges, decisions, forecasts, anomalies and alerts, in the real tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import partial
from random import Random
from typing import Any

import msgspec
from clickhouse_connect.driver import Client

from services.adapters.clickhouse import open_async_client, open_client
from services.adapters.migrations import migrate, read_migrations
from services.core.events import from_ms
from services.core.outcomes import Charge, ChargePosted
from services.core.scope import scope_key
from services.sink.__main__ import MIGRATIONS
from services.sink.charges import CHARGES
from services.sink.ranges import Range
from services.sink.store import Store
from tests.integration.sinking import DAY_MS, NOON_MS, Charges

ORGANIZATION = "org-0"
SCOPE = scope_key({"org": ORGANIZATION, "project": "search"})
HOSTILE = (
    r"\' OR 1=1 --",
    "o'brien",
    'say "hi"',
    r"back\slash",
    "a&v=user-1",
    "all",
    "50% off, 2+2",
    "数'据",
    "$__all",
)
"""Names that would end a literal, look like two values, or like all of them."""
TODAY = from_ms(NOON_MS).date()
BEGINS, ENDS = TODAY - timedelta(days=40), TODAY + timedelta(days=20)
MIDDLE = TODAY - timedelta(days=5)
"""A window is over, the next one runs: the first ends and the second begins here."""
UNCONFIRMED = (7_000, 7_001, -7_000)
"""Two reservations that nobody settled, one of which was settled after all."""
BUDGET = "search-month"
LIMIT_NANOUSD = 40_000_000


@dataclass(frozen=True, slots=True)
class Seeded:
    """An address, and what is there."""

    address: str
    charges: Sequence[Charge]


async def seed(address: str) -> Seeded:
    """Apply all migrations and fill every table that a panel reads."""
    migrate(address, read_migrations(MIGRATIONS))
    charges = _charges()
    posted = [ChargePosted(id=c.charge, source="s", time=from_ms(c.charged_at_ms), data=c) for c in charges]
    store = Store(partial(open_async_client, address))
    try:
        rows = CHARGES.block(0, [(0, msgspec.json.encode(posted))]).rows
        await store.insert("charges", rows, Range("charges", 0, 0, 0))
    finally:
        await store.close()
    with open_client(address) as client:
        _insert(client, "decisions", _decisions())
        _insert(client, "forecasts", _forecasts())
        _insert(client, "anomalies", [_anomaly()])
        _insert(client, "alerts", [_alert()])
    return Seeded(address, charges)


def _charges() -> list[Charge]:
    made = Charges(Random(5))
    charges = [made.charge(number % 2, number // 2 + 1) for number in range(3_000)]
    for number, name in enumerate(HOSTILE):
        charge = made.charge(0, 10_000 + number)
        charges.append(
            msgspec.structs.replace(
                charge, user=name, project=name, tags={"feature": name}, kind="usage", cost_nanousd=10**9 + number
            )
        )
    for number, estimate in enumerate(UNCONFIRMED):
        charge = made.charge(0, 20_000 + number)
        kind = "unconfirmed" if estimate > 0 else "adjustment"
        charges.append(
            msgspec.structs.replace(
                charge, kind=kind, cost_nanousd=estimate, unconfirmed_nanousd=estimate, charged_at_ms=NOON_MS
            )
        )
    return charges


def _decisions() -> list[dict[str, Any]]:
    random = Random(6)
    answers = [("deny", "hard", "budget"), ("throttle", "throttle", "pace"), ("allow", "soft", "fits")]
    rows = []
    for number in range(300):
        action, tier, reason = random.choice(answers)
        rows.append(
            {
                "decision": f"d{number}",
                "decided_at": from_ms(NOON_MS - random.randrange(2 * DAY_MS)),
                "organization": ORGANIZATION,
                "project": "search",
                "user": random.choice(["user-1", *HOSTILE]),
                "model": "gpt-4o",
                "action": action,
                "tier": tier,
                "reason": reason,
                "estimate_nanousd": random.choice([None, 1_000_001]),
                "binding_budget": BUDGET,
                "binding_scope": SCOPE,
                "binding_window": "month",
            }
        )
    return rows


def _forecasts() -> list[dict[str, Any]]:
    """One a day; the window that is over was expected 1% too high each day more that it had left."""
    rows = []
    for begins, ends in ((BEGINS, MIDDLE), (MIDDLE, ENDS)):
        for number in range(1, (min(ends, TODAY + timedelta(days=1)) - begins).days):
            as_of = begins + timedelta(days=number)
            total = 30_000_000 + 300_000 * (ends - as_of).days
            rows.append(_forecast(begins, ends, as_of, number * 500_000, total))
    return rows


def _forecast(begins: date, ends: date, as_of: date, spent: int, total: int) -> dict[str, Any]:
    days = [as_of + timedelta(days=number) for number in range((ends - as_of).days)]
    return {
        "forecast": f"{SCOPE}@{begins}@{as_of}",
        "organization": ORGANIZATION,
        "scope": SCOPE,
        "window": f"month:{begins}",
        "as_of": as_of,
        "begins": begins,
        "ends": ends,
        "spent_nanousd": spent,
        "total_nanousd": total,
        "low_nanousd": total - 2_000_000,
        "high_nanousd": total + 2_000_000,
        "fan_days": days,
        "fan_low": [spent for _ in days],
        "fan_mid": [spent + 10 * number for number, _ in enumerate(days)],
        "fan_high": [spent + 20 * number for number, _ in enumerate(days)],
        "risk_budgets": [BUDGET, "search-cap"],
        "risk_limits": [LIMIT_NANOUSD, 2 * LIMIT_NANOUSD],
        "risk_chances": [0.25, 0.0],
        "risk_days": [ends - timedelta(days=1), None],
        "models": ["weekly"],
        "made_at": datetime(as_of.year, as_of.month, as_of.day, 1, tzinfo=from_ms(0).tzinfo),
    }


def _anomaly() -> dict[str, Any]:
    return {
        "anomaly": "a1",
        "organization": ORGANIZATION,
        "scope": SCOPE,
        "kind": "spike",
        "severity": "critical",
        "begins": from_ms(NOON_MS - DAY_MS),
        "hour": from_ms(NOON_MS - DAY_MS),
        "observed_nanousd": 9_000_000_001,
        "expected_nanousd": 1_000_000_000,
        "score": 12.5,
        "dimensions": ["user", "model"],
        "values": ["user-1", "gpt-4o"],
        "values_observed": [9_000_000_000, 9_000_000_000],
        "values_expected": [0, 1_000_000_000],
        "found_at": from_ms(NOON_MS),
    }


def _alert() -> dict[str, Any]:
    return {
        "alert": "al1",
        "kind": "projection",
        "organization": ORGANIZATION,
        "budget": BUDGET,
        "scope": SCOPE,
        "window": f"month:{MIDDLE}",
        "threshold": "1.0",
        "severity": "warning",
        "settled_nanousd": 20_000_000,
        "limit_nanousd": LIMIT_NANOUSD,
        "probability": 0.7,
        "projected_nanousd": 41_000_000,
        "expected_on": ENDS,
        "raised_at": from_ms(NOON_MS - 1),
    }


def _insert(client: Client, table: str, rows: Sequence[Mapping[str, Any]]) -> None:
    names = list(rows[0])
    client.insert(table, [[row[name] for name in names] for row in rows], column_names=names)
