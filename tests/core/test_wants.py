"""Enforcers and the fold together: what is wanted is granted, what is not needed goes back, nothing is overspent."""

from __future__ import annotations

from services.core.decide import Action
from services.core.decision import Decision
from services.core.events import EnforcerForgotten, Farewell, from_ms
from services.core.window import window_of_label
from services.enforcer.review import AHEAD_MS, PATIENCE_MS
from services.enforcer.wants import Shortage
from tests.core.ledger import budget, costing
from tests.core.loop import LEASE_TTL_MS, SOURCE, USD, Loop

DAY = "org:acme@day:2026-11-24"
ALICE = "org:acme/user:alice@day:2026-11-24"
UNPACED = {"soft": "0.8", "throttle": "1.0", "hard": "1.0"}
COMPANY = budget("company", "1", "day", tiers=UNPACED)
EACH = budget("each-user", "0.5", "day", scope={"user": "*"}, tiers=UNPACED)
CENT = USD // 100


def test_the_first_request_claims_on_every_balance_at_once_what_it_needs_and_a_quantum() -> None:
    loop = Loop(COMPANY, EACH)
    (engine,) = loop.engines
    shortage = loop.ask(engine, 0.02, user="alice")
    assert isinstance(shortage, Shortage)
    assert {need.key for need in shortage.needs} == {DAY, ALICE}
    with loop.waiting(engine, shortage):
        assert loop.speak(engine) == 2
    assert loop.standing(engine, DAY).share_nanousd == 2 * CENT + CENT
    assert loop.standing(engine, ALICE).share_nanousd == 2 * CENT + CENT // 2
    assert isinstance(loop.ask(engine, 0.02, user="alice"), Decision)


def test_what_the_share_covers_awaits_nothing() -> None:
    loop = Loop(COMPANY)
    (engine,) = loop.engines
    loop.reserve(engine, 0.02)
    assert isinstance(loop.ask(engine, 0.01), Decision)
    assert isinstance(loop.ask(engine, 0.01), Shortage)


def test_requests_that_wait_together_are_claimed_for_together() -> None:
    loop = Loop(COMPANY)
    (engine,) = loop.engines
    shortages = [loop.ask(engine, 0.02) for _ in range(5)]
    for shortage in shortages:
        assert isinstance(shortage, Shortage)
        engine.wants.wait(shortage, loop.now_ms)
    assert loop.speak(engine) == 1
    for shortage in shortages:
        assert isinstance(shortage, Shortage)
        engine.wants.leave(shortage)
    assert all(isinstance(loop.ask(engine, 0.02), Decision) for _ in range(5))


def test_whoever_waits_is_answered_although_what_is_idle_is_forgotten_meanwhile() -> None:
    loop = Loop(COMPANY)
    (engine,) = loop.engines
    shortage = loop.ask(engine, 0.02)
    assert isinstance(shortage, Shortage)
    with loop.waiting(engine, shortage):
        engine.tidy(loop.now_ms)
        loop.speak(engine)
        assert engine.is_answered(shortage)
    assert isinstance(loop.ask(engine, 0.02), Decision)


def test_the_last_cent_can_be_spent_and_not_one_more() -> None:
    loop = Loop(COMPANY)
    (engine,) = loop.engines
    answers = [loop.check(engine, 0.01).action for _ in range(120)]
    assert answers == [Action.ALLOW] * 100 + [Action.DENY] * 20
    assert loop.bound(DAY) == USD


def test_one_that_has_more_than_it_needs_leaves_it_to_one_that_waits() -> None:
    loop = Loop(COMPANY, enforcers=2)
    one, two = loop.engines
    held = [loop.reserve(one, 0.09) for _ in range(10)]
    for reservation in held:
        one.closings.release(reservation)
    assert loop.standing(one, DAY).share_nanousd >= 90 * CENT
    shortage = loop.ask(two, 0.5)
    assert isinstance(shortage, Shortage)
    with loop.waiting(two, shortage):
        loop.speak(two)
        assert loop.standing(one, DAY).recalled
        loop.speak_all()
    assert loop.standing(two, DAY).share_nanousd >= 50 * CENT
    assert isinstance(loop.ask(two, 0.5), Decision)
    assert loop.bound(DAY) <= USD


