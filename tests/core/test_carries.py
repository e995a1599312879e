"""Unspent money that goes into the next window: how much, once, and never what may still be spent before."""

from __future__ import annotations

import pytest

from schemas.policy import Policy, parse_policy
from schemas.problems import DocumentError
from services.core.balance import CARRY_AFTER_MS, HORIZON_MS, HOUR_MS
from services.core.moving.carrying import due_carries
from services.core.rejection import Reason
from services.core.state import LedgerState
from tests.core.ledger import NOON_MS, Changelog, Json, budget, costing, event, policy, record, run
from tests.core.moves import POOL, SEARCH, limit, move

USD = 1_000_000_000
MIDNIGHT_MS = NOON_MS + 12 * HOUR_MS
SETTLED_MS = MIDNIGHT_MS + CARRY_AFTER_MS
CARRYING = {**SEARCH, "carry_over": {"cap_usd": "4"}}
TODAY = "day:2026-11-24"


def carry(name: str = "search", window: str = TODAY, *, at_ms: int = SETTLED_MS) -> Json:
    data = {"organization": "acme", "budget": name, "window": window, "by": "s"}
    return event("budget.carried", data, event_id=f"carry/{name}/{window}", source="s", at_ms=at_ms)


def after(*before: Json, search: Json = CARRYING, at_ms: int = SETTLED_MS) -> tuple[LedgerState, list[str]]:
    """The state once today was carried over, and why something was refused."""
    state, effects = run([record(0, policy(POOL, search), *before), record(1, carry(at_ms=at_ms), at_ms=at_ms)])
    return state, [each.reason for each in effects.rejections]


def test_what_is_unspent_is_the_next_windows_up_to_the_cap() -> None:
    state, refused = after(costing("7.5", project="search"))
    assert not refused
    assert limit(state, "search", SETTLED_MS) == 12_500_000_000
    assert limit(state, "search", MIDNIGHT_MS - 1) == 7_500_000_000, "it is gone from the window that is over"
    assert limit(state, "search", NOON_MS) == 10 * USD, "what was spent in time is measured against what held then"
    assert limit(state, "search", MIDNIGHT_MS + 24 * HOUR_MS) == 10 * USD
    state, _ = after()
    assert limit(state, "search", SETTLED_MS) == 14 * USD


def test_a_cap_may_be_a_part_of_the_limit_and_max_usd_is_never_exceeded() -> None:
    state, _ = after(search={**SEARCH, "carry_over": {"cap_percent": 25}})
    assert limit(state, "search", SETTLED_MS) == 12_500_000_000
    state, _ = after(search={**CARRYING, "max_usd": "11"})
    assert limit(state, "search", SETTLED_MS) == 11 * USD


def test_what_enforcers_still_hold_is_not_carried_over() -> None:
    key = f"org:acme/project:search@{TODAY}"
    beat = event("enforcer.alive", {"enforcer": "e", "beat": 1}, event_id="a", source="e")
    line = {"balance": key, "wanted_nanousd": 9 * USD}
    claim = {"organization": "acme", "enforcer": "e", "beat": 2, "claims": [line]}
    state, refused = after(beat, event("allowance.claimed", claim, event_id="c", source="e"))
    assert not refused
    assert limit(state, "search", SETTLED_MS) == 11 * USD


def test_late_usage_finds_no_room_in_the_window_that_gave_its_money_away() -> None:
    state, _ = after(costing("7.5", project="search"))
    late = costing("1", "late", project="search", at_ms=MIDNIGHT_MS - 1)
    state, effects = run([record(2, late, at_ms=SETTLED_MS + 1)], state)
    assert effects.exposed == {"unreserved": USD}
    assert limit(state, "search", SETTLED_MS) == 12_500_000_000, "what was carried over is fixed"


def test_a_window_is_carried_over_once_and_comes_through_the_changelog() -> None:
    state, _ = after(costing("9", project="search"))
    again = {**carry(), "source": "another"}
    _, effects = run([record(2, again, at_ms=SETTLED_MS + 1)], state)
    assert effects.counts["duplicate"] == 1
    log = Changelog()
    _, effects = run([record(0, policy(POOL, CARRYING)), record(1, carry(), at_ms=SETTLED_MS)])
    log.write(effects)
    assert limit(log.restore(), "search", SETTLED_MS) == 14 * USD


