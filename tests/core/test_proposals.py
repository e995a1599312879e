"""Changes that need a second person: what opens, who may decide, what it then does, and what is put on record of it."""

from __future__ import annotations

import json

import pytest

from services.core.apply_proposal import OPEN_FOR_MS, OPEN_MAX
from services.core.effects import Effects, PolicyEntry
from services.core.money import parse_usd
from services.core.state import LedgerState
from tests.core.ledger import NOON_MS, Json, budget, event, policy, proposed, record, reviewed, run

REVIEW = {"review": "required"}
UNTIL = "2026-12-01T00:00:00Z"
TEN, TWENTY = budget("all", "10"), budget("all", "20")


def governed(*budgets: Json, **governance: str) -> Json:
    """A first policy with rules on who must agree."""
    made = policy(*budgets)
    made["data"]["policy"]["governance"] = governance
    return made


def boost(usd: str, name: str = "b1", *, by: str = "ada", until: str = UNTIL) -> Json:
    return event(
        "boost.granted",
        {"organization": "acme", "budget": "all", "amount_usd": usd, "until": until, "by": by, "key_id": f"k-{by}"},
        event_id=name,
    )


def asked(usd: str, proposal: str = "prop-1", *, until: str = UNTIL) -> Json:
    granted = boost(usd, proposal, until=until)
    return granted | {"type": "spendgate.boost.requested.v1", "data": granted["data"] | {"proposal": proposal}}


def fold_all(*events: Json) -> tuple[PolicyEntry, Effects]:
    """What holds after one record for each event."""
    state, effects = run(record(offset, each) for offset, each in enumerate(events))
    return in_force(state), effects


def in_force(state: LedgerState) -> PolicyEntry:
    entry = state.organization("acme").entry
    assert entry is not None
    return entry


def actions(effects: Effects) -> list[tuple[str, str, str]]:
    return [(entry.action, entry.subject, entry.by) for entry in effects.audit]


def reasons(effects: Effects) -> list[str]:
    return [rejection.reason for rejection in effects.rejections]


def test_a_proposal_is_in_force_once_another_person_approves_it() -> None:
    entry, effects = fold_all(governed(TEN, **REVIEW), proposed(TWENTY, version=2, governance=REVIEW), reviewed())
    assert (entry.version, entry.by, entry.approved_by, entry.proposals) == (2, "ada", "bob", ())
    assert (entry.offset, entry.reason, entry.key_id) == (2, "plan", "k-ada")
    assert reasons(effects) == []
    assert actions(effects) == [
        ("policy.applied", "acme", "ada"),
        ("policy.proposed", "prop-1", "ada"),
        ("policy.applied", "acme", "ada"),
        ("proposal.approved", "prop-1", "bob"),
    ]
    applied = effects.audit[2]
    assert json.loads(applied.before) == {"version": 1, "limits": {"all": "10.00"}}
    assert json.loads(applied.after) == {
        "version": 2,
        "proposal": "prop-1",
        "approved_by": "bob",
        "raised": {"all": "10.00"},
    }
    assert applied.budgets == ["all"]


def test_until_then_it_limits_nothing() -> None:
    entry, effects = fold_all(policy(TEN), proposed(budget("all", "1"), version=2))
    assert (entry.version, entry.offset, entry.latest_offset) == (1, 0, 1)
    assert [each.proposal for each in entry.proposals] == ["prop-1"]
    assert effects.counts["proposal"] == 1


@pytest.mark.parametrize(
    ("by", "key_id"),
    [("ada", "k-bob"), (" Ada ", "k-bob"), ("bob", "k-ada"), ("ada", "k-ada"), ("bob", None)],
)
def test_nobody_approves_what_they_proposed(by: str, key_id: str | None) -> None:
    entry, effects = fold_all(governed(TEN, **REVIEW), proposed(TWENTY, version=2), reviewed(by=by, key_id=key_id))
    assert (entry.version, len(entry.proposals)) == (1, 1)
    assert reasons(effects) == ["same_person"]


