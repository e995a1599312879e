"""Whatever the ledger holds, the fold goes on: it counts, or it keeps the event with a reason."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.core.events import Dimensions, Usage
from services.core.money import parse_usd
from services.core.record import Record
from tests.core.ledger import NOON_MS, Json, budget, costing, event, expiry, policy, run, settled, usage

MONTH = "org:acme@month:2026-11"
CORRECTION: Json = {
    "organization": "acme",
    "gen_ai.request.model": "gpt-4o",
    "charge": "0-0-0",
    "charged_at": "2026-11-24T11:00:00Z",
    "previous_cost_usd": "1",
    "cost_usd": "2",
    "reason": "invoice",
}
BOOST: Json = {
    "organization": "acme",
    "budget": "b",
    "amount_usd": "1",
    "until": "2026-11-25T00:00:00Z",
    "by": "cfo",
}
GOOD: tuple[Json, ...] = (
    usage(project="p", team="t", user="u", tags={"feature": "x"}, reservation="rsv-e-1-1", status="ok"),
    expiry("rsv-e-1-2", "0.5", project="p"),
    policy(budget("b", "5"), budget("tagged", "5", "day", scope={"tag.feature": "*"})),
    event("usage.corrected", CORRECTION, event_id="c"),
    event("boost.granted", BOOST, event_id="b"),
)
# What a JSON parser lets through and a calendar, a price book or a scope may not like.
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from(
        [
            "\ud800", "a\x00b", "a/b:c@d", "%", "", "x" * 300, "1e999", "-0", "NaN", "0001-01-01T00:00:00Z",
            "1960-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "2026-11-24T12:00:00+23:59", "rsv-x-zzzzzzzzzzzz-1",
            "rsv-x--5-1", "rsv-e-1-1",
        ]
    ),
    st.dictionaries(st.text(max_size=4), st.text(max_size=4), max_size=3),
    st.lists(st.integers(), max_size=2),
)  # fmt: skip


@st.composite
def spoiled(draw: st.DrawFn) -> Json:
    """A good event with some of its fields replaced, removed or added."""
    each = json.loads(json.dumps(draw(st.sampled_from(GOOD))))
    for _ in range(draw(st.integers(1, 3))):
        target: Any = draw(st.sampled_from([each, each["data"]])) if isinstance(each.get("data"), dict) else each
        field = draw(st.sampled_from([*target, "extra"]) if target else st.just("extra"))
        if draw(st.booleans()):
            target.pop(field, None)
        else:
            target[field] = draw(VALUES)
    return dict(each)


@given(st.lists(spoiled(), min_size=1, max_size=6))
@settings(max_examples=1500)
def test_no_event_stops_the_fold_or_spoils_its_neighbours(events: list[Json]) -> None:
    before, after = policy(budget("b", "9"), organization="other"), costing("1", "good", organization="o")
    state, effects = run([Record(0, 0, NOON_MS, json.dumps([before, *events, after]).encode())])
    assert settled(state)["org:o@month:2026-11"] == parse_usd("1")
    counts = effects.counts
    assert counts.total() - counts["unpriced"] == len(events) + 2
    assert counts["rejected"] == len(effects.rejections)
    assert all(rejection.detail for rejection in effects.rejections)


@given(st.binary(max_size=300))
@settings(max_examples=300)
def test_no_bytes_stop_the_fold(value: bytes) -> None:
    _, effects = run([Record(0, 0, NOON_MS, value)])
    assert effects.position is not None


@pytest.mark.parametrize("charged_at", ["1960-01-01T00:00:00Z", "0001-01-01T00:00:00Z"])
def test_a_correction_of_a_time_before_all_windows_is_refused(charged_at: str) -> None:
    change = event("usage.corrected", CORRECTION | {"charged_at": charged_at}, event_id="c")
    _, effects = run([Record(0, 0, NOON_MS, json.dumps([change]).encode())])
    assert [(each.reason, each.field) for each in effects.rejections] == [("invalid_time", "data.charged_at")]


def test_wire_structs_keep_dimensions_first() -> None:
    assert Usage.__struct_fields__[: len(Dimensions.__struct_fields__)] == Dimensions.__struct_fields__
