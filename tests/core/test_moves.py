"""Moves of money in the fold: what they do, how long they last, and why one is refused."""

from __future__ import annotations

from typing import Any

import pytest

from services.core.apply_move import MOVES_MAX
from services.core.balance import HORIZON_MS, HOUR_MS
from services.core.events import iso
from services.core.rejection import Reason
from tests.core.ledger import NOON_MS, Changelog, Json, budget, costing, event, policy, record, run
from tests.core.moves import POOL, SEARCH, limit, move, two

USD = 1_000_000_000
MIDNIGHT_MS = NOON_MS + 12 * HOUR_MS


def refusals(*events: Json) -> list[str]:
    _, effects = run([record(0, *events)])
    return [each.reason for each in effects.rejections]


def claim(enforcer: str, key: str, wanted_usd: int, *, beat: int = 2, released_usd: int = 0) -> Json:
    line = {"balance": key, "wanted_nanousd": wanted_usd * USD, "released_nanousd": released_usd * USD}
    data = {"organization": "acme", "enforcer": enforcer, "beat": beat, "claims": [line]}
    return event("allowance.claimed", data, event_id=f"c-{enforcer}-{beat}", source=enforcer)


def alive(enforcer: str) -> Json:
    return event("enforcer.alive", {"enforcer": enforcer, "beat": 1}, event_id=f"a-{enforcer}", source=enforcer)


def test_a_move_takes_from_one_budget_what_it_gives_another_until_the_window_ends() -> None:
    state, effects = run([record(0, two(), move("4"))])
    assert not effects.rejections
    assert effects.counts["move"] == 1
    assert (limit(state, "pool"), limit(state, "search")) == (6 * USD, 14 * USD)
    assert (limit(state, "pool", MIDNIGHT_MS - 1), limit(state, "search", MIDNIGHT_MS - 1)) == (6 * USD, 14 * USD)
    assert (limit(state, "pool", MIDNIGHT_MS), limit(state, "search", MIDNIGHT_MS)) == (10 * USD, 10 * USD)
    assert (limit(state, "pool", NOON_MS - 1), limit(state, "search", NOON_MS - 1)) == (10 * USD, 10 * USD)


def test_a_move_comes_through_the_changelog() -> None:
    log = Changelog()
    _, effects = run([record(0, two(), move("4"))])
    log.write(effects)
    state = log.restore()
    assert (limit(state, "pool"), limit(state, "search")) == (6 * USD, 14 * USD)


def test_a_move_happens_once_by_its_id_and_by_its_name() -> None:
    again = {**move("4"), "source": "another evaluator"}
    state, effects = run([record(0, two(), move("4"), move("4")), record(1, again)])
    assert effects.counts["duplicate"] == 2
    assert limit(state, "pool") == 6 * USD


def test_a_move_is_on_record_with_what_it_changed() -> None:
    _, effects = run([record(0, two(), move("4", key_id="k1"))])
    entry = effects.audit[-1]
    assert (entry.action, entry.subject, entry.by, entry.key_id) == ("budget.moved", "pool -> search", "ada", "k1")
    assert entry.reason == "launch week"
    assert entry.before == '{"pool":"10.00","search":"10.00"}'
    assert entry.after == '{"pool":"6.00","search":"14.00"}'
    assert entry.budgets == ["pool", "search"]


def test_what_is_spent_stays_and_the_refusal_says_what_is_free() -> None:
    spent = costing("7.50", project="pool")
    _, effects = run([record(0, two(), spent, move("2.51"))])
    assert [each.reason for each in effects.rejections] == ["insufficient_room"]
    assert "$2.50 that is neither spent nor held" in effects.rejections[0].detail
    assert refusals(two(), spent, move("2.50")) == []


