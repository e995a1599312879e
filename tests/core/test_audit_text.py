"""What an audit entry says of a policy: exact differences, bounded however many budgets change."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from schemas.policy import Policy
from services.core.audit_text import TEXT_MAX, limit_changes
from services.core.money import format_usd, parse_usd
from tests.core.ledger import budget

LIMITS = st.dictionaries(
    st.sampled_from(["a", "b", "c", "d"]), st.integers(0, 10**12).map(format_usd), min_size=0, max_size=4
)


def policy_of(limits: dict[str, str]) -> Policy:
    return Policy.model_validate(
        {"organization": "acme", "budgets": [budget(name, usd, scope={"team": name}) for name, usd in limits.items()]}
    )


@given(LIMITS, LIMITS)
def test_the_differences_lead_from_one_policy_to_the_other(before: dict[str, str], after: dict[str, str]) -> None:
    found = limit_changes(policy_of(before), policy_of(after))
    amounts = {name: parse_usd(usd) for name, usd in before.items()}
    for name, usd in (*found.added.items(), *found.raised.items()):
        amounts[name] = amounts.get(name, 0) + parse_usd(usd)
    for name, usd in found.lowered.items():
        amounts[name] -= parse_usd(usd)
    for name, usd in found.removed.items():
        assert amounts.pop(name) == parse_usd(usd)
    assert amounts == {name: parse_usd(usd) for name, usd in after.items()}
    assert set(found.budgets) == {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}


def test_what_changes_beside_a_limit_is_named() -> None:
    before = Policy.model_validate({"organization": "acme", "budgets": [budget("a", "1")]})
    after = Policy.model_validate(
        {"organization": "acme", "timezone": "Asia/Tokyo", "budgets": [budget("a", "1", owner="finance")]}
    )
    found = limit_changes(before, after)
    assert (found.otherwise, found.sections, found.budgets) == (("a",), ("timezone",), ["a"])
    assert limit_changes(None, after).sections == ("timezone",)


def test_a_text_stays_bounded_and_says_what_it_leaves_out() -> None:
    many = {f"{n:03}" + "b" * 61: "123456789.123456789" for n in range(999)}
    found = limit_changes(None, policy_of(many))
    before, after = found.texts({"version": 0}, {"version": 1})
    assert max(len(before), len(after)) <= TEXT_MAX
    told = json.loads(after)
    assert len(told["added"]) + told["omitted"] == 999
    assert len(told["added"]) > 300
    assert len(found.budgets) == 999
