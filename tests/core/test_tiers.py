"""Tiers, pace, grace and fallbacks with real enforcers and the real fold: what a gateway gets to see."""

from __future__ import annotations

from services.core.decide import Action, Reason
from services.core.decision import Decision
from services.core.events import to_ms
from services.core.rederive import rederive
from services.enforcer.engine import Engine
from tests.core.ledger import NOON_MS, PRICES, budget
from tests.core.loop import Loop

KEY = "org:acme@day:2026-11-24"
USD = 1_000_000_000
HOUR_MS = 3_600_000
PACING = {"soft": 0.5, "throttle": 0.5, "hard": 1.0}
UNPACED = {"soft": 0.8, "throttle": 1.0, "hard": 1.0}
GRACE = {"priorities": ["critical"], "percent": 10, "duration": "2h"}


def derived(engine: Engine, decision: Decision) -> Decision:
    """The decision, which comes out the same from its own record."""
    policy = engine.directory.organization("acme").policy
    assert rederive(decision, policy, PRICES) == decision
    return decision


def spend(loop: Loop, usd: float) -> None:
    """Use so much of the day, and settle it."""
    (engine, *_) = loop.engines
    loop.settle(engine, loop.reserve(engine, usd), f"{usd}")


def test_a_throttled_request_comes_again_when_told_and_the_day_lasts() -> None:
    loop = Loop(budget("company", "24", "day", tiers=PACING))
    (engine,) = loop.engines
    spend(loop, 12)
    # Twelve dollars for the twelve hours from noon: a cent takes 36 seconds, and the first minute may come at once.
    assert loop.check(engine, 0.01).action is Action.ALLOW
    paced = derived(engine, loop.check(engine, 0.02))
    assert (paced.action, paced.reason, paced.tier, paced.reservation) == (
        Action.THROTTLE,
        Reason.PACED,
        "throttle",
        None,
    )
    assert paced.retry_after_ms is not None
    assert 36_000 <= paced.retry_after_ms <= 60_000
    assert paced.remedies[:2] == [f"retry in {paced.retry_after_ms} ms", "fits if max_output_tokens ≤ 666"]
    loop.now_ms += paced.retry_after_ms - 1
    assert loop.check(engine, 0.02).action is Action.THROTTLE
    loop.now_ms += 1
    assert loop.check(engine, 0.02).action is Action.ALLOW


