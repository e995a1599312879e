"""The simulator holds over thousands of seeds, does what it says it does, and finds every planted fault."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from services import compiled
from tests.sim.faults import IN_COMPILED, PLANTED, Faults, planted
from tests.sim.runs import play, play_many

RUNS = 2_000
SEARCHED = 400
"""In how many seeds a planted fault has to be found."""


@pytest.mark.timeout(1_800)
def test_every_seed_holds_and_much_happens() -> None:
    happened, broken = play_many(range(1, RUNS + 1))
    assert not broken, "\n".join(broken)
    assert happened.allowed > 20 * RUNS
    assert happened.refused_for_budget > 20 * RUNS
    assert happened.kills > RUNS
    assert happened.zombies > RUNS // 2
    assert happened.reclaimed > RUNS // 2
    assert happened.graced > RUNS // 10
    assert happened.moved > RUNS
    assert happened.carried > RUNS // 50


@pytest.fixture(params=[*Faults.__slots__, *PLANTED])
def fault(request: pytest.FixtureRequest) -> Iterator[Faults]:
    if request.param in IN_COMPILED and compiled.is_in_use():
        pytest.skip("nothing can be planted in a compiled class: with SPENDGATE_PURE=1, as `make test` does it too")
    with planted(request.param) as faults:
        yield faults


def test_a_planted_fault_is_found(fault: Faults) -> None:
    # By the auditor (Broken), or by one of the code's own assertions.
    with pytest.raises(AssertionError):
        for seed in range(1, SEARCHED + 1):
            play(seed, fault)