def test_nobody_approves_what_a_key_unknown_proposed() -> None:
    entry, effects = fold_all(governed(TEN, **REVIEW), proposed(TWENTY, version=2, key_id=None), reviewed())
    assert (entry.version, reasons(effects)) == (1, ["same_person"])


def test_where_review_is_required_a_policy_is_not_applied_directly() -> None:
    entry, effects = fold_all(governed(TEN, **REVIEW), policy(TWENTY, version=2))
    assert (entry.version, reasons(effects)) == (1, ["review_required"])
    assert "propose" in effects.rejections[0].detail


def test_to_drop_the_review_takes_a_review() -> None:
    without = proposed(TWENTY, version=2)
    entry, effects = fold_all(governed(TEN, **REVIEW), without, reviewed(by="ada"), reviewed(), policy(TEN, version=3))
    assert reasons(effects) == ["same_person"]
    assert (entry.version, entry.policy["budgets"][0]["limit_usd"]) == (3, "10"), "from then on, nobody need agree"


def test_a_proposal_for_a_version_that_was_replaced_is_stale() -> None:
    entry, effects = fold_all(
        policy(TEN), proposed(TWENTY, version=3), policy(budget("all", "5"), version=2), reviewed()
    )
    assert (entry.version, entry.proposals) == (2, ())
    assert reasons(effects) == ["stale_proposal"]
    assert "than the one in force, 2" in effects.rejections[0].detail
    assert ("proposal.superseded", "prop-1", "ada") in actions(effects)


def test_of_two_proposals_for_one_version_the_first_approved_wins() -> None:
    other = proposed(budget("all", "30"), version=3, by="cyd", key_id="k-cyd", proposal="prop-2")
    entry, effects = fold_all(
        governed(TEN, **REVIEW), proposed(TWENTY, version=2, governance=REVIEW), other, reviewed(), reviewed("prop-2")
    )
    assert (entry.version, entry.proposals) == (2, ())
    assert reasons(effects) == ["stale_proposal"]


def test_a_proposal_needs_a_policy_to_change_and_a_version_that_follows() -> None:
    _, effects = fold_all(policy(TEN), proposed(TWENTY, version=1))
    assert reasons(effects) == ["stale_proposal"]
    _, effects = run([record(0, proposed(TWENTY, version=1))])
    assert reasons(effects) == ["stale_proposal"]
    assert "apply the first one directly" in effects.rejections[0].detail


def test_an_invalid_policy_is_refused_when_it_is_proposed() -> None:
    entry, effects = fold_all(policy(TEN), proposed(budget("all", "many"), version=2))
    assert (entry.proposals, reasons(effects)) == ((), ["invalid_policy"])


def test_rejected_by_another_withdrawn_by_its_author() -> None:
    second = proposed(TWENTY, version=2, proposal="prop-2")
    entry, effects = fold_all(
        policy(TEN),
        proposed(TWENTY, version=2),
        second,
        reviewed(verdict="reject"),
        reviewed("prop-2", by="ada", key_id="k-ada", verdict="reject"),
        reviewed(),
    )
    assert (entry.version, entry.proposals) == (1, ())
    assert actions(effects)[3:] == [("proposal.rejected", "prop-1", "bob"), ("proposal.withdrawn", "prop-2", "ada")]
    assert reasons(effects) == ["stale_proposal"], "what was rejected cannot be approved"


def test_a_review_that_is_delivered_twice_counts_once() -> None:
    entry, effects = fold_all(policy(TEN), proposed(TWENTY, version=2), reviewed(), reviewed())
    assert (entry.version, effects.counts["duplicate"], reasons(effects)) == (2, 1, [])


def test_a_proposal_expires_by_the_clock_of_the_ledger() -> None:
    state, _ = run([record(0, policy(TEN)), record(1, proposed(TWENTY, version=2))])
    _, early = run([record(2, at_ms=NOON_MS + OPEN_FOR_MS - 1)], state)
    assert (early.audit, early.policies) == ([], {})
    _, late = run([record(3, at_ms=NOON_MS + OPEN_FOR_MS)], state)
    assert actions(late) == [("proposal.expired", "prop-1", "the ledger's clock")]
    assert in_force(state).proposals == ()
    _, after = run([record(4, reviewed(), at_ms=NOON_MS + OPEN_FOR_MS)], state)
    assert reasons(after) == ["stale_proposal"]


