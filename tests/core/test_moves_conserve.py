"""Moves of money under Hypothesis: the budgets of a policy have together what they would have without any move."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.policy import Policy
from services.core.balance import HOUR_MS
from services.core.effects import PolicyEntry
from services.core.escrow import outstanding
from services.core.events import iso, to_ms
from services.core.fold import fold
from services.core.money import format_usd
from services.core.policy import CompiledPolicy
from services.core.state import LedgerState
from services.core.state import compiled_of as compile_entry
from services.core.window import window_at
from tests.core.ledger import Json, budget, costing, event, new_state, policy, record
from tests.core.moves import move

CHANGES_MS = to_ms(datetime(2026, 11, 1, 6, tzinfo=UTC))
"""New York's clocks go back at this hour; Lord Howe's had gone forward, by half an hour, four weeks before."""
ZONES = ("UTC", "America/New_York", "Australia/Lord_Howe")
NAMES = ("pool", "search", "chat", "batch")
WHENS = ("sat,sun", "22:00-06:00", "01:00-02:00", "2026-11-01..2026-11-02")
MILLI_USD = 1_000_000
TIMES = st.integers(-30 * HOUR_MS, 30 * HOUR_MS).map(lambda ms: CHANGES_MS + ms)


@st.composite
def policies(draw: st.DrawFn, version: int = 1, zone: str | None = None) -> Json:
    """Four budgets beside one another, all by the day or all by the hour; some follow a schedule."""
    window = draw(st.sampled_from(["day", "hour"])) if zone is None else "day"
    budgets = []
    for name in NAMES:
        rules = [
            {"when": draw(st.sampled_from(WHENS)), "factor": draw(st.sampled_from(["0", "0.5", "2"]))}
            for _ in range(draw(st.integers(0, 1)))
        ]
        limit = format_usd(draw(st.integers(1, 20)) * 1_000 * MILLI_USD)
        hard = draw(st.sampled_from(["0.5", "0.9999", "1"]))
        tiers = {"soft": "0.3", "throttle": "0.4", "hard": hard}
        budgets.append(budget(name, limit, window, scope={"project": name}, schedule=rules, tiers=tiers))
    return policy(*budgets, version=version, timezone=zone or draw(st.sampled_from(ZONES)))


@st.composite
def happenings(draw: st.DrawFn) -> list[tuple[int, Json]]:
    """What befalls these budgets, in the order of the ledger's clock: moves, boosts, spending, claims."""
    found = []
    for number, at_ms in enumerate(sorted(draw(st.lists(TIMES, min_size=1, max_size=25)))):
        source, target = draw(st.permutations(NAMES))[:2]
        amount = format_usd(draw(st.integers(1, 8_000)) * MILLI_USD)
        match draw(st.sampled_from(["move", "move", "move", "boost", "usage", "claim"])):
            case "move":
                found.append((at_ms, move(amount, source, target, name=f"m{number}", at_ms=at_ms)))
            case "boost":
                until = iso(at_ms + draw(st.integers(1, 40)) * HOUR_MS)
                data = {"organization": "acme", "budget": source, "amount_usd": amount, "until": until, "by": "ada"}
                found.append((at_ms, event("boost.granted", data, event_id=f"b{number}", at_ms=at_ms)))
            case "usage":
                found.append((at_ms, costing(amount, f"u{number}", project=source, at_ms=at_ms)))
            case _:
                found.append((at_ms, _claim(source, number, draw(st.integers(1, 9_000)) * MILLI_USD, at_ms)))
    return found


def _claim(project: str, number: int, wanted: int, at_ms: int) -> Json:
    return event("claimed", {"project": project, "number": number, "wanted": wanted}, at_ms=at_ms)


