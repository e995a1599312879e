"""Rules that move money: when they want to, from whom, how much, and that they never want it twice."""

from __future__ import annotations

from typing import Any

import pytest

from schemas.policy import Policy, parse_policy
from schemas.problems import DocumentError
from services.core.balance import HOUR_MS
from services.core.effects import GrantedMove, PolicyEntry
from services.core.events import iso
from services.core.moving.need import Stand
from services.core.moving.wanted import WantedMove, wanted_moves
from services.core.state import LedgerState, compiled_of
from tests.core.ledger import NOON_MS, Json, budget, policy, record, run
from tests.core.moves import POOL, SEARCH, move, two

USD = 1_000_000_000
TOP_UP: Json = {
    "name": "top-up",
    "take_from": "pool",
    "give_to": ["search"],
    "when": "utilization >= 0.9",
    "step_usd": "2",
}


def with_rules(*rules: Json, budgets: tuple[Json, ...] = (POOL, SEARCH), **more: Any) -> Json:
    written = policy(*budgets, **more)
    written["data"]["policy"]["rules"] = list(rules)
    return written


def entry_of(state: LedgerState) -> PolicyEntry:
    entry = state.organization("acme").entry
    assert entry is not None
    return entry


def wanted(written: Json, stands: dict[str, Stand], *moves: GrantedMove, at_ms: int = NOON_MS) -> list[WantedMove]:
    state, effects = run([record(0, written)])
    assert not effects.rejections, effects.rejections
    entry = entry_of(state)
    document = Policy.model_validate(entry.policy)
    return wanted_moves(compiled_of(entry, document), document, moves, stands, at_ms)


def amounts(found: list[WantedMove]) -> list[tuple[str, str, int]]:
    return [(each.from_budget, each.to_budget, each.amount_nanousd) for each in found]


def granted(
    name: str = "top-up/day:2026-11-24/v1/1", amount: str = "2", since_ms: int = NOON_MS, **more: Any
) -> GrantedMove:
    facts: dict[str, Any] = {"from_budget": "pool", "to_budget": "search", "rule": "top-up", "by": "s", "reason": ""}
    ends_ms = NOON_MS + 12 * HOUR_MS
    return GrantedMove(move=name, amount_usd=amount, since_ms=since_ms, ends_ms=ends_ms, **(facts | more))


def test_a_rule_moves_a_step_once_its_budget_is_in_need_and_says_why() -> None:
    assert wanted(with_rules(TOP_UP), {"search": Stand(8_999_999_999)}) == []
    (found,) = wanted(with_rules(TOP_UP), {"search": Stand(9 * USD), "pool": Stand(USD, USD)})
    assert (found.move, found.rule, found.amount_nanousd) == ("top-up/day:2026-11-24/v1/1", "top-up", 2 * USD)
    assert found.reason == (
        "search has spent $9.00 of $10.00: utilization 90.0%, rule top-up is utilization >= 0.9; "
        "$2.00 from pool, which keeps $6.00 that are free"
    )


def test_a_rule_moves_what_is_free_and_no_crumbs() -> None:
    stands = {"search": Stand(9 * USD)}
    assert amounts(wanted(with_rules(TOP_UP), {**stands, "pool": Stand(8 * USD, USD)})) == [("pool", "search", USD)]
    assert wanted(with_rules(TOP_UP), {**stands, "pool": Stand(9_800_000_001)}) == []