def test_what_enforcers_hold_stays() -> None:
    day = "org:acme/project:pool@day:2026-11-24"
    state, effects = run([record(0, two(), alive("e1"), claim("e1", day, 8), move("3"), move("2", name="m2"))])
    assert [each.reason for each in effects.rejections] == ["insufficient_room"]
    assert limit(state, "pool") == 8 * USD


def test_a_smaller_limit_lets_nobody_have_more_and_a_larger_one_serves_who_waits() -> None:
    pool, search = "org:acme/project:pool@day:2026-11-24", "org:acme/project:search@day:2026-11-24"
    both = [alive("e1"), alive("e2"), claim("e1", pool, 6), claim("e1", search, 10, beat=3), claim("e2", search, 3)]
    state, effects = run([record(0, two(), *both, move("4")), record(1, claim("e2", pool, 5, beat=4))])
    assert not effects.rejections
    granted = {key: {name: share.granted_nanousd for name, share in effects.balances[key].shares.items()}  # type: ignore[union-attr]
               for key in (pool, search)}  # fmt: skip
    assert granted == {pool: {"e1": 6 * USD, "e2": 0}, search: {"e1": 10 * USD, "e2": 3 * USD}}
    assert state.tables is not None
    assert effects.exposed == {}


def test_a_hard_tier_below_the_limit_keeps_its_distance() -> None:
    careful = {**POOL, "tiers": {"soft": "0.5", "throttle": "0.5", "hard": "0.5"}}
    spent = costing("2", project="pool")
    assert refusals(policy(careful, SEARCH), spent, move("6.000000001")) == ["insufficient_room"]
    assert refusals(policy(careful, SEARCH), spent, move("6")) == []


def test_a_budget_keeps_its_least_whatever_its_schedule_says_later() -> None:
    nightly = {**POOL, "schedule": [{"when": "22:00-06:00", "factor": "0.5"}], "min_usd": "2"}
    assert refusals(policy(nightly, SEARCH), move("3.01")) == ["below_minimum"]
    assert refusals(policy(nightly, SEARCH), move("3")) == []
    assert refusals(policy(nightly, SEARCH), move("2"), move("2", name="m2")) == ["below_minimum"]


def test_a_budget_takes_no_more_than_its_most() -> None:
    capped = {**SEARCH, "max_usd": "12"}
    assert refusals(policy(POOL, capped), move("2"), move("0.01", name="m2")) == ["above_maximum"]


def test_a_child_stays_below_its_parent() -> None:
    team = budget("ranking", "9", "day", scope={"project": "search", "team": "ranking"})
    assert refusals(two(team), move("2", target="ranking")) == ["above_parent"]
    assert refusals(two(team), move("1", target="ranking")) == []


def test_without_overcommit_children_stay_below_their_parent_together() -> None:
    teams = [budget(name, "5", "day", scope={"project": "search", "team": name}) for name in ("a", "b")]
    assert refusals(two(*teams), move("1", target="a")) == ["above_parent"]
    assert refusals(two(*teams), move("1", "a", "b")) == []
    free = policy(POOL, SEARCH, *teams)
    free["data"]["policy"]["allocation"] = {"overcommit": True}
    assert refusals(free, move("1", target="a")) == []


def test_within_a_parent_that_others_gave_to_there_is_more_room() -> None:
    team = budget("ranking", "10", "day", scope={"project": "search", "team": "ranking"})
    assert refusals(two(team), move("1", target="ranking")) == ["above_parent"]
    wider = move("5")
    beside = budget("other", "3", "day", scope={"project": "other"})
    assert refusals(two(team, beside), wider, move("2", "other", "ranking", name="m2")) == []