def test_so_many_proposals_are_open_and_no_more() -> None:
    many = [proposed(TWENTY, version=2, proposal=f"prop-{n}") for n in range(OPEN_MAX + 1)]
    entry, effects = fold_all(policy(TEN), *many)
    assert [each.proposal for each in entry.proposals] == [f"prop-{n}" for n in range(OPEN_MAX)]
    assert reasons(effects) == ["too_many_proposals"]


def test_proposals_that_no_message_could_hold_are_refused() -> None:
    large = [budget(f"b{n}", "1", fallback={f"{m}" * 200: "z" * 250 for m in "abcdef"}) for n in range(900)]
    first, second = (proposed(*large, version=2, proposal=f"prop-{n}") for n in (1, 2))
    entry, effects = fold_all(policy(TEN), first, second)
    assert [each.proposal for each in entry.proposals] == ["prop-1"]
    assert reasons(effects) == ["too_many_proposals"]


def test_a_name_is_proposed_once_while_it_is_open() -> None:
    again = proposed(TWENTY, version=3, by="bob", key_id="k-bob")
    entry, effects = fold_all(policy(TEN), proposed(TWENTY, version=2), again)
    assert [each.version for each in entry.proposals] == [2]
    assert reasons(effects) == ["stale_proposal"]


def test_a_boost_above_the_threshold_needs_a_second_person() -> None:
    rules = governed(TEN, boosts_above_usd="5")
    entry, effects = fold_all(rules, boost("5"), boost("0.01", "b2"))
    assert [each.amount_usd for each in entry.boosts] == ["5"], "what runs by one person's word counts together"
    assert reasons(effects) == ["review_required"]
    entry, effects = fold_all(rules, asked("50"), reviewed(by="ada"), reviewed(), boost("5"))
    assert [(each.amount_usd, each.approved_by) for each in entry.boosts] == [("50", "bob"), ("5", None)]
    assert reasons(effects) == ["same_person"]
    assert [action for action, *_ in actions(effects)] == [
        "policy.applied",
        "boost.requested",
        "boost.granted",
        "proposal.approved",
        "boost.granted",
    ]
    assert json.loads(effects.audit[2].after)["approved_by"] == "bob"


def test_a_boost_that_takes_away_makes_no_room_for_another() -> None:
    entry, effects = fold_all(
        governed(TEN, boosts_above_usd="5"), boost("-100", until="2026-11-24T12:00:01Z"), boost("9", "b2")
    )
    assert [each.amount_usd for each in entry.boosts] == ["-100"]
    assert reasons(effects) == ["review_required"]


def test_a_request_outlives_another_policy_but_neither_its_budget_nor_its_end() -> None:
    later = policy(TWENTY, version=2)
    entry, _ = fold_all(policy(TEN), asked("50"), later, reviewed())
    assert ([each.amount_usd for each in entry.boosts], entry.version) == (["50"], 2)
    entry, effects = fold_all(policy(TEN), asked("50"), policy(budget("other", "1"), version=2), reviewed())
    assert (entry.boosts, reasons(effects), len(entry.proposals)) == ((), ["unknown_budget"], 1)
    entry, effects = fold_all(policy(TEN), asked("50", until="2026-11-24T12:00:00Z"), reviewed())
    assert (entry.boosts, reasons(effects)) == ((), ["stale_proposal"])


def test_an_approved_policy_limits_what_is_spent_from_then_on() -> None:
    state, _ = run([record(0, policy(TEN)), record(1, proposed(TWENTY, version=2)), record(2, reviewed())])
    (budget_in_force,) = state.organization("acme").routes.policy.budgets
    assert budget_in_force.limit_nanousd == parse_usd("20")
