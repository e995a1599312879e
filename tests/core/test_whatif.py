"""What-if: the past decided again keeps every limit, accounts for every nano-dollar, and moves what it can."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from schemas.policy import Policy
from services.core.decide import Action
from services.core.policy import CompiledPolicy
from services.core.pricing import PriceBook
from services.core.whatif import Account, PastRequest, Rerun, account
from tests.core.chains import NOW_MS, ask

PRICES = PriceBook.bundled()
CENT = 10_000_000
MINUTE_MS = 60_000


def policy(*budgets: dict[str, Any]) -> CompiledPolicy:
    unpaced = {"soft": "1", "throttle": "1", "hard": "1"}
    written = [{"tiers": unpaced, "window": "day", **budget} for budget in budgets]
    return CompiledPolicy.compile(Policy.model_validate({"organization": "acme", "budgets": written}), version=1)


def request(
    cost: int | None, *, after_ms: int = 0, made: bool = True, model: str = "gpt-4o", **asked: Any
) -> PastRequest:
    """One of Alice's: a thousand tokens in, a hundred out."""
    return PastRequest(
        ask=ask(**{"model": model, "max_output_tokens": 100, **asked}),
        at_ms=NOW_MS + after_ms,
        made=made,
        provider=None,
        model=model,
        cost_nanousd=cost,
        output_tokens=100 if made else 0,
    )


def replayed(rules: CompiledPolicy, requests: list[PastRequest]) -> Account:
    [(rerun, totals)] = account([rules], PRICES)
    for each in requests:
        totals.add(each, rerun.offer(each))
    return totals


def test_without_limits_everything_was_as_it_was() -> None:
    found = replayed(policy(), [request(5 * CENT), request(None, after_ms=1), request(7 * CENT, after_ms=2)]).all
    assert found.actions == {Action.ALLOW: 3}
    assert found.spent_nanousd == found.was_nanousd == 12 * CENT
    assert (found.spared_nanousd, found.saved_nanousd, found.unpriced) == (0, 0, 1)


def test_a_limit_would_have_denied_what_went_beyond_it() -> None:
    found = replayed(policy({"name": "d", "limit_usd": "0.10"}), [request(4 * CENT, after_ms=n) for n in range(5)])
    assert found.all.actions == {Action.ALLOW: 2, Action.DENY: 3}
    assert (found.all.spent_nanousd, found.all.spared_nanousd) == (8 * CENT, 12 * CENT)
    assert found.budgets["d"].actions == {Action.DENY: 3}
    assert found.scopes["org:acme/user:alice"].requests == 5


def test_what_was_spent_before_the_period_counts() -> None:
    rerun = Rerun(policy({"name": "d", "limit_usd": "0.10"}), PRICES)
    rerun.count(request(7 * CENT))
    assert rerun.offer(request(4 * CENT, after_ms=1)).action is Action.DENY
    assert rerun.offer(request(3 * CENT, after_ms=2)).action is Action.ALLOW


