"""A past is told as those told it who were there; decisions of then follow from what the ledger said, and only that."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.aggregator.changelog import encode
from services.cli.past_views import decide_then, enforcer_then, status_then
from services.core.as_of import Instant, Mark, Past, Place
from services.core.ask import Ask
from services.core.events import from_ms
from services.core.fold import fold
from services.core.record import Record
from services.core.scope import parse_scope
from services.enforcer.engine import Engine
from services.enforcer.status import status_of
from tests.core.ledger import (
    NOON_MS,
    PRICES,
    Json,
    budget,
    costing,
    event,
    in_records,
    new_state,
    policy,
    record,
    usage,
)
from tests.core.test_fold_properties import EVENTS, SIZES

HOUR_MS = 3_600_000
SCOPES = ("org:acme", "org:acme/user:a", "org:acme/project:a/team:b", "org:acme/model:gpt-4o")
MINI = "gpt-4o-mini"


def follower() -> Engine:
    """An enforcer that follows the changelogs while they are written."""
    engine = Engine("there", PRICES, lambda _name, _count: 0, reservation_ttl_ms=60_000, reservations_max=9)
    engine.partitions, engine.standings.restored = 1, True
    return engine


def past(records: list[Record], mark: Mark) -> Past:
    found = Past(new_state(), mark)
    found.take(records)
    return found


def ask(model: str = "gpt-4o", *, output: int = 1000, **more: Any) -> Ask:
    """A request of acme; 1,000 tokens of gpt-4o's output are a cent."""
    fields = {"organization": "acme", "model": model, "input_tokens": 0, "max_output_tokens": output, **more}
    return msgspec.convert(fields, Ask)


def claimed(enforcer: str, wanted: int, *, at_ms: int = NOON_MS) -> list[Json]:
    """An enforcer lives, and wants a share of the day; nano-dollars."""
    alive = {"enforcer": enforcer, "beat": 1}
    line = {"balance": "org:acme@day:2026-11-24", "wanted_nanousd": wanted, "released_nanousd": 0}
    claim = {"organization": "acme", "enforcer": enforcer, "beat": 2, "claims": [line]}
    return [
        event("enforcer.alive", alive, event_id=f"{enforcer}-1", source=enforcer, at_ms=at_ms),
        event("allowance.claimed", claim, event_id=f"{enforcer}-2", source=enforcer, at_ms=at_ms),
    ]


@given(EVENTS, SIZES, st.integers(0, 5 * HOUR_MS))
@settings(max_examples=40)
def test_at_every_offset_the_status_is_what_an_enforcer_said_then(
    events: list[Json], sizes: list[int], later_ms: int
) -> None:
    records, state, engine = in_records(events, sizes), new_state(), follower()
    for each in records:
        effects = fold(state, each)
        messages = encode(effects)
        engine.standings.absorb(0, [(key or b"", value) for key, value in messages["balances"]])
        for _, value in messages.get("policies", ()):
            engine.adopt(value or b"")
        found, then = (
            past(records, Place(0, each.offset)),
            past(records[: each.offset + 1], Instant(NOON_MS + later_ms)),
        )
        for scope in SCOPES:
            assert status_then(found, scope).status == status_of(engine, scope, state.position.clock_ms, reached=True)
            assert status_then(then, scope).status == status_of(engine, scope, NOON_MS + later_ms, reached=True)


LEDGER = [
    record(0, policy(budget("day", "10", "day"), version=1)),
    record(1, costing("4", "a"), at_ms=NOON_MS + 1_000),
    record(2, policy(budget("day", "20", "day", schedule=[{"when": "13:00-14:00", "factor": 0.5}]), version=2),
           at_ms=NOON_MS + 2_000),
    record(3, event("boost.granted", {"organization": "acme", "budget": "day", "amount_usd": "5", "by": "ada",
                                      "until": from_ms(NOON_MS + 3 * HOUR_MS).isoformat()}),
           at_ms=NOON_MS + 3_000),
    record(4, *claimed("one", 3_000_000_000), at_ms=NOON_MS + 4_000),
]  # fmt: skip


@pytest.mark.parametrize(
    ("after_ms", "version", "limit", "settled"),
    [
        (999, 1, "10.00", "0.00"),
        (1_000, 1, "10.00", "4.00"),
        (2_000, 2, "20.00", "4.00"),
        (3_000, 2, "25.00", "4.00"),
        (HOUR_MS, 2, "15.00", "4.00"),
        (2 * HOUR_MS, 2, "25.00", "4.00"),
        (3 * HOUR_MS, 2, "20.00", "4.00"),
    ],
)
def test_policy_schedule_and_boost_are_those_of_the_time(after_ms: int, version: int, limit: str, settled: str) -> None:
    found = status_then(past(LEDGER, Instant(NOON_MS + after_ms)), "org:acme")
    (day,) = [window for window in found.status.windows if window.window.startswith("day:")]
    (outlook,) = [window for window in found.outlook.windows if window.window.startswith("day:")]
    assert (found.status.policy_version, day.budgets[0].limit_usd, day.settled_usd) == (version, limit, settled)
    assert (found.outlook.policy_version, outlook.budgets[0].limit_usd, outlook.settled_usd) == (
        version,
        limit,
        settled,
    )
    assert found.status.as_of == found.outlook.as_of == from_ms(NOON_MS + after_ms)


