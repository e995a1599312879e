"""Projections of a hierarchy add up to the nano-dollar."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.core.forecast import DailySeries, Projection, project, reconcile

BEGIN, END = date(2026, 10, 1), date(2026, 11, 1)
AS_OF = date(2026, 10, 11)
USD = 1_000_000_000
TEAMS = st.lists(st.lists(st.integers(0, 10**12), min_size=40, max_size=40), min_size=1, max_size=6)


def projected(rows: Mapping[str, Sequence[int]]) -> list[Projection]:
    made = [
        DailySeries(scope, AS_OF - timedelta(len(amounts)), np.array(amounts, dtype=np.int64))
        for scope, amounts in rows.items()
    ]
    return project(made, begin=BEGIN, end=END, as_of=AS_OF)


def hierarchy(teams: list[list[int]]) -> tuple[list[Projection], dict[str, str]]:
    """Two projects, the teams dealt to them in turn, and the same money again by user."""
    rows: dict[str, Sequence[int]] = {"org:acme": np.sum(teams, axis=0)}
    parents = {}
    for number in range(2):
        mine = teams[number::2]
        if mine:
            rows[f"org:acme/project:p{number}"] = np.sum(mine, axis=0)
            parents[f"org:acme/project:p{number}"] = "org:acme"
    for number, team in enumerate(teams):
        scope = f"org:acme/project:p{number % 2}/team:t{number}"
        rows[scope], parents[scope] = team, f"org:acme/project:p{number % 2}"
        rows[f"org:acme/user:u{number}"], parents[f"org:acme/user:u{number}"] = team, "org:acme"
    return projected(rows), parents


@given(TEAMS)
@settings(deadline=None, max_examples=40)
def test_children_of_each_kind_add_up_to_their_parent(teams: list[list[int]]) -> None:
    made, parents = hierarchy(teams)
    done = {each.scope: each for each in reconcile(made, parents)}
    for parent in set(parents.values()):
        for kind in ("project:", "team:", "user:"):
            mine = [
                done[child].total_nanousd
                for child, above in parents.items()
                if above == parent and child.rpartition("/")[2].startswith(kind)
            ]
            assert not mine or sum(mine) == done[parent].total_nanousd


@given(TEAMS)
@settings(deadline=None, max_examples=40)
def test_what_was_spent_stays_and_intervals_stay_in_order(teams: list[list[int]]) -> None:
    made, parents = hierarchy(teams)
    done = reconcile(made, parents)
    assert [each.scope for each in done] == [each.scope for each in made]
    for before, after in zip(made, done, strict=True):
        assert after.spent_nanousd == before.spent_nanousd
        assert after.spent_nanousd <= after.low_nanousd <= after.total_nanousd <= after.high_nanousd
        assert after.fan[-1][1:] == (after.low_nanousd, after.total_nanousd, after.high_nanousd)
        assert after.fan[:10] == before.fan[:10]


def test_projections_that_agree_already_stay_as_they_are() -> None:
    rows = {
        "org:acme": [30 * USD] * 100,
        "org:acme/project:a": [10 * USD] * 100,
        "org:acme/project:b": [20 * USD] * 100,
    }
    made = projected(rows)
    done = reconcile(made, dict.fromkeys(list(rows)[1:], "org:acme"))
    for before, after in zip(made, done, strict=True):
        assert after.total_nanousd == pytest.approx(before.total_nanousd, rel=1e-3)


def test_the_surer_side_moves_less() -> None:
    rows = {
        "org:acme": [30 * USD] * 100,
        "org:acme/project:a": [10 * USD] * 100,
        "org:acme/project:b": [20 * USD] * 100,
    }
    whole, first, second = projected(rows)
    sure = replace(whole, low_nanousd=whole.total_nanousd - 1, high_nanousd=whole.total_nanousd + 1)
    doubtful = replace(first, total_nanousd=first.total_nanousd * 2, high_nanousd=first.high_nanousd * 4)
    done = reconcile([sure, doubtful, second], dict.fromkeys(list(rows)[1:], "org:acme"))
    assert done[0].total_nanousd == pytest.approx(whole.total_nanousd, rel=0.001)
    assert done[2].total_nanousd == pytest.approx(second.total_nanousd, rel=0.05)
    assert done[1].total_nanousd == pytest.approx(first.total_nanousd, rel=0.1)


def test_what_nobody_owns_goes_on_in_proportion() -> None:
    rows = {"org:acme": [40 * USD] * 100, "org:acme/project:a": [30 * USD] * 100}
    whole, part = reconcile(projected(rows), {"org:acme/project:a": "org:acme"})
    assert part.total_nanousd == pytest.approx(whole.total_nanousd * 0.75, rel=0.02)


def test_a_scope_whose_parent_is_not_there_stands_for_itself() -> None:
    made = projected({"org:acme/project:a": [USD] * 50})
    assert reconcile(made, {"org:acme/project:a": "org:acme"}) == made


def test_money_for_a_scope_that_never_spent_comes_evenly() -> None:
    rows = {"org:acme": [30 * USD] * 100, "org:acme/project:new": [0] * 100}
    whole, new = projected(rows)
    silent = replace(
        whole, spent_nanousd=0, fan=tuple(point._replace(mid_nanousd=0) for point in whole.fan[:10]) + whole.fan[10:]
    )
    done = reconcile([silent, new], {"org:acme/project:new": "org:acme"})
    assert done[1].total_nanousd == done[0].total_nanousd
    middles = [point.mid_nanousd for point in done[1].fan]
    assert middles[9] == 0
    assert middles[19] == pytest.approx(done[1].total_nanousd * 10 / 21, rel=1e-6)


def test_circles_and_other_windows_are_refused() -> None:
    made = projected({"org:acme/project:a": [USD] * 50, "org:acme/project:b": [USD] * 50})
    with pytest.raises(ValueError, match="ancestors"):
        reconcile(made, {"org:acme/project:a": "org:acme/project:b", "org:acme/project:b": "org:acme/project:a"})
    with pytest.raises(ValueError, match="one window"):
        reconcile([made[0], replace(made[1], as_of=AS_OF + timedelta(1))], {})
