"""What rules would have done: the same requests with them and without, and every move with its reason."""

from __future__ import annotations

from schemas.policy import Policy, parse_policy
from services.core.ask import Ask
from services.core.balance import HOUR_MS
from services.core.moving.simulation import Simulation
from services.core.whatif import PastRequest
from tests.core.ledger import NOON_MS, PRICES, Json
from tests.core.moves import POOL, SEARCH

USD = 1_000_000_000
TIERS = {"soft": "1", "throttle": "1", "hard": "1"}
RULE: Json = {
    "name": "top-up",
    "take_from": "pool",
    "give_to": ["search"],
    "when": "utilization >= 0.9",
    "step_usd": "2",
    "most_usd": "5",
    "cooldown": "1s",
}


def written(*rules: Json) -> Policy:
    budgets = [{**each, "tiers": TIERS} for each in (POOL, SEARCH)]
    return parse_policy({"organization": "acme", "budgets": budgets, "rules": list(rules)})


def request(number: int, project: str = "search", usd: int = 1) -> PastRequest:
    ask = Ask(organization="acme", project=project, model="gpt-4o", input_tokens=1, max_output_tokens=1)
    return PastRequest(
        ask=ask, at_ms=NOON_MS + number * 10_000, made=True, provider=None, model="gpt-4o", cost_nanousd=usd * USD
    )


def played(policy: Policy, requests: list[PastRequest]) -> Simulation:
    simulation = Simulation(policy, PRICES)
    for each in requests:
        simulation.offer(each)
    return simulation


def test_denials_are_avoided_as_far_as_rules_may_move() -> None:
    found = played(written(RULE), [request(n) for n in range(20)])
    assert [(move.from_budget, move.to_budget, move.amount_nanousd // USD) for _, move in found.moves] == [
        ("pool", "search", 2),
        ("pool", "search", 2),
        ("pool", "search", 1),
    ]
    assert found.refusals_avoided == 5
    assert found.moves[0][0] == NOON_MS + 9 * 10_000
    assert found.moves[0][1].reason.startswith("search has spent $9.00 of $10.00: utilization 90.0%")
    assert found.with_rules.all.spared_nanousd == 5 * USD
    assert found.without_rules.all.spared_nanousd == 10 * USD


def test_what_the_giver_spends_itself_is_not_moved() -> None:
    requests = [request(0, "pool", 9), *(request(n) for n in range(1, 21))]
    found = played(written(RULE), requests)
    assert [move.amount_nanousd // USD for _, move in found.moves] == [1]
    assert found.refusals_avoided == 1


def test_moves_end_with_their_window() -> None:
    tomorrow = NOON_MS + 12 * HOUR_MS
    late = [PastRequest(**{**_fields(request(0)), "at_ms": tomorrow + n * 10_000}) for n in range(12)]
    found = played(written({**RULE, "most_usd": "2"}), [*(request(n) for n in range(12)), *late])
    assert [move.move for _, move in found.moves] == ["top-up/day:2026-11-24/v1/1", "top-up/day:2026-11-25/v1/1"]
    assert found.with_rules.all.spared_nanousd == 0


def test_without_rules_nothing_moves_and_both_are_the_same() -> None:
    found = played(written(), [request(n) for n in range(20)])
    assert found.moves == []
    assert found.with_rules == found.without_rules


def test_what_was_spent_before_the_period_counts() -> None:
    simulation = Simulation(written(RULE), PRICES)
    for number in range(9):
        simulation.count(request(number))
    simulation.offer(request(9))
    assert len(simulation.moves) == 1


def _fields(request: PastRequest) -> Json:
    return {name: getattr(request, name) for name in request.__struct_fields__}
