"""Shares of a hard limit: whatever is claimed, used, lost and reordered, they never add up to more than it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from hypothesis import given
from hypothesis import strategies as st

from services.core.escrow import Registered, Share, grant, outstanding, room

LIMIT = 1_000
NAMES = ("a", "b", "c")


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that happens: a claim of running totals, usage, or the end of an enforcer."""

    kind: Literal["claim", "use", "reclaim"]
    name: str
    wanted: int = 0
    released: int = 0


amounts = st.integers(0, 2 * LIMIT)
steps = st.lists(
    st.one_of(
        st.builds(Step, st.just("claim"), st.sampled_from(NAMES), amounts, amounts),
        st.builds(Step, st.just("use"), st.sampled_from(NAMES), amounts),
        st.builds(Step, st.just("reclaim"), st.sampled_from(NAMES)),
    ),
    max_size=40,
)


class Ledger:
    """One balance; nobody here spends more than its share."""

    def __init__(self) -> None:
        self.settled = 0
        self.shares: dict[str, Share] = {}

    def play(self, step: Step) -> None:
        share = self.shares.setdefault(step.name, Share())
        if step.kind == "claim":
            share.claim(step.wanted, step.released, beat=1)
            grant(LIMIT, self.settled, self.shares, step.name)
        elif step.kind == "use":
            cost = min(step.wanted, share.outstanding_nanousd)
            self.settled += cost
            assert share.use(cost) == 0
        else:
            del self.shares[step.name]


@given(steps)
def test_settled_and_shares_never_exceed_the_limit(played: Sequence[Step]) -> None:
    ledger = Ledger()
    for step in played:
        ledger.play(step)
        assert ledger.settled + outstanding(ledger.shares.values()) <= LIMIT


@given(steps)
def test_no_claim_takes_from_another(played: Sequence[Step]) -> None:
    ledger = Ledger()
    for step in played:
        before = {name: share.granted_nanousd for name, share in ledger.shares.items()}
        ledger.play(step)
        for name, share in ledger.shares.items():
            assert share.granted_nanousd >= before.get(name, 0) or step == Step("reclaim", name)


@given(steps)
def test_what_is_free_is_granted_to_whoever_wants_it(played: Sequence[Step]) -> None:
    ledger = Ledger()
    for step in played:
        ledger.play(step)
        if step.kind == "claim":
            unmet = sum(share.unmet_nanousd for share in ledger.shares.values())
            assert unmet == 0 or room(LIMIT, ledger.settled, ledger.shares) == 0


@given(st.permutations([(1, 100, 0), (2, 100, 40), (3, 200, 40), (4, 200, 90)]))
def test_claims_may_come_late_twice_and_in_any_order(claims: Sequence[tuple[int, int, int]]) -> None:
    shares = {"a": Share()}
    for beat, wanted, released in [*claims, *claims]:
        shares["a"].claim(wanted, released, beat)
        grant(LIMIT, 0, shares, "a")
    assert shares["a"] == Share(200, 90, 0, 200, 4)


def test_a_wish_can_be_taken_back_but_not_by_an_earlier_claim() -> None:
    share = Share()
    share.claim(500, 0, beat=1)
    share.claim(0, 0, beat=3)
    share.claim(700, 0, beat=2)
    assert share.unmet_nanousd == 0


def test_the_claimant_comes_first_then_the_smallest_shortage() -> None:
    shares = {"a": Share(wanted_nanousd=700), "b": Share(wanted_nanousd=500), "c": Share(wanted_nanousd=300)}
    grant(LIMIT, 0, shares, "b")
    assert {name: share.granted_nanousd for name, share in shares.items()} == {"a": 200, "b": 500, "c": 300}


def test_nobody_gives_back_what_was_never_granted() -> None:
    share = Share()
    share.claim(500, 400, beat=1)
    assert share.released_nanousd == 0


def test_what_was_overdrawn_is_made_up_for_without_taking_room() -> None:
    shares = {"a": Share(granted_nanousd=100, wanted_nanousd=100), "b": Share(granted_nanousd=800, wanted_nanousd=800)}
    assert shares["a"].use(150) == 50
    shares["a"].claim(400, 0, beat=2)
    grant(LIMIT, 150, shares, "a")
    assert shares["a"].granted_nanousd == 200
    assert 150 + outstanding(shares.values()) == LIMIT


def test_a_limit_below_what_is_granted_grants_nothing_and_takes_nothing() -> None:
    shares = {"a": Share(granted_nanousd=600, wanted_nanousd=900)}
    grant(500, 0, shares, "a")
    assert shares["a"].granted_nanousd == 600
    assert room(500, 0, shares) == -100


def test_an_enforcer_is_overdue_once_it_has_been_silent_for_too_long() -> None:
    enforcer = Registered(beat=1, alive_at_ms=0, reclaim_after_ms=1_000)
    assert not enforcer.overdue(1_000)
    assert enforcer.overdue(1_001)
    enforcer.hear(2, 500)
    assert not enforcer.overdue(1_001)
    assert not Registered(beat=1, alive_at_ms=0).overdue(10**15)
    assert not Registered(beat=1, alive_at_ms=0, reclaim_after_ms=1, reclaimed=True).overdue(10**15)
