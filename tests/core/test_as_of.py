"""The past as of an offset or an instant is the fold's own prefix, whatever the ledger holds and its broker's clock."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.core.as_of import Instant, Mark, Past, Place, parse_mark
from services.core.fold import fold
from services.core.period import PeriodError
from services.core.record import Record
from services.core.state import LedgerState
from tests.core.ledger import NOON_MS, Json, budget, costing, in_records, new_state, policy, record, usage
from tests.core.test_fold_properties import EVENTS, SIZES

NEW_YORK = ZoneInfo("America/New_York")
STEPS = st.lists(st.integers(-2_000, 5_000), min_size=40, max_size=40)
"""How much later each record was appended than the one before: a broker's clock may be set back."""


def image(state: LedgerState) -> tuple[object, ...]:
    """All that a state holds, in bytes."""
    balances = {key: msgspec.json.encode(balance) for key, balance in state.tables.items()}
    entry = state.organization("acme").entry
    return balances, msgspec.json.encode(entry), msgspec.json.encode(state.position)


def past(records: list[Record], mark: Mark, *, batch: int = 3) -> Past:
    """The past, from records that come in batches."""
    found = Past(new_state(), mark)
    for start in range(0, len(records), batch):
        found.take(records[start : start + batch])
    return found


def appended(events: list[Json], sizes: list[int], steps: list[int]) -> list[Record]:
    """Events in records that were appended one after the other."""
    records, at_ms = [], NOON_MS
    for found, step in zip(in_records(events, sizes), steps, strict=False):
        at_ms += step
        records.append(Record(found.partition, found.offset, at_ms, found.value))
    return records


@given(EVENTS, SIZES, STEPS)
@settings(max_examples=60)
def test_as_of_every_offset_all_is_as_it_was_when_the_record_had_been_applied(
    events: list[Json], sizes: list[int], steps: list[int]
) -> None:
    records, state = appended(events, sizes, steps), new_state()
    for each in records:
        fold(state, each)
        found = past(records, Place(0, each.offset))
        assert image(found.state) == image(state)
        assert (found.complete, found.now_ms, found.records) == (True, state.position.clock_ms, each.offset + 1)


@given(EVENTS, SIZES, STEPS, st.integers(-2_000, 60_000))
@settings(max_examples=100)
def test_as_of_every_instant_exactly_what_the_ledgers_clock_had_reached_is_applied(
    events: list[Json], sizes: list[int], steps: list[int], after_ms: int
) -> None:
    records, state, at_ms = appended(events, sizes, steps), new_state(), NOON_MS + after_ms
    expected = image(state)
    for each in records:
        fold(state, each)
        if state.position.clock_ms <= at_ms:
            expected = image(state)
    found = past(records, Instant(at_ms))
    assert (image(found.state), found.now_ms) == (expected, at_ms)


def test_what_was_read_is_told() -> None:
    first, second = record(0, policy(budget("month", "5"))), record(1, usage("a"), usage("b"), usage("b"))
    found = past([first, second, record(2, costing("1", "c"))], Place(0, 1))
    assert (found.records, found.events, found.size_bytes) == (2, 4, len(first.value) + len(second.value))


def test_a_past_is_incomplete_until_what_came_after_is_seen() -> None:
    found = Past(new_state(), Instant(NOON_MS))
    found.take([record(0, usage("a"))])
    assert not found.complete
    found.take([record(1, usage("b"), at_ms=NOON_MS + 1)])
    assert (found.complete, found.state.position.offset) == (True, 0)
    found.take([record(2, usage("c"))])
    assert found.state.position.offset == 0


def test_a_place_in_another_partition_is_refused() -> None:
    with pytest.raises(ValueError, match="partition 0"):
        Past(new_state(), Place(1, 5))


@pytest.mark.parametrize(
    ("text", "mark"),
    [
        ("2:17", Place(2, 17)),
        ("2026-11-24T12:00Z", Instant(NOON_MS)),
        ("2026-11-24T07:00", Instant(NOON_MS)),
        ("2026-11-24T12:00:00.250+00:00", Instant(NOON_MS + 250)),
        ("2026-11-24", Instant(NOON_MS - 7 * 3_600_000)),
    ],
)
def test_a_mark_is_an_instant_or_a_place_in_the_ledger(text: str, mark: Mark) -> None:
    assert parse_mark(text, NEW_YORK) == mark


@pytest.mark.parametrize("text", ["", "17", "2:", ":17", "-1:5", "2:17:3", "yesterday", "2026-13-01"])
def test_what_is_no_mark_is_refused_with_what_to_write(text: str) -> None:
    with pytest.raises(PeriodError, match="PARTITION:OFFSET"):
        parse_mark(text, NEW_YORK)
