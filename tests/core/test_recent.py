"""The decisions that an enforcer remembers: the last ones, as they were answered, and no more than it may."""

from __future__ import annotations

import tracemalloc
from functools import cache

import msgspec
import pytest

from services.core.decide import decide
from services.core.decision import Decision, LedgerPosition
from services.core.estimate import estimate
from services.core.explain import Known, explain
from services.core.pricing import PriceBook
from services.enforcer.recent import PAGES, Recent, weight
from tests.core.chains import NO_CAPS, NOW_MS, ask, budget, link

AMPLE = 1 << 40


@cache
def prices() -> PriceBook:
    return PriceBook.bundled()


def made(number: int, *, budgets: int = 2, **asked: object) -> Decision:
    of = ask(project=f"project-{number}", max_output_tokens=1000, **asked)
    chain = [link(budget(10**9 + n, name=f"b{n}"), settled=number + n, held=number) for n in range(budgets)]
    ruling = decide(of, estimate(of, NO_CAPS, prices(), NOW_MS), chain, NO_CAPS, NOW_MS)
    known = Known(1, LedgerPosition(partition=0, offset=number), prices())
    return explain(ruling, f"dec-enforcer-1f0c9a2b-mie8k3x9-{number}", known)


def test_a_decision_is_found_as_it_was_answered_whatever_the_transport() -> None:
    recent = Recent(10, AMPLE)
    as_bytes, as_struct, as_msgpack = made(1), made(2), made(4, tags={"feature": "autocomplete"})
    encoded = msgspec.json.encode(as_bytes)
    recent.keep(as_bytes, encoded)
    recent.keep(as_struct)
    recent.keep(as_msgpack, msgspec.msgpack.encode(as_msgpack))
    found = recent.find(as_bytes.decision)
    assert found is not None
    assert found[0] == "acme"
    assert found[1] is encoded, "keeping what was answered copies nothing"
    for kept in (as_struct, as_msgpack):
        assert recent.find(kept.decision) == ("acme", msgspec.json.encode(kept))
    assert recent.find("dec-enforcer-1f0c9a2b-mie8k3x9-3") is None


@pytest.mark.parametrize("most", [1, PAGES - 1, 10 * PAGES])
def test_the_last_ones_are_kept_and_the_oldest_forgotten_first(most: int) -> None:
    recent, page = Recent(most, AMPLE), max(1, most // PAGES)
    decision = made(0)
    for number in range(3 * most + 1):
        recent.keep(msgspec.structs.replace(decision, decision=f"dec-{number}"), b"{}")
        assert len(recent) <= most + page
    kept = [number for number in range(3 * most + 1) if recent._kept(f"dec-{number}") is not None]
    assert kept == list(range(3 * most + 1 - len(kept), 3 * most + 1))
    assert most - page <= len(kept) == len(recent)


def test_none_are_kept_where_none_are_wanted() -> None:
    recent = Recent(0, AMPLE)
    recent.keep(made(1))
    assert (len(recent), recent.find(made(1).decision)) == (0, None)


def test_large_decisions_are_fewer() -> None:
    recent = Recent(1_000_000, 64 << 10)
    answered = b"{" + b" " * 1000 + b"}"
    for number in range(1000):
        recent.keep(msgspec.structs.replace(made(0), decision=f"dec-{number}"), answered)
    assert 32 <= len(recent) <= (64 << 10) // weight(answered) + 1
    recent.keep(made(1), b" " * (64 << 10))
    assert len(recent) == 0, "what is larger than everything together may be is not kept"


@pytest.mark.parametrize("budgets", [0, 2, 12])
@pytest.mark.parametrize("tags", [{}, {"feature": "autocomplete"}, {f"tag-{n}": "ä" * 100 for n in range(20)}])
def test_what_a_decision_is_said_to_take_is_about_what_it_takes(budgets: int, tags: dict[str, str]) -> None:
    count = 200
    made(0, budgets=budgets)
    recent = Recent(count * PAGES, AMPLE)
    tracemalloc.start()
    try:
        for number in range(count):
            recent.keep(made(number, budgets=budgets, tags={key: f"{value}{number}" for key, value in tags.items()}))
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    said = count * weight(made(0, budgets=budgets, tags=tags))
    assert taken <= said <= 4 * taken