@pytest.mark.parametrize(
    ("budgets", "change", "reason"),
    [
        ([], {"source": "nobody"}, Reason.UNKNOWN_BUDGET),
        ([], {"target": "nobody"}, Reason.UNKNOWN_BUDGET),
        ([], {"target": "pool"}, Reason.INVALID_MOVE),
        ([budget("m", "10", "month", scope={"project": "m"})], {"target": "m"}, Reason.INVALID_MOVE),
        ([budget("any", "10", "day", scope={"user": "*"})], {"target": "any"}, Reason.INVALID_MOVE),
        ([budget("all", "30", "day")], {"source": "all"}, Reason.INVALID_MOVE),
        ([budget("all", "30", "day")], {"target": "all"}, Reason.INVALID_MOVE),
        ([], {"until": iso(NOON_MS)}, Reason.LATE),
        ([], {"returns": "m0"}, Reason.INVALID_MOVE),
    ],
)
def test_a_move_that_cannot_be_is_refused_and_changes_nothing(
    budgets: list[Json], change: dict[str, Any], reason: Reason
) -> None:
    state, effects = run([record(0, two(*budgets), move("1", **change))])
    assert [each.reason for each in effects.rejections] == [reason]
    assert effects.policies["acme"].moves == ()
    assert limit(state, "pool") == limit(state, "search") == 10 * USD


@pytest.mark.parametrize("amount", ["0", "-1", "a lot", "0.0000000001"])
def test_an_amount_that_is_none_is_refused(amount: str) -> None:
    assert refusals(two(), move(amount)) == [Reason.INVALID_MONEY]


def test_what_is_given_back_was_given_and_only_once() -> None:
    back = [move("1", "search", "pool", name=f"b{n}", returns="m1") for n in range(3)]
    state, effects = run([record(0, two(), move("2", until=iso(NOON_MS + HOUR_MS)), *back)])
    assert [each.reason for each in effects.rejections] == [Reason.INVALID_MOVE]
    assert limit(state, "pool") == limit(state, "search") == 10 * USD
    assert effects.policies["acme"].moves[0].until_ms == NOON_MS + HOUR_MS


def test_what_is_moved_stays_moved_when_limits_change_so_that_nothing_is_spent_twice() -> None:
    lower = policy({**POOL, "limit_usd": "3"}, SEARCH, version=2)
    higher = policy({**POOL, "limit_usd": "8"}, SEARCH, version=3)
    state, _ = run([record(0, two(), move("4"), lower)])
    assert (limit(state, "pool"), limit(state, "search")) == (0, 14 * USD)
    state, _ = run([record(1, higher)], state)
    assert (limit(state, "pool"), limit(state, "search")) == (4 * USD, 14 * USD)


@pytest.mark.parametrize(
    "changed",
    [
        policy(SEARCH, version=2),
        policy({**POOL, "name": "pond"}, SEARCH, version=2),
        policy({**POOL, "scope": {"project": "other"}}, SEARCH, version=2),
        policy({**POOL, "window": "month"}, SEARCH, version=2),
        policy(POOL, SEARCH, version=2, timezone="Asia/Kolkata"),
    ],
)
def test_a_budget_that_is_no_longer_what_it_was_ends_its_moves_on_both_sides(changed: Json) -> None:
    state, effects = run([record(0, two(), move("4"), changed)])
    assert effects.policies["acme"].moves == ()
    assert limit(state, "search") == 10 * USD


def test_moves_leave_a_horizon_after_their_window_and_are_bounded() -> None:
    many = [move("0.001", name=f"m{n}") for n in range(MOVES_MAX + 1)]
    state, effects = run([record(0, two(), *many)])
    assert [each.reason for each in effects.rejections] == [Reason.TOO_MANY_MOVES]
    later_ms = MIDNIGHT_MS + HORIZON_MS
    _, effects = run([record(1, move("1", name="later", at_ms=later_ms), at_ms=later_ms)], state)
    assert [each.move for each in effects.policies["acme"].moves] == ["later"]


def test_an_alert_is_measured_against_the_moved_limit() -> None:
    _, effects = run([record(0, two(), move("5"), costing("5", project="pool"))])
    assert [(each.budget, each.threshold, each.limit_usd) for each in effects.alerts][-1] == ("pool", "1.0", "5.00")
