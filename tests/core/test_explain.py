"""The decision in words: the chain with its figures, warnings, and remedies that are true."""

from __future__ import annotations

import re
from dataclasses import replace

import msgspec
from hypothesis import assume, given
from hypothesis import strategies as st

from services.core.ask import Ask
from services.core.decide import Action, Reason, Ruling, decide
from services.core.decision import Decision, LedgerPosition
from services.core.estimate import Estimate, estimate
from services.core.explain import Known, explain
from services.core.policy import Grace, RequestCaps
from services.core.pricing import PriceBook
from services.core.remedy import largest
from services.core.standing import Link
from services.core.window import WindowKind
from tests.core.chains import CAPS, LINKS, NO_CAPS, NOW_MS, ask, budget, link

USD = 1_000_000_000
PRICES = PriceBook.bundled()
KNOWN = Known(7, LedgerPosition(partition=2, offset=41), PRICES)


def decided(asked: Ask, *chain: Link, caps: RequestCaps = NO_CAPS) -> tuple[Ruling, Decision]:
    ruling = decide(asked, estimate(asked, caps, PRICES, NOW_MS), chain, caps, NOW_MS)
    return ruling, explain(ruling, "dec-1", KNOWN)


def test_the_chain_is_told_with_every_figure() -> None:
    chain = [link(budget(10 * USD), settled=5 * USD, pending=USD, held=2 * USD), link(budget(0, on_hard="monitor"))]
    ruling = decide(ask(), Estimate(500_000_000, 10), chain, NO_CAPS, NOW_MS)
    body = msgspec.json.decode(msgspec.json.encode(explain(ruling, "dec-1", KNOWN)))
    assert body["budgets"] == [
        {
            "budget": "company-day",
            "scope": "org:acme",
            "window": "day:2026-11-24",
            "window_ends_at": "2026-11-25T00:00:00Z",
            "limit_usd": "10.00",
            "settled_usd": "6.00",
            "reserved_usd": "2.00",
            "remaining_usd": "2.00",
            "utilization": 0.85,
            "tier": "soft",
            "binding": False,
            "share_usd": "2.00",
            "committed_usd": "5.00",
        },
        {
            "budget": "company-day",
            "scope": "org:acme",
            "window": "day:2026-11-24",
            "window_ends_at": "2026-11-25T00:00:00Z",
            "limit_usd": "0.00",
            "settled_usd": "0.00",
            "reserved_usd": "0.00",
            "remaining_usd": "0.00",
            "utilization": None,
            "tier": "hard",
            "binding": True,
            "on_hard": "monitor",
        },
    ]
    assert body["reason"] == "monitored"
    assert len(body["warnings"]) == 2
    assert body["estimate_usd"] == "0.50"
    assert (body["policy_version"], body["price_version"]) == (7, PRICES.version)
    assert (body["ledger"], body["decided_at"]) == ({"partition": 2, "offset": 41}, "2026-11-24T12:00:00Z")


def test_an_unknown_model_is_warned_about_and_never_priced_at_zero() -> None:
    _, decision = decided(ask(model="nobody-knows-1"), link(budget(USD)))
    assert decision.action is Action.ALLOW
    assert decision.estimate_usd is None
    assert "no known price" in decision.warnings[0]


def test_a_plain_allow_has_no_words() -> None:
    _, decision = decided(ask(), link(budget(USD)))
    assert (decision.message, decision.warnings, decision.remedies) == ("", [], [])


def test_no_budget_is_said() -> None:
    _, decision = decided(ask())
    assert "acme" in decision.message


def test_fewer_output_tokens_are_offered_just_as_many_as_fit() -> None:
    asked = ask(max_output_tokens=4000)
    room = PRICES.upper_bound(None, "gpt-4o", NOW_MS, input_tokens=1000, max_output_tokens=812)
    assert room is not None
    _, decision = decided(asked, link(budget(100 * USD), settled=100 * USD - room))
    assert "fits if max_output_tokens ≤ 812" in decision.remedies
    assert "window resets at 2026-11-25T00:00:00Z (company-day)" in decision.remedies


def test_the_window_that_resets_last_is_the_one_to_wait_for() -> None:
    day, month = budget(USD), budget(USD, name="company-month", window=WindowKind.MONTH)
    _, decision = decided(ask(), link(month, settled=USD), link(day, settled=USD))
    assert decision.remedies == ["window resets at 2026-12-01T00:00:00Z (company-month)"]


def test_no_wait_is_offered_for_a_window_that_never_ends_or_a_limit_that_is_too_small() -> None:
    _, decision = decided(ask(), link(budget(USD, window=WindowKind.TOTAL), settled=USD))
    assert decision.remedies == []
    _, decision = decided(ask(input_tokens=1_000_000), link(budget(1000)))
    assert any("never has room" in remedy for remedy in decision.remedies)
    assert not any("resets" in remedy for remedy in decision.remedies)


