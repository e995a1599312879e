"""What the pure core produces keeps the contract: charges, alerts and rejections of the fold, and decisions."""

from __future__ import annotations

from collections import Counter
from typing import Any

import msgspec
from hypothesis import given

from schemas.catalog import CATALOG
from schemas.topics import TopicName
from schemas.validate import ValidEvent, validate_event
from services.aggregator.changelog import encode
from services.core.decide import decide
from services.core.decision import DecisionMade, LedgerPosition
from services.core.estimate import Estimate
from services.core.events import from_ms
from services.core.explain import Known, explain
from services.core.policy import RequestCaps
from services.core.pricing import PriceBook
from services.core.standing import Link
from tests.core.chains import CAPS, CHAINS, ESTIMATES, NOW_MS, ask
from tests.core.ledger import NOON_MS, budget, costing, event, expiry, policy, record, run, usage

LONG = "名" * 256
HOUR_MS = 3_600_000
PUBLISHED: tuple[TopicName, ...] = ("charges", "alerts", "rejected")
KNOWN = Known(7, LedgerPosition(partition=2, offset=-1), PriceBook.bundled())


def published(*events: dict[str, Any]) -> list[Any]:
    """The events that follow from one ledger record."""
    _, effects = run([record(0, *events)])
    topics = encode(effects)
    values = [value for name in PUBLISHED for _, value in topics.get(name, []) if value is not None]
    return [each for value in values for each in msgspec.json.decode(value)]


def assert_valid(events: list[Any]) -> None:
    for each in events:
        verdict = validate_event(each, types=CATALOG)
        assert isinstance(verdict, ValidEvent), verdict


def test_the_aggregator_keeps_the_contract() -> None:
    events = published(
        policy(budget("company", "0.01"), budget("each-user", "0.01", "total", scope={"user": "*"})),
        usage("u1", user="alice", tags={"feature": "chat"}, reservation="r0", request_id="q", status="error"),
        costing("0.05", "u2", user="alice", project="search", team="ranking"),
        usage("unknown-model", model="nobody-knows"),
        usage("no-counts", input_tokens=None, output_tokens=None),
        expiry("r1", "0.25"),
        usage("r1-late", reservation="r1"),
        usage("too-late", at_ms=NOON_MS - 100 * HOUR_MS),
        event("usage.recorded", {"organization": "acme"}, event_id="malformed"),
        policy(budget("company", "5"), version=1),
    )
    kinds = Counter(each["type"] for each in events)
    assert kinds["spendgate.charge.posted.v1"] >= 5
    assert kinds["spendgate.alert.raised.v1"] >= 4
    assert kinds["spendgate.usage.rejected.v1"] >= 2
    assert_valid(events)


def test_the_longest_names_keep_the_contract() -> None:
    who = dict.fromkeys(("project", "team", "user"), LONG)
    events = published(
        policy(budget("b" * 64, "0.01", scope=who)),
        costing("9", LONG, source=LONG, **who, tags={LONG[:250]: "v"}),
    )
    assert Counter(each["type"] for each in events)["spendgate.alert.raised.v1"] == 4
    assert_valid(events)


@given(CHAINS, ESTIMATES, CAPS)
def test_every_decision_keeps_the_contract(chain: list[Link], estimate: Estimate, caps: RequestCaps) -> None:
    decision = explain(decide(ask(), estimate, chain, caps, NOW_MS), "dec-1", KNOWN)
    made = DecisionMade(id="dec-1", source="spendgate/enforcer/e1", time=from_ms(NOW_MS), data=decision)
    assert_valid([msgspec.json.decode(msgspec.json.encode(made))])
