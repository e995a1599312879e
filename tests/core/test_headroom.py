"""The headroom of a share: enough to go on with, little enough that others are not stranded."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from services.core.headroom import HEADROOM_MS, excess, headroom, is_low, recent

AMOUNTS = st.integers(0, 10**15)
ENFORCERS = st.integers(1, 50)


def test_a_quiet_enforcer_wants_a_hundredth_of_the_limit() -> None:
    assert headroom(0, 1_000, 1_000, 1) == 10


def test_a_busy_one_wants_half_a_minute() -> None:
    assert recent(200, 2_000) == 3_000
    assert headroom(3_000, 1_000, 1_000_000, 3) == 3_000


def test_a_rate_is_not_believed_after_a_moment() -> None:
    assert recent(7, 1) == recent(7, 1_000) == 7 * HEADROOM_MS // 1_000


@given(AMOUNTS, AMOUNTS, st.integers(-(10**15), 10**15), ENFORCERS)
def test_all_together_leave_half_of_what_is_free(recently: int, limit: int, free: int, enforcers: int) -> None:
    wanted = headroom(recently, limit, free, enforcers)
    assert 0 <= wanted * enforcers * 2 <= max(0, free)


@given(AMOUNTS, AMOUNTS, AMOUNTS, AMOUNTS, ENFORCERS)
def test_more_use_and_more_room_never_make_it_smaller(a: int, b: int, limit: int, free: int, enforcers: int) -> None:
    low, high = sorted((a, b))
    assert headroom(low, limit, free, enforcers) <= headroom(high, limit, free, enforcers)
    assert headroom(a, limit, low, enforcers) <= headroom(a, limit, high, enforcers)


@given(AMOUNTS, AMOUNTS, AMOUNTS, AMOUNTS, ENFORCERS)
def test_who_claims_or_gives_back_is_content_then(
    recently: int, limit: int, room: int, share: int, enforcers: int
) -> None:
    wanted = headroom(recently, limit, room + share, enforcers)
    moved = -excess(share, wanted) or (wanted - share if is_low(share, wanted) else 0)
    share, room = share + moved, room - moved
    again = headroom(recently, limit, room + share, enforcers)
    assert room >= 0
    assert again == wanted
    assert not is_low(share, again)
    assert not excess(share, again)
