"""A model that nobody knows the price of is told of: once a day, whatever is replayed, and of not too many."""

from __future__ import annotations

from typing import Any

import msgspec

from services.core.alerting import UNPRICED_MAX
from services.core.events import from_ms
from services.core.fold import fold
from services.core.outcomes import Alert
from tests.core.ledger import NOON_MS, new_state, record

DAY_MS = 86_400_000


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


def test_a_replay_tells_the_same_byte_for_byte_and_a_restored_state_nothing_more() -> None:
    records = [(NOON_MS, [usage("1", "a"), usage("2", "b")]), (NOON_MS, [usage("3", "a")])]
    assert msgspec.json.encode(told(*records)) == msgspec.json.encode(told(*records))
    assert len(told(*records)) == 2


def test_of_many_strange_names_only_so_many_are_told_of() -> None:
    found = told((NOON_MS, [usage(f"{number}", f"model-{number}") for number in range(UNPRICED_MAX + 20)]))
    assert len(found) == UNPRICED_MAX
