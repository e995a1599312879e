"""The decision: what each budget says, which one binds, and what never happens whatever the numbers are."""

from __future__ import annotations

from dataclasses import astuple, fields, replace
from itertools import product
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.core.decide import Action, Reason, Ruling, decide
from services.core.estimate import Estimate
from services.core.judge import Judgement, Outcome
from services.core.policy import Budget, Grace, RequestCaps
from services.core.schedule import ScheduleRule
from services.core.standing import Link
from services.core.window import WindowKind
from tests.core.chains import (
    AMOUNTS,
    CAPS,
    CHAINS,
    ESTIMATES,
    GRACES,
    LINKS,
    MOMENTS,
    NO_CAPS,
    NOW_MS,
    PACING,
    UNPACED,
    ask,
    budget,
    link,
    take_pace,
)

USD = 1_000_000_000
HOUR_MS = 3_600_000
STRICTNESS = list(Action)
PRIORITIES = st.sampled_from(["low", "normal", "high", "critical"])


def rule(
    *chain: Link,
    estimate: int | None = USD,
    output: int = 500,
    caps: RequestCaps = NO_CAPS,
    input_tokens: int = 1000,
    priority: str = "normal",
    **moment: Any,
) -> Ruling:
    asked = ask(input_tokens=input_tokens, priority=priority)
    return decide(asked, Estimate(estimate, output), chain, caps, NOW_MS, **moment)


@pytest.mark.parametrize(
    ("spent", "outcome", "action"),
    [
        (79, Outcome.NORMAL, Action.ALLOW),
        (80, Outcome.SOFT, Action.ALLOW),
        (89, Outcome.SOFT, Action.ALLOW),
        (90, Outcome.THROTTLE, Action.ALLOW),
        (99, Outcome.THROTTLE, Action.ALLOW),
        (100, Outcome.BLOCKED, Action.DENY),
    ],
)
def test_a_tier_is_chosen_by_what_is_used_with_this_request(spent: int, outcome: Outcome, action: Action) -> None:
    ruling = rule(link(budget(100 * USD, tiers=PACING), settled=spent * USD))
    assert (ruling.outcome, ruling.action) == (outcome, action)


def test_the_last_nano_dollar_fits_and_the_next_one_does_not() -> None:
    full = link(budget(100), settled=40, pending=30, held=20)
    assert rule(full, estimate=10).action is Action.ALLOW
    assert rule(full, estimate=11).reason is Reason.BUDGET_EXCEEDED


def test_reserved_and_pending_money_counts_as_spent() -> None:
    of = budget(100)
    for spent in (link(of, settled=100), link(of, pending=100), link(of, held=100)):
        assert rule(spent, estimate=1).action is Action.DENY


def test_without_a_budget_nothing_limits_a_request_and_it_says_so() -> None:
    ruling = rule()
    assert (ruling.action, ruling.reason, ruling.binding) == (Action.ALLOW, Reason.NO_BUDGET, None)


def test_a_monitoring_budget_lets_pass_what_it_would_deny_but_shields_no_other() -> None:
    monitor = link(budget(1, name="shadow", on_hard="monitor"))
    assert rule(monitor).reason is Reason.MONITORED
    assert rule(monitor).action is Action.ALLOW
    blocking = link(budget(2, name="real"))
    ruling = rule(monitor, blocking)
    assert ruling.action is Action.DENY
    assert ruling.binding is not None
    assert ruling.binding.link is blocking


def test_an_unknown_model_is_denied_only_by_a_blocking_budget_that_says_so() -> None:
    lenient, strict = budget(USD), budget(USD, on_unpriced="deny")
    assert rule(link(lenient), estimate=None).action is Action.ALLOW
    assert rule(link(lenient), link(strict), estimate=None).reason is Reason.UNPRICED_MODEL
    shadow = budget(USD, on_unpriced="deny", on_hard="monitor")
    assert rule(link(shadow), estimate=None).action is Action.ALLOW


def test_an_unknown_model_does_not_slip_into_a_full_budget() -> None:
    assert rule(link(budget(0)), estimate=None).reason is Reason.BUDGET_EXCEEDED
    assert rule(link(budget(5), settled=5), estimate=None).reason is Reason.BUDGET_EXCEEDED


