"""The requests of the past as ClickHouse has them: at what they cost in the end, asked for what was asked for."""

from __future__ import annotations

from functools import partial
from typing import Any

import msgspec

from services.adapters.clickhouse import open_async_client
from services.adapters.migrations import migrate, read_migrations
from services.cli.past_requests import SLICE_MS, past_requests
from services.core.decide import Action
from services.core.decision import DecisionMade
from services.core.events import from_ms
from services.core.outcomes import Charge, ChargePosted
from services.core.whatif import PastRequest
from services.sink.__main__ import MIGRATIONS
from services.sink.charges import CHARGES
from services.sink.decisions import DECISIONS
from services.sink.ranges import Range
from services.sink.store import Store
from tests.enforcer.answers import decision

NOON_MS = 1_795_521_600_000
CENT = 10_000_000


def charge(sequence: int, after_ms: int, cost: int | None, **more: Any) -> Charge:
    facts: dict[str, Any] = {
        "charge": f"0-{sequence}-0",
        "sequence": sequence,
        "kind": "usage",
        "organization": "acme",
        "user": "alice",
        "model": "gpt-4o-mini",
        "cost_nanousd": cost,
        "input_tokens": 1000,
        "output_tokens": 100,
        "charged_at_ms": NOON_MS + after_ms,
        "recorded_at_ms": NOON_MS + after_ms,
        "source": "edge",
        "event_id": f"e{sequence}",
        "ledger_partition": 0,
        "ledger_offset": sequence,
        "ledger_index": 0,
    }
    return Charge(**facts | more)


async def store(clickhouse: str, charges: list[Charge], decisions: list[Any]) -> None:
    posted = [ChargePosted(id=c.charge, source="s", time=from_ms(c.recorded_at_ms), data=c) for c in charges]
    made = [DecisionMade(id=d.decision, source="s", time=d.decided_at, data=d) for d in decisions]
    into = Store(partial(open_async_client, clickhouse))
    await into.insert("charges", CHARGES.block(0, [(0, msgspec.json.encode(posted))]).rows, Range("charges", 0, 0, 0))
    rows = DECISIONS.block(0, [(0, msgspec.json.encode(made))]).rows
    await into.insert("decisions", rows, Range("decisions", 0, 0, 0))
    await into.close()


async def test_requests_come_in_order_as_they_were_asked_for_and_as_they_were_settled(clickhouse: str) -> None:
    migrate(clickhouse, read_migrations(MIGRATIONS))
    charges = [
        charge(1, 10, 2 * CENT, tags={"feature": "chat"}),
        charge(2, 20, 9 * CENT, kind="unconfirmed", reservation="rsv-2", input_tokens=0, output_tokens=0),
        charge(3, 20, -4 * CENT, kind="adjustment", requests=0, reservation="rsv-2"),
        charge(4, 30, 1 * CENT, reservation="rsv-4", project="search", team="ranking"),
        charge(5, 40, 7 * CENT, kind="correction", requests=0),
        charge(6, SLICE_MS + 5, None, unpriced=1),
        charge(7, 50, 1, organization="other"),
    ]
    reserved = decision(action=Action.FALLBACK, model="gpt-4o-mini", requested_model="gpt-4o", priority="high")
    assert reserved.reservation is not None
    hold = msgspec.structs.replace(reserved.reservation, id="rsv-4")
    fell_back = msgspec.structs.replace(
        reserved, decision="dec-4", organization="acme", decided_at=from_ms(NOON_MS + 25), reservation=hold
    )
    denied = decision(
        decision="dec-8",
        organization="acme",
        action=Action.DENY,
        reservation=None,
        decided_at=from_ms(NOON_MS + 35),
        estimate_usd="0.05",
        input_tokens=12,
        max_output_tokens=34,
        tags={"feature": "batch"},
    )
    throttled = msgspec.structs.replace(denied, decision="dec-9", action=Action.THROTTLE)
    await store(clickhouse, charges, [fell_back, denied, throttled])
    client = await open_async_client(clickhouse)
    try:
        stretches = [found async for found in past_requests(client, "acme", NOON_MS, NOON_MS + 2 * SLICE_MS)]
    finally:
        await client.close()
    assert [until for until, _ in stretches] == [NOON_MS + SLICE_MS, NOON_MS + 2 * SLICE_MS]
    found: list[PastRequest] = [request for _, requests in stretches for request in requests]
    assert [(each.at_ms - NOON_MS, each.made, each.cost_nanousd) for each in found] == [
        (10, True, 2 * CENT),
        (20, True, 5 * CENT),
        (30, True, 1 * CENT),
        (35, False, 5 * CENT),
        (SLICE_MS + 5, True, None),
    ]
    assert found[0].ask.tags == {"feature": "chat"}
    assert (found[2].model, found[2].ask.model, found[2].ask.priority) == ("gpt-4o-mini", "gpt-4o", "high")
    assert (found[3].ask.input_tokens, found[3].ask.max_output_tokens, found[3].ask.tags) == (
        12,
        34,
        {"feature": "batch"},
    )
