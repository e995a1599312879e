"""Every decision says all that it was decided from: derived again from its own JSON, it comes out the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.core.ask import Ask
from services.core.decide import Action, Reason, Ruling, decide
from services.core.decision import Decision, LedgerPosition
from services.core.estimate import estimate
from services.core.explain import Known, explain
from services.core.fallback import fall_back
from services.core.policy import ActiveBoost, Budget, CompiledPolicy, Grace, RequestCaps
from services.core.pricing import PriceBook
from services.core.rederive import NotDerivable, rederive
from services.core.schedule import ScheduleRule
from services.core.standing import Link
from tests.core.chains import CAPS, LINKS, MOMENTS, NO_CAPS, NOW_MS, PACING, UTC, ask, budget, link

USD = 1_000_000_000
PRICES = PriceBook.bundled()
MODELS = ["gpt-4o", "gpt-4o-mini", "claude-haiku-4-5", "nobody-knows-1"]
POSITION = LedgerPosition(partition=2, offset=41)
HOUR_US = 3_600_000_000


def policy_of(chain: Sequence[Link], caps: RequestCaps) -> CompiledPolicy:
    budgets = tuple(one.budget for one in chain)
    return CompiledPolicy(organization="acme", version=7, zone=UTC, budgets=budgets, requests=caps)


def decided(
    asked: Ask, chain: Sequence[Link], caps: RequestCaps, stale_ms: int | None = None, **moment: Any
) -> tuple[Ruling, Decision, CompiledPolicy]:
    """As an enforcer decides: with fallbacks."""
    policy = policy_of(chain, caps)

    def rule(of: Ask) -> Ruling:
        return decide(of, estimate(of, caps, PRICES, NOW_MS), chain, caps, NOW_MS, **moment)

    def rule_on(model: str) -> Ruling:
        return rule(asked.on(PRICES.provider_for(asked.provider, model), model))

    ruling = rule(asked)
    if not ruling.lacking and ruling.judged is not None:
        ruling = fall_back(ruling, rule_on, policy.substitutes)
    return ruling, explain(ruling, "dec-1", Known(7, POSITION, PRICES, stale_ms)), policy


def assert_rederived(decision: Decision, policy: CompiledPolicy) -> None:
    recorded = msgspec.json.decode(msgspec.json.encode(decision), type=Decision)
    assert rederive(recorded, policy, PRICES) == recorded == decision


def renamed(chain: list[Link], **changed: Any) -> list[Link]:
    """The same budgets, each under a name of its own."""
    return [
        Link.of(replace(one.budget, name=f"b{place}", **changed), one.scope, one.window, one.standing)
        for place, one in enumerate(chain)
    ]


MAPS = st.dictionaries(st.sampled_from(MODELS), st.sampled_from(MODELS), max_size=4)
SCHEDULES = st.sampled_from([(), (ScheduleRule("mon-fri", 5000),)])
BOOSTS = st.sampled_from([(), (ActiveBoost(USD, NOW_MS + 1),), (ActiveBoost(USD, NOW_MS),)])


@settings(max_examples=300)
@given(
    st.lists(LINKS, max_size=4),
    CAPS,
    st.builds(
        ask,
        model=st.sampled_from(MODELS),
        provider=st.sampled_from([None, "openai"]),
        priority=st.sampled_from(["low", "normal", "high", "critical"]),
        input_tokens=st.integers(0, 200_000),
        max_output_tokens=st.none() | st.integers(0, 100_000),
        estimated_from=st.sampled_from(["tokens", "chars"]),
    ),
    MAPS,
    st.sampled_from(["soft", "throttle", "hard"]),
    SCHEDULES,
    BOOSTS,
    MOMENTS,
    st.none() | st.integers(0, 10**5),
)
def test_a_decision_derives_from_itself(
    chain: list[Link],
    caps: RequestCaps,
    asked: Ask,
    fallback: dict[str, str],
    at: str,
    schedule: Any,
    boosts: Any,
    moment: dict[str, Any],
    stale_ms: int | None,
) -> None:
    links = renamed(chain, fallback=fallback, fallback_at=at, schedule=schedule, boosts=boosts)
    ruling, decision, policy = decided(asked, links, caps, stale_ms, **moment)
    if not ruling.lacking:
        assert_rederived(decision, policy)


GRACE = Grace(frozenset({"critical"}), 1000, 3_600_000)
FALLBACK = {"gpt-4o": "gpt-4o-mini"}


def of(**changed: Any) -> Budget:
    return budget(100 * USD, **changed)


KINDS: dict[Reason, tuple[Link, RequestCaps, dict[str, Any]]] = {
    Reason.INPUT_TOKENS_CAP: (link(of()), RequestCaps(max_input_tokens=1), {}),
    Reason.OUTPUT_TOKENS_CAP: (link(of()), RequestCaps(max_output_tokens=1), {}),
    Reason.COST_CAP: (link(of()), RequestCaps(max_cost_nanousd=1), {}),
    Reason.UNPRICED_MODEL: (link(of(on_unpriced="deny")), NO_CAPS, {"model": "nobody-knows-1"}),
    Reason.BUDGET_EXCEEDED: (link(of(grace=GRACE), settled=100 * USD), NO_CAPS, {}),
    Reason.STATE_UNKNOWN: (link(of(), share=0), NO_CAPS, {}),
    Reason.PACED: (
        link(of(tiers=PACING), settled=95 * USD, paced_until_us=NOW_MS * 1000 + HOUR_US + 7),
        NO_CAPS,
        {},
    ),
    Reason.FELL_BACK: (link(of(fallback=FALLBACK), settled=100 * USD - 10_000_000), NO_CAPS, {"input_tokens": 9000}),
    Reason.STATE_UNKNOWN_ALLOWED: (link(of(on_unknown="allow"), share=0), NO_CAPS, {}),
    Reason.MONITORED: (link(of(on_hard="monitor"), settled=100 * USD), NO_CAPS, {}),
    Reason.GRACE: (
        link(of(grace=GRACE), settled=100 * USD, grace_from_ms=NOW_MS - 7, outstanding_nanousd=USD),
        NO_CAPS,
        {"priority": "critical"},
    ),
    Reason.WITHIN_BUDGET: (link(of()), NO_CAPS, {}),
}


@pytest.mark.parametrize("reason", [reason for reason in Reason if reason is not Reason.NO_BUDGET])
def test_every_kind_of_decision_derives_from_itself(reason: Reason) -> None:
    one, caps, changed = KINDS[reason]
    ruling, decision, policy = decided(ask(**{"max_output_tokens": 500, **changed}), [one], caps, 12, final=True)
    assert ruling.reason is reason
    assert_rederived(decision, policy)


def test_a_decision_without_a_budget_derives_from_itself() -> None:
    ruling, decision, policy = decided(ask(), [], NO_CAPS)
    assert ruling.reason is Reason.NO_BUDGET
    assert_rederived(decision, policy)


def test_a_decision_that_says_something_else_than_it_knew_is_found_out() -> None:
    _, decision, policy = decided(ask(), [link(of(), settled=100 * USD)], NO_CAPS)
    assert decision.action is Action.DENY
    forged = msgspec.structs.replace(decision, action=Action.ALLOW, reason=Reason.WITHIN_BUDGET)
    assert rederive(forged, policy, PRICES) != forged
    line = msgspec.structs.replace(decision.budgets[0], settled_usd="0.00", share_usd="9.00")
    assert rederive(msgspec.structs.replace(decision, budgets=[line]), policy, PRICES).action is Action.ALLOW


def test_another_policy_or_price_list_derives_nothing() -> None:
    _, decision, policy = decided(ask(), [link(of(), settled=100 * USD)], NO_CAPS)
    with pytest.raises(NotDerivable, match="version 7"):
        rederive(decision, replace(policy, version=8), PRICES)
    with pytest.raises(NotDerivable, match="genai-prices/0"):
        rederive(msgspec.structs.replace(decision, price_version="genai-prices/0"), policy, PRICES)
    with pytest.raises(NotDerivable, match="no budget"):
        rederive(decision, replace(policy, budgets=()), PRICES)


def test_a_fallback_whose_attempts_are_missing_is_not_derived() -> None:
    one, caps, changed = KINDS[Reason.FELL_BACK]
    _, decision, policy = decided(ask(max_output_tokens=500, **changed), [one], caps)
    denied = decided(ask(max_output_tokens=500, **changed), [link(of(fallback=FALLBACK), settled=100 * USD)], caps)[1]
    assert decision.action is Action.FALLBACK
    with pytest.raises(NotDerivable, match="gpt-4o-mini"):
        rederive(msgspec.structs.replace(denied, tried=[]), policy, PRICES)