def test_the_first_reason_in_order_is_given() -> None:
    caps = RequestCaps(max_input_tokens=10, max_output_tokens=10, max_cost_nanousd=10)
    full, paced = link(budget(0)), paced_link()
    unknown = link(budget(USD), share=0)
    assert rule(full, caps=caps, input_tokens=11, output=11, estimate=11).reason is Reason.INPUT_TOKENS_CAP
    assert rule(full, caps=caps, input_tokens=10, output=11, estimate=11).reason is Reason.OUTPUT_TOKENS_CAP
    assert rule(full, caps=caps, input_tokens=10, output=10, estimate=11).reason is Reason.COST_CAP
    assert rule(full, unknown, paced, caps=caps, input_tokens=10, output=10, estimate=10).reason is (
        Reason.BUDGET_EXCEEDED
    )
    assert rule(unknown, paced, caps=caps, input_tokens=10, output=10, estimate=10).reason is Reason.STATE_UNKNOWN
    assert rule(paced, caps=caps, input_tokens=10, output=10, estimate=10).reason is Reason.PACED
    free = link(budget(10))
    assert rule(free, caps=caps, input_tokens=10, output=10, estimate=10).action is Action.ALLOW


def test_of_equally_strict_budgets_the_one_with_the_least_room_binds() -> None:
    wide, narrow = link(budget(100 * USD, name="wide")), link(budget(50 * USD, name="narrow"))
    ruling = rule(wide, narrow)
    assert ruling.binding is not None
    assert ruling.binding.link is narrow


def paced_link(**further: Any) -> Link:
    """A budget in its throttle tier whose pace is an hour ahead."""
    of = budget(100 * USD, tiers=PACING, **further)
    return link(of, settled=95 * USD, paced_until_us=(NOW_MS + HOUR_MS) * 1000)


