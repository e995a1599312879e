"""Fallback: other models are tried step by step, from the tier that the policy says and before any denial."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.core.ask import Ask
from services.core.decide import Action, Reason, Ruling, decide
from services.core.estimate import Estimate
from services.core.fallback import STEPS_MAX, fall_back
from services.core.policy import Grace, RequestCaps
from services.core.standing import Link
from tests.core.chains import CHAINS, MOMENTS, NO_CAPS, NOW_MS, PACING, UNPACED, ask, budget, link

USD = 1_000_000_000
COSTS: Mapping[str, int | None] = {"large": 10 * USD, "medium": 5 * USD, "small": USD, "tiny": USD // 10, "new": None}
CHAIN = {"large": "medium", "medium": "small", "small": "tiny"}


def ruling_on(model: str, chain: list[Link], caps: RequestCaps = NO_CAPS, **moment: Any) -> Ruling:
    asked: Ask = ask(model=model)
    return decide(asked, Estimate(COSTS.get(model), 500), chain, caps, NOW_MS, **moment)


def answered(
    model: str, *chain: Link, caps: RequestCaps = NO_CAPS, others: tuple[str, ...] = (), **moment: Any
) -> Ruling:
    first = ruling_on(model, list(chain), caps, **moment)
    return fall_back(first, lambda other: ruling_on(other, list(chain), caps, **moment), others)


def models(ruling: Ruling) -> list[str]:
    return [other.ask.model for other in ruling.tried]


def test_the_first_model_of_the_chain_that_fits_is_used_instead_of_a_denial() -> None:
    full = link(budget(100 * USD, fallback=CHAIN, fallback_at="hard"), settled=98 * USD)
    ruling = answered("large", full)
    assert (ruling.action, ruling.reason) == (Action.FALLBACK, Reason.FELL_BACK)
    assert (ruling.ask.model, ruling.requested, models(ruling)) == ("small", "large", ["large", "medium"])
    assert ruling.estimate.nanousd == USD


def test_when_no_model_fits_the_answer_is_about_the_one_that_was_asked_for() -> None:
    ruling = answered("large", link(budget(100 * USD, fallback=CHAIN), settled=100 * USD))
    assert (ruling.action, ruling.reason, ruling.requested) == (Action.DENY, Reason.BUDGET_EXCEEDED, None)
    assert (ruling.ask.model, models(ruling)) == ("large", ["medium", "small", "tiny"])


@pytest.mark.parametrize(
    ("at", "spent", "action", "model"),
    [
        ("soft", 50, Action.ALLOW, "large"),
        ("soft", 75, Action.FALLBACK, "medium"),
        ("soft", 85, Action.FALLBACK, "medium"),
        ("soft", 97, Action.FALLBACK, "small"),
        ("throttle", 75, Action.ALLOW, "large"),
        ("throttle", 85, Action.FALLBACK, "medium"),
        ("throttle", 97, Action.FALLBACK, "small"),
        ("hard", 75, Action.ALLOW, "large"),
        ("hard", 85, Action.ALLOW, "large"),
        ("hard", 97, Action.FALLBACK, "small"),
    ],
)
def test_a_policy_says_from_which_tier_on(
    at: Literal["soft", "throttle", "hard"], spent: int, action: Action, model: str
) -> None:
    of = budget(100 * USD, tiers=PACING, fallback=CHAIN, fallback_at=at)
    ruling = answered("large", link(of, settled=spent * USD))
    assert (ruling.action, ruling.ask.model) == (action, model)


def test_a_model_that_would_be_paced_too_is_no_better() -> None:
    of = budget(100 * USD, tiers=PACING, fallback={"medium": "small"})
    ruling = answered("medium", link(of, settled=92 * USD, paced_until_us=(NOW_MS + 10**6) * 1000))
    assert (ruling.action, ruling.ask.model, models(ruling)) == (Action.THROTTLE, "medium", ["small"])


def test_before_a_denial_the_offers_of_all_budgets_count_but_not_of_those_that_only_monitor() -> None:
    full = link(budget(100 * USD, name="full"), settled=98 * USD)
    offering = link(budget(1000 * USD, name="offering", fallback={"large": "small"}, fallback_at="hard"))
    assert answered("large", full, offering).ask.model == "small"
    shadow = link(budget(1000 * USD, on_hard="monitor", fallback={"large": "small"}))
    assert answered("large", full, shadow).action is Action.DENY


def test_the_strictest_budget_is_asked_first_and_offers_never_go_in_circles() -> None:
    mild = link(budget(1000 * USD, name="mild", fallback={"large": "tiny", "medium": "large"}, fallback_at="soft"))
    full = link(budget(100 * USD, name="full", fallback={"large": "medium"}), settled=98 * USD)
    ruling = answered("large", mild, full)
    assert (ruling.ask.model, models(ruling)) == ("tiny", ["large", "medium"])


def test_a_model_without_a_price_is_never_offered() -> None:
    ruling = answered("large", link(budget(100 * USD, fallback={"large": "new"}), settled=95 * USD))
    assert (ruling.action, models(ruling)) == (Action.DENY, ["new"])


def test_a_cap_on_the_cost_is_met_by_another_model_and_one_on_tokens_by_none() -> None:
    offering = link(budget(1000 * USD, fallback=CHAIN))
    assert answered("large", offering, caps=RequestCaps(max_cost_nanousd=2 * USD)).ask.model == "small"
    ruling = answered("large", offering, caps=RequestCaps(max_input_tokens=1), others=("tiny",))
    assert (ruling.reason, ruling.tried) == (Reason.INPUT_TOKENS_CAP, ())


def test_a_model_is_not_given_up_for_an_offer_that_cannot_be_made() -> None:
    tight = budget(100 * USD, tiers=PACING, fallback={"large": "new"})
    ruling = answered("large", link(tight, settled=85 * USD))
    assert (ruling.action, ruling.ask.model, models(ruling)) == (Action.ALLOW, "large", ["new"])


def test_further_models_are_looked_at_to_say_what_would_fit_but_not_used() -> None:
    full = link(budget(100 * USD), settled=98 * USD)
    ruling = answered("large", full, others=("medium", "small", "large"))
    assert (ruling.action, models(ruling)) == (Action.DENY, ["medium", "small"])
    assert [other.action for other in ruling.tried] == [Action.DENY, Action.ALLOW]
    assert answered("small", full, others=("tiny",)).tried == ()


def test_what_an_offer_lacks_is_claimed_before_it_is_given_up() -> None:
    chain = link(budget(100 * USD, fallback=CHAIN, fallback_at="soft"), settled=85 * USD, share=10 * USD)
    elsewhere = link(budget(100 * USD, name="elsewhere"), share=0)

    def rule_on(model: str) -> Ruling:
        return ruling_on(model, [chain, elsewhere])

    first = ruling_on("large", [chain])
    assert fall_back(first, rule_on).lacking
    final = fall_back(first, lambda model: ruling_on(model, [chain, elsewhere], final=True))
    assert (final.action, final.ask.model) == (Action.ALLOW, "large")


def test_grace_keeps_the_model_that_was_asked_for() -> None:
    of = budget(100 * USD, fallback=CHAIN, fallback_at="soft", grace=Grace(frozenset({"normal"}), 5000, 10**6))
    ruling = answered("large", link(of, settled=95 * USD))
    assert (ruling.action, ruling.reason, ruling.ask.model) == (Action.ALLOW, Reason.GRACE, "large")


def test_a_long_chain_is_cut() -> None:
    def numbered() -> Iterator[tuple[str, str]]:
        for step in range(2 * STEPS_MAX):
            yield f"m{step}", f"m{step + 1}"

    ruling = answered("m0", link(budget(0, fallback=dict(numbered()))))
    assert len(ruling.tried) == STEPS_MAX


MAPS = st.dictionaries(st.sampled_from(sorted(COSTS)), st.sampled_from(sorted(COSTS)), max_size=5)


@given(CHAINS, MAPS, st.sampled_from(["soft", "throttle", "hard"]), st.sampled_from(sorted(COSTS)), MOMENTS)
def test_a_fallback_is_always_a_model_that_is_allowed_and_never_stricter_than_none(
    chain: list[Link], fallback: dict[str, str], at: Any, model: str, moment: dict[str, Any]
) -> None:
    offering = [
        Link.of(replace(one.budget, fallback=fallback, fallback_at=at), one.scope, one.window, one.standing)
        for one in chain
    ]
    without, found = ruling_on(model, chain, **moment), answered(model, *offering, **moment)
    if found.lacking:
        return
    if found.action is Action.FALLBACK:
        again = ruling_on(found.ask.model, chain, **moment)
        assert again.action is Action.ALLOW
        assert (again.estimate, found.requested) == (found.estimate, model)
    else:
        assert (found.action, found.ask.model) == (without.action, model)
        assert all(other.action is not Action.FALLBACK for other in found.tried)


def test_unpaced_budgets_offer_at_their_hard_tier_only_when_told_throttle() -> None:
    of = budget(100 * USD, tiers=UNPACED, fallback=CHAIN, fallback_at="throttle")
    assert answered("large", link(of, settled=85 * USD)).action is Action.ALLOW
    assert answered("large", link(of, settled=95 * USD)).action is Action.FALLBACK