def _written(happening: Json, state: LedgerState, at_ms: int) -> list[Json]:
    """A claim names a balance, which only a policy's windows tell; everything else is in the ledger as it is."""
    if happening["type"] != "spendgate.claimed.v1":
        return [happening]
    data = happening["data"]
    compiled = state.organization("acme").routes.policy
    found = next(each for each in compiled.budgets if each.name == data["project"])
    line = {"balance": _key(compiled, found.name, at_ms), "wanted_nanousd": data["wanted"]}
    claim = {"organization": "acme", "enforcer": f"e{data['number'] % 2}", "beat": data["number"] + 2, "claims": [line]}
    beat = {"enforcer": claim["enforcer"], "beat": 1}
    return [event("enforcer.alive", beat, event_id="a"), event("allowance.claimed", claim, event_id="c")]


def _key(compiled: CompiledPolicy, name: str, at_ms: int) -> str:
    window = next(each.window for each in compiled.budgets if each.name == name)
    return f"org:acme/project:{name}@{window_at(window, at_ms, compiled.zone).label}"


def compiled_of(entry: PolicyEntry) -> CompiledPolicy:
    return compile_entry(entry, Policy.model_validate(entry.policy))


@given(policies(), happenings(), st.lists(TIMES, min_size=1, max_size=20))
@settings(max_examples=200)
def test_budgets_have_together_what_they_had_at_every_instant(
    written: Json, happened: list[tuple[int, Json]], times: list[int]
) -> None:
    state = new_state()
    fold(state, record(0, written, at_ms=CHANGES_MS - 48 * HOUR_MS))
    for offset, (at_ms, each) in enumerate(happened, 1):
        fold(state, record(offset, *_written(each, state, at_ms), at_ms=at_ms))
    entry = state.organization("acme").entry
    assert entry is not None
    moved, unmoved = compiled_of(entry), compiled_of(msgspec.structs.replace(entry, moves=()))
    edges = [edge for each in entry.moves for edge in (each.since_ms - 1, each.since_ms, (each.ends_ms or 0) - 1)]
    for at_ms in (*times, *edges, *(each.ends_ms or 0 for each in entry.moves)):
        limits = [each.limit_at(at_ms) for each in moved.budgets]
        assert sum(limits) == sum(each.limit_at(at_ms) for each in unmoved.budgets)
        assert min(limits) >= 0


@given(policies(), happenings())
@settings(max_examples=200)
def test_no_move_leaves_less_than_is_spent_and_held(written: Json, happened: list[tuple[int, Json]]) -> None:
    state = new_state()
    fold(state, record(0, written, at_ms=CHANGES_MS - 48 * HOUR_MS))
    for offset, (at_ms, each) in enumerate(happened, 1):
        before = _over(state, at_ms)
        effects = fold(state, record(offset, *_written(each, state, at_ms), at_ms=at_ms))
        if effects.counts["move"]:
            assert _over(state, at_ms) <= before
            assert not effects.exposed


def _over(state: LedgerState, at_ms: int) -> int:
    """By how much what is settled and granted exceeds the hard limits of now, over all budgets."""
    compiled, over = state.organization("acme").routes.policy, 0
    balances = dict(state.tables.items())
    for each in compiled.budgets:
        balance = balances.get(_key(compiled, each.name, at_ms))
        if balance is not None:
            hard = each.limit_at(at_ms) * each.tiers.hard_bp // 10_000
            over += max(0, balance.settled_nanousd + outstanding(balance.shares.values()) - hard)
    return over


@given(policies(zone="UTC"), happenings(), st.data())
@settings(max_examples=100)
def test_what_one_budget_was_given_another_lacks_through_every_change_of_policy(
    written: Json, happened: list[tuple[int, Json]], data: st.DataObject
) -> None:
    state = new_state()
    fold(state, record(0, written, at_ms=CHANGES_MS - 48 * HOUR_MS))
    for offset, (at_ms, each) in enumerate(happened, 1):
        events = _written(each, state, at_ms)
        if data.draw(st.integers(0, 3)) == 0:
            events.append(data.draw(policies(version=offset + 1, zone="UTC")))
        fold(state, record(offset, *events, at_ms=at_ms))
        budgets = state.organization("acme").routes.policy.budgets
        assert sum(budget.moved_at(at_ms) for budget in budgets) == 0
        assert all(budget.limit_at(at_ms) >= 0 for budget in budgets)