def test_what_was_moved_in_is_carried_over_too_and_goes_on_to_the_day_after_within_the_cap() -> None:
    state, _ = after(move("3"), costing("12", project="search"))
    assert limit(state, "search", SETTLED_MS) == 11 * USD
    day_ms = 24 * HOUR_MS
    tomorrow = carry(window="day:2026-11-25", at_ms=SETTLED_MS + day_ms)
    state, effects = run([record(2, tomorrow, at_ms=SETTLED_MS + day_ms)], state)
    assert not effects.rejections
    assert limit(state, "search", SETTLED_MS + day_ms) == 14 * USD


def test_a_budget_below_a_parent_carries_no_more_than_the_parent_has() -> None:
    team = budget("team", "8", "day", scope={"project": "search", "team": "t"}, carry_over={"cap_usd": "5"})
    records = [record(0, policy(SEARCH, team)), record(1, carry("team"), at_ms=SETTLED_MS)]
    state, effects = run(records)
    assert not effects.rejections
    assert limit(state, "team", SETTLED_MS) == 10 * USD


@pytest.mark.parametrize(
    ("window", "at_ms", "name"),
    [
        (TODAY, SETTLED_MS - 1, "search"),
        (TODAY, SETTLED_MS + 24 * HOUR_MS, "search"),
        ("day:2026-11-25", SETTLED_MS, "search"),
        ("month:2026-10", SETTLED_MS, "search"),
        ("yesterday", SETTLED_MS, "search"),
        (TODAY, SETTLED_MS, "pool"),
    ],
)
def test_only_the_window_before_this_one_is_carried_over_and_only_once_it_has_settled(
    window: str, at_ms: int, name: str
) -> None:
    records = [record(0, policy(POOL, CARRYING)), record(1, carry(name, window, at_ms=at_ms), at_ms=at_ms)]
    _, effects = run(records)
    assert [each.reason for each in effects.rejections] == [Reason.INVALID_CARRY]


def test_a_budget_carries_nothing_of_windows_in_which_it_did_not_carry_over() -> None:
    late = record(0, policy(POOL, CARRYING, at_ms=MIDNIGHT_MS), at_ms=MIDNIGHT_MS)
    _, effects = run([late, record(1, carry(), at_ms=SETTLED_MS)])
    assert [each.reason for each in effects.rejections] == [Reason.INVALID_CARRY]


def test_a_change_of_policy_keeps_what_was_carried_over_unless_the_budget_is_another() -> None:
    state, _ = after()
    state, _ = run([record(2, policy(POOL, {**CARRYING, "limit_usd": "20"}, version=2), at_ms=SETTLED_MS)], state)
    assert limit(state, "search", SETTLED_MS) == 24 * USD
    state, _ = run([record(3, policy(POOL, {**CARRYING, "window": "week"}, version=3), at_ms=SETTLED_MS)], state)
    assert limit(state, "search", SETTLED_MS) == 10 * USD


def test_what_was_carried_over_leaves_a_horizon_after_it_ended() -> None:
    state, _ = after()
    later_ms = MIDNIGHT_MS + 24 * HOUR_MS + HORIZON_MS
    _, effects = run([record(2, policy(POOL, CARRYING, version=2, at_ms=later_ms), at_ms=later_ms)], state)
    assert effects.policies["acme"].carries == ()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"window": "hour"}, "from a day"),
        ({"scope": {"user": "*"}}, "each of many"),
        ({"carry_over": {}}, "not both"),
        ({"carry_over": {"cap_usd": "1", "cap_percent": 5}}, "not both"),
    ],
)
def test_a_carry_over_that_cannot_work_is_refused_with_advice(change: Json, words: str) -> None:
    with pytest.raises(DocumentError, match=words):
        parse_policy({"organization": "acme", "budgets": [{**CARRYING, **change}]})


def test_windows_are_due_once_they_have_settled_and_until_they_are_carried_over() -> None:
    state, _ = run([record(0, policy(POOL, CARRYING))])

    def due(at_ms: int) -> list[tuple[str, str]]:
        organization = state.organization("acme")
        assert organization.entry is not None
        written = Policy.model_validate(organization.entry.policy)
        found = due_carries(organization.entry, written, organization.routes.policy, at_ms)
        return [(each.name, each.window) for each in found]

    assert due(NOON_MS) == [], "it did not carry over yesterday"
    assert due(SETTLED_MS - 1) == []
    assert due(SETTLED_MS) == [(f"carry/search/{TODAY}", TODAY)]
    run([record(1, carry(), at_ms=SETTLED_MS)], state)
    assert due(SETTLED_MS) == []
