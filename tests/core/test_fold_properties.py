"""The fold under Hypothesis: sums equal a simpler model's, however events are batched, repeated, cut and restored."""

from __future__ import annotations

from collections import defaultdict

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from services.core.fold import fold
from services.core.money import format_usd, parse_usd
from services.core.reservation import ReservationId
from services.core.state import LedgerState
from tests.core.ledger import (
    NOON_MS,
    Changelog,
    Json,
    budget,
    costing,
    expiry,
    in_records,
    new_state,
    policy,
    run,
    settled,
    usage,
)

NAMES = st.sampled_from([None, "a", "b"])
COSTS = st.integers(0, 5_000_000_000).map(format_usd)
POLICIES = st.integers(1, 4).map(
    lambda version: policy(
        budget("month", f"{version * 5}"),
        budget("user", "3", "day", scope={"user": "*"}),
        budget("quarter", "50", "quarter"),
        budget("model", "9", "hour", scope={"model": "gpt-4o"}),
        version=version,
    )
)


@st.composite
def requests(draw: st.DrawFn) -> Json:
    """A usage event: some share ids, so that duplicates are common; some are reserved or unpriced."""
    drawn = {name: draw(NAMES) for name in ("project", "team", "user")}
    who: Json = {name: value for name, value in drawn.items() if value is not None}
    event_id = str(draw(st.integers(0, 40)))
    at_ms = NOON_MS - draw(st.sampled_from([0, 1, 3_600_000, 40 * 3_600_000, 60 * 3_600_000]))
    if draw(st.booleans()):
        return costing(draw(COSTS), event_id, at_ms=at_ms, **who)
    if draw(st.booleans()):
        return usage(event_id, model=draw(st.sampled_from(["gpt-4o", "nobody-knows"])), at_ms=at_ms, **who)
    reservation = str(ReservationId("enf", NOON_MS - draw(st.sampled_from([0, 3_600_000])), draw(st.integers(0, 5))))
    if draw(st.booleans()):
        return expiry(reservation, draw(COSTS), **who)
    return costing(draw(COSTS), f"s{event_id}", reservation=reservation, **who)


EVENTS = st.lists(requests() | POLICIES, max_size=40)
SIZES = st.lists(st.integers(1, 9), min_size=1, max_size=10)


def snapshot(state: LedgerState) -> dict[str, bytes]:
    """Every balance as its changelog holds it, but for the record that changed it last."""
    return {
        key: msgspec.json.encode(msgspec.structs.replace(balance, offset=0))
        for key, balance in sorted(state.tables.items())
    }


@given(EVENTS, SIZES, SIZES)
@settings(max_examples=150)
def test_balances_do_not_depend_on_how_events_are_batched(
    events: list[Json], some: list[int], other: list[int]
) -> None:
    one, first = run(in_records(events, some))
    two, second = run(in_records(events, other))
    assert snapshot(one) == snapshot(two)
    assert [(charge.cost_nanousd, charge.event_id) for charge in first.charges] == [
        (charge.cost_nanousd, charge.event_id) for charge in second.charges
    ]
    assert [alert.alert for alert in first.alerts] == [alert.alert for alert in second.alerts]


@given(EVENTS, SIZES, st.data())
@settings(max_examples=150)
def test_a_process_that_restarts_anywhere_ends_in_the_same_bytes(
    events: list[Json], sizes: list[int], data: st.DataObject
) -> None:
    records = in_records(events, sizes)
    steady, restarted = Changelog(), Changelog()
    state, reborn = new_state(), new_state()
    for record in records:
        steady.write(fold(state, record))
        if data.draw(st.booleans()):
            reborn = restarted.restore()
        restarted.write(fold(reborn, record))
        if data.draw(st.booleans()):
            assert fold(reborn, record).position is None, "delivered again, a record changes nothing"
    assert (restarted.balances, restarted.policies) == (steady.balances, steady.policies)
    assert (restarted.seen, restarted.position) == (steady.seen, steady.position)


@given(EVENTS, SIZES)
@settings(max_examples=150)
def test_the_changelog_holds_what_the_state_holds(events: list[Json], sizes: list[int]) -> None:
    log = Changelog()
    state = new_state()
    for record in in_records(events, sizes):
        log.write(fold(state, record))
    assert snapshot(log.restore()) == snapshot(state)


@given(EVENTS, SIZES)
@settings(max_examples=150)
def test_every_level_of_every_window_adds_up_to_the_charges(events: list[Json], sizes: list[int]) -> None:
    state, effects = run(in_records(events, sizes))
    by_scope: defaultdict[str, int] = defaultdict(int)
    for charge in effects.charges:
        cost = charge.cost_nanousd or 0
        by_scope["org:acme"] += cost
        if charge.project is not None:
            by_scope[f"org:acme/project:{charge.project}"] += cost
            if charge.team is not None:
                by_scope[f"org:acme/project:{charge.project}/team:{charge.team}"] += cost
        if charge.user is not None:
            by_scope[f"org:acme/user:{charge.user}"] += cost
    for window in ("hour", "day", "month"):
        sums: defaultdict[str, int] = defaultdict(int)
        for key, amount in settled(state).items():
            scope, _, label = key.partition("@")
            if label.startswith(f"{window}:") and "/model:" not in scope:
                sums[scope] += amount
        assert sums == by_scope


@given(EVENTS, SIZES)
@settings(max_examples=150)
def test_sums_equal_a_model_that_counts_each_event_name_and_reservation_once(
    events: list[Json], sizes: list[int]
) -> None:
    state, effects = run(in_records(events, sizes))
    assert sum(settled(state)[key] for key in settled(state) if key.startswith("org:acme@day:")) == simple_sum(events)
    assert [charge.sequence for charge in effects.charges] == list(range(1, len(effects.charges) + 1))
    counts = effects.counts
    assert counts["counted"] + counts["duplicate"] + counts["rejected"] + counts["policy"] == len(events)


def simple_sum(events: list[Json]) -> int:
    """The organization's spend by a second, slower reading of the rules."""
    seen: set[tuple[str, str]] = set()
    final: dict[str, int] = {}
    estimates: dict[str, int] = {}
    total = 0
    for event in events:
        data, name = event["data"], (event["source"], event["id"])
        too_old = event["time"] < "2026-11-22T12:00:00.000Z"
        if "gen_ai.request.model" not in data or too_old or name in seen:
            continue
        reservation = data.get("reservation")
        if "estimate_usd" in data:
            if reservation not in final and reservation not in estimates:
                estimates[reservation] = parse_usd(data["estimate_usd"])
                seen.add(name)
            continue
        if reservation is not None:
            if reservation not in final:
                final[reservation] = parse_usd(data["cost_usd"])
                seen.add(name)
            continue
        seen.add(name)
        if "cost_usd" in data:
            total += parse_usd(data["cost_usd"])
        elif data["gen_ai.request.model"] == "gpt-4o":
            total += 1000 * 2_500 + 100 * 10_000
    return total + sum(final.values()) + sum(cost for key, cost in estimates.items() if key not in final)