def test_reserved_money_may_come_back() -> None:
    _, decision = decided(ask(), link(budget(USD), held=USD))
    assert "holds 1.00 USD" in decision.remedies[0]


def test_what_others_hold_is_not_said_to_be_left() -> None:
    _, decision = decided(ask(), link(budget(USD), settled=USD // 2, share=0, refused=True))
    assert decision.reason is Reason.BUDGET_EXCEEDED
    assert "set aside for other requests" in decision.message
    assert "may fit once requests in flight are settled: they hold what company-day has left" in decision.remedies


def test_only_a_priority_that_would_be_let_through_is_named() -> None:
    grace = Grace(frozenset({"critical"}), 1000, 3_600_000)
    full = link(budget(USD, grace=grace), settled=USD, grace_from_ms=NOW_MS - 60_000)
    _, decision = decided(ask(), full)
    assert "grace is open for priority critical until 2026-11-24T12:59:00Z (company-day)" in decision.remedies
    over = link(budget(USD, grace=grace), settled=USD, grace_from_ms=NOW_MS - 3_600_000)
    elsewhere = link(budget(USD, name="strict"), settled=USD)
    used_up = link(budget(USD, grace=grace), settled=USD * 11 // 10)
    for chain in ([over], [full, elsewhere], [used_up]):
        _, decision = decided(ask(), *chain)
        assert not any("grace" in remedy for remedy in decision.remedies)


def test_caps_are_answered_with_what_would_be_within_them() -> None:
    caps = RequestCaps(max_input_tokens=800, max_output_tokens=100)
    _, decision = decided(ask(max_output_tokens=100), link(budget(USD)), caps=caps)
    assert (decision.reason, decision.remedies) == (Reason.INPUT_TOKENS_CAP, ["fits if input_tokens ≤ 800"])
    _, decision = decided(ask(input_tokens=10, max_output_tokens=101), link(budget(USD)), caps=caps)
    assert (decision.reason, decision.remedies) == (Reason.OUTPUT_TOKENS_CAP, ["fits if max_output_tokens ≤ 100"])


def test_a_default_output_cap_stays_within_the_policys_own() -> None:
    caps = RequestCaps(max_output_tokens=100, default_max_output_tokens=1024)
    ruling, _ = decided(ask(), caps=caps)
    assert (ruling.estimate.max_output_tokens, ruling.action) == (100, Action.ALLOW)


@given(st.lists(LINKS, min_size=1, max_size=4), CAPS, st.integers(0, 200_000), st.none() | st.integers(0, 100_000))
def test_every_remedy_about_tokens_is_true_and_the_best_there_is(
    chain: list[Link], caps: RequestCaps, input_tokens: int, output: int | None
) -> None:
    asked = ask(input_tokens=input_tokens, max_output_tokens=output)
    ruling, decision = decided(asked, *chain, caps=caps)
    assume(ruling.action is Action.DENY)
    for remedy in decision.remedies:
        found = re.fullmatch(r"fits if (\w+) ≤ (\d+)", remedy)
        if found is None:
            continue
        name, tokens = found[1], int(found[2])
        best = msgspec.structs.replace(asked, **{name: tokens})
        beyond = msgspec.structs.replace(asked, **{name: tokens + 1})
        allowed, _ = decided(best, *chain, caps=caps)
        assert allowed.action is Action.ALLOW or allowed.lacking  # which has room that nobody has claimed
        assert decided(beyond, *chain, caps=caps)[0].action is not Action.ALLOW


def test_room_that_nobody_has_claimed_yet_is_room() -> None:
    little = link(budget(USD), settled=USD // 2, share=10_000_000, outstanding_nanousd=100_000_000)
    _, decision = decided(ask(max_output_tokens=60_000), little)
    # Of the half that is left, others hold 0.09 USD.
    room = PRICES.upper_bound(None, "gpt-4o", NOW_MS, input_tokens=1000, max_output_tokens=40_750)
    assert room == 410_000_000
    assert "fits if max_output_tokens ≤ 40750" in decision.remedies


@given(st.integers(0, 10_000), st.integers(0, 10_000))
def test_the_largest_that_fits(most: int, fitting: int) -> None:
    expected = min(most, fitting)
    assert largest(lambda tokens: tokens <= fitting, most) == (expected or None)


def test_a_limit_that_moves_have_changed_says_so() -> None:
    for moved, words in ((2 * USD, "2.00 USD were moved to it"), (-USD, "1.00 USD of its limit were moved away")):
        shifted = replace(budget(10 * USD), shifts=((NOW_MS, moved),))
        _, denied = decided(ask(), link(shifted, settled=10 * USD + moved))
        assert f"has 0.00 USD left in day:2026-11-24 ({words}), the request may cost" in denied.message
        _, warned = decided(ask(), link(shifted, settled=(10 * USD + moved) * 85 // 100))
        assert f"with this request ({words})" in warned.warnings[0]
        _, before = decided(ask(), link(replace(shifted, shifts=((NOW_MS + 1, moved),)), settled=10 * USD))
        assert "moved" not in before.message
