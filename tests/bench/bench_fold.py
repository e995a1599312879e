"""The pure fold: events per second on one core, against decoding the same records and doing nothing."""

from __future__ import annotations

import json
from collections.abc import Sequence
from random import Random
from time import perf_counter
from typing import Any

from services.core.fold import fold
from services.core.pricing import PriceBook
from services.core.record import Record, read_events
from services.core.state import LedgerState
from tests.core.ledger import NOON_MS, Json, budget, policy, usage

EVENTS_PER_RECORD = 50
RECORDS = 2_000
ROUNDS = 3
ORGANIZATIONS = tuple(f"org-{number}" for number in range(10))


def ledger(
    seed: int = 1, *, organizations: Sequence[str] = ORGANIZATIONS, records: int = RECORDS, at_ms: int = NOON_MS
) -> list[Record]:
    """100,000 requests of 10 organizations, each with 3 projects, 6 teams and 40 users: 12 balances a request."""
    random = Random(seed)
    policies = [
        policy(
            budget("company", "1000000"), budget("each-user", "100000", "day", scope={"user": "*"}), organization=name
        )
        for name in organizations
    ]
    for number, each in enumerate(policies):
        each["id"] = f"policy-{number}"
    requests = [
        _record(
            offset,
            [
                _request(random, offset, index, random.choice(organizations), at_ms)
                for index in range(EVENTS_PER_RECORD)
            ],
        )
        for offset in range(1, records + 1)
    ]
    return [_record(0, policies), *requests]


def measure() -> dict[str, dict[str, Any]]:
    """`fold_events`: events per second of one core; the floor only decodes them."""
    records = ledger()
    events = RECORDS * EVENTS_PER_RECORD
    floor = max(events / _seconds(lambda: [read_events(record) for record in records]) for _ in range(ROUNDS))
    value = max(events / _seconds(lambda: _fold_all(records)) for _ in range(ROUNDS))
    return {"fold_events": {"value": value, "unit": "events/s", "floor": floor, "ratio": value / floor}}


def _fold_all(records: list[Record]) -> None:
    state = LedgerState(0, PriceBook.bundled())
    for record in records:
        fold(state, record)


def _seconds(work: Any) -> float:
    start = perf_counter()
    work()
    return perf_counter() - start


def _request(random: Random, offset: int, index: int, organization: str, at_ms: int) -> Json:
    user = random.randrange(40)
    return usage(
        f"{offset:08x}-{index:04x}-4b8e-a7f0",
        at_ms=at_ms,
        organization=organization,
        model=random.choice(["gpt-4o", "gpt-4o-mini", "claude-sonnet-4-5"]),
        input_tokens=random.randrange(8000),
        output_tokens=random.randrange(1000),
        project=f"project-{user % 3}",
        team=f"team-{user % 6}",
        user=f"user-{user}",
        tags={"feature": "search", "env": "prod"},
        request_id=f"req-{offset}-{index}",
        latency_ms=random.randrange(5000),
    )


def _record(offset: int, events: list[Json]) -> Record:
    return Record(0, offset, NOON_MS, json.dumps(events).encode())


if __name__ == "__main__":
    print(json.dumps(measure(), indent=2))
