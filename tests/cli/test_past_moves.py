"""The policies of the past know which moves of money were granted: that follows from what was spent until then."""

from __future__ import annotations

import pytest

from services.cli.past_policies import MoneyMoved, PastPolicies
from services.core.effects import PolicyEntry
from services.core.record import Record
from tests.core.ledger import NOON_MS, costing, record, run
from tests.core.moves import move, two

LEDGER = [
    record(0, two()),
    record(1, costing("7", project="pool")),
    record(2, move("4"), move("2", name="m2")),
    record(3, move("1", name="m3"), at_ms=NOON_MS + 1),
]


def folded(records: list[Record], *, whole: bool) -> list[PolicyEntry]:
    past = PastPolicies(0, whole=whole)
    return [entry for each in records for entry in past.take(each)]


def test_what_only_changes_policies_is_not_enough_once_money_was_moved() -> None:
    with pytest.raises(MoneyMoved):
        folded(LEDGER, whole=False)


def test_a_move_that_was_refused_never_held() -> None:
    found = folded(LEDGER, whole=True)
    assert [[each.move for each in entry.moves] for entry in found] == [[], ["m2"], ["m2", "m3"]]
    state, _ = run(LEDGER)
    assert found[-1] == state.organization("acme").entry
