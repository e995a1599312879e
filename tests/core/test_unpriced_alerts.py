"""A model that nobody knows the price of is told of: once a day, whatever is replayed, and of not too many."""

from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from services.core.alerting import UNPRICED_MAX
from services.core.events import from_ms
from services.core.fold import fold
from services.core.outcomes import Alert
from services.core.window import WindowKind, window_at
from tests.core.ledger import NOON_MS, Changelog, in_records, new_state, policy, record

DAY_MS = 86_400_000
HOUR_MS = 3_600_000
NEW_YORK = ZoneInfo("America/New_York")


def usage(name: str, model: str, at_ms: int = NOON_MS, **more: Any) -> dict[str, Any]:
    """A request for a model."""
    data = {
        "organization": "acme",
        "gen_ai.request.model": model,
        "gen_ai.usage.input_tokens": 5,
        "gen_ai.usage.output_tokens": 5,
        **more,
    }
    kind = "spendgate.usage.recorded.v1"
    return {
        "specversion": "1.0",
        "id": name,
        "source": "t",
        "type": kind,
        "time": from_ms(at_ms).isoformat(),
        "data": data,
    }


def told(*records: tuple[int, list[dict[str, Any]]]) -> list[Alert]:
    """What a ledger of these records leads to."""
    state, found = new_state(), []
    for offset, (at_ms, events) in enumerate(records):
        found += fold(state, record(offset, *events, at_ms=at_ms)).alerts
    return found


def test_a_model_without_a_price_is_told_of_once_a_day() -> None:
    tomorrow = NOON_MS + DAY_MS
    found = told(
        (NOON_MS, [usage("1", "our-model"), usage("2", "our-model")]),
        (NOON_MS, [usage("3", "our-model"), usage("4", "gpt-4o"), usage("5", "their-model", cost_usd="1")]),
        (tomorrow, [usage("6", "our-model", tomorrow)]),
    )
    assert [(each.kind, each.scope, each.window) for each in found] == [
        ("unpriced", "org:acme/model:our-model", f"day:{from_ms(at_ms):%Y-%m-%d}") for at_ms in (NOON_MS, tomorrow)
    ]
    assert len({each.alert for each in found}) == 2


REQUESTS = st.tuples(
    st.integers(0, 25).map(str), st.sampled_from(["ours", "theirs", "gpt-4o"]), st.integers(0, 40).map(HOUR_MS.__mul__)
)
"""Few names, so that duplicates are common, of the 40 hours before noon: two or three days of New York's."""


@given(st.lists(REQUESTS, max_size=40), st.lists(st.integers(1, 5), min_size=1), st.data())
@settings(max_examples=150)
def test_restarts_and_replays_tell_the_same_byte_for_byte_once_a_model_and_local_day(
    requests: list[tuple[str, str, int]], sizes: list[int], data: st.DataObject
) -> None:
    events = [usage(name, model, NOON_MS - ago_ms) for name, model, ago_ms in requests]
    records = in_records([policy(timezone=NEW_YORK.key), *events], sizes)
    steady, reborn, log = new_state(), new_state(), Changelog()
    straight, restarted = [], []
    for each in records:
        straight += fold(steady, each).alerts
        if data.draw(st.booleans()):
            reborn = log.restore()
        effects = fold(reborn, each)
        log.write(effects)
        restarted += effects.alerts
    assert msgspec.json.encode(restarted) == msgspec.json.encode(straight)
    assert [(alert.scope.rpartition(":")[2], alert.window) for alert in straight] == simply(requests)
    assert len({alert.alert for alert in straight}) == len(straight)


def simply(requests: list[tuple[str, str, int]]) -> list[tuple[str, str]]:
    """The models and days of which to tell, in order, by a second reading of the rules."""
    named: dict[str, tuple[str, int]] = {}
    for name, model, ago_ms in requests:
        named.setdefault(name, (model, NOON_MS - ago_ms))
    days = ((model, window_at(WindowKind.DAY, at_ms, NEW_YORK).label) for model, at_ms in named.values())
    return list(dict.fromkeys((model, day) for model, day in days if model != "gpt-4o"))


def test_of_many_strange_names_only_so_many_are_told_of() -> None:
    found = told((NOON_MS, [usage(f"{number}", f"model-{number}") for number in range(UNPRICED_MAX + 20)]))
    assert len(found) == UNPRICED_MAX
