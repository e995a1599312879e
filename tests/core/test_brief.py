"""Brief answers: the full ones but for lines of the chain, and only where there is nothing else to say."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from services.core.ask import Ask
from services.core.decide import Action, Reason, decide
from services.core.decision import Decision, LedgerPosition
from services.core.estimate import estimate
from services.core.explain import Known, explain, is_plain
from services.core.policy import CompiledPolicy, RequestCaps
from services.core.rederive import rederive
from services.core.schedule import ScheduleRule
from services.core.standing import Link
from tests.core.chains import CAPS, CHAINS, MOMENTS, NO_CAPS, NOW_MS, UTC, ask, budget, link
from tests.core.ledger import PRICES, Json
from tests.core.loop import Loop, asking
from tests.core.test_rederive import renamed

USD = 1_000_000_000
KNOWN = Known(7, LedgerPosition(partition=2, offset=41), PRICES, 12)
ASKS = st.builds(
    ask,
    model=st.sampled_from(["gpt-4o", "nobody-knows-1"]),
    input_tokens=st.integers(0, 100_000),
    max_output_tokens=st.none() | st.integers(0, 100_000),
)
SCHEDULES = st.sampled_from([(), (ScheduleRule("mon-fri", 5000),)])


LITTLE = st.integers(0, 10 * USD)
ROOMY = st.builds(
    link,
    st.builds(budget, st.integers(100 * USD, 10**6 * USD), on_hard=st.sampled_from(["deny", "monitor"])),
    settled=LITTLE,
    pending=LITTLE,
    held=LITTLE,
)
"""Even at half of their limits these have room for any of the asks."""


@given(st.lists(ROOMY, min_size=1, max_size=5), ASKS, SCHEDULES)
def test_brief_is_full_without_the_lines_that_do_not_bind(chain: list[Link], asked: Ask, schedule: Any) -> None:
    links = renamed(chain, schedule=schedule)
    ruling = decide(asked, estimate(asked, NO_CAPS, PRICES, NOW_MS), links, NO_CAPS, NOW_MS)
    assert is_plain(ruling) is (asked.model == "gpt-4o")
    assume(is_plain(ruling))
    brief, full = explain(ruling, "dec-1", KNOWN, brief=True), explain(ruling, "dec-1", KNOWN)
    assert brief.budgets == [line for line in full.budgets if line.binding]
    assert len(brief.budgets) == 1
    assert msgspec.structs.replace(brief, budgets=full.budgets, detail="full") == full
    assert [full.message, full.warnings, full.remedies, full.tried, full.requested_model] == ["", [], [], [], None]
    policy = CompiledPolicy(organization="acme", version=7, zone=UTC, budgets=tuple(one.budget for one in links))
    recorded = msgspec.json.decode(msgspec.json.encode(brief), type=Decision)
    assert rederive(recorded, policy, PRICES) == recorded == brief


@given(CHAINS, ASKS, CAPS, MOMENTS)
def test_plain_is_what_has_nothing_to_say(
    chain: list[Link], asked: Ask, caps: RequestCaps, moment: dict[str, Any]
) -> None:
    ruling = decide(asked, estimate(asked, caps, PRICES, NOW_MS), chain, caps, NOW_MS, **moment)
    assume(not ruling.lacking)
    full = explain(ruling, "dec-1", KNOWN)
    silent = not full.warnings and full.estimate_usd is not None and {line.tier for line in full.budgets} == {"normal"}
    assert is_plain(ruling) is (full.action is Action.ALLOW and full.reason is Reason.WITHIN_BUDGET and silent)


BUDGETS: list[Json] = [
    {"name": "company", "limit_usd": "10", "window": "day"},
    {"name": "user", "scope": {"user": "*"}, "limit_usd": "5", "window": "day"},
]


def test_an_enforcer_answers_as_briefly_as_it_is_asked_and_reserves_the_same() -> None:
    loop = Loop(*BUDGETS)
    (engine,) = loop.engines
    full = loop.decide(engine, asking(0.01, user="alice"))
    brief = loop.decide(engine, asking(0.01, user="alice", detail="brief"))
    assert (full.detail, brief.detail) == ("full", "brief")
    assert [line.budget for line in full.budgets] == ["company", "user"]
    assert [line.budget for line in brief.budgets] == ["user"]
    assert brief.reservation is not None
    assert loop.standing(engine, "org:acme@day:2026-11-24").held_nanousd == 2 * USD // 100


@pytest.mark.parametrize("usd", [4.5, 6])
def test_whatever_is_not_plain_is_told_in_full(usd: float) -> None:
    loop = Loop(*BUDGETS)
    decision = loop.decide(loop.engines[0], asking(usd, user="alice", detail="brief"))
    assert (decision.detail, len(decision.budgets)) == ("full", 2)
    assert decision.warnings


def test_what_is_sampled_is_told_in_full() -> None:
    loop, names = Loop(*BUDGETS), list[str]()

    def sampled(name: str) -> bool:
        names.append(name)
        return True

    loop.engines = [loop.enforcer("sampling", sampled=sampled)]
    loop.policy(*BUDGETS)
    loop.beat(loop.engines[0])
    decision = loop.decide(loop.engines[0], asking(0.01, user="alice", detail="brief"))
    assert (decision.detail, len(decision.budgets), names) == ("full", 2, [decision.decision])


def test_a_budget_on_schedule_is_brief_too() -> None:
    scheduled = renamed([link(budget(100 * USD)), link(budget(50 * USD))], schedule=(ScheduleRule("mon-fri", 5000),))
    ruling = decide(ask(), estimate(ask(), NO_CAPS, PRICES, NOW_MS), scheduled, NO_CAPS, NOW_MS)
    assert ruling.judged is not None
    assert [line.budget for line in explain(ruling, "dec-1", KNOWN, brief=True).budgets] == ["b1"]