def test_a_rule_keeps_to_the_least_the_most_and_its_own_most() -> None:
    stands = {"search": Stand(9 * USD)}
    keeps = {**POOL, "min_usd": "9"}
    assert amounts(wanted(with_rules(TOP_UP, budgets=(keeps, SEARCH)), stands)) == [("pool", "search", USD)]
    capped = {**SEARCH, "max_usd": "11.5"}
    assert amounts(wanted(with_rules(TOP_UP, budgets=(POOL, capped)), stands)) == [("pool", "search", 3 * USD // 2)]
    once = with_rules({**TOP_UP, "most_usd": "3"})
    assert amounts(wanted(once, stands, granted(since_ms=NOON_MS - HOUR_MS))) == [("pool", "search", USD)]


def test_a_rule_rests_after_a_move_and_numbers_the_next_one() -> None:
    stands = {"search": Stand(20 * USD)}
    assert wanted(with_rules(TOP_UP), stands, granted(since_ms=NOON_MS - 299_999)) == []
    (found,) = wanted(with_rules(TOP_UP), stands, granted(since_ms=NOON_MS - 300_000))
    assert found.move == "top-up/day:2026-11-24/v1/2"


def test_whoever_works_it_out_names_the_same_move_which_the_ledger_makes_once() -> None:
    state, _ = run([record(0, with_rules(TOP_UP))])
    (found,) = wanted(with_rules(TOP_UP), {"search": Stand(9 * USD)})
    said = [move("2", name=found.move, rule="top-up"), {**move("2", name=found.move), "source": "another"}]
    _, effects = run([record(1, *said)], state)
    assert len(effects.policies["acme"].moves) == 1


def test_pace_compares_with_the_part_of_the_window_that_is_over() -> None:
    hasty = with_rules({**TOP_UP, "when": "pace > 1.2"})
    assert wanted(hasty, {"search": Stand(6 * USD)}) == []
    (found,) = wanted(hasty, {"search": Stand(6_010_000_000)})
    assert "has spent $6.01 of $10.00 in 50.0% of the day: pace 120.2%" in found.reason


def test_a_forecast_above_the_limit_moves_before_the_money_is_gone() -> None:
    seen = with_rules({**TOP_UP, "when": "forecast >= limit"})
    assert wanted(seen, {"search": Stand(USD)}) == []
    (found,) = wanted(seen, {"search": Stand(USD, 0, 10 * USD)})
    assert "is expected to spend $10.00 of $10.00" in found.reason


SIBLINGS = tuple(
    budget(name, "10", "day", scope={"project": "p", "team": name}, priority=priority)
    for name, priority in (("a", "critical"), ("b", "normal"), ("c", "low"), ("d", "normal"))
)
AMONG = {
    **TOP_UP,
    "name": "among",
    "take_from": "siblings",
    "give_to": ["b", "a"],
    "step_percent": 10,
    "step_usd": None,
}


def test_siblings_give_the_least_important_first_and_the_most_important_is_served_first() -> None:
    written = with_rules(AMONG, budgets=SIBLINGS)
    hungry = {"a": Stand(9 * USD), "b": Stand(9 * USD)}
    assert amounts(wanted(written, hungry)) == [("c", "a", USD), ("c", "b", USD)]
    busy = {**hungry, "c": Stand(10 * USD)}
    assert amounts(wanted(written, busy)) == [("d", "a", USD), ("d", "b", USD)]


def test_a_sibling_gives_nothing_to_a_less_important_one_and_to_its_like_only_what_it_does_not_need() -> None:
    written = with_rules({**AMONG, "give_to": ["b"]}, budgets=SIBLINGS)
    assert amounts(wanted(written, {"b": Stand(9 * USD), "c": Stand(10 * USD)})) == [("d", "b", USD)]
    assert wanted(written, {"b": Stand(9 * USD), "c": Stand(10 * USD), "d": Stand(8_100_000_000)}) == []


def test_what_was_lent_until_an_instant_is_due_back_as_far_as_it_is_free() -> None:
    lent = granted("lent", "4", rule=None, until_ms=NOON_MS + HOUR_MS)
    state, _ = run([record(0, two(), move("4", name="lent", until=iso(NOON_MS + HOUR_MS)))])
    entry = entry_of(state)
    document = Policy.model_validate(entry.policy)
    policy_now, moves = compiled_of(entry, document), entry.moves
    assert moves[0].until_ms == lent.until_ms
    look = (policy_now, document, moves, {"search": Stand(11 * USD)})
    assert wanted_moves(*look, NOON_MS + HOUR_MS - 1) == []
    (found,) = wanted_moves(*look, NOON_MS + HOUR_MS)
    assert (found.move, found.returns, found.amount_nanousd) == ("lent/back/1", "lent", 3 * USD)
    assert wanted_moves(*look, NOON_MS + 12 * HOUR_MS) == []


@pytest.mark.parametrize(
    ("change", "path", "words"),
    [
        ({"when": "spent > 3"}, "rules[0].when", "utilization >= 0.9"),
        ({"take_from": "pol"}, "rules[0].take_from", "did you mean 'pool'?"),
        ({"give_to": ["serch"]}, "rules[0].give_to[0]", "did you mean 'search'?"),
        ({"give_to": ["pool"]}, "rules[0].give_to[0]", "cannot take from itself"),
        ({"give_to": ["month"]}, "rules[0].give_to[0]", "counts by the month"),
        ({"give_to": ["each"]}, "rules[0].give_to[0]", "limit for each of many"),
        ({"give_to": ["team"]}, "rules[0].give_to[0]", "count some spending both"),
        ({"give_to": ["all"], "take_from": "siblings", "when": "pace > 1"}, "rules[0].give_to[0]", "use utilization"),
        ({"step_percent": 5}, "rules[0]", "and not both"),
        ({"step_usd": "0"}, "rules[0]", "moves nothing"),
        ({"step": "5"}, "rules[0].step", "did you mean"),
    ],
)
def test_a_rule_that_cannot_work_is_refused_with_advice(change: Json, path: str, words: str) -> None:
    budgets = [
        POOL,
        SEARCH,
        budget("month", "10", "month"),
        budget("each", "10", "day", scope={"user": "*"}),
        budget("team", "1", "day", scope={"project": "pool", "team": "t"}),
        budget("all", "90", "total"),
    ]
    with pytest.raises(DocumentError) as refused:
        parse_policy({"organization": "acme", "budgets": budgets, "rules": [{**TOP_UP, **change}]})
    assert [problem.path for problem in refused.value.problems] == [path]
    assert words in refused.value.problems[0].message


def test_bounds_of_a_budget_lie_around_its_limit() -> None:
    for bounds, words in (({"min_usd": "11"}, "min_usd is above"), ({"max_usd": "9"}, "max_usd is below")):
        with pytest.raises(DocumentError, match=words):
            parse_policy({"organization": "acme", "budgets": [{**POOL, **bounds}]})