def test_a_request_ahead_of_the_pace_is_told_when_to_come_again_and_is_then_let_through() -> None:
    found = paced_link()
    ruling = rule(found, estimate=USD // 100)
    assert (ruling.action, ruling.reason, ruling.tier) == (Action.THROTTLE, Reason.PACED, "throttle")
    assert ruling.retry_after_ms is not None
    asked = ask()
    again = NOW_MS + ruling.retry_after_ms
    assert decide(asked, Estimate(USD // 100, 1), [found], NO_CAPS, again).action is Action.ALLOW
    assert decide(asked, Estimate(USD // 100, 1), [found], NO_CAPS, again - 1).action is Action.THROTTLE


def test_no_wait_is_longer_than_the_window_and_one_without_end_is_not_paced() -> None:
    late = link(budget(100 * USD, tiers=PACING), settled=95 * USD, paced_until_us=(NOW_MS + 10**12) * 1000)
    assert rule(late).retry_after_ms == 12 * HOUR_MS
    endless = budget(100 * USD, tiers=PACING, window=WindowKind.TOTAL)
    assert rule(link(endless, settled=95 * USD, paced_until_us=(NOW_MS + 10**12) * 1000)).action is Action.ALLOW


def test_the_slowest_of_several_paces_says_when_to_come_again() -> None:
    first, second = paced_link(), paced_link(name="other")
    second.standing.paced_until_us += 1_000_000_000
    alone = rule(first).retry_after_ms
    assert alone is not None
    assert rule(first, second).retry_after_ms == alone + 1_000_000


def test_what_is_let_through_in_the_throttle_tier_takes_from_the_pace_and_nothing_else_does() -> None:
    throttled = link(budget(100 * USD, tiers=PACING), settled=95 * USD)
    normal, monitored = link(budget(1000 * USD)), link(budget(100 * USD, tiers=PACING, on_hard="monitor"), settled=95)
    ruling = rule(throttled, normal, monitored)
    assert ruling.action is Action.ALLOW
    take_pace(ruling)
    # A dollar of the five that are left for twelve hours, of which the first minute may come at once.
    assert throttled.standing.paced_until_us == (NOW_MS + 12 * HOUR_MS // 5) * 1000
    assert normal.standing.paced_until_us == monitored.standing.paced_until_us == 0
    assert rule(throttled).action is Action.THROTTLE


def test_several_enforcers_share_a_pace() -> None:
    alone, shared = (link(budget(100 * USD, tiers=PACING), settled=95 * USD) for _ in range(2))
    take_pace(rule(alone, estimate=USD // 100))
    take_pace(rule(shared, estimate=USD // 100, enforcers=3))
    assert shared.standing.paced_until_us - NOW_MS * 1000 == 3 * (alone.standing.paced_until_us - NOW_MS * 1000)


CRITICAL = Grace(frozenset({"critical"}), 1000, HOUR_MS)
OPENED, LONG_AGO = NOW_MS - 1, NOW_MS - HOUR_MS
SPENT = {"normal": 50, "soft": 85, "throttle": 95, "hard": 105, "beyond grace": 115}
KNOWLEDGE = ("covered", "uncovered", "refused", "grace refused", "stale")


def standing_of(tier: str, knowledge: str, grace_from: int, paced: bool, committed: int) -> dict[str, Any]:
    """What `link` needs to know for a request of a dollar of a hundred."""
    short = knowledge in ("refused", "grace refused")
    return {
        "settled": (SPENT[tier] - 1) * USD,
        "share": USD if knowledge in ("covered", "stale") else USD - 1,
        "refused": short,
        "graced": int(knowledge == "grace refused"),
        "grace_from_ms": grace_from,
        "outstanding_nanousd": committed - (SPENT[tier] - 1) * USD,
        "paced_until_us": (NOW_MS + HOUR_MS) * 1000 if paced else 0,
    }


@pytest.mark.parametrize(("tier", "knowledge"), list(product(SPENT, KNOWLEDGE)))
def test_every_combination_of_tier_grace_pace_and_knowledge(tier: str, knowledge: str) -> None:
    """Each rule said once more, by itself, for all that a budget and a balance can be."""
    hards: tuple[Literal["deny", "monitor"], ...] = ("deny", "monitor")
    for on_hard, on_unknown, final, priority, opened, paced, beyond in product(
        hards,
        ("allow", "deny"),
        (True, False),
        ("critical", "normal"),
        (0, OPENED, LONG_AGO),
        (True, False),
        (True, False),
    ):
        committed = (101 if beyond else 100) * USD
        of = budget(100 * USD, tiers=PACING, on_hard=on_hard, on_unknown=on_unknown, grace=CRITICAL)
        chain = link(of, **standing_of(tier, knowledge, opened, paced, committed))
        fresh = knowledge != "stale"
        ruling = rule(chain, priority=priority, fresh=fresh, final=final)

        may = priority == "critical" and opened != LONG_AGO
        needs_grace = tier in ("hard", "beyond grace") or (opened > 0 and beyond)
        below: dict[str, Outcome] = {"normal": Outcome.NORMAL, "soft": Outcome.SOFT, "throttle": Outcome.THROTTLE}
        refused = knowledge in ("refused", "grace refused")
        grace_refused = knowledge == "grace refused" or (knowledge == "refused" and opened > 0)
        unknown = Outcome.ASSUMED if final and on_unknown == "allow" else Outcome.UNKNOWN
        if on_hard == "monitor":
            expected = below.get(tier, Outcome.MONITORED)
        elif needs_grace and (not may or tier == "beyond grace"):
            expected = Outcome.BLOCKED
        elif not fresh:
            expected = unknown
        elif knowledge == "covered":
            expected = Outcome.GRACE if needs_grace else below[tier]
        elif may and not grace_refused:
            expected = unknown
        elif needs_grace or refused:
            expected = Outcome.BLOCKED
        else:
            expected = unknown
        if on_hard == "deny" and tier == "throttle" and paced and not may:
            expected = max(expected, Outcome.PACED)
        assert ruling.outcome is expected, (on_hard, on_unknown, final, priority, opened, paced, beyond)
        wants = [judgement.wants_grace for judgement in ruling.lacking]
        asks_for_grace = fresh and may and (needs_grace or refused)
        assert wants == ([asks_for_grace] if expected is Outcome.UNKNOWN and not final else [])


@pytest.mark.parametrize(
    ("outcome", "action", "reason"),
    [
        (Outcome.GRACE, Action.ALLOW, Reason.GRACE),
        (Outcome.ASSUMED, Action.ALLOW, Reason.STATE_UNKNOWN_ALLOWED),
        (Outcome.UNKNOWN, Action.DENY, Reason.STATE_UNKNOWN),
    ],
)
def test_what_is_not_within_a_budget_has_a_reason_of_its_own(outcome: Outcome, action: Action, reason: Reason) -> None:
    chain = {
        Outcome.GRACE: link(budget(100 * USD, grace=CRITICAL), settled=100 * USD),
        Outcome.ASSUMED: link(budget(100 * USD, on_unknown="allow"), share=0),
        Outcome.UNKNOWN: link(budget(100 * USD), share=0),
    }[outcome]
    ruling = rule(chain, priority="critical", final=True)
    assert (ruling.outcome, ruling.action, ruling.reason) == (outcome, action, reason)
    assert ruling.tier == ("grace" if outcome is Outcome.GRACE else "normal")


def test_what_is_lacking_is_claimed_only_for_a_request_that_could_then_be_made() -> None:
    unknown, known = link(budget(100 * USD), share=0), link(budget(100 * USD))
    assert [lacking.link for lacking in rule(known, unknown).lacking] == [unknown]
    assert rule(unknown, link(budget(0))).lacking == ()
    assert rule(unknown, caps=RequestCaps(max_cost_nanousd=1)).lacking == ()
    assert rule(unknown, final=True).lacking == ()


def test_a_limit_is_a_function_of_time() -> None:
    weekend = budget(100 * USD, schedule=(ScheduleRule("sat,sun", 2500),))
    saturday = NOW_MS + 4 * 24 * HOUR_MS
    chain = [link(weekend, settled=50 * USD)]
    assert decide(ask(), Estimate(USD, 1), chain, NO_CAPS, NOW_MS).action is Action.ALLOW
    assert decide(ask(), Estimate(USD, 1), chain, NO_CAPS, saturday).reason is Reason.BUDGET_EXCEEDED


@given(CHAINS, ESTIMATES, CAPS, PRIORITIES, MOMENTS)
def test_the_short_way_says_what_the_long_way_says(
    chain: list[Link], estimate: Estimate, caps: RequestCaps, priority: str, moment: dict[str, Any]
) -> None:
    asked = ask(priority=priority)
    ruling = decide(asked, estimate, chain, caps, NOW_MS, **moment)
    # A budget that varies, and in effect does not, is always judged at length.
    varying = replace_budgets(chain, schedule=(ScheduleRule("2020-01-01..2020-01-02", 1),))
    long = decide(asked, estimate, varying, caps, NOW_MS, **moment)
    assert (ruling.action, ruling.reason, ruling.bound, ruling.outcome, ruling.tier) == (
        long.action,
        long.reason,
        long.bound,
        long.outcome,
        long.tier,
    )
    assert [numbers(judgement) for judgement in ruling.judgements] == [
        numbers(judgement) for judgement in long.judgements
    ]


def test_a_request_that_is_well_within_its_budgets_goes_the_short_way() -> None:
    within, beside = link(budget(100 * USD)), link(budget(100 * USD, on_hard="monitor"))
    assert rule(within, beside).judged is None
    for other in (
        link(budget(100 * USD), settled=85 * USD),
        link(budget(100 * USD), share=USD - 1),
        link(budget(100 * USD), grace_from_ms=1, outstanding_nanousd=101 * USD),
    ):
        assert rule(within, other).judged is not None
    assert rule(within, fresh=False).judged is not None
    assert rule(within, estimate=None).judged is not None


def numbers(judgement: Judgement) -> tuple[object, ...]:
    return tuple(getattr(judgement, field.name) for field in fields(judgement)[1:])


def replace_budgets(chain: list[Link], **changed: Any) -> list[Link]:
    return [Link.of(replace(one.budget, **changed), one.scope, one.window, one.standing) for one in chain]


@given(st.lists(LINKS, min_size=1, max_size=6), ESTIMATES, CAPS, PRIORITIES, MOMENTS, st.data())
def test_more_spending_never_makes_an_answer_milder(
    chain: list[Link], estimate: Estimate, caps: RequestCaps, priority: str, moment: dict[str, Any], data: st.DataObject
) -> None:
    asked = ask(priority=priority)
    before = decide(asked, estimate, chain, caps, NOW_MS, **moment)
    index = data.draw(st.integers(0, len(chain) - 1))
    kind = data.draw(st.sampled_from(["settled_nanousd", "pending_nanousd", "held_nanousd"]))
    standing = chain[index].standing
    more = replace(standing, **{kind: getattr(standing, kind) + data.draw(AMOUNTS)})
    chain[index] = replace(chain[index], standing=more)
    after = decide(asked, estimate, chain, caps, NOW_MS, **moment)
    assert STRICTNESS.index(after.action) >= STRICTNESS.index(before.action)


@given(st.lists(LINKS, min_size=1, max_size=6), ESTIMATES, CAPS, PRIORITIES, MOMENTS, st.data())
def test_a_larger_limit_never_makes_an_answer_stricter(
    chain: list[Link], estimate: Estimate, caps: RequestCaps, priority: str, moment: dict[str, Any], data: st.DataObject
) -> None:
    asked = ask(priority=priority)
    before = decide(asked, estimate, chain, caps, NOW_MS, **moment)
    index = data.draw(st.integers(0, len(chain) - 1))
    old = chain[index]
    larger = replace(old.budget, limit_nanousd=old.budget.limit_nanousd + data.draw(AMOUNTS))
    chain[index] = Link.of(larger, old.scope, old.window, old.standing)
    after = decide(asked, estimate, chain, caps, NOW_MS, **moment)
    assert STRICTNESS.index(after.action) <= STRICTNESS.index(before.action)


@given(CHAINS, LINKS, ESTIMATES, CAPS, PRIORITIES, MOMENTS)
def test_one_more_budget_never_makes_an_answer_milder(
    chain: list[Link], added: Link, estimate: Estimate, caps: RequestCaps, priority: str, moment: dict[str, Any]
) -> None:
    asked = ask(priority=priority)
    before = decide(asked, estimate, chain, caps, NOW_MS, **moment)
    after = decide(asked, estimate, [*chain, added], caps, NOW_MS, **moment)
    assert STRICTNESS.index(after.action) >= STRICTNESS.index(before.action)
    assert after.outcome >= before.outcome


@given(LINKS, GRACES, ESTIMATES, MOMENTS)
def test_grace_for_a_priority_never_makes_its_answer_stricter(
    one: Link, grace: Grace, estimate: Estimate, moment: dict[str, Any]
) -> None:
    def decided(of: Budget) -> Action:
        chain = [Link.of(of, one.scope, one.window, one.standing)]
        return decide(ask(priority=min(grace.priorities)), estimate, chain, NO_CAPS, NOW_MS, **moment).action

    without, given_ = decided(replace(one.budget, grace=None)), decided(replace(one.budget, grace=grace))
    assert STRICTNESS.index(given_) <= STRICTNESS.index(without) or moment["final"] is False


@given(CHAINS, ESTIMATES, CAPS, PRIORITIES, MOMENTS)
def test_a_request_without_a_share_of_every_blocking_budget_is_allowed_only_where_the_policy_says_so(
    chain: list[Link], estimate: Estimate, caps: RequestCaps, priority: str, moment: dict[str, Any]
) -> None:
    ruling = decide(ask(priority=priority), estimate, chain, caps, NOW_MS, **moment)
    if ruling.action is Action.ALLOW and ruling.reason is not Reason.STATE_UNKNOWN_ALLOWED:
        for one in chain:
            covered = one.standing.share_nanousd >= estimate.at_least_nanousd
            assert one.budget.on_hard == "monitor" or (covered and moment["fresh"])


@given(CHAINS, ESTIMATES, CAPS, MOMENTS)
def test_deciding_changes_nothing_and_the_order_of_budgets_does_not_matter(
    chain: list[Link], estimate: Estimate, caps: RequestCaps, moment: dict[str, Any]
) -> None:
    standings = [astuple(one.standing) for one in chain]
    ruling = decide(ask(), estimate, chain, caps, NOW_MS, **moment)
    assert [astuple(one.standing) for one in chain] == standings
    backwards = decide(ask(), estimate, chain[::-1], caps, NOW_MS, **moment)
    assert (backwards.action, backwards.reason, backwards.outcome, backwards.retry_after_ms) == (
        ruling.action,
        ruling.reason,
        ruling.outcome,
        ruling.retry_after_ms,
    )


def test_unpaced_tiers_never_throttle() -> None:
    assert rule(link(budget(100 * USD, tiers=UNPACED), settled=99 * USD)).outcome is Outcome.SOFT