def test_windows_turn_in_the_past_too() -> None:
    rerun = Rerun(policy({"name": "d", "limit_usd": "0.10", "window": "minute"}), PRICES)
    actions = [rerun.offer(request(8 * CENT, after_ms=n * MINUTE_MS // 2)).action for n in range(4)]
    assert actions == [Action.ALLOW, Action.DENY, Action.ALLOW, Action.DENY]


def test_a_fallback_costs_what_the_same_tokens_cost_there() -> None:
    rules = policy({"name": "d", "limit_usd": "0.001", "fallback": {"gpt-4o": "gpt-4o-mini"}})
    cheap = PRICES.price(None, "gpt-4o-mini", NOW_MS, input_tokens=1000, output_tokens=100)
    assert cheap is not None
    found = replayed(rules, [request(CENT)])
    assert found.all.actions == {Action.FALLBACK: 1}
    assert found.all.spent_nanousd == cheap.total_nanousd
    assert found.all.saved_nanousd == CENT - cheap.total_nanousd
    assert found.models["gpt-4o-mini"].requests == 1


def test_who_fell_back_then_has_the_model_it_asked_for_if_there_is_room() -> None:
    fell_back = request(1_000, model="gpt-4o-mini")
    asked = PastRequest(**{name: getattr(fell_back, name) for name in PastRequest.__struct_fields__} | {"ask": ask()})
    dear = PRICES.price(None, "gpt-4o", NOW_MS, input_tokens=1000, output_tokens=100)
    assert dear is not None
    found = replayed(policy({"name": "d", "limit_usd": "1"}), [asked])
    assert found.all.spent_nanousd == dear.total_nanousd
    assert found.all.saved_nanousd == 1_000 - dear.total_nanousd


def test_what_was_denied_then_is_regained_at_most() -> None:
    found = replayed(policy({"name": "d", "limit_usd": "1"}), [request(3 * CENT, made=False)]).all
    assert (found.was_nanousd, found.spent_nanousd, found.regained_nanousd) == (0, 0, 3 * CENT)


def test_grace_is_opened_by_its_first_use_and_ends() -> None:
    grace = {"priorities": ["critical"], "percent": 50, "duration": "1m"}
    rerun = Rerun(policy({"name": "d", "limit_usd": "0.10", "grace": grace}), PRICES)
    costs = [(10, "low", 0), (2, "critical", 1), (2, "low", 2), (2, "critical", 3), (1, "critical", 2 * MINUTE_MS)]
    found = [rerun.offer(request(c * CENT, after_ms=at, priority=p)).action for c, p, at in costs]
    assert found == [Action.ALLOW, Action.ALLOW, Action.DENY, Action.ALLOW, Action.DENY]


def test_the_throttle_tier_paces() -> None:
    tiers = {"soft": "0.1", "throttle": "0.1", "hard": "1"}
    rerun = Rerun(policy({"name": "d", "limit_usd": "1", "tiers": tiers}), PRICES)
    found = [rerun.offer(request(20 * CENT, after_ms=n)).action for n in range(3)]
    assert found[:2] == [Action.ALLOW, Action.THROTTLE]


@given(
    st.lists(st.tuples(st.integers(0, 20 * CENT), st.integers(0, 3_600_000), st.booleans()), max_size=60),
    st.integers(1, 100),
    st.sampled_from(["minute", "hour", "day"]),
)
def test_no_window_is_overspent_and_every_nano_dollar_is_accounted_for(
    past: list[tuple[int, int, bool]], cents: int, window: str
) -> None:
    rules = policy({"name": "d", "limit_usd": f"{cents / 100:.2f}", "window": window})
    requests = [request(cost, after_ms=at, made=made) for cost, at, made in sorted(past, key=lambda each: each[1])]
    [(rerun, totals)] = account([rules], PRICES)
    length = {"minute": MINUTE_MS, "hour": 3_600_000, "day": 86_400_000}[window]
    spent: dict[int, int] = {}
    for each in requests:
        verdict = rerun.offer(each)
        totals.add(each, verdict)
        spent[each.at_ms // length] = spent.get(each.at_ms // length, 0) + (verdict.cost_nanousd or 0)
    assert all(amount <= cents * CENT for amount in spent.values())
    found = totals.all
    assert found.was_nanousd == found.spent_nanousd + found.saved_nanousd + found.spared_nanousd
    assert found.requests == len(requests) == sum(found.actions.values())


def test_policies_are_tried_side_by_side_and_do_not_meet() -> None:
    tight, loose = policy({"name": "d", "limit_usd": "0.01"}), policy({"name": "d", "limit_usd": "1"})
    reruns = account([tight, loose], PRICES)
    for rerun, totals in reruns:
        totals.add(request(2 * CENT), rerun.offer(request(2 * CENT)))
    assert [totals.all.actions[Action.DENY] for _, totals in reruns] == [1, 0]
