"""Contributors: who explains a change, whatever the figures."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from services.core.anomaly import Contributor, contributors

FIGURES = st.dictionaries(st.text("abcdef", min_size=1, max_size=2), st.integers(-(10**6), 10**12), max_size=12)


def test_the_largest_move_comes_first_and_new_keys_and_gone_ones_count() -> None:
    before = {"alice": 10, "bob": 50, "carol": 30}
    now = {"alice": 12, "bob": 90, "dave": 25, "carol": 30}
    assert contributors(before, now) == (
        Contributor("bob", 50, 90),
        Contributor("dave", 0, 25),
        Contributor("alice", 10, 12),
    )
    assert contributors(now, before)[0].moved_nanousd == -40
    assert contributors(before, now, most=1) == (Contributor("bob", 50, 90),)
    assert contributors(before, before) == ()


@given(FIGURES, FIGURES)
def test_contributors_moved_the_way_the_sum_did_and_explain_at_least_all_of_it(
    before: dict[str, int], now: dict[str, int]
) -> None:
    moved = sum(now.values()) - sum(before.values())
    found = contributors(before, now, most=100)
    assert all(one.moved_nanousd * (1 if moved >= 0 else -1) > 0 for one in found)
    assert abs(sum(one.moved_nanousd for one in found)) >= abs(moved)
    sizes = [abs(one.moved_nanousd) for one in found]
    assert sizes == sorted(sizes, reverse=True)


@given(FIGURES, FIGURES)
def test_the_order_of_the_figures_changes_nothing(before: dict[str, int], now: dict[str, int]) -> None:
    turned = dict(reversed(before.items())), dict(reversed(now.items()))
    assert contributors(before, now) == contributors(*turned)