def test_what_requests_wait_for_is_not_given_away() -> None:
    loop = Loop(COMPANY, enforcers=2)
    one, two = loop.engines
    one.closings.release(loop.reserve(one, 0.9))
    asked = loop.ask(one, 0.95)
    assert isinstance(asked, Shortage)
    shortage = loop.ask(two, 0.5)
    assert isinstance(shortage, Shortage)
    with loop.waiting(one, asked), loop.waiting(two, shortage):
        loop.speak(two)
        loop.speak_all()
        assert isinstance(loop.ask(one, 0.95), Decision)


def test_two_that_both_wait_do_not_trade_for_ever() -> None:
    loop = Loop(COMPANY, enforcers=2)
    one, two = loop.engines
    for engine in (one, two):
        engine.closings.release(loop.reserve(engine, 0.45))
    loop.check(one, 0.9)
    loop.check(two, 0.9)
    loop.later(5_000)
    assert loop.bound(DAY) <= USD


def test_idle_shares_go_back_but_for_a_quantum() -> None:
    loop = Loop(budget("company", "100", "day"))
    (engine,) = loop.engines
    engine.closings.release(loop.reserve(engine, 30))
    loop.later(60_000)
    assert loop.standing(engine, DAY).share_nanousd <= 2 * USD
    assert loop.bound(DAY) <= 2 * USD


def test_a_busy_enforcer_claims_before_it_runs_out() -> None:
    loop = Loop(budget("company", "100", "day"))
    (engine,) = loop.engines
    waited = 0
    for _ in range(60):
        for _ in range(10):
            waited += isinstance(loop.ask(engine, 0.01), Shortage)
            loop.reserve(engine, 0.01)
        loop.later(1_000)
    assert waited == 1
    assert loop.standing(engine, DAY).share_nanousd >= 150 * CENT


def test_what_was_not_met_is_granted_once_there_is_room() -> None:
    loop = Loop(COMPANY, enforcers=2)
    one, two = loop.engines
    held = loop.reserve(one, 0.9)
    shortage = loop.ask(two, 0.5)
    assert isinstance(shortage, Shortage)
    with loop.waiting(two, shortage):
        loop.speak(two)
    assert loop.standing(two, DAY).refused(50 * CENT)
    one.closings.release(held)
    loop.later(1_000)
    assert not loop.shares(DAY)["e1"].unmet_nanousd
    loop.later(3_000)
    assert loop.bound(DAY) < 50 * CENT, "nobody came for it"
    assert loop.check(two, 0.5).action is Action.ALLOW


def test_what_nobody_waits_for_any_more_is_wanted_no_longer() -> None:
    loop = Loop(COMPANY, enforcers=2)
    one, two = loop.engines
    loop.reserve(one, 0.6)
    loop.apply(costing("0.35", "u1"))
    assert loop.check(two, 0.4).action is Action.DENY
    assert loop.standing(one, DAY).recalled
    loop.later(PATIENCE_MS + 3_000)
    assert not any(share.unmet_nanousd for share in loop.shares(DAY).values())
    assert not loop.standing(one, DAY).recalled


def test_a_refusal_holds_for_requests_that_come_soon_after_without_another_claim() -> None:
    loop = Loop(COMPANY)
    (engine,) = loop.engines
    loop.reserve(engine, 0.6)
    loop.ask(engine, 0.3)
    loop.apply(costing("0.35", "u1"))
    assert loop.check(engine, 0.3).action is Action.DENY
    assert isinstance(loop.ask(engine, 0.3), Decision)


def test_a_raised_limit_is_noticed_within_seconds() -> None:
    loop = Loop(COMPANY)
    (engine,) = loop.engines
    loop.reserve(engine, 0.9)
    assert loop.check(engine, 0.5).action is Action.DENY
    loop.policy(budget("company", "10", "day"))
    loop.later(2_000)
    assert isinstance(decision := loop.ask(engine, 0.5), Decision)
    assert decision.action is Action.ALLOW


def test_of_a_budget_that_is_gone_nothing_is_said_until_it_is_back() -> None:
    loop = Loop(COMPANY, EACH)
    (engine,) = loop.engines
    engine.closings.release(loop.reserve(engine, 0.1, user="alice"))
    share = loop.standing(engine, ALICE).share_nanousd
    loop.policy(COMPANY)
    loop.later(2_000)
    assert loop.standing(engine, ALICE).share_nanousd == share
    loop.policy(COMPANY, EACH)
    loop.later(2_000)
    assert 0 < loop.standing(engine, ALICE).share_nanousd < share