def test_the_shares_that_enforcers_held_are_told() -> None:
    assert status_then(past(LEDGER, Place(0, 3)), "org:acme").shares == []
    (share,) = status_then(past(LEDGER, Place(0, 4)), "org:acme").shares
    assert (share.window, share.enforcer, share.outstanding_usd) == ("day:2026-11-24", "one", "3.00")
    assert status_then(past(LEDGER, Place(0, 4)), "org:acme/user:a").shares == []


def test_before_anything_happened_nothing_was_known() -> None:
    found = status_then(past(LEDGER, Instant(NOON_MS - 1)), "org:acme")
    assert (found.status.windows, found.status.policy_version, found.status.ledger.offset) == ([], 0, -1)
    decision = decide_then(past(LEDGER, Instant(NOON_MS - 1)), ask())
    assert (decision.action, decision.reason, decision.ledger.offset) == ("allow", "no_budget", -1)


def test_a_request_is_decided_by_the_policy_and_the_balances_of_the_time() -> None:
    six = 600_000
    answers = {
        after_ms: decide_then(past(LEDGER, Instant(NOON_MS + after_ms)), ask(output=output))
        for after_ms, output in ((999, 900_000), (1_000, six), (1_001, six + 1_000), (2_000, six + 1_000))
    }
    assert [(answer.action, answer.policy_version) for answer in answers.values()] == [
        ("allow", 1),
        ("allow", 1),
        ("deny", 1),
        ("allow", 2),
    ]
    denied = answers[1_001]
    assert (denied.reason, denied.ledger.offset, denied.dry_run) == ("budget_exceeded", 1, True)
    assert denied.decided_at == from_ms(NOON_MS + 1_001)
    assert denied.budgets[0].settled_usd == "4.00"


def test_who_held_most_is_asked_and_what_others_held_counts_as_spent() -> None:
    almost = ask(output=1_900_000)  # $19 of the $21 that are not settled
    assert decide_then(past(LEDGER, Place(0, 4)), almost).action == "allow"
    more = [*LEDGER, record(5, *claimed("two", 2_500_000_000), at_ms=NOON_MS + 5_000)]
    denied = decide_then(past(more, Place(0, 5)), almost)
    (line,) = denied.budgets
    assert (denied.action, denied.enforcers) == ("deny", 2)
    assert (line.settled_usd, line.share_usd, line.refused, line.committed_usd) == ("4.00", "18.50", True, "25.00")
    assert decide_then(past(more, Place(0, 5)), ask(output=1_850_000)).action == "allow"


def test_grace_and_other_models_are_offered_as_they_were() -> None:
    graced = budget("day", "1", "day", grace={"priorities": ["critical"], "percent": 50, "duration": "2h"})
    kinder = budget("day", "1", "day", fallback={"gpt-4o": MINI})
    records = [record(0, policy(graced)), record(1, costing("0.95")), record(2, policy(kinder, version=2))]

    def answer(offset: int, **more: Any) -> tuple[str, str]:
        found = decide_then(past(records, Place(0, offset)), ask(output=10_000, **more))
        return found.action, found.reason

    assert answer(1) == ("deny", "budget_exceeded")
    assert answer(1, priority="critical") == ("allow", "grace")
    assert answer(2) == ("fallback", "fell_back")


def test_what_is_held_by_an_enforcer_that_was_silent_for_too_long_is_free() -> None:
    silent = claimed("gone", 9_000_000_000)
    silent[0]["data"]["reclaim_after_ms"] = HOUR_MS
    records = [record(0, policy(budget("day", "10", "day"))), record(1, *silent)]
    asked = ask(output=900_000)
    assert decide_then(past(records, Instant(NOON_MS + HOUR_MS)), asked).action == "deny"
    assert decide_then(past(records, Instant(NOON_MS + HOUR_MS + 1)), asked).action == "allow"


def test_other_organizations_of_the_partition_are_no_part_of_it() -> None:
    other = usage("o", organization="acme-2", cost_usd="5")
    found = past([record(0, costing("1"), other)], Place(0, 0))
    engine = enforcer_then(found, "acme")
    assert {parse_scope(key.partition("@")[0])["org"] for key in engine.standings.known} == {"acme"}
