"""Balances leave the tables by their labels alone, whatever zone the labels were written in."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.core.balance import HORIZON_MS, removed_at_ms
from services.core.events import to_ms
from services.core.window import WindowKind, window_at
from tests.core.ledger import NOON_MS, costing, event, policy, record, run, settled

ZONES = ["UTC", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", "Pacific/Apia", "Pacific/Kiritimati"]
YEARS = st.integers(to_ms(datetime(2024, 1, 1, tzinfo=UTC)), to_ms(datetime(2030, 1, 1, tzinfo=UTC)))


@given(st.sampled_from(WindowKind), YEARS, st.sampled_from(ZONES))
def test_a_balance_stays_for_as_long_as_events_of_its_window_are_accepted(
    kind: WindowKind, at_ms: int, zone: str
) -> None:
    window = window_at(kind, at_ms, ZoneInfo(zone))
    removed_at = removed_at_ms(window.label)
    if window.end_ms is None or kind in (WindowKind.MONTH, WindowKind.QUARTER, WindowKind.YEAR):
        assert removed_at is None
    else:
        assert removed_at is not None
        assert removed_at > window.end_ms + HORIZON_MS


@pytest.mark.parametrize("zone", ZONES)
def test_an_organization_counts_in_the_hours_of_its_own_time_zone(zone: str) -> None:
    state, effects = run([record(0, policy(timezone=zone)), record(1, costing("0.25"))])
    windows = [window_at(kind, NOON_MS, ZoneInfo(zone)) for kind in (WindowKind.HOUR, WindowKind.DAY, WindowKind.MONTH)]
    assert settled(state) == {f"org:acme@{window.label}": 250_000_000 for window in windows}
    assert effects.counts["counted"] == 1


def test_a_correction_of_a_charge_that_no_table_can_hold_changes_nothing() -> None:
    data = {
        "organization": "acme",
        "gen_ai.request.model": "gpt-4o",
        "charge": "0-0-0",
        "charged_at": "2014-12-31T23:59:59Z",
        "previous_cost_usd": "1",
        "cost_usd": "2",
        "reason": "typed wrong",
    }
    state, effects = run([record(0, event("usage.corrected", data))])
    assert [rejection.reason for rejection in effects.rejections] == ["invalid_time"]
    assert not effects.charges
    assert not settled(state)