def test_what_a_request_did_not_use_of_the_pace_is_given_back() -> None:
    loop = Loop(budget("company", "24", "day", tiers=PACING))
    (engine,) = loop.engines
    spend(loop, 12)
    standing = loop.standing(engine, KEY)
    reservation = loop.reserve(engine, 1)
    assert loop.check(engine, 0.01).action is Action.THROTTLE
    ahead_us = standing.paced_until_us - NOON_MS * 1000
    loop.settle(engine, reservation, "0.25")
    assert abs(standing.paced_until_us - NOON_MS * 1000 - ahead_us // 4) <= 1
    loop.now_ms += HOUR_MS
    loop.beat(engine)
    again = loop.reserve(engine, 1)
    assert standing.paced_until_us > (loop.now_ms + HOUR_MS // 2) * 1000
    engine.closings.release(again)
    assert standing.paced_until_us == loop.now_ms * 1000
    assert loop.check(engine, 0.01).action is Action.ALLOW


def test_enforcers_pace_together() -> None:
    alone, together = (Loop(budget("company", "24", "day", tiers=PACING), enforcers=count) for count in (1, 3))
    waits = []
    for loop in (alone, together):
        spend(loop, 12)
        loop.reserve(loop.engines[0], 0.01)
        waits.append(loop.check(loop.engines[0], 0.05).retry_after_ms)
    assert waits[0] is not None
    assert waits[1] is not None
    assert waits[1] > 2 * waits[0]


def test_grace_is_for_its_priorities_for_its_time_and_no_more_than_its_room() -> None:
    loop = Loop(budget("company", "1", "day", tiers=UNPACED, grace=GRACE))
    (engine,) = loop.engines
    spend(loop, 0.99)
    refused = derived(engine, loop.check(engine, 0.05))
    assert (refused.action, refused.reason) == (Action.DENY, Reason.BUDGET_EXCEEDED)
    assert "grace is open for priority critical for 7200 s from now (company)" in refused.remedies
    used = derived(engine, loop.check(engine, 0.05, priority="critical"))
    assert (used.action, used.reason, used.tier) == (Action.ALLOW, Reason.GRACE, "grace")
    assert used.budgets[0].grace_from is not None
    assert to_ms(used.budgets[0].grace_from) == loop.now_ms
    until = "until 2026-11-24T14:00:00Z"
    assert used.message == f"company is spent; priority critical has grace {until}"
    assert derived(engine, loop.check(engine, 0.001)).action is Action.DENY
    assert f"grace is open for priority critical {until} (company)" in loop.check(engine, 0.05).remedies
    beyond = derived(engine, loop.check(engine, 0.07, priority="critical"))
    assert (beyond.action, beyond.reason) == (Action.DENY, Reason.BUDGET_EXCEEDED)
    assert loop.bound(KEY) <= 1_100_000_000
    loop.now_ms += 2 * HOUR_MS
    loop.beat(engine)
    over = derived(engine, loop.check(engine, 0.01, priority="critical"))
    assert (over.action, over.reason) == (Action.DENY, Reason.BUDGET_EXCEEDED)


def test_another_model_is_used_where_the_one_asked_for_does_not_fit() -> None:
    fallback = {"gpt-4o": "gpt-4o-mini"}
    loop = Loop(budget("company", "1", "day", tiers=UNPACED, fallback=fallback, fallback_at="hard"))
    (engine,) = loop.engines
    spend(loop, 0.95)
    decision = derived(engine, loop.check(engine, 0.06))
    assert (decision.action, decision.reason) == (Action.FALLBACK, Reason.FELL_BACK)
    assert (decision.model, decision.requested_model) == ("gpt-4o-mini", "gpt-4o")
    assert decision.message == (
        "gpt-4o: company has 0.05 USD left in day:2026-11-24, the request may cost 0.06 USD; gpt-4o-mini fits"
    )
    assert decision.reservation is not None
    assert decision.reservation.estimate_usd == decision.estimate_usd == "0.0036"
    held = loop.standing(engine, KEY).held_nanousd
    assert held == 3_600_000
    loop.settle(engine, decision.reservation.id, "0.002")
    assert loop.standing(engine, KEY).settled_nanousd == 952_000_000


def test_a_model_that_another_provider_serves_is_asked_of_that_one() -> None:
    fallback = {"gpt-4o": "claude-haiku-4-5"}
    cap = budget("haiku", "0.001", "day", scope={"provider": "anthropic"}, tiers=UNPACED)
    company = budget("company", "1", "day", tiers=UNPACED, fallback=fallback, fallback_at="hard")
    loop = Loop(company)
    (engine,) = loop.engines
    spend(loop, 0.95)
    decision = derived(engine, loop.check(engine, 0.06, provider="openai"))
    assert (decision.action, decision.provider, decision.model) == (Action.FALLBACK, "anthropic", "claude-haiku-4-5")
    loop.policy(company, cap)
    denied = derived(engine, loop.check(engine, 0.06, provider="openai"))
    assert (denied.action, denied.provider, denied.model) == (Action.DENY, "openai", "gpt-4o")
    assert [(other.provider, other.reason) for other in denied.tried] == [("anthropic", Reason.BUDGET_EXCEEDED)]


def test_a_model_that_the_policy_knows_is_named_where_it_would_fit() -> None:
    elsewhere = budget("other", "0.5", "day", scope={"project": "other"}, fallback={"gpt-4o": "gpt-4o-mini"})
    loop = Loop(budget("company", "1", "day", tiers=UNPACED), elsewhere)
    (engine,) = loop.engines
    spend(loop, 0.95)
    decision = derived(engine, loop.check(engine, 0.06))
    assert decision.action is Action.DENY
    assert "fits on gpt-4o-mini" in decision.remedies
    assert "fits if max_output_tokens ≤ 5000" in decision.remedies
    assert "fits on gpt-4o-mini" not in loop.check(engine, 6).remedies


def test_when_the_lease_is_over_the_policy_says_what_to_do() -> None:
    for verdict, action, reason in (
        ("allow", Action.ALLOW, Reason.STATE_UNKNOWN_ALLOWED),
        ("deny", Action.DENY, Reason.STATE_UNKNOWN),
    ):
        loop = Loop(budget("company", "1", "day", tiers=UNPACED, on_unknown=verdict))
        (engine,) = loop.engines
        assert loop.check(engine, 0.01).action is Action.ALLOW
        loop.now_ms += 60_001
        decision = derived(engine, loop.check(engine, 0.01))
        assert (decision.action, decision.reason, decision.lease_over) == (action, reason, True)
        assert decision.stale_ms == 60_001
        assert "has not been heard of for too long" in decision.message
