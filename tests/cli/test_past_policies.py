"""The policies that were ever in force, read from the records that may change one."""

from __future__ import annotations

from services.cli.past_policies import PastPolicies
from tests.core.ledger import NOON_MS, budget, costing, event, policy, proposed, record, reviewed

REVIEW = {"review": "required", "boosts_above_usd": "5"}
UNTIL = "2026-12-01T00:00:00Z"


def test_a_policy_that_came_into_force_by_an_approval_is_among_them() -> None:
    past = PastPolicies(0)
    records = [
        record(0, policy(budget("all", "10"))),
        record(1, costing("1")),
        record(2, proposed(budget("all", "20"), version=2, governance=REVIEW)),
        record(3, costing("1", "e2")),
        record(4, reviewed(by="bob")),
    ]
    found = [entry for each in records for entry in past.take(each)]
    assert [(entry.version, entry.offset) for entry in found] == [(1, 0), (2, 4)]


def test_a_boost_that_came_into_force_by_an_approval_is_among_them() -> None:
    past = PastPolicies(0)
    wanted = {"organization": "acme", "budget": "all", "amount_usd": "9", "until": UNTIL, "by": "ada"}
    asked = event("boost.requested", wanted | {"key_id": "k-ada", "proposal": "prop-2"}, event_id="b1")
    records = [
        record(0, policy(budget("all", "10"))),
        record(1, asked, at_ms=NOON_MS + 1),
        record(2, reviewed("prop-2")),
    ]
    found = [entry for each in records for entry in past.take(each)]
    assert [(entry.offset, [boost.amount_usd for boost in entry.boosts]) for entry in found] == [(0, []), (2, ["9"])]
