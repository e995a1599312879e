"""Claims in the fold: granted within the hard limit, used by settlements, taken back from the silent."""

from __future__ import annotations

from typing import Any

import pytest

from services.core.escrow import Share
from services.core.reservation import ReservationId
from services.core.state import LedgerState
from tests.core.ledger import NOON_MS, Changelog, Json, budget, event, policy, record, run, usage

USD = 1_000_000_000
DAY = "org:acme@day:2026-11-24"
ALICE = "org:acme/user:alice@day:2026-11-24"
HOUR_MS = 3_600_000
POLICY = policy(budget("company", "10", "day"), budget("each-user", "4", "day", scope={"user": "*"}))


def alive(enforcer: str, beat: int = 1, reclaim_after_ms: int | None = HOUR_MS) -> Json:
    return event("enforcer.alive", {"enforcer": enforcer, "beat": beat, "reclaim_after_ms": reclaim_after_ms})


def claim(enforcer: str, beat: int, *lines: Json, organization: str = "acme") -> Json:
    data = {"organization": organization, "enforcer": enforcer, "beat": beat, "claims": list(lines)}
    return event("allowance.claimed", data)


def line(balance: str, wanted_usd: int, released_usd: int = 0, **more: Any) -> Json:
    return {"balance": balance, "wanted_nanousd": wanted_usd * USD, "released_nanousd": released_usd * USD, **more}


def spent(enforcer: str | None, cost_usd: str, number: int = 1) -> Json:
    reservation = None if enforcer is None else str(ReservationId(enforcer, NOON_MS, number))
    return usage(f"u{enforcer}{number}", user="alice", cost_usd=cost_usd, reservation=reservation)


def shares(state: LedgerState, key: str) -> dict[str, Share]:
    return dict(state.tables.items())[key].shares