def test_the_next_window_is_claimed_ahead_for_what_was_active() -> None:
    loop = Loop(COMPANY, EACH)
    (engine,) = loop.engines
    end_ms = window_of_label("day:2026-11-24", engine.directory.organization("acme").policy.zone).end_ms
    assert end_ms is not None
    loop.now_ms = end_ms - AHEAD_MS - 5_000
    loop.beat(engine)
    loop.check(engine, 0.01, user="bob")
    for _ in range(20):
        loop.check(engine, 0.01, user="alice")
        loop.later(1_000)
    loop.later(20_000)
    loop.beat(engine)
    assert loop.now_ms > end_ms
    assert isinstance(loop.ask(engine, 0.01, user="alice"), Decision)


def test_without_a_lease_nothing_is_claimed_and_the_request_waits_for_none() -> None:
    loop = Loop(COMPANY)
    (engine,) = loop.engines
    loop.reserve(engine)
    loop.now_ms += LEASE_TTL_MS + 1
    assert isinstance(loop.ask(engine, 0.001), Decision)


def test_before_the_first_sign_of_the_ledger_a_request_waits_for_it() -> None:
    loop = Loop(COMPANY)
    late = loop.enforcer("late")
    loop.engines.append(late)
    loop.policy(COMPANY)
    shortage = loop.ask(late)
    assert isinstance(shortage, Shortage)
    assert not shortage.needs
    assert not late.is_answered(shortage)
    loop.beat(late)
    assert late.is_answered(shortage)
    assert isinstance(loop.check(late), Decision)


def test_who_says_goodbye_leaves_only_what_it_holds() -> None:
    loop = Loop(budget("company", "100", "day"))
    (engine,) = loop.engines
    loop.reserve(engine, 0.03)
    engine.wants.give_all_back()
    loop.speak(engine)
    assert loop.bound(DAY) == 3 * CENT


def test_one_that_is_forgotten_starts_over_and_still_holds_what_it_reserved() -> None:
    loop = Loop(COMPANY)
    (engine,) = loop.engines
    held = loop.reserve(engine, 0.6)
    farewell = Farewell(enforcer="e0", by="ada")
    loop.apply(EnforcerForgotten(id="f", source=SOURCE, time=from_ms(loop.now_ms), data=farewell))
    assert engine.registry.reclaimed
    engine.start_over("e0-again")
    loop.beat(engine)
    assert loop.standing(engine, DAY).held_nanousd == 60 * CENT
    assert loop.check(engine, 0.5).action is Action.DENY
    loop.settle(engine, held, "0.1")
    assert loop.check(engine, 0.5).action is Action.ALLOW
    assert loop.shares(DAY).keys() == {"e0-again"}


def test_pending_is_dropped_in_the_step_in_which_the_ledger_counts_it_as_used() -> None:
    loop = Loop(COMPANY)
    (engine,) = loop.engines
    loop.settle(engine, loop.reserve(engine, 0.2), "0.05")
    standing = loop.standing(engine, DAY)
    assert (standing.used_nanousd, standing.pending_nanousd, standing.held_nanousd) == (5 * CENT, 0, 0)
    assert standing.share_nanousd == standing.granted_nanousd - 5 * CENT


def test_usage_without_a_reservation_leaves_less_for_everybody() -> None:
    loop = Loop(COMPANY)
    (engine,) = loop.engines
    loop.apply(costing("0.95", "u1"))
    assert loop.check(engine, 0.04).action is Action.ALLOW
    assert loop.check(engine, 0.04).action is Action.DENY


def test_enforcers_alive_are_counted_by_the_ledgers_clock() -> None:
    loop = Loop(COMPANY, enforcers=3)
    one, two, _ = loop.engines
    assert one.registry.alive(0) == 3
    loop.now_ms += LEASE_TTL_MS + 1
    loop.beat(two)
    assert one.registry.alive(0) == 1


def test_what_is_left_of_grace_does_not_keep_others_from_what_is_free_below_the_limit() -> None:
    grace = {"priorities": ["critical"], "percent": 10, "duration": "2h"}
    loop = Loop(budget("company", "1", "day", tiers=UNPACED, grace=grace), enforcers=2)
    one, two = loop.engines
    loop.settle(one, loop.reserve(one, 0.9), "0.9")
    graced = loop.reserve(one, 0.18, priority="critical")
    assert loop.standing(one, DAY).grace_from_ms
    loop.settle(one, graced, "0.07")
    loop.later(2_000)
    assert loop.check(two, 0.01).action is Action.ALLOW
    assert loop.bound(DAY) <= USD