def granted(state: LedgerState, key: str) -> dict[str, int]:
    return {name: share.granted_nanousd // USD for name, share in shares(state, key).items()}


def test_a_claim_is_granted_up_to_the_limit_of_each_balance() -> None:
    state, effects = run([record(0, POLICY, alive("e1"), claim("e1", 2, line(DAY, 12), line(ALICE, 3)))])
    assert granted(state, DAY) == {"e1": 10}
    assert granted(state, ALICE) == {"e1": 3}
    assert effects.counts["claim"] == 1
    assert effects.enforcers["e1"] == state.enforcers["e1"]
    assert shares(state, DAY)["e1"].beat == state.enforcers["e1"].beat == 2


def test_what_is_spent_elsewhere_leaves_less_room() -> None:
    state, effects = run([record(0, POLICY, spent(None, "2.5"), alive("e1"), claim("e1", 2, line(DAY, 12)))])
    assert shares(state, DAY)["e1"].granted_nanousd == 7_500_000_000
    assert effects.exposed == {"unreserved": 2_500_000_000}


def test_a_settlement_is_taken_from_the_share_of_its_enforcer() -> None:
    said = [
        POLICY,
        alive("e1"),
        alive("e2"),
        claim("e1", 2, line(DAY, 6), line(ALICE, 4)),
        claim("e2", 2, line(DAY, 6)),
    ]
    state, effects = run([record(0, *said), record(1, spent("e1", "1.5"))])
    assert shares(state, DAY)["e1"].used_nanousd == shares(state, ALICE)["e1"].used_nanousd == 1_500_000_000
    assert granted(state, DAY) == {"e1": 6, "e2": 4}
    assert not effects.exposed


def test_what_is_given_back_goes_to_who_waits() -> None:
    said = [POLICY, alive("e1"), alive("e2"), claim("e1", 2, line(DAY, 8)), claim("e2", 2, line(DAY, 6))]
    state, _ = run([record(0, *said), record(1, claim("e1", 3, line(DAY, 8, 5)))])
    assert granted(state, DAY) == {"e1": 8, "e2": 6}


def test_usage_beyond_the_share_is_told_apart() -> None:
    said = [POLICY, alive("e1"), claim("e1", 2, line(DAY, 2), line(ALICE, 2))]
    _, effects = run([record(0, *said), record(1, spent("e1", "3"))])
    assert effects.exposed == {"overdrawn": 2 * USD}, "one dollar on each of two balances"


def test_an_expiry_and_its_settlement_move_the_share_alike() -> None:
    reservation = str(ReservationId("e1", NOON_MS, 1))
    data = {"organization": "acme", "user": "alice", "gen_ai.request.model": "gpt-4o", "reservation": reservation}
    expired = event("reservation.expired", data | {"estimate_usd": "2"}, event_id="x")
    said = [POLICY, alive("e1"), claim("e1", 2, line(DAY, 6), line(ALICE, 4))]
    state, _ = run([record(0, *said), record(1, expired)])
    assert shares(state, DAY)["e1"].used_nanousd == 2 * USD
    state, _ = run([record(2, spent("e1", "0.5"))], state)
    assert shares(state, DAY)["e1"].used_nanousd == USD // 2


def test_a_claim_of_somebody_unknown_grants_nothing() -> None:
    state, effects = run([record(0, POLICY, claim("e1", 2, line(DAY, 5)))])
    assert DAY not in dict(state.tables.items())
    assert effects.counts["skipped"] == 1


def test_a_balance_without_a_hard_limit_has_no_shares() -> None:
    shadow = policy(budget("shadow", "5", "day", on_hard="monitor"))
    state, _ = run([record(0, shadow, alive("e1"), claim("e1", 2, line(DAY, 3)))])
    assert DAY not in dict(state.tables.items())


@pytest.mark.parametrize(
    ("balance", "reason"),
    [
        ("nonsense", "invalid_balance"),
        ("org:acme@day:2026-13-45", "invalid_balance"),
        ("org:acme@fortnight:2026-01", "invalid_balance"),
        ("org:acme@day:2026-11-30", "future"),
    ],
)
def test_a_balance_that_cannot_be_claimed_is_refused_with_its_reason(balance: str, reason: str) -> None:
    state, effects = run([record(0, POLICY, alive("e1"), claim("e1", 2, line(DAY, 1), line(balance, 1)))])
    assert [rejection.reason for rejection in effects.rejections] == [reason]
    assert DAY not in dict(state.tables.items()), "all or nothing"


def test_nobody_claims_a_balance_of_another_organization() -> None:
    state, _ = run([record(0, POLICY, alive("e1"), claim("e1", 2, line(DAY, 5), organization="globex"))])
    assert DAY not in dict(state.tables.items())


def test_the_silent_lose_their_shares_to_others() -> None:
    said = [POLICY, alive("e1"), alive("e2"), claim("e1", 2, line(DAY, 10)), claim("e2", 2, line(DAY, 3))]
    later = NOON_MS + HOUR_MS + 1
    state, effects = run(
        [
            record(0, *said),
            record(1, alive("e2", 3), at_ms=later - 1),
            record(2, claim("e2", 4, line(DAY, 3)), at_ms=later),
        ]
    )
    assert granted(state, DAY) == {"e2": 3}
    assert effects.exposed == {"reclaimed": 10 * USD}
    assert state.enforcers["e1"].reclaimed


def test_the_reclaimed_neither_claim_nor_come_back_and_what_they_report_late_counts() -> None:
    said = [POLICY, alive("e1"), claim("e1", 2, line(DAY, 10))]
    back = [alive("e1", 3), claim("e1", 4, line(DAY, 10)), spent("e1", "1")]
    state, effects = run([record(0, *said), record(1, *back, at_ms=NOON_MS + HOUR_MS + 1)])
    assert shares(state, DAY) == {}
    assert dict(state.tables.items())[DAY].settled_nanousd == USD
    assert effects.exposed == {"reclaimed": 10 * USD}, "what comes late from it is in that already"


def test_who_is_forgotten_loses_its_shares_at_once() -> None:
    said = [POLICY, alive("e1", reclaim_after_ms=None), claim("e1", 2, line(DAY, 10))]
    farewell = event("enforcer.forgotten", {"enforcer": "e1", "by": "ada"})
    state, effects = run([record(0, *said), record(1, farewell, farewell)])
    assert shares(state, DAY) == {}
    assert effects.counts["forgotten"] == 1
    assert effects.exposed == {"reclaimed": 10 * USD}


def test_a_lowered_limit_grants_nothing_more() -> None:
    said = [POLICY, alive("e1"), claim("e1", 2, line(DAY, 6))]
    lower = policy(budget("company", "5", "day"), version=2)
    state, effects = run([record(0, *said), record(1, lower), record(2, claim("e1", 3, line(DAY, 8)))])
    assert granted(state, DAY) == {"e1": 6}
    assert effects.exposed == {"shrunk": USD}, "a dollar beyond the new limit may still be spent"


def test_a_scheduled_limit_is_the_one_of_the_ledgers_clock() -> None:
    night = policy(budget("company", "10", "day", schedule=[{"when": "13:00-24:00", "factor": "0.5"}]))
    said = [night, alive("e1"), claim("e1", 2, line(DAY, 2))]
    state, effects = run([record(0, *said), record(1, claim("e1", 3, line(DAY, 9)), at_ms=NOON_MS + HOUR_MS)])
    assert granted(state, DAY) == {"e1": 5}
    assert not effects.exposed


def test_shares_beyond_a_scheduled_limit_are_told_once() -> None:
    night = policy(budget("company", "10", "day", schedule=[{"when": "13:00-24:00", "factor": "0.5"}]))
    said = [night, alive("e1"), claim("e1", 2, line(DAY, 7))]
    again = claim("e1", 3, line(DAY, 9))
    _, effects = run([record(0, *said), record(1, again, again, at_ms=NOON_MS + HOUR_MS)])
    assert effects.exposed == {"shrunk": 2 * USD}


def test_the_next_window_can_be_claimed_ahead() -> None:
    tomorrow = "org:acme@day:2026-11-25"
    at_ms = NOON_MS + 12 * HOUR_MS - 30_000
    state, _ = run([record(0, POLICY), record(1, alive("e1"), claim("e1", 2, line(tomorrow, 3)), at_ms=at_ms)])
    assert granted(state, tomorrow) == {"e1": 3}


def test_a_new_process_knows_all_of_it() -> None:
    log = Changelog()
    said = [POLICY, alive("e1"), alive("e2"), claim("e1", 2, line(DAY, 8)), claim("e2", 2, line(DAY, 6))]
    state, effects = run([record(0, *said)])
    log.write(effects)
    restored = log.restore()
    assert restored.enforcers == state.enforcers
    rest = [record(1, spent("e1", "3"), at_ms=NOON_MS), record(2, alive("e2", 9), at_ms=NOON_MS + 2 * HOUR_MS)]
    assert run(rest, state)[1] == run(rest, restored)[1]


def test_the_long_gone_are_dropped() -> None:
    state, effects = run([record(0, alive("e1")), record(1, alive("e2"), at_ms=NOON_MS + 98 * HOUR_MS)])
    assert list(state.enforcers) == ["e2"]
    assert effects.enforcers["e1"] is None


GRACE = policy(budget("company", "10", "day", grace={"priorities": ["critical"], "percent": 5, "duration": "2h"}))


def test_grace_is_opened_by_the_first_claim_that_needs_it_and_only_then() -> None:
    said = [GRACE, alive("e1"), claim("e1", 2, line(DAY, 9, grace=True))]
    state, _ = run([record(0, *said)])
    assert dict(state.tables.items())[DAY].grace_from_ms == 0
    state, _ = run([record(1, claim("e1", 3, line(DAY, 12, grace=True)), at_ms=NOON_MS + 1)], state)
    assert dict(state.tables.items())[DAY].grace_from_ms == NOON_MS + 1
    assert shares(state, DAY)["e1"].granted_nanousd == 10_500_000_000


def test_without_asking_for_grace_the_limit_holds() -> None:
    state, _ = run([record(0, GRACE, alive("e1"), claim("e1", 2, line(DAY, 12)))])
    assert granted(state, DAY) == {"e1": 10}


def test_when_grace_is_over_nothing_more_is_granted() -> None:
    said = [GRACE, alive("e1", reclaim_after_ms=None), claim("e1", 2, line(DAY, 10)), spent("e1", "9")]
    opened = claim("e1", 3, line(DAY, 11, grace=True))
    late = claim("e1", 4, line(DAY, 12, grace=True))
    state, effects = run([record(0, *said, opened), record(1, late, at_ms=NOON_MS + 2 * HOUR_MS)])
    assert shares(state, DAY)["e1"].granted_nanousd == 10_500_000_000
    assert effects.exposed == {"shrunk": USD // 2}, "half a dollar of grace was granted and not spent"


def test_a_budget_without_grace_on_the_same_balance_still_holds() -> None:
    strict = policy(
        budget("company", "10", "day", grace={"priorities": ["critical"], "percent": 5, "duration": "2h"}),
        budget("ceiling", "10", "day"),
    )
    state, _ = run([record(0, strict, alive("e1"), claim("e1", 2, line(DAY, 12, grace=True)))])
    assert granted(state, DAY) == {"e1": 10}
    assert dict(state.tables.items())[DAY].grace_from_ms == 0
